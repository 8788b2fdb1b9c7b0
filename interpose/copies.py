"""Programs whose interpreter is virtual are executed from copies that name another one: the loader's memory file.

Owns which copy is of what, and when one is too old.  Their content is memory like any other: counted, evicted, made
again (`MemoryFiles`).  Must not know why something is executed.

A copy has one descriptor.  The loader that it names is kept for good, since the kernel opens it by its number after the
copy has been opened: there are as many as there are loaders.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Hashable

from hepwrap.interpose import elf
from hepwrap.interpose.world import World
from hepwrap.vfs.resolve import Node

#: Nanoseconds after its last change in which a file of the host may change again without its times showing it.
UNCERTAIN = 2 * 10**9
#: How often a file that changes while it is copied is copied anew.
TRIES = 3

Version = tuple[int, int, int, int, int]


class Changing(Exception):
    """The file is written to all the time."""


class Copies:
    """Copies of one launch; safe from any thread.  `now`: nanoseconds of the real-time clock.

    A loader is a virtual file, or the path of one of the host.
    """

    def __init__(self, world: World, now: Callable[[], int] = time.time_ns) -> None:
        self._world, self._now = world, now
        self._lock = threading.Lock()
        self._made: dict[Hashable, int] = {}
        self._loaders: dict[int, bytes] = {}

    def of_virtual(self, at: int, fd: int, loader: Node | bytes) -> int:
        """The inode of a copy of the virtual file at `at`, which is open as `fd`."""
        copy = self._inode((at, _path(loader)), lambda: self._world.book.copy_of(at))
        self._fill(copy, fd, os.fstat(fd).st_size, loader)
        return copy

    def of_host(self, fd: int, loader: Node | bytes) -> int:
        """The same of a file of the host, as it is now; Changing where it is being written."""
        for _ in range(TRIES):
            status = os.fstat(fd)
            version = version_of(status)
            copy = self._of_version(fd, status, loader)
            try:
                self._fill(copy, fd, status.st_size, loader, version)
            except EOFError:
                continue
            return copy
        raise Changing

    def _of_version(self, fd: int, status: os.stat_result, loader: Node | bytes) -> int:
        def made() -> int:
            return self._world.book.foreign(os.readlink(b"/proc/self/fd/%d" % fd), status)

        if self._now() - status.st_ctime_ns < UNCERTAIN:
            return made()
        return self._inode((version_of(status), _path(loader)), made)

    def _inode(self, key: Hashable, make: Callable[[], int]) -> int:
        with self._lock:
            if key not in self._made:
                self._made[key] = make()
            return self._made[key]

    def _fill(self, copy: int, fd: int, size: int, loader: Node | bytes, version: Version | None = None) -> None:
        """See to it that the copy is in memory; EOFError where what it is made of is no longer that version."""
        name = self._name(loader)

        def write(target: int) -> None:
            elf.write_with_interpreter(fd, size, name, target)
            if version is not None and version_of(os.fstat(fd)) != version:
                raise EOFError("the program has been changed")

        self._world.stand_in_written(copy, size + len(name) + 1, write)

    def _name(self, loader: Node | bytes) -> bytes:
        """What the kernel opens the loader by: one of the host's is found anew each time."""
        if isinstance(loader, bytes):
            return loader
        at = self._world.book.inode(loader)
        with self._lock:
            name = self._loaders.get(at)
        if name is None:
            number = self._world.keep(at)  # may have to be fetched; to be kept twice does no harm
            with self._lock:
                name = self._loaders.setdefault(at, b"/proc/%d/fd/%d" % (os.getpid(), number))
        return name


def _path(loader: Node | bytes) -> bytes:
    return loader if isinstance(loader, bytes) else loader.path


def version_of(status: os.stat_result) -> Version:
    """What a file of the host has in common with itself only, as long as nobody writes to it."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
