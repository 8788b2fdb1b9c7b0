"""Where memory files live: sealed ones of the kernel's own, or those of a file system that nobody else has mounted.

Owns what a store is, and the one that every machine has.  Must not know keys or limits.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Hashable, Iterator
from typing import Protocol

from hepwrap.cache import huge, sealed
from hepwrap.cache.eviction import Use
from hepwrap.cache.sealed import MemoryFile


class Store(Protocol):
    """Makes files that programs can read, map and execute, and nobody can change."""

    def create(self, name: str, size: int) -> int:
        """A descriptor of a new file of `size` bytes, to be written through it and no other.  Raises OSError."""
        ...

    def finish(self, fd: int, key: Hashable) -> MemoryFile:
        """The file that is written through `fd`, unchangeable from now on; `fd` is closed, also where that fails.

        A former file of that key may still be on its way out.  Raises OSError.
        """
        ...

    def withdraw(self, file: MemoryFile) -> None:
        """Nobody shall open it any more, who has not; its descriptor is closed next.  Raises OSError."""
        ...

    def attend(self, file: MemoryFile, soon: bool) -> None:
        """It is new; `soon`: some may have to leave, so see to it that uses are seen until then.  Fails silently."""
        ...

    def look(self, file: MemoryFile, now: int) -> Use:
        """Its last use, as far as it can be seen; `now`: the time, nanoseconds of the real-time clock."""
        ...

    def shown_as(self, key: Hashable, name: str) -> bytes:
        """What /proc calls the file of `key` that was created as `name`, while it has not left."""
        ...

    def name_shown(self, shown: bytes, name_of: Callable[[int], bytes]) -> bytes | None:
        """The name behind what /proc shows, which may be cut off; `name_of`: of a key.  None: no file of this store."""
        ...

    def directory(self) -> int | None:
        """A descriptor, the store's own, of where programs find files by name; None: they have no names."""
        ...

    def close(self) -> None:
        """All files have left: let go of what was needed for all of them."""
        ...


class SealedStore:
    """Sealed memory files (`sealed`): opened by what /proc shows of our descriptors.

    `mark`: st_mtime of all of them, in seconds; None: as it comes.
    """

    def __init__(self, mark: int | None = None) -> None:
        self._mark = mark

    def create(self, name: str, size: int) -> int:
        """See Store."""
        fd = sealed.create(name)
        with closed_on_failure(fd):
            os.ftruncate(fd, size)
            huge.ask(fd, size)
        return fd

    def finish(self, fd: int, key: Hashable) -> MemoryFile:
        """See Store."""
        with closed_on_failure(fd):
            if self._mark is not None:
                give_mark(fd, self._mark)
        return sealed.seal(fd, key)

    def withdraw(self, file: MemoryFile) -> None:
        """See Store: closing the descriptor is all."""

    def attend(self, file: MemoryFile, soon: bool) -> None:
        """See Store: the kernel notes when it is read."""

    def look(self, file: MemoryFile, now: int) -> Use:
        """See Store.  A time in the future is of somebody's making (utimensat(2) is not sealed), and tells nothing."""
        last = sealed.last_read(file)
        return Use(last if last <= now else 0, sealed.is_open_elsewhere(file))

    def shown_as(self, key: Hashable, name: str) -> bytes:
        """See Store."""
        del key
        return sealed.shown_as(name)

    def name_shown(self, shown: bytes, name_of: Callable[[int], bytes]) -> bytes | None:
        """See Store."""
        del name_of
        return sealed.name_shown(shown)

    def directory(self) -> int | None:
        """See Store."""
        return None

    def close(self) -> None:
        """See Store: nothing is."""


@contextlib.contextmanager
def closed_on_failure(fd: int) -> Iterator[None]:
    """Close the descriptor of a file that could not be made."""
    try:
        yield
    except BaseException:
        os.close(fd)
        raise


def give_mark(fd: int, mark: int) -> None:
    """Set st_mtime, keeping the time of access."""
    os.utime(fd, ns=(os.fstat(fd).st_atime_ns, mark * 10**9))
