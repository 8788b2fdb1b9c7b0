"""The two places of opened files, for tests: each with the way in which programs open what is in it.

with a_place() as place: ...                  # a tmpfs of the test's own, in a namespace of its own
with STORES["private"]() as kept:             # or "sealed"
    file = kept.make("1", b"content")
    fd = kept.open("1", os.O_RDONLY)          # as a program would
    kept.remove(file)
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from hepwrap.cache import sealed
from hepwrap.cache.place import Place
from hepwrap.cache.private_mount import PrivateMount
from hepwrap.cache.sealed import MemoryFile
from hepwrap.cache.stores import SealedStore, Store
from hepwrap.interpose import _core

#: st_mtime of all files, seconds.
MARK = 12345


@dataclass
class Kept:
    """A store, what is in it, and how that is opened."""

    store: Store
    place: Place | None = None
    files: dict[str, MemoryFile] = field(default_factory=dict)

    def make(self, key: str, content: bytes) -> MemoryFile:
        """A new file; the former one of that key, if there is one, is forgotten and not removed."""
        fd = self.store.create(key, len(content))
        sealed.write_all(fd, content, 0)
        self.files[key] = self.store.finish(fd, key)
        return self.files[key]

    def open(self, key: str, flags: int = os.O_RDONLY) -> int:
        """As the runtime does it (`open_standin`)."""
        if self.place is not None:
            return os.open(self.place.name_of(key), flags, dir_fd=self.place.readable)
        return os.open(f"/proc/{os.getpid()}/fd/{self.files[key].fd}", flags)

    def use(self, key: str) -> None:
        """Open it and close it."""
        os.close(self.open(key))

    def remove(self, file: MemoryFile) -> None:
        """As `MemoryFiles` does it."""
        self.store.withdraw(file)
        os.close(file.fd)


@contextlib.contextmanager
def a_place(options: str = "mode=0755,size=0,nr_inodes=0") -> Iterator[Place]:
    """A place that is mounted with these options (tmpfs(5)), closed at the end."""
    try:
        place = Place(*_core.private_mount(options))
    except OSError as error:
        pytest.skip(f"this machine lets us have no mount of our own: {error.strerror}")
    try:
        yield place
    finally:
        place.close()


@contextlib.contextmanager
def _private() -> Iterator[Kept]:
    with a_place() as place, _closing(Kept(PrivateMount(place, MARK), place)) as kept:
        yield kept


@contextlib.contextmanager
def _sealed() -> Iterator[Kept]:
    with _closing(Kept(SealedStore(MARK))) as kept:
        yield kept


@contextlib.contextmanager
def _closing(kept: Kept) -> Iterator[Kept]:
    """Nothing of it remains open."""
    try:
        yield kept
    finally:
        kept.store.close()
        for file in kept.files.values():
            with contextlib.suppress(OSError):
                os.close(file.fd)


def open_files() -> set[str]:
    """Our descriptors, but for the one of the kernel's queue of events, which comes with the first look."""
    found = set()
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # that of the list itself
            if os.readlink(f"/proc/self/fd/{number}") != "anon_inode:inotify":
                found.add(number)
    return found


@contextlib.contextmanager
def store_of(kind: str) -> Iterator[Callable[[int], Store]]:
    """What makes the one store of that kind for a mark."""
    if kind == "sealed":
        yield SealedStore
        return
    with a_place() as place:
        yield functools.partial(PrivateMount, place)


STORES: dict[str, Callable[[], contextlib.AbstractContextManager[Kept]]] = {"sealed": _sealed, "private": _private}
