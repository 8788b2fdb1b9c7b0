"""The account of one fetcher.

Owns the rule for FetchCounters: written under one lock, read without any.  A reader may see `requests` a moment before
the `bytes_received` that belong to it, but no count is ever lost and none goes back.
"""

from __future__ import annotations

import threading

from hepwrap.fetchers.fetcher import FetchCounters


class Tally:
    """Adds to `counters` from any number of threads."""

    def __init__(self) -> None:
        self.counters = FetchCounters()
        self._lock = threading.Lock()

    def add(self, **more: float) -> None:
        """Adds each keyword's value to the counter of that name."""
        with self._lock:
            for name, value in more.items():
                setattr(self.counters, name, getattr(self.counters, name) + value)
