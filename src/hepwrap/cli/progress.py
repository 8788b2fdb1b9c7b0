"""A line on a terminal's stderr that is written over again and again: how far something long is.

Owns when it is drawn, and that nothing of it remains.  Must not know what is being done.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable

from hepwrap import assemble

_SECONDS_BETWEEN = 0.1
_CLEAR = "\r\x1b[K"


class ProgressLine:
    """Draws nothing where stderr is no terminal, or closed, or `quiet` is asked for.  Leaving the block clears it."""

    def __init__(self, *, quiet: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        #: Whether anybody sees it.
        self.draws = not quiet and sys.stderr is not None and sys.stderr.isatty()
        self._clock = clock
        self._next = -1.0
        self._is_drawn = False

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(self, *_error: object) -> None:
        self.clear()

    def show(self, text: Callable[[], str]) -> None:
        """Draw what `text` says now, unless something was drawn a moment ago."""
        if self.draws and (now := self._clock()) >= self._next:
            self._next = now + _SECONDS_BETWEEN
            self._is_drawn = True
            # One that wraps could not be cleared.
            _write(_CLEAR + text()[: _columns() - 1])

    def clear(self) -> None:
        """Before anything else is written, and at the end."""
        if self._is_drawn:
            self._is_drawn = False
            _write(_CLEAR)

    def say(self, line: str) -> None:
        """A line of text for the user, on a line of its own."""
        self.clear()
        assemble.say(line)


def _write(text: str) -> None:
    with contextlib.suppress(OSError):  # No work fails because nobody can watch it.
        print(text, end="", file=sys.stderr, flush=True)


def _columns() -> int:
    """Width of the terminal; one that does not tell has 80."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    except OSError:
        return 80
