"""A program on a pseudo-terminal of its own: what a person would type, and what would be on the screen."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.helpers.jobs import PATIENCE, until


class Terminal:
    """`words` as leader of a session whose terminal is ours."""

    def __init__(self, words: Sequence[str], environment: Mapping[str, str], cwd: Path) -> None:
        #: Everything that was shown so far.
        self.seen = ""
        self._at = 0
        self._status: int | None = None
        self.pid, self._screen = pty.fork()
        if self.pid == 0:
            try:
                os.chdir(cwd)
                os.execvpe(words[0], list(words), dict(environment))
            finally:
                os._exit(99)
        fcntl.ioctl(self._screen, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 500, 0, 0))

    def type(self, text: str) -> None:
        os.write(self._screen, text.encode())

    def expect(self, text: str) -> None:
        """Wait until `text` is shown, after what was expected before."""
        while (found := self.seen.find(text, self._at)) < 0:
            if not select.select([self._screen], [], [], PATIENCE)[0]:
                pytest.fail(f"{text!r} is not shown; the screen: {self.seen!r}")
            try:
                self.seen += os.read(self._screen, 65536).decode("utf-8", "replace")
            except OSError:
                pytest.fail(f"the terminal is closed before {text!r} was shown; the screen: {self.seen!r}")
        self._at = found + len(text)

    def hang_up(self) -> None:
        os.close(self._screen)
        self._screen = -1

    def wait(self) -> int:
        """The wait status."""
        if self._status is None:
            until(self._ended, "the program on the terminal ends")
        assert self._status is not None
        return self._status

    def close(self) -> None:
        if self._status is None and not self._ended():
            os.kill(self.pid, signal.SIGKILL)
            self.wait()
        if self._screen >= 0:
            self.hang_up()

    def _ended(self) -> bool:
        while self._screen >= 0 and select.select([self._screen], [], [], 0)[0]:
            try:
                self.seen += os.read(self._screen, 65536).decode("utf-8", "replace")
            except OSError:
                break
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid:
            self._status = status
        return bool(pid)
