"""Runs commands under hepwrap by its command line, and natively beside it, as the same ordinary user.

    launcher.run(["ls", "/cvmfs/test.hep.example"]).stdout       # bytes: names need not be UTF-8
    launcher.native(["ls", tree])                                # the same user, without hepwrap
    launcher.ok([...]) -> bytes                                  # fails the test unless all went well

A launcher is made for one set of repositories and one set of options (`--no-patch`, or none); the tests get it from the
fixtures of `tests/system/conftest.py`, once each way.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.repositories import ServedRepository
from tests.helpers.unprivileged import Unprivileged

Done = subprocess.CompletedProcess[bytes]
Word = str | bytes | Path
#: Options for both ways in which the runtime comes to its calls.
PATCHINGS = {"patched": [], "trapped": ["--no-patch"]}


@dataclass(frozen=True)
class Launcher:
    """One user, some repositories, some options."""

    user: Unprivileged
    #: How hepwrap is told of the repositories.
    flags: list[str]
    #: Other options of every launch.
    options: list[str]
    #: Run as the user who runs the tests: for what only root may read.
    as_tester: bool = False

    def hepwrap(self) -> list[str]:
        """The command, without a subcommand."""
        return [sys.executable, "-m", "hepwrap"] if self.as_tester else self.user.hepwrap_command

    def command(self, words: Sequence[Word], *more: str) -> list[Word]:
        """The whole launch; `more` options go before the `--`."""
        return [*self.prefix(), *self.bare_command(words, *more)]

    def bare_command(self, words: Sequence[Word], *more: str) -> list[Word]:
        """The launch for somebody who is that user already."""
        return [*self.hepwrap(), *self.flags, *self.options, *more, "--", *words]

    def run(self, words: Sequence[Word], *more: str, env: Mapping[str, str] | None = None, **options: Any) -> Done:
        """Run it under hepwrap to its end."""
        return self._run(self.command(words, *more), env, options)

    def native(self, words: Sequence[Word], *, env: Mapping[str, str] | None = None, **options: Any) -> Done:
        """Run it as the same user without hepwrap."""
        return self._run([*self.prefix(), *words], env, options)

    def look(self, subcommand: str, *words: str, env: Mapping[str, str] | None = None, **options: Any) -> Done:
        """`hepwrap ls`, `cat`, `stat` ... with the same repositories."""
        return self._run([*self.prefix(), *self.hepwrap(), subcommand, *self.flags, *words], env, options)

    def ok(self, words: Sequence[Word], *more: str, env: Mapping[str, str] | None = None, **options: Any) -> bytes:
        """Its standard output, of a run that ended with 0 and wrote nothing to standard error."""
        return quiet(self.run(words, *more, env=env, **options))

    def prefix(self) -> list[str]:
        """What to write before a command to run it as the user."""
        return [] if self.as_tester else self.user.prefix()

    def _testers_home(self) -> str:
        """Not the user's: what root leaves there the user could not write."""
        home = self.user.home.parent / "home-of-tester"
        home.mkdir(exist_ok=True)
        return str(home)

    def _run(self, command: Sequence[Word], env: Mapping[str, str] | None, options: dict[str, Any]) -> Done:
        options = {"cwd": self.user.home, "timeout": 120, "stdin": subprocess.DEVNULL, **options}
        if "input" in options:
            del options["stdin"]
        environment = self.user.environment(
            {**({"HOME": self._testers_home()} if self.as_tester else {}), **(env or {})}
        )
        return subprocess.run(command, env=environment, capture_output=True, check=False, **options)


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
