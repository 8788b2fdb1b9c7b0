"""A timer that lets go of memory when it gets tight, even while nobody opens anything.

Owns a thread and its pace.  Must not know what it trims.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

#: Seconds between two looks.
PACE = 2.0


class Trimmer:
    """Calls `trim` every `pace` seconds from `start()` to `stop()`.  Start it in the server, after its last fork."""

    def __init__(self, trim: Callable[[], object], *, pace: float = PACE) -> None:
        self._trim = trim
        self._pace = pace
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="hepwrap-trim", daemon=True)

    def start(self) -> None:
        """Begin; once."""
        self._thread.start()

    def stop(self) -> None:
        """End, and wait for a call that is going on."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(self._pace):
            self._trim()
