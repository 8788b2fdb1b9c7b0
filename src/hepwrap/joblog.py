"""The log of one launch: lines with the time, in a file below the user's state directory, and what was worst.

Owns the file.  Logging never fails: without a writable place the lines are counted and the last one is kept.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

#: Log files kept in the state directory, newest first.
KEPT = 20
MOST_BYTES = 8 * 1024 * 1024


class JobLog:
    """Takes lines from any thread.

    `directory` is where a file of its own is made with the first line; `file` is appended to instead, where the user
    named one; both None: nowhere.  `also` gets each line too (-v).
    """

    def __init__(
        self, directory: Path | None, also: Callable[[str], None] | None = None, *, file: Path | None = None
    ) -> None:
        self._lock = threading.Lock()
        self._directory, self._also = directory, also
        self._fd = -1
        self._bytes = 0
        self._tried = False
        self.path: Path | None = file
        self.lines = 0
        self.last = ""

    def __call__(self, line: str) -> None:
        """Write one line."""
        line = " ".join(line.split("\n"))
        with self._lock:
            self.lines += 1
            self.last = line
            if not self._tried:
                self._tried = True
                with contextlib.suppress(OSError):
                    self._open()
            data = f"{time.strftime('%Y-%m-%dT%H:%M:%S')} {line}\n".encode("utf-8", "surrogateescape")
            if self._fd >= 0 and self._bytes + len(data) <= MOST_BYTES:
                self._bytes += len(data)
                with contextlib.suppress(OSError):
                    os.write(self._fd, data)
        if self._also is not None:
            self._also(f"hepwrap: {line}\n")

    def _open(self) -> None:
        """The file is made with its first line: most jobs have nothing to say."""
        if self.path is None:
            if self._directory is None:
                return
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            for old in sorted(self._directory.glob("*.log"))[: 1 - KEPT]:
                with contextlib.suppress(OSError):
                    old.unlink()
            self.path = self._directory / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
        self._fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)


class Complaints:
    """What goes wrong, said at once on the command's stderr: the first few sentences, each once; all are logged.

    At once, because many programs close their stderr before they end.
    """

    #: Sentences shown in one job.
    MOST = 3

    def __init__(self, log: JobLog, say: Callable[[str], None]) -> None:
        self._log, self._say = log, say
        self._said: set[str] = set()
        self.count = 0

    def __call__(self, line: str) -> None:
        """One more."""
        self.count += 1
        self._log(line)
        if line not in self._said and len(self._said) < self.MOST:
            self._said.add(line)
            self._say(f"hepwrap: {line}\n")

    def warn(self, line: str) -> None:
        """Worth knowing, at once, but no call has failed."""
        self._log(line)
        self._say(f"hepwrap: {line}\n")

    @property
    def unsaid(self) -> int:
        """How many were not shown one by one."""
        return self.count - len(self._said)
