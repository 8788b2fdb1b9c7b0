"""Memory files in a tmpfs of the launch's own, which is mounted nowhere (`place`, interpose/core/private_mount.c).

Programs open them by name, from a descriptor of a directory that cannot be written through: one short path, as fast as
a file of a disk.  The file system gives large files large pages, without being asked.

Owns the names in it.  Must not know who opens them.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Hashable

from hepwrap.cache.eviction import Use
from hepwrap.cache.opens import Opens
from hepwrap.cache.place import Place
from hepwrap.cache.sealed import MemoryFile, is_open_elsewhere
from hepwrap.cache.stores import give_mark


class PrivateMount:
    """The store in `place`; `mark`: st_mtime of all files, in seconds."""

    def __init__(self, place: Place, mark: int) -> None:
        self._place, self._mark = place, mark
        self._names: dict[Hashable, int] = {}
        self._lock = threading.Lock()
        self._opens = Opens()

    def key_of(self, name: bytes) -> str | None:
        """See Store."""
        return self._place.key_of(name)

    def create(self, name: str, size: int) -> int:
        """See Store: it has no name before it is finished, so nothing is left where that fails."""
        del name
        fd = os.open(".", os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600, dir_fd=self._place.writable)
        try:
            os.ftruncate(fd, size)
        except BaseException:
            os.close(fd)
            raise
        return fd

    def finish(self, fd: int, key: Hashable) -> MemoryFile:
        """See Store.  Opened once more through the mount that cannot be written to, by which nobody gets more."""
        try:
            os.fchmod(fd, 0o555)
            give_mark(fd, self._mark)
            status = os.fstat(fd)
            name = self._place.name_of(key)
            with self._lock:
                if key in self._names:  # the former one is still on its way out
                    os.unlink(name, dir_fd=self._place.writable)
                    del self._names[key]
                os.link(f"/proc/self/fd/{fd}", name, dst_dir_fd=self._place.writable)
                try:
                    kept = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._place.readable)
                except OSError:
                    os.unlink(name, dir_fd=self._place.writable)
                    raise
                self._names[key] = status.st_ino
        finally:
            os.close(fd)
        return MemoryFile(key, kept, status.st_size, status.st_dev, status.st_ino)

    def withdraw(self, file: MemoryFile) -> None:
        """See Store."""
        with self._lock:
            if self._names.get(file.key) == file.inode:
                del self._names[file.key]
                os.unlink(self._place.name_of(file.key), dir_fd=self._place.writable)
        self._opens.forget(file)

    def attend(self, file: MemoryFile) -> None:
        """See Store.  A mount that cannot be written to keeps no times of access."""
        self._opens.watch(file)

    def look(self, file: MemoryFile, now: int) -> Use:
        """See Store.  Of what was not attended to it is not known, and it gets its chance."""
        known = self._opens.watch(file)
        return Use(self._opens.last(file, now), is_open_elsewhere(file) or not known)
