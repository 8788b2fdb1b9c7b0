"""What must leave memory so that something else may come in: least recently used first.

Owns the sums and the order, as a pure policy: no clock, no lock, no descriptor.  The caller holds one lock around
every call.  Must not know what a file is: it knows keys, sizes and times.

The law: what is held and being made is never more than allowed, except for one file at a time that can not fit.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Hashable
from typing import Generic, NamedTuple, TypeVar

from hepwrap.records import dataclass

Key = TypeVar("Key", bound=Hashable)

#: Files in use that are stepped over before one is taken all the same: bounds the work of a single miss.
MOST_SPARED = 64


class Allowed(NamedTuple):
    """How much may be held: bytes, and files (each is one descriptor)."""

    bytes: int
    files: int


class Use(NamedTuple):
    """What can be seen of a file: when it was last read (nanoseconds; 0: not known), and whether it is in use.

    That is: a program has it open, or has opened it since the last look, where no more than that is known.
    """

    last: int
    in_use: bool


class _Place(NamedTuple):
    """A place in the queue.  `turn` is unique, so that keys are never compared."""

    used: int
    turn: int


@dataclass(slots=True)
class _Row:
    size: int
    place: _Place
    pins: int = 0


class Ledger(Generic[Key]):
    """Sums and order of files held, and of files being made."""

    def __init__(self) -> None:
        self._rows: dict[Key, _Row] = {}
        self._making: dict[Key, int] = {}
        #: The one file being made that does not fit whatever leaves; outside of the sums until it is there.
        self._exception: Key | None = None
        #: One entry for each row, with its place or one that it had before.
        self._queue: list[tuple[_Place, Key]] = []
        self._turn = itertools.count()
        #: The latest use known of any file.
        self._latest = 0
        self.held = 0
        self.making = 0
        self._pinned_bytes = 0
        self._pinned_files = 0

    def __len__(self) -> int:
        return len(self._rows)

    def admit(self, key: Key, size: int, allowed: Allowed, look: Callable[[Key], Use]) -> list[Key] | None:
        """Let `key` be made: the keys that leave for it, no longer in the ledger; None: wait and ask again.

        None is only ever said while another file is being made, so an asker never waits for nothing.
        """
        room = self._pinned_bytes + self.making + size <= allowed.bytes
        seat = self._pinned_files + len(self._making) < allowed.files
        if not (room and seat):
            comes = (not room and self._pinned_bytes + size <= allowed.bytes) or (
                not seat and self._pinned_files < allowed.files
            )
            if self._making and (comes or self._exception is not None):
                return None
            self._exception = key
        leaving = self._take(Allowed(allowed.bytes - size, allowed.files - 1), look)
        self._making[key] = size
        if key != self._exception:
            self.making += size
        return leaving

    def settle(self, key: Key, now: int) -> None:
        """`key` has been made and may be evicted from now on."""
        size = self._made(key)
        row = self._rows[key] = _Row(size, _Place(now, next(self._turn)))
        self._latest = max(self._latest, now)
        self.held += size
        heapq.heappush(self._queue, (row.place, key))

    def abandon(self, key: Key) -> None:
        """Making `key` failed."""
        self._made(key)

    def touch(self, key: Key, now: int) -> None:
        """`key` was asked for."""
        self._move(self._rows[key], now)

    def pin(self, key: Key) -> None:
        """Keep `key` until it is unpinned as often as it was pinned."""
        row = self._rows[key]
        row.pins += 1
        if row.pins == 1:
            self._pinned_bytes += row.size
            self._pinned_files += 1

    def unpin(self, key: Key) -> None:
        """Take one pin back."""
        row = self._rows[key]
        if not row.pins:
            raise ValueError(f"{key!r} is unpinned more often than it was pinned")
        row.pins -= 1
        if not row.pins:
            self._pinned_bytes -= row.size
            self._pinned_files -= 1

    def shrink(self, allowed: Allowed, look: Callable[[Key], Use]) -> list[Key]:
        """The keys that leave so that no more than `allowed` remains, as far as pins let it.

        One file always stays: one larger than the limit would else go as soon as it has come.
        """
        return self._take(allowed, look, keep=1)

    def relieve(self, look: Callable[[Key], Use]) -> list[Key]:
        """A quarter of the files, at least one: for when the kernel refuses memory or descriptors."""
        keep = len(self._rows) - max(1, len(self._rows) // 4)
        return self._take(Allowed(self.held + self.making, keep + len(self._making)), look)

    def _made(self, key: Key) -> int:
        size = self._making.pop(key)
        if key == self._exception:
            self._exception = None
        else:
            self.making -= size
        return size

    def _move(self, row: _Row, used: int) -> None:
        """Only a later time moves a row; the queue learns of it when the old place comes up."""
        row.place = _Place(max(used, row.place.used), next(self._turn))
        self._latest = max(self._latest, used)

    def _over(self, allowed: Allowed) -> bool:
        return self.held + self.making > allowed.bytes or len(self._rows) + len(self._making) > allowed.files

    def _take(self, allowed: Allowed, look: Callable[[Key], Use], *, keep: int = 0) -> list[Key]:
        """Take rows out, least recently used first, those in use last, until `allowed` is met or `keep` are left."""
        leaving: list[Key] = []
        pinned: list[tuple[_Place, Key]] = []
        looked: set[Key] = set()
        spared = 0
        while self._queue and len(self._rows) > keep and self._over(allowed):
            place, key = heapq.heappop(self._queue)
            row = self._rows[key]
            if row.pins:
                pinned.append((row.place, key))
                continue
            if row.place == place and key not in looked:
                # Each file is looked at once a call: a busy program's reads can not keep us here.
                looked.add(key)
                spared += self._reconsider(row, look(key), may_spare=spared < MOST_SPARED * (1 + len(leaving)))
            if row.place != place:
                heapq.heappush(self._queue, (row.place, key))
                continue
            del self._rows[key]
            self.held -= row.size
            leaving.append(key)
        for entry in pinned:
            heapq.heappush(self._queue, entry)
        return leaving

    def _reconsider(self, row: _Row, use: Use, *, may_spare: bool) -> bool:
        """Move `row` to where its last use puts it: the very end (True) if it is in use."""
        if use.in_use and may_spare:
            self._move(row, max(use.last, self._latest))
            return True
        if use.last > row.place.used:
            self._move(row, use.last)
        return False
