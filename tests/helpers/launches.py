"""Starts hepwrap by its real command line as one user or another, and the same commands natively beside it.

launches = Launches.of(unprivileged, served.flags)
launches.run("cat", "/cvmfs/x/README").stdout             # text; bytes with text=False
launches.ok("ls", "/cvmfs/x")                             # bytes, of what must do well
launches.native("ls", tree)                               # the same user, without hepwrap
with launches.start("sh", "-c", "echo here; read line") as job:
    assert job.line() == "here"
    job.send(signal.SIGINT)
    assert job.wait() == -signal.SIGINT
"""

from __future__ import annotations

import dataclasses
import os
import re
import shlex
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.jobs import Job
from tests.helpers.repositories import ServedRepository
from tests.helpers.unprivileged import UID, Unprivileged

Done = subprocess.CompletedProcess[bytes]
Word = str | bytes | Path
MARK = "HEPWRAP_TEST_MARK"
#: Interpreter of the machine's own, which every user can read.
PYTHON = sys._base_executable  # type: ignore[attr-defined]
#: Options for both ways in which the runtime comes to its calls, and for both places of what is opened; what a program
#: sees must not differ.  Where CROSSED is set the other two of these four are tested.
CROSSED = "HEPWRAP_TEST_CROSSED"
PATCHINGS = {"patched": [], "trapped": ["--no-patch", "--sealed"]}
if os.environ.get(CROSSED):
    PATCHINGS = {"patched": ["--sealed"], "trapped": ["--no-patch"]}


@dataclasses.dataclass(frozen=True)
class Launches:
    """How to start: who, with which options, in which home."""

    user: Unprivileged
    #: What makes us that user; may be empty.
    before: tuple[str, ...]
    options: tuple[str, ...]
    #: HOME, and where commands start.
    home: Path
    #: `NAME=value` in the environment of all its processes.
    mark: str

    @classmethod
    def of(cls, user: Unprivileged, options: Sequence[str] = (), **prefix: bool) -> Launches:
        """As the ordinary user, in a home of its own."""
        home = Path(tempfile.mkdtemp(dir=user.home))
        home.chmod(0o755)
        if os.geteuid() == 0:
            os.chown(home, UID, UID)
        return cls(user, tuple(user.prefix(**prefix)), tuple(options), home, _new_mark())

    @classmethod
    def as_myself(cls, user: Unprivileged, options: Sequence[str] = (), home: Path | None = None) -> Launches:
        """As who runs the tests, from the same installation."""
        home = home or Path(tempfile.mkdtemp(dir=user.home.parent))
        return cls(user, (), tuple(options), home, _new_mark())

    def having(self, *more: str) -> Launches:
        """The same with further options."""
        return dataclasses.replace(self, options=(*self.options, *more))

    def inside(self, *words: str) -> Launches:
        """The same where hepwrap is started by `words`, as the same user."""
        return dataclasses.replace(self, before=(*self.before, *words))

    @property
    def environment(self) -> dict[str, str]:
        name, _, value = self.mark.partition("=")
        return self.user.environment({"HOME": str(self.home), name: value})

    @property
    def hepwrap(self) -> tuple[str, ...]:
        """The command, without a subcommand."""
        return tuple(self.user.hepwrap_command)

    def words(self, *command: Word) -> list[str]:
        """The whole command line."""
        return [*self.before, *self.typed_words(*command)]

    def typed_words(self, *command: Word) -> list[str]:
        """The command line for somebody who is that user already."""
        return [*self.hepwrap, *self.options, "--", *map(os.fsdecode, command)]

    def typed(self, *command: Word, whole: bool = False) -> str:
        """The same as one would type it into a shell; `whole`: with what comes before hepwrap."""
        return shlex.join(self.words(*command) if whole else self.typed_words(*command))

    def native_words(self, *command: Word) -> list[str]:
        """The same command by the same user without hepwrap."""
        return [*self.before, *map(os.fsdecode, command)]

    def run(
        self, *command: Word, env: Mapping[str, str] | None = None, text: bool = True, **more: Any
    ) -> subprocess.CompletedProcess[Any]:
        """To its end."""
        return self._run(self.words(*command), env, text=text, **more)

    def native(
        self, *command: Word, env: Mapping[str, str] | None = None, text: bool = True, **more: Any
    ) -> subprocess.CompletedProcess[Any]:
        """The same command by the same user without hepwrap, to its end."""
        return self._run(self.native_words(*command), env, text=text, **more)

    def look(self, subcommand: str, *words: str, env: Mapping[str, str] | None = None, **more: Any) -> Done:
        """`hepwrap ls`, `cat`, `stat`, `publish` ..., to its end."""
        return self._run([*self.before, *self.hepwrap, subcommand, *self.options, *words], env, **more)

    def ok(self, *command: Word, env: Mapping[str, str] | None = None, **more: Any) -> bytes:
        """Its standard output, of a run that ended with 0 and wrote nothing to standard error."""
        return quiet(self.run(*command, env=env, text=False, **more))

    def start(self, *command: Word, env: Mapping[str, str] | None = None, **more: Any) -> Job:
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

    def _run(self, words: list[str], env: Mapping[str, str] | None, **more: Any) -> subprocess.CompletedProcess[Any]:
        if "input" not in more:
            more.setdefault("stdin", subprocess.DEVNULL)
        if more.get("text"):
            more.setdefault("errors", "surrogateescape")
        settings = {"cwd": self.home, "timeout": 120, "capture_output": True, **more}
        return subprocess.run(words, env={**self.environment, **(env or {})}, check=False, **settings)


def _new_mark() -> str:
    return f"{MARK}={uuid.uuid4().hex}"


def one_sentence(text: str) -> str:
    """The only line of stderr, checked to be one, ours, and without a traceback."""
    lines = text.splitlines()
    assert len(lines) == 1, f"not one line: {text}"
    assert lines[0].startswith("hepwrap: "), text
    assert not re.search(r"Traceback|Error\(|\bobject at 0x", text), text
    return lines[0].removeprefix("hepwrap: ")


def quiet(done: Done) -> bytes:
    """The standard output of a command that did well; else the test fails and shows what it said."""
    if done.returncode != 0 or done.stderr:
        said = done.stderr.decode(errors="backslashreplace")[-2000:]
        shown = done.stdout.decode(errors="backslashreplace")[-1000:]
        words = " ".join(os.fsdecode(word) for word in done.args)[-500:]
        pytest.fail(f"{words}\nended with {done.returncode}\nstdout ends: {shown}\nstderr: {said}")
    return done.stdout


def flags_of(user: Unprivileged, *repositories: ServedRepository) -> list[str]:
    """The options for these repositories, with keys where the user can read them."""
    flags = ["--proxy", "DIRECT"]
    for served in repositories:
        flags += ["--repo", f"{served.name}={served.url}", "--key", str(user.give(served.key))]
    return flags
