"""The files that programs have opened, in memory: one memory file for each catalogue inode.

Owns which of them exist, and their making and leaving.  Must not know catalogues, paths or the index: a key means
nothing to it.  How much may be held is the budget's to say, and who leaves the ledger's.

Lock order (whoever holds one may take those indented below it, never one above):
    a lock of the caller's, held while it calls open()
        (making: no lock is held, but askers of the same key wait for each other)
            MemoryFiles._changed
                the budget's lock
                the store's locks
            Objects' locks
`on_evict` runs with none of ours held.  It must not take a lock that somebody may hold while calling open(), since
that somebody may be waiting for room which the evicting thread is about to give.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import partial

from hepwrap.cache import sealed
from hepwrap.cache.aside import LARGEST, Aside
from hepwrap.cache.budget import Budget
from hepwrap.cache.counters import MemoryCounters
from hepwrap.cache.eviction import Allowed, Ledger, Use
from hepwrap.cache.inflight import Inflight
from hepwrap.cache.making import Maker, Recipe, Writing
from hepwrap.cache.objects import Objects
from hepwrap.cache.parts import Part
from hepwrap.cache.refusal import LACKS, no_room
from hepwrap.cache.sealed import MemoryFile
from hepwrap.cache.stores import SealedStore, Store
from hepwrap.cache.turns import Turns
from hepwrap.errors import FetchFailed
from hepwrap.fetchers.fetcher import Fetcher

__all__ = ["MemoryCounters", "MemoryFile", "MemoryFiles", "Part"]

#: When less than this part of the room is left files will soon have to leave.
TIGHT = 2
#: Seconds after which one who waits for room looks again, since the budget may have changed without a word.
LOOK_AGAIN = 1.0


class MemoryFiles:
    """Memory files by key.  Safe from any number of threads."""

    def __init__(
        self,
        objects: Objects,
        *,
        budget: Budget,
        on_evict: Callable[[MemoryFile], None],
        name: Callable[[Hashable], str] = lambda _key: "hepwrap",
        store: Store | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self.counters = MemoryCounters()
        self._budget = budget
        self._on_evict = on_evict
        self._name = name
        #: Nanoseconds of the real-time clock, since it is compared with times of last access.
        self._clock = clock
        self.store = store or SealedStore()
        self._maker = Maker(objects, self.store)
        self._making: Inflight[Hashable, MemoryFile] = Inflight()
        self._changed = threading.Condition()
        self._files: dict[Hashable, MemoryFile] = {}
        self._ledger: Ledger[Hashable] = Ledger()
        self._aside = Aside()
        self._turns = Turns()
        self._closed = False

    def open(
        self,
        key: Hashable,
        *,
        size: int,
        parts: Sequence[Part],
        fetcher: Fetcher,
        limit: int,
        pinned: bool = False,
    ) -> MemoryFile:
        """The memory file of `key`, made of `parts` (`size` bytes in all, at most `limit`) if it is not there.

        `pinned`: it stays until `unpin(key)`.  Without that it may be evicted, and its descriptor number used again,
        any time after; so publish it pinned, unpin it then, and let `on_evict` withdraw it.

        Raises what Objects raises, CorruptObject for parts that do not fit together, and NoRoom where the kernel
        gives no memory or descriptor although everything that may has left.
        """
        return self._open(Recipe(key, self._name(key), size, limit, parts, fetcher), pinned)

    def write(self, key: Hashable, *, size: int, write: Callable[[int], None], pinned: bool = False) -> MemoryFile:
        """As `open`, of what is no object's: `write(descriptor)` makes its `size` bytes; it may raise what it likes."""
        return self._open(Writing(key, self._name(key), size, write), pinned)

    def _open(self, recipe: Recipe | Writing, pinned: bool) -> MemoryFile:
        """Who makes a file has it pinned; one who joined may come too late for that, and then makes it anew."""
        made: list[MemoryFile] = []

        def make() -> MemoryFile:
            made.append(self._make(recipe, pinned))
            return made[0]

        while True:
            file = self._found(recipe.key, pinned)
            if file is not None:
                return file
            file = self._making.join(recipe.key, make, joined=self._count_joined)
            if made or not pinned:
                return file

    def peek(self, key: Hashable) -> MemoryFile | None:
        """The memory file of `key` if it is there; does not count as a use."""
        with self._changed:
            return self._files.get(key)

    def pin(self, key: Hashable) -> MemoryFile | None:
        """Keep `key` from being evicted until `unpin(key)`: a use. None, and nothing pinned, if it is not there."""
        with self._changed:
            file = self._files.get(key)
            if file is not None:
                self._ledger.touch(key, self._clock())
                self._ledger.pin(key)
            return file

    def unpin(self, key: Hashable) -> None:
        """Take back one pin.  KeyError or ValueError where there is none."""
        with self._changed:
            if not self._closed:
                self._ledger.unpin(key)
            self._changed.notify_all()

    def trim(self) -> int:
        """Evict down to what the budget allows by now; the number of files that left.  For a timer to call."""
        with self._changed:
            leaving = self._leave(self._ledger.shrink(self._allowed(), self._look))
            self._aside.shrink(self._room())
        self._close_all(leaving)
        return len(leaving)

    def relieve(self) -> int:
        """Evict a quarter, since the kernel refuses memory or descriptors elsewhere; the number of files that left."""
        return self._relieve()

    def close(self) -> None:
        """Evict everything, pinned or not; files being made are dropped, and open() is refused from now on."""
        with self._changed:
            self._closed = True
            leaving = list(self._files.values())
            self._files.clear()
            self._ledger = Ledger()
            self._aside.shrink(0)
            self._count_held()
            self._changed.notify_all()
        self._close_all(leaving)
        self.store.close()

    # Making.

    def _make(self, recipe: Recipe | Writing, pinned: bool) -> MemoryFile:
        """Done by one asker while the others wait."""
        file = self._found(recipe.key, pinned)
        if file is not None:
            return file
        recipe.check()
        leaving = self._admit(recipe.key, recipe.size)
        try:
            revived = self._revived(recipe)
            self._set_aside(leaving)
            self._close_all(leaving)
            file = self._make_with_room(revived)
        except BaseException:
            self._abandon(recipe.key)
            raise
        return self._settle(file, pinned)

    def _make_with_room(self, recipe: Recipe | Writing) -> MemoryFile:
        """Where the kernel lacks something, again after evicting more and more, until nothing is left to evict."""
        while True:
            try:
                return self._maker.make(recipe)
            except OSError as error:
                if error.errno not in LACKS or not self._relieve():
                    raise no_room(recipe.name, error) from error

    # The table and the ledger, under the lock.

    def _found(self, key: Hashable, pinned: bool) -> MemoryFile | None:
        with self._changed:
            self._refuse_if_closed()
            file = self._files.get(key)
            if file is None:
                return None
            self._ledger.touch(key, self._clock())
            if pinned:
                self._ledger.pin(key)
            self.counters.hits += 1
            return file

    def _admit(self, key: Hashable, size: int) -> list[MemoryFile]:
        """Wait until `size` bytes may be held; the files that leave for them."""
        with self._changed:
            ticket = self._turns.enter()
            try:
                while True:
                    self._refuse_if_closed()
                    if self._turns.may_try(ticket):
                        leaving = self._ledger.admit(key, size, self._allowed(), self._look)
                        if leaving is not None:
                            self._turns.go(ticket)
                            self._aside.shrink(self._room())
                            return self._leave(leaving)
                    self._changed.wait(LOOK_AGAIN)
            finally:
                self._turns.leave(ticket)
                self._changed.notify_all()

    def _settle(self, file: MemoryFile, pinned: bool) -> MemoryFile:
        with self._changed:
            closed = self._closed
            if not closed:
                self.store.attend(file, self._is_tight())  # before anybody can evict it, and close its descriptor
                self._files[file.key] = file
                self._ledger.settle(file.key, self._clock())
                if pinned:
                    self._ledger.pin(file.key)
                self.counters.made += 1
                self._count_held()
                self._changed.notify_all()
        if closed:
            self._close(file)
            self._refuse_if_closed()
        return file

    def _abandon(self, key: Hashable) -> None:
        with self._changed:
            self.counters.failed += 1
            if not self._closed:
                self._ledger.abandon(key)
            self._changed.notify_all()

    def _relieve(self) -> int:
        with self._changed:
            leaving = self._leave(self._ledger.relieve(self._look))
            self._aside.shrink(self._aside.bytes // 2)
        self._close_all(leaving)
        return len(leaving)

    def _leave(self, keys: Iterable[Hashable]) -> list[MemoryFile]:
        leaving = [self._files.pop(key) for key in keys]
        self.counters.evicted += len(leaving)
        self._count_held()
        return leaving

    def _allowed(self) -> Allowed:
        return Allowed(self._budget.bytes_allowed(), self._budget.descriptors_allowed())

    def _room(self) -> int:
        """Bytes that no file takes, and none that is being made."""
        return self._budget.bytes_allowed() - self._ledger.held - self._ledger.making

    def _is_tight(self) -> bool:
        allowed = self._allowed()
        return self._room() < allowed.bytes // TIGHT or len(self._ledger) > allowed.files // TIGHT

    def _revived(self, recipe: Recipe | Writing) -> Recipe | Writing:
        """The recipe, or its content where that was kept.  What is written by others may have changed meanwhile."""
        with self._changed:
            content = self._aside.take(recipe.key) if isinstance(recipe, Recipe) else None
            if content is None:
                return recipe
            self.counters.revived += 1
        return Writing(recipe.key, recipe.name, recipe.size, partial(sealed.write_all, data=content, offset=0))

    def _look(self, key: Hashable) -> Use:
        return self.store.look(self._files[key], self._clock())

    def _count_held(self) -> None:
        self.counters.bytes_held = self._ledger.held
        self.counters.files_held = len(self._ledger)
        self.counters.most_bytes_held = max(self.counters.most_bytes_held, self._ledger.held)

    def _count_joined(self) -> None:
        with self._changed:
            self.counters.joined += 1

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise FetchFailed("the memory files are closed: the launch is ending")

    # Outside of the lock.

    def _set_aside(self, leaving: Iterable[MemoryFile]) -> None:
        """Keep the contents of those that leave where there is memory: then it was their descriptor that was wanted."""
        for file in leaving:
            if file.size > min(LARGEST, self._room()):
                continue
            with contextlib.suppress(OSError, MemoryError), self._changed:
                if not self._closed and file.key not in self._files:
                    self._aside.put(file.key, sealed.read_all(file), self._room())

    def _close_all(self, leaving: Iterable[MemoryFile]) -> None:
        """Withdraw, then close.  Every descriptor is closed; the first error of all that is raised after that."""
        first: Exception | None = None
        for file in leaving:
            for leave in (self._on_evict, self._close):
                try:
                    leave(file)
                except Exception as error:
                    first = first or error
        if first is not None:
            raise first

    def _close(self, file: MemoryFile) -> None:
        try:
            self.store.withdraw(file)
        finally:
            os.close(file.fd)
