"""A world with memory files and stand-ins of its own, without repositories over the net and without programs."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path

from hepwrap.cache.budget import FixedBudget
from hepwrap.cache.memory import MemoryFile, MemoryFiles
from hepwrap.cache.objects import Objects
from hepwrap.cache.stores import SealedStore, Store
from hepwrap.interpose import elf
from hepwrap.interpose.copies import Copies
from hepwrap.interpose.standins import StandIns
from hepwrap.interpose.world import World
from hepwrap.vfs.resolve import Node
from tests.helpers.indexed import NAME, Launch
from tests.helpers.tree import Directory, File, tree

PLACE = b"/place"
SIZE = 4096
LATER = 1 << 62


def program(path: Path, content: bytes) -> Path:
    """An ELF file with an interpreter, and something to tell it by."""
    ident = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    header = struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", elf.PT_INTERP, 4, 120, 0, 0, 8, 8, 1)
    path.write_bytes((ident + header + segment + b"/loader\0" + content).ljust(SIZE, b"."))
    return path


class Stage:
    """A world with memory files for copies, which `store` makes for a mark; `files` may hold `size` bytes."""

    def __init__(self, place: Path, size: int, store: Callable[[int], Store] = SealedStore, **more: Directory) -> None:
        self.launch = Launch.of(tree(lib=tree(loader=File(0o755), other=File(0o755)), **more), PLACE)
        self.evicted: list[MemoryFile] = []
        standins = StandIns([str(place)])
        self.files = MemoryFiles(
            Objects(), budget=FixedBudget(size, 1000), on_evict=self._on_evict, store=store(standins.mark)
        )
        index, resolver = self.launch.index, self.launch.resolver
        self.world = World(index, resolver, self.files, standins, lambda mount: None, lambda line: None)
        self.now = LATER
        self.copies = Copies(self.world, lambda: self.now)

    def _on_evict(self, file: MemoryFile) -> None:
        self.evicted.append(file)
        self.world.evicted(file)

    def loader(self, name: str = "loader") -> Node:
        """A virtual loader, which is in memory."""
        found = self.launch.resolver.resolve(PLACE + b"/cvmfs/" + NAME + b"/lib/" + name.encode()).target
        assert isinstance(found, Node)
        at = self.world.book.inode(found)
        if self.files.peek(at) is None:
            self.files.write(at, size=6, write=lambda fd: os.pwrite(fd, b"loader", 0))
        return found

    def copy(self, path: Path, loader: str = "loader") -> int:
        """The inode of the copy of that file."""
        fd = os.open(path, os.O_RDONLY)
        try:
            return self.copies.of_host(fd, self.loader(loader))
        finally:
            os.close(fd)

    def content(self, at: int) -> bytes:
        """What is executed."""
        fd = self.world.hold(at)
        try:
            return os.pread(fd, 2 * SIZE, 0)
        finally:
            os.close(fd)
