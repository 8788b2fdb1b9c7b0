"""How much may be held: the job's share of memory and descriptors, or what the user said.

Owns the policy.  Must not know who holds what; it only sees that free memory goes down as more is held, so that the
share settles a little under its quarter (at a fifth of what was free before anything was held).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from hepwrap.cache import cgroup, descriptors
from hepwrap.records import dataclass

#: One part in SHARE of what is free.
SHARE = 4
#: Seconds for which numbers read from the system are good.
INTERVAL = 1.0
#: Percent of the last 10 s in which tasks waited for memory: from HIGH on the share is halved at every reading, under
#: LOW it is doubled again; never less than one part in LEAST of what it would be.
HIGH_PRESSURE = 10.0
LOW_PRESSURE = 2.0
LEAST = 64


class Budget(Protocol):
    """What memory files may take.  Safe from any number of threads; asked at every miss, so it must be cheap."""

    def bytes_allowed(self) -> int:
        """Bytes of memory files in all."""
        ...

    def descriptors_allowed(self) -> int:
        """Memory files in all, since each takes one descriptor."""
        ...


@dataclass(frozen=True, slots=True)
class FixedBudget:
    """Numbers that never change."""

    bytes: int
    descriptors: int

    def bytes_allowed(self) -> int:
        """See Budget."""
        return self.bytes

    def descriptors_allowed(self) -> int:
        """See Budget."""
        return self.descriptors


def squeezed(divisor: int, pressure: float) -> int:
    """The next divisor of the share under `pressure` (percent): 1 means the whole share."""
    if pressure >= HIGH_PRESSURE:
        return min(divisor * 2, LEAST)
    return max(divisor // 2, 1) if pressure < LOW_PRESSURE else divisor


def free_memory(place: str = "/proc/meminfo") -> int:
    """Bytes of RAM that can be had without swapping.

    Asked at misses, also when memory is tight: the kernel says it since Linux 3.14, and only before that is psutil
    imported, which then works it out.
    """
    with suppress(OSError, ValueError), open(place, "rb") as file:
        for line in file:
            if line.startswith(b"MemAvailable:"):
                return int(line.split()[1]) * 1024
    import psutil

    return int(psutil.virtual_memory().available)


class JobBudget:
    """`explicit` bytes, or at most a quarter of what the control groups and the machine leave free by now.

    Less when memory gets tight: free memory counts up to memory.high, and while tasks wait for memory (PSI) the share
    is halved again and again.  Made for the server process: the first question for descriptors raises its limit.
    """

    def __init__(
        self,
        explicit: int | None = None,
        *,
        read: cgroup.Read = cgroup.read_file,
        available: Callable[[], int] = free_memory,
        clock: Callable[[], float] = time.monotonic,
        raise_limit: Callable[[], None] = descriptors.raise_limit,
        descriptors_allowed: Callable[[], int] = descriptors.allowed,
    ) -> None:
        self._explicit = explicit
        self._read = read
        self._available = available
        self._clock = clock
        self._raise_limit: Callable[[], None] | None = raise_limit
        self._descriptors_allowed = descriptors_allowed
        self._lock = threading.Lock()
        self._divisor = 1
        self._bytes = 0
        self._good_until: float | None = None

    def bytes_allowed(self) -> int:
        """See Budget.  Reads a few small files, at most once every INTERVAL seconds."""
        if self._explicit is not None:
            return self._explicit
        with self._lock:
            now = self._clock()
            if self._good_until is None or now >= self._good_until:
                self._good_until = now + INTERVAL
                self._bytes = self._share()
            return self._bytes

    def descriptors_allowed(self) -> int:
        """See Budget."""
        with self._lock:
            if self._raise_limit is not None:
                self._raise_limit()
                self._raise_limit = None
        return self._descriptors_allowed()

    def _share(self) -> int:
        groups = cgroup.groups(self._read)
        free = min([group.free for group in groups] + [self._available()])
        self._divisor = squeezed(self._divisor, cgroup.pressure(groups, self._read))
        return free // SHARE // self._divisor
