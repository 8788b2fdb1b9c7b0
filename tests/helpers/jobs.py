"""A command that runs: its lines, signals and end are waited for by events, never by clocks.

Every wait is bounded by PATIENCE and fails with a sentence.  All processes of a job are found by the mark in their
environment (`Launches.mark`), the helper of a launch too.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

#: Seconds after which something that should come is given up; nothing that passes takes so long.
PATIENCE = 20.0


def until(condition: Callable[[], Any], what: str) -> Any:
    """Poll until `condition()` is true and return it; fails after PATIENCE with `what`."""
    for _ in range(int(PATIENCE / 0.02)):
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    pytest.fail(f"waited in vain: {what}")


def marked(mark: str) -> dict[int, str]:
    """Living processes whose environment at their start had that mark: their ids and names."""
    found = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            if mark.encode() in Path(f"/proc/{name}/environ").read_bytes():
                found[int(name)] = Path(f"/proc/{name}/comm").read_text().strip()
        except OSError:
            continue
    return found


def status_of(pid: int | str) -> dict[str, str]:
    """/proc/PID/status as a dictionary; empty where the process is gone."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return {}
    return {key: value.strip() for key, _, value in (line.partition(":") for line in text.splitlines())}


class Job:
    """A launch that runs: loosely Popen, with lines that are waited for."""

    def __init__(self, process: subprocess.Popen[bytes], mark: str) -> None:
        self.process, self.mark = process, mark
        self._rest = b""

    def __enter__(self) -> Job:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(PATIENCE)
        for pid in marked(self.mark):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()

    @property
    def pid(self) -> int:
        return self.process.pid

    def helper(self) -> int:
        """Process id of the helper; TracerPid is that of its tracing thread."""
        tracer = until(lambda: int(status_of(self.pid).get("TracerPid", "0")), "the command is traced")
        return int(status_of(tracer)["Tgid"])

    def line(self) -> str:
        """The next line of standard output, without its end; "" at the end of the stream."""
        while b"\n" not in self._rest:
            data = self._read()
            if not data:
                line, self._rest = self._rest, b""
                return line.decode()
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode()

    def rest(self) -> str:
        """All of standard output up to its end."""
        while data := self._read():
            self._rest += data
        rest, self._rest = self._rest, b""
        return rest.decode("utf-8", "surrogateescape")

    def errors(self) -> str:
        """All of standard error up to its end."""
        assert self.process.stderr is not None
        data = b""
        while more := self._read(self.process.stderr.fileno()):
            data += more
        return data.decode("utf-8", "surrogateescape")

    def is_silent(self) -> bool:
        """Nothing has come on standard output that was not read, and it is not at its end."""
        assert self.process.stdout is not None
        return not self._rest and not select.select([self.process.stdout], [], [], 0)[0]

    def say(self, text: str) -> None:
        """One line to standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode() + b"\n")
        self.process.stdin.flush()

    def send(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait(self) -> int:
        """Exit code, or minus the signal that ended it."""
        return self.process.wait(PATIENCE)

    def wait_for_stop(self) -> int:
        """The signal that stopped it, as its parent is told."""
        status = until(lambda: self._told(os.WUNTRACED), "the command is stopped")
        assert os.WIFSTOPPED(status), f"it ended with status {status}"
        return os.WSTOPSIG(status)

    def wait_for_continue(self) -> None:
        assert os.WIFCONTINUED(until(lambda: self._told(os.WCONTINUED), "the command is continued"))

    def wait_for_the_end_of_all(self) -> None:
        """No process of the launch is left, whatever its parent."""
        until(lambda: not marked(self.mark), "all processes of the launch end")

    def _told(self, what: int) -> int:
        return os.waitpid(self.pid, what | os.WNOHANG)[1]

    def _read(self, fd: int | None = None) -> bytes:
        if fd is None:
            assert self.process.stdout is not None
            fd = self.process.stdout.fileno()
        if not select.select([fd], [], [], PATIENCE)[0]:
            pytest.fail(f"nothing more comes; so far: {self._rest!r}")
        return os.read(fd, 65536)
