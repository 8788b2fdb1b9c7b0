"""Memory files in a tmpfs of the launch's own, which nobody else sees (`place`, interpose/core/private_mount.c).

Programs open them by name, from a descriptor of a directory that cannot be written through: one short path, as fast as
a file of a disk.  The file system gives large files large pages, without being asked.

Owns the names in it.  Must not know who opens them.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Hashable

from hepwrap.cache.eviction import Use
from hepwrap.cache.opens import Opens
from hepwrap.cache.place import Place
from hepwrap.cache.sealed import MemoryFile, is_open_elsewhere
from hepwrap.cache.stores import closed_on_failure, give_mark


class PrivateMount:
    """The store in `place`; `mark`: st_mtime of all files, in seconds.  OSError where no descriptor is left."""

    def __init__(self, place: Place, mark: int) -> None:
        self._place, self._mark = place, mark
        #: Whose each name is, by inode number: a key may have a new file while its former one is on its way out.
        self._names: dict[Hashable, int] = {}
        #: Held around the calls that change a name, none of which waits for anything.
        self._lock = threading.Lock()
        self._opens = Opens()
        self._leases_tell = leases_tell(place)

    def create(self, name: str, size: int) -> int:
        """See Store: it has no name before it is finished, so nothing is left where that fails."""
        del name
        fd = os.open(".", os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600, dir_fd=self._place.writable)
        with closed_on_failure(fd):
            os.ftruncate(fd, size)
        return fd

    def finish(self, fd: int, key: Hashable) -> MemoryFile:
        """See Store.  What has a name has no writer: it would not be executed (ETXTBSY)."""
        try:
            os.fchmod(fd, 0o555)
            give_mark(fd, self._mark)
            complete = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC)
        finally:
            os.close(fd)
        try:
            status = os.fstat(complete)
            with self._lock:
                self._remove(key)
                kept = self._named(complete, key)
                self._names[key] = status.st_ino
        finally:
            os.close(complete)
        return MemoryFile(key, kept, status.st_size, status.st_dev, status.st_ino)

    def withdraw(self, file: MemoryFile) -> None:
        """See Store."""
        self._opens.forget(file)
        with self._lock:
            if self._names.get(file.key) == file.inode:
                self._remove(file.key)

    def attend(self, file: MemoryFile, soon: bool) -> None:
        """See Store.  A mount that cannot be written to keeps no times of access."""
        self._opens.attend(file, soon)

    def look(self, file: MemoryFile, now: int) -> Use:
        """See Store.  When it was last used is not known, only whether since the last look."""
        del now
        return Use(0, self._opens.opened(file) or (self._leases_tell and is_open_elsewhere(file)))

    def shown_as(self, key: Hashable, name: str) -> bytes:
        """See Store."""
        del name
        return b"/" + os.fsencode(self._place.name_of(key))

    def name_shown(self, shown: bytes, name_of: Callable[[int], bytes]) -> bytes | None:
        """See Store."""
        key = self._place.key_of(shown)
        return None if key is None else name_of(key)

    def directory(self) -> int | None:
        """See Store."""
        return self._place.readable

    def close(self) -> None:
        """See Store.  The place belongs to who made it."""
        self._opens.close()

    def _named(self, fd: int, key: Hashable) -> int:
        """Give the file its name; a descriptor of it through the mount that cannot be written to."""
        name = self._place.name_of(key)
        os.link(f"/proc/self/fd/{fd}", name, dst_dir_fd=self._place.writable)
        try:
            return os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._place.readable)
        except OSError:
            os.unlink(name, dir_fd=self._place.writable)
            raise

    def _remove(self, key: Hashable) -> None:
        """The name of `key`, if it has one."""
        if key in self._names:
            os.unlink(self._place.name_of(key), dir_fd=self._place.writable)
            del self._names[key]


def leases_tell(place: Place) -> bool:
    """Whether the kernel tells who has a file of a file system open: before Linux 5.2 its name counts as an opener."""
    fd = os.open(place.name_of(0), os.O_RDONLY | os.O_CLOEXEC, dir_fd=place.readable)
    try:
        return not is_open_elsewhere(MemoryFile(0, fd, 0, place.device, 0))
    finally:
        os.close(fd)
