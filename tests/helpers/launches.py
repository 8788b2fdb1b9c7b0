"""Starts hepwrap by its real command line as one user or another, and watches what comes of it by events, not clocks.

    launches = Launches.of(unprivileged, served.flags)
    launches.run("cat", "/cvmfs/x/README").stdout
    with launches.start("sh", "-c", "echo here; read line") as job:
        assert job.line() == "here"
        job.send(signal.SIGINT)
        assert job.wait() == -signal.SIGINT

Every wait is bounded by PATIENCE and fails with a sentence.  Each `Launches` has a mark in its environment, by which
all processes of its jobs are found, the helper too.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import select
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.unprivileged import UID, Unprivileged

#: Seconds after which something that should come is given up; nothing that passes takes so long.
PATIENCE = 20.0
MARK = "HEPWRAP_TEST_MARK"
#: Interpreter of the machine's own, which every user can read.
PYTHON = sys._base_executable  # type: ignore[attr-defined]


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


@dataclasses.dataclass(frozen=True)
class Launches:
    """How to start: who, with which options, in which environment."""

    #: What makes us that user; may be empty.
    before: tuple[str, ...]
    hepwrap: tuple[str, ...]
    options: tuple[str, ...]
    environment: Mapping[str, str]
    home: Path
    mark: str

    @classmethod
    def of(cls, user: Unprivileged, options: Sequence[str], **prefix: bool) -> Launches:
        """As the ordinary user, in a home of its own."""
        home = Path(tempfile.mkdtemp(dir=user.home))
        home.chmod(0o755)
        if os.geteuid() == 0:
            os.chown(home, UID, UID)
        return cls._made(user, tuple(user.prefix(**prefix)), options, home)

    @classmethod
    def as_myself(cls, user: Unprivileged, options: Sequence[str], home: Path) -> Launches:
        """As who runs the tests, from the same installation."""
        return cls._made(user, (), options, home)

    @classmethod
    def _made(cls, user: Unprivileged, before: tuple[str, ...], options: Sequence[str], home: Path) -> Launches:
        mark = f"{MARK}={uuid.uuid4().hex}"
        name, _, value = mark.partition("=")
        environment = {**user.environment(), "HOME": str(home), name: value}
        return cls(before, tuple(user.hepwrap_command), tuple(options), environment, home, mark)

    def having(self, *more: str) -> Launches:
        """The same with further options."""
        return dataclasses.replace(self, options=(*self.options, *more))

    def inside(self, *words: str) -> Launches:
        """The same where hepwrap is started by `words`, as the same user."""
        return dataclasses.replace(self, before=(*self.before, *words))

    def words(self, *command: str | Path) -> list[str]:
        """The whole command line."""
        return [*self.before, *self.hepwrap, *self.options, "--", *map(str, command)]

    def typed(self, *command: str | Path, whole: bool = False) -> str:
        """What the user, being that user already, would type into a shell; `whole`: with what comes before hepwrap."""
        return shlex.join([*(self.before if whole else ()), *self.hepwrap, *self.options, "--", *map(str, command)])

    def native(self, *command: str | Path) -> list[str]:
        """The same command by the same user without hepwrap."""
        return [*self.before, *map(str, command)]

    def run(
        self, *command: str | Path, env: Mapping[str, str] | None = None, **more: Any
    ) -> subprocess.CompletedProcess[str]:
        """To its end."""
        settings: dict[str, Any] = {"capture_output": True, "text": True, "errors": "surrogateescape", **more}
        settings.setdefault("stdin", None if "input" in settings else subprocess.DEVNULL)
        if "input" in settings:
            settings.pop("stdin")
        settings.setdefault("timeout", PATIENCE * 2)
        return subprocess.run(
            self.words(*command), env={**self.environment, **(env or {})}, cwd=self.home, check=False, **settings
        )

    def start(self, *command: str | Path, env: Mapping[str, str] | None = None, **more: Any) -> Job:
        """With pipes for all three streams, unless told otherwise."""
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        process = subprocess.Popen(
            self.words(*command),
            env={**self.environment, **(env or {})},
            cwd=self.home,
            bufsize=0,
            **{**pipes, **more},
        )
        return Job(process, self.mark)


def one_sentence(text: str) -> str:
    """The only line of stderr, checked to be one, ours, and without a traceback."""
    lines = text.splitlines()
    assert len(lines) == 1, f"not one line: {text}"
    assert lines[0].startswith("hepwrap: "), text
    assert not re.search(r"Traceback|Error\(|\bobject at 0x", text), text
    return lines[0].removeprefix("hepwrap: ")
