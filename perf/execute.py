"""Runs a program and says how it ended.  The one place where processes are made, so that tests can have another."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hepwrap.errors import HepwrapError


@dataclass(frozen=True, slots=True)
class Done:
    """How a program ended."""

    code: int
    output: str
    errors: str
    #: Wall time.
    seconds: float


class TookTooLong(HepwrapError):
    """A program was ended because it took more than it was given."""


class Executor(Protocol):
    """Runs programs to their end."""

    def run(self, command: Sequence[str], environment: Mapping[str, str], directory: Path, limit: float) -> Done:
        """Run `command`; HepwrapError where it cannot be started, TookTooLong after `limit` seconds."""
        ...


class Processes:
    """The executor of real life."""

    def run(self, command: Sequence[str], environment: Mapping[str, str], directory: Path, limit: float) -> Done:
        """Run `command` in a session of its own, which is ended as a whole where it takes too long."""
        begin = time.perf_counter()
        try:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="backslashreplace",
                env=dict(environment),
                cwd=directory,
                start_new_session=True,
            )
        except OSError as error:
            raise HepwrapError(f"{command[0]} cannot be started: {error.strerror}") from None
        try:
            output, errors = child.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            raise TookTooLong(f"{os.path.basename(command[0])} took more than {limit:.0f} s and was ended") from None
        finally:
            if child.returncode is None:  # Too long, or Ctrl-C.
                _end(child)
        return Done(child.returncode, output, errors, time.perf_counter() - begin)


def _end(child: subprocess.Popen[str]) -> None:
    """End it with its session.  What it printed is not waited for: somebody outside of that may keep the pipes open."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    for pipe in (child.stdout, child.stderr):
        if pipe is not None:
            pipe.close()


def succeed(done: Done, what: str) -> Done:
    """`done`, or HepwrapError with the last line of its errors."""
    if done.code != 0:
        lines = (done.errors.strip() or done.output.strip() or "it said nothing").splitlines()
        how = f"was killed by {_signal_name(-done.code)}" if done.code < 0 else f"ended with {done.code}"
        raise HepwrapError(f"{what} {how}: {lines[-1][:300]}")
    return done


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
