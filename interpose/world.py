"""Everything the answers are made from, in one place: the narrow interface from mechanism to meaning.

Owns nothing but the wiring of one launch: index, book, resolver, memory files, stand-ins.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from hepwrap.cache.memory import MemoryFile, MemoryFiles
from hepwrap.interpose.standins import StandIns
from hepwrap.vfs.index._index import Index
from hepwrap.vfs.index.book import Book
from hepwrap.vfs.magic import MagicAttributes
from hepwrap.vfs.mounts import Mount
from hepwrap.vfs.resolve import Node, Resolver


@dataclass(slots=True)
class Tally:
    """What the server did; written under the interpreter's lock."""

    answers: int = 0
    failures: int = 0
    by_call: dict[str, int] = field(default_factory=dict)


class World:
    """One launch's index and what fills it.  `log` takes one line."""

    def __init__(
        self,
        index: Index,
        resolver: Resolver,
        files: MemoryFiles,
        standins: StandIns,
        magic: Callable[[Mount], MagicAttributes | None],
        log: Callable[[str], None],
    ) -> None:
        self.index, self.resolver, self.files, self.standins = index, resolver, files, standins
        self.book = Book(index, resolver)
        self.magic, self.log = magic, log
        self.tally = Tally()
        self._objects: dict[int, int] = {}
        self._lock = threading.Lock()

    def stand_in(self, at: int) -> int:
        """The descriptor that stands for the inode at `at`, made and filled where there is none now."""
        node = self.book.node(at)
        if node is None:
            return self._objects[at]
        if node.entry.is_file:
            return self._file(at, node).fd
        with self._lock:
            if at not in self._objects:
                fd = self.standins.make(node.entry.mode, node.mount.target_of(node.entry))
                self._publish(at, fd)
                self._objects[at] = fd
            return self._objects[at]

    def adopt(self, at: int, fd: int) -> None:
        """Let `fd` stand for the inode for as long as the job lasts (a copy made for executing)."""
        self._publish(at, fd)
        self._objects[at] = fd

    def evicted(self, file: MemoryFile) -> None:
        """MemoryFiles' on_evict: programs must notice before the descriptor is closed."""
        assert isinstance(file.key, int)
        self.book.drop_standin(file.key)

    def whose(self, device: int, number: int) -> bytes | None:
        """The virtual path behind a stand-in, or None."""
        at = self.index.whose(device, number)
        node = self.book.node(at) if at else None
        return node.path if node else None

    def read_head(self, node: Node, size: int) -> bytes:
        """The first bytes of a file of the repository."""
        at = self.book.inode(node)
        self.stand_in(at)
        file = self.files.pin(at)
        if file is None:
            return self.read_head(node, size)
        try:
            return os.pread(file.fd, size, 0)
        finally:
            self.files.unpin(at)

    def _file(self, at: int, node: Node) -> MemoryFile:
        repository = node.mount.repository
        assert repository is not None, "only directories are synthetic"
        known = self.files.peek(at)
        file = known or self.files.open(
            at,
            size=node.entry.size,
            parts=repository.parts(node.entry),
            fetcher=repository.fetcher,
            limit=repository.settings.max_object_bytes,
        )
        if known is None or self.book.descriptor_of(at) != file.fd:
            self.book.set_standin(at, file.fd, file.device, file.inode)
        return file

    def _publish(self, at: int, fd: int) -> None:
        status = os.fstat(fd)
        self.book.set_standin(at, fd, status.st_dev, status.st_ino)
