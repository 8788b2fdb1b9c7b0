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
    """Takes lines from any thread.  `also` gets each line too (-v)."""

    def __init__(self, directory: Path | None, also: Callable[[str], None] | None = None) -> None:
        self._lock = threading.Lock()
        self._also = also
        self._fd = -1
        self._bytes = 0
        self.path: Path | None = None
        self.lines = 0
        self.last = ""
        if directory is not None:
            self._directory = directory
        self._wanted = directory is not None

    def __call__(self, line: str) -> None:
        """Write one line."""
        with self._lock:
            self.lines += 1
            self.last = line
            if self._wanted and self._fd < 0:
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
        self._wanted = False
        with contextlib.suppress(OSError):
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path = self._directory / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
            self._fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            for old in sorted(self._directory.glob("*.log"))[:-KEPT]:
                with contextlib.suppress(OSError):
                    old.unlink()
