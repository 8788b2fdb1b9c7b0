"""Memory files in a tmpfs of the launch's own, which is mounted nowhere (interpose/core/private_mount.c).

Programs open them by name, from a descriptor of a directory that cannot be written through: one short path, as fast as
a file of a disk.  The file system gives large files large pages, without being asked.

Owns the names in it.  Must not know who opens them.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Hashable

from hepwrap.cache.eviction import Use
from hepwrap.cache.opens import Opens
from hepwrap.cache.sealed import MemoryFile, is_open_elsewhere
from hepwrap.cache.stores import give_mark

#: How it is mounted (tmpfs(5)): what it may hold is the budget's to say; pages as large as fit into a file.
OPTIONS = "mode=0755,size=0,nr_inodes=0"
HUGE = OPTIONS + ",huge=within_size"


class PrivateMount:
    """The store behind two descriptors of its directory: `writable` is ours alone, `readable` what programs get.

    Names begin with a token that no other directory has: whoever has another descriptor in the place of `readable`
    finds nothing.
    """

    def __init__(self, writable: int, readable: int, mark: int) -> None:
        self.readable = readable
        self._writable = writable
        self._mark = mark
        self.device = os.fstat(readable).st_dev
        self.token = os.urandom(4).hex()
        self._names: dict[Hashable, int] = {}
        self._lock = threading.Lock()
        self._opens = Opens()
        # By this one its directory is known, whatever descriptor that is.
        os.close(os.open(self.name_of(0), os.O_CREAT | os.O_EXCL | os.O_RDONLY, 0o444, dir_fd=writable))

    def name_of(self, key: Hashable) -> str:
        """What the file of `key` is called there (`open_standin` of runtime/standin.h makes the same of an inode)."""
        return f"{self.token}-{key}"

    def key_of(self, name: bytes) -> str | None:
        """See Store."""
        head, _, key = name.decode("ascii", "replace").partition("-")
        return key if head == "/" + self.token and key.isdigit() else None

    def create(self, name: str, size: int) -> int:
        """See Store: it has no name before it is finished, so nothing is left where that fails."""
        del name
        fd = os.open(".", os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600, dir_fd=self._writable)
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
            name = self.name_of(key)
            with self._lock:
                if key in self._names:  # the former one is still on its way out
                    os.unlink(name, dir_fd=self._writable)
                    del self._names[key]
                os.link(f"/proc/self/fd/{fd}", name, dst_dir_fd=self._writable)
                try:
                    kept = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self.readable)
                except OSError:
                    os.unlink(name, dir_fd=self._writable)
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
                os.unlink(self.name_of(file.key), dir_fd=self._writable)
        self._opens.forget(file)

    def attend(self, file: MemoryFile) -> None:
        """See Store.  A mount that cannot be written to keeps no times of access."""
        self._opens.watch(file)

    def look(self, file: MemoryFile, now: int) -> Use:
        """See Store.  Of what was not attended to it is not known, and it gets its chance."""
        known = self._opens.watch(file)
        return Use(self._opens.last(file, now), is_open_elsewhere(file) or not known)

    def close(self) -> None:
        """Give the directories back; files that somebody has open stay until they are closed."""
        for fd in (self._writable, self.readable):
            with contextlib.suppress(OSError):
                os.close(fd)
