"""Everything the answers are made from, in one place: the narrow interface from mechanism to meaning.

Owns nothing but the wiring of one launch: index, book, resolver, memory files, stand-ins.
"""

from __future__ import annotations

import os
import stat
import threading
from collections import OrderedDict
from collections.abc import Callable

from hepwrap.cache.memory import MemoryFile, MemoryFiles
from hepwrap.cache.sealed import write_all
from hepwrap.errors import StaleHandle
from hepwrap.interpose.home import Home
from hepwrap.interpose.standins import StandIns
from hepwrap.interpose.tally import Tally
from hepwrap.vfs.index._index import Index
from hepwrap.vfs.index.book import Book
from hepwrap.vfs.magic import MagicAttributes
from hepwrap.vfs.mounts import Mount
from hepwrap.vfs.resolve import Node, Resolver

#: How the kernel shows that a file has no name any more.
GONE = b" (deleted)"


class World:
    """One launch's index and what fills it.

    `log` takes one line; `home` is the host as the launch found it (None: found now); `most_objects` says how many
    descriptors stand-ins other than files may take; `warn` takes a sentence for the user (None: as `log`).
    """

    def __init__(
        self,
        index: Index,
        resolver: Resolver,
        files: MemoryFiles,
        standins: StandIns,
        magic: Callable[[Mount], MagicAttributes | None],
        log: Callable[[str], None],
        *,
        home: Home | None = None,
        most_objects: Callable[[], int] = lambda: 1024,
        warn: Callable[[str], None] | None = None,
    ) -> None:
        self.index, self.resolver, self.files, self.standins = index, resolver, files, standins
        self.book = Book(index, resolver)
        self.magic, self.log = magic, log
        self.tally = Tally()
        #: Name and value of the one attribute of /cvmfs itself: what a launch says of itself.
        self.launch_attribute = b"", b""
        self.home = home or Home(resolver.mounts.prefix, has_root=resolver.mounts.root is not None)
        self._objects: OrderedDict[int, int] = OrderedDict()
        #: Those that stay: who writes to a pipe takes its mark, so nobody else may get its number.
        self._pipes: dict[int, int] = {}
        self._most_objects = most_objects
        self._warn, self._warned = warn or log, set[str]()
        self._lock = threading.Lock()

    def tell_once(self, about: str, sentence: str) -> None:
        """To the user, at the first such call of the job."""
        with self._lock:
            if about in self._warned:
                return
            self._warned.add(about)
        self._warn(sentence)

    def stand_in(self, at: int) -> None:
        """See to it that something stands for the inode at `at`: made, filled, and written down in the index."""
        os.close(self.hold(at))

    def stand_in_written(self, at: int, size: int, write: Callable[[int], None]) -> None:
        """The same for a copy made for executing; where it is not there `write(descriptor)` makes its `size` bytes."""
        file = self.files.pin(at) or self.files.write(at, size=size, write=write, pinned=True)
        try:
            self._publish(at, file)
        finally:
            self.files.unpin(at)

    def hold(self, at: int) -> int:
        """As `stand_in`; a descriptor of the stand-in that is the caller's, whatever is evicted meanwhile.

        StaleHandle for a copy that has been evicted: only who knows what it was made of can make it again.
        """
        mode, link = self.book.shape(at)
        if stat.S_ISREG(mode):
            file = self._pinned(at)
            try:
                self._publish(at, file)
                return os.dup(file.fd)
            finally:
                self.files.unpin(at)
        with self._lock:
            if stat.S_ISFIFO(mode):
                if at not in self._pipes:
                    self._pipes[at] = self._adopt(at, self.standins.make(mode))
                return os.dup(self._pipes[at])
            if at not in self._objects:
                self._leave_room()
                self._objects[at] = self._adopt(at, self.standins.make(mode, link))
            self._objects.move_to_end(at)
            return os.dup(self._objects[at])

    def hold_directory(self) -> int:
        """The directory of memory files, as programs have it; StaleHandle where there is none."""
        directory = self.files.store.directory()
        if directory is None:
            raise StaleHandle("memory files have no names")
        return os.dup(directory)

    def keep(self, at: int) -> int:
        """The server's own descriptor of the file of a repository; it and its number stay as long as the job lasts."""
        file = self._pinned(at)
        self._publish(at, file)
        return file.fd

    def _adopt(self, at: int, fd: int) -> int:
        self.standins.give_mark(fd)
        status = os.fstat(fd)
        self.book.set_standin(at, fd, status.st_dev, status.st_ino)
        return fd

    def _leave_room(self) -> None:
        """Descriptors of directories are a quarter of all at most; who still has one open keeps it."""
        while len(self._objects) >= max(16, self._most_objects()):
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        oldest, fd = self._objects.popitem(last=False)
        self.book.drop_standin(oldest)
        os.close(fd)

    def relieve(self) -> bool:
        """Give descriptors and memory back, because the kernel refuses some; whether there was anything to give."""
        with self._lock:
            leaving = len(self._objects) - len(self._objects) // 2
            for _ in range(leaving):
                self._drop_oldest()
        return bool(self.files.relieve()) or leaving > 0

    def evicted(self, file: MemoryFile) -> None:
        """MemoryFiles' on_evict: programs must notice before the descriptor is closed.

        The inode may have a new file by now, which stays.
        """
        assert isinstance(file.key, int)
        if self.book.descriptor_of(file.key) == file.fd:
            self.book.drop_standin(file.key)

    def name_of(self, key: object) -> str:
        """What a memory file is called in messages and in /proc/PID/maps: the virtual path."""
        return os.fsdecode(self.book.path_of(key)) if isinstance(key, int) else "hepwrap"

    def whose(self, status: os.stat_result) -> bytes | None:
        """The virtual path behind an object of the kernel's that is a stand-in; None for all others."""
        at = self.index.whose(status.st_dev, status.st_ino)
        known = at and (self.standins.has_mark(status) or at in self._pipes)
        return self.book.path_of(at) if known else None

    def is_called(self, at: int, shown: bytes) -> bool:
        """Whether the kernel calls the memory file of that inode so, in tables of mappings."""
        return shown.removesuffix(GONE) == self.files.store.shown_as(at, self.name_of(at))

    def path_called(self, shown: bytes) -> bytes | None:
        """The virtual path of the memory file that the kernel calls so, where nothing but its name tells."""
        name = self.files.store.name_shown(shown.removesuffix(GONE), self.book.path_of)
        return name if name is not None and name.startswith(b"/") else None

    def read_head(self, node: Node, size: int) -> bytes:
        """The first bytes of a file of the repository."""
        fd = self.hold(self.book.inode(node))
        try:
            return os.pread(fd, size, 0)
        finally:
            os.close(fd)

    def _pinned(self, at: int) -> MemoryFile:
        """The memory file of an inode; it cannot be evicted before all is done: its number would be another's then."""
        file = self.files.pin(at)
        if file is not None:
            return file
        node = self.book.node(at)
        if node is None:
            raise StaleHandle("a copy of a program has left memory; it is made again when it is executed")
        content = node.mount.content(node.entry)
        if content is not None:
            return self.files.write(at, size=len(content), write=lambda fd: write_all(fd, content, 0), pinned=True)
        repository = node.mount.repository
        assert repository is not None, "only directories are synthetic"
        return self.files.open(
            at,
            size=node.entry.size,
            parts=repository.parts(node.entry),
            fetcher=repository.fetcher,
            limit=repository.settings.max_object_bytes,
            pinned=True,
        )

    def _publish(self, at: int, file: MemoryFile) -> None:
        if self.book.descriptor_of(at) != file.fd:
            self.book.set_standin(at, file.fd, file.device, file.inode)
