"""The content of regular files into objects, in parallel; a wrong object is never recorded.

Owns reading files that may change meanwhile, the cut into chunks, and the reuse of what earlier runs stored.  Workers
hash, compress and write (zlib and hashlib release the interpreter lock); large files are cut by the calling thread,
which hands the chunks out, so that one huge file keeps all workers busy too.
"""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from hepwrap.digest import Digest
from hepwrap.errors import PublishFailed
from hepwrap.vfs.publish.chunker import ChunkSizes, cut_stream
from hepwrap.vfs.publish.node import Chunk, Content, Node, shown
from hepwrap.vfs.publish.notebook import Notebook
from hepwrap.vfs.publish.objects_writer import ObjectWriter
from hepwrap.vfs.publish.report import Progress, Report

#: Times that a file is read before we give up because it changes each time.
TRIES = 3
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
Piece = TypeVar("Piece")


@dataclass(slots=True)
class ContentCounters:
    """Written by the calling thread only."""

    files: int = 0
    bytes: int = 0
    files_read: int = 0
    objects: int = 0


class ContentStore:
    """Content to object, by way of what is remembered: the same content is not compressed twice.  Thread-safe."""

    def __init__(self, writer: ObjectWriter, notebook: Notebook, compression: str) -> None:
        self._writer = writer
        self._notebook = notebook
        self._compression = compression

    def put(self, data: bytes, letter: str) -> Digest:
        """The digest of the object that holds `data`, which is in the store after this call."""
        kind = f"{self._writer.algorithm.name}/{self._compression}/{letter}"
        sha256 = hashlib.sha256(data).digest()
        remembered = self._notebook.content(sha256, kind)
        if remembered is not None and self._writer.has(remembered[0], letter, remembered[1]):
            return remembered[0]
        stored = self._writer.put(data, letter, self._compression)
        self._notebook.remember_content(sha256, kind, stored.digest, stored.stored)
        return stored.digest

    def has_all(self, content: Content) -> bool:
        """Whether every object of `content` is in the store."""
        if content.digest is not None:
            return self._writer.has(content.digest, "")
        return all(self._writer.has(chunk.digest, "P") for chunk in content.chunks)


class ContentReader:
    """Sets `content` of the regular files of a tree, or `gone` where one vanished."""

    def __init__(
        self,
        base: bytes,
        store: ContentStore,
        notebook: Notebook,
        *,
        sizes: ChunkSizes,
        jobs: int,
        checksum: bool,
        warn: Callable[[str], None],
        report: Report,
    ) -> None:
        self._base = base
        self._store = store
        self._notebook = notebook
        self._sizes = sizes
        self._jobs = jobs
        self._checksum = checksum
        self._warn = warn
        self._report = report
        self._problems: list[str] = []
        self.counters = ContentCounters()

    def store_all(self, nodes: Sequence[Node]) -> None:
        """Store the content of all `nodes`; PublishFailed, after all were tried, where some could not be read."""
        self._total = (len(nodes), sum(node.size for node in nodes))
        pool = ThreadPoolExecutor(self._jobs, thread_name_prefix="publish")
        try:
            self._run(pool, nodes)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
        if self._problems:
            more = f" (and {len(self._problems) - 1} more such files)" if len(self._problems) > 1 else ""
            raise PublishFailed(self._problems[0] + more)

    def _run(self, pool: ThreadPoolExecutor, nodes: Sequence[Node]) -> None:
        waiting: deque[tuple[Node, Callable[[], Content | None]]] = deque()
        twins: list[tuple[Node, Node]] = []
        first_of: dict[tuple[int, int], Node] = {}
        room = threading.BoundedSemaphore(2 * self._jobs)
        for node in nodes:
            first = first_of.setdefault((node.device, node.inode), node) if node.nlink > 1 else node
            if first is not node:
                twins.append((node, first))
            elif (known := self._unchanged(node)) is not None:
                self._finish(node, partial(_same, known))
            else:
                self.counters.files_read += 1
                if node.size > self._sizes.average:
                    result = self._large(pool, room, node)
                else:
                    result = pool.submit(self._small, node).result
                waiting.append((node, result))
                self._collect(waiting, down_to=64 * self._jobs)
        self._collect(waiting, down_to=0)
        for node, first in twins:
            self._finish(node, partial(self._twin, node, first))

    def _twin(self, node: Node, first: Node) -> Content | None:
        """Another name of a file that was stored as `first`, unless that name vanished or was replaced meanwhile."""
        if first.content is None or (first.device, first.inode) != (node.device, node.inode):
            self.counters.files_read += 1
            return self._small(node)
        node.copy_status(first)
        return first.content

    def _unchanged(self, node: Node) -> Content | None:
        content = None if self._checksum else self._notebook.file(node)
        return content if content is not None and self._store.has_all(content) else None

    def _collect(self, waiting: deque[tuple[Node, Callable[[], Content | None]]], *, down_to: int) -> None:
        while len(waiting) > down_to:
            self._finish(*waiting.popleft())

    def _finish(self, node: Node, result: Callable[[], Content | None]) -> None:
        try:
            content = result()
        except PublishFailed as error:
            self._problems.append(str(error))
            content = None
        else:
            node.gone = content is None
        if content is not None:
            node.content = content
            self._notebook.remember_file(node, content)
            self.counters.objects += len(content.chunks) or 1
        self._advance(1, node.size)

    def _advance(self, files: int, size: int) -> None:
        self.counters.files += files
        self.counters.bytes += size
        self._tell(0)

    def _tell(self, more: int) -> None:
        done = min(self.counters.bytes + more, self._total[1])
        self._report(Progress("files", self.counters.files, self._total[0], done, self._total[1]))

    # Reading.

    def _small(self, node: Node) -> Content | None:
        """In a worker: read, cut (it may have grown) and store in one go."""
        return _joined(node, self._read(node, self._put))

    def _large(
        self, pool: ThreadPoolExecutor, room: threading.BoundedSemaphore, node: Node
    ) -> Callable[[], Content | None]:
        """In the calling thread: cut, and let workers store the chunks, of which only so many wait in memory."""
        sent = 0

        def hand_out(data: bytes, letter: str) -> Future[tuple[int, Digest]]:
            nonlocal sent
            room.acquire()
            future = pool.submit(self._put, data, letter)
            future.add_done_callback(lambda _: room.release())
            sent += len(data)
            self._tell(min(sent, node.size))
            return future

        try:
            futures = self._read(node, hand_out)
        except PublishFailed as error:
            return partial(_fail, error)
        return lambda: _joined(node, None if futures is None else [future.result() for future in futures])

    def _put(self, data: bytes, letter: str) -> tuple[int, Digest]:
        return len(data), self._store.put(data, letter)

    def _read(self, node: Node, take: Callable[[bytes, str], Piece]) -> list[Piece] | None:
        """What `take(piece, letter)` made of each piece of one unchanging version of the file; None: it vanished.

        `node` gets the attributes of exactly the version that was read.
        """
        for _ in range(TRIES):
            try:
                descriptor = os.open(self._base + node.path, _FLAGS)
            except FileNotFoundError:
                self._warn(f"{shown(node.path)} vanished while the tree was being read; it is left out")
                return None
            except OSError as error:
                raise _unreadable(node, error) from error
            try:
                pieces = self._read_once(descriptor, node, take)
            finally:
                os.close(descriptor)
            if pieces is not None:
                return pieces
        raise PublishFailed(
            f"{shown(node.path)} changed each of the {TRIES} times it was read; nothing was published,"
            " publish again when nobody writes to it"
        )

    def _read_once(self, descriptor: int, node: Node, take: Callable[[bytes, str], Piece]) -> list[Piece] | None:
        """None: the file was written to meanwhile."""
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise PublishFailed(f"{shown(node.path)} was replaced by something that is not a file; publish again")
        node.set_status(status)
        before = node.version
        pieces: list[Piece] = []
        seen = 0
        for data in cut_stream(partial(_read_some, descriptor, node), self._sizes):
            seen += len(data)
            if seen > node.size:
                # It grows; somebody may write as fast as we read, so do not wait for its end.
                return None
            pieces.append(take(data, "" if len(data) == node.size else "P"))
        if not pieces and node.size == 0:
            pieces.append(take(b"", ""))
        node.set_status(os.fstat(descriptor))
        return pieces if node.version == before and seen == node.size else None


def regular_files(directories: Iterable[Node]) -> list[Node]:
    """The regular files in `directories`, in their order."""
    return [child for directory in directories for child in directory.children if child.is_file]


def _joined(node: Node, pieces: list[tuple[int, Digest]] | None) -> Content | None:
    if pieces is None:
        return None
    if len(pieces) == 1:
        return Content(node.size, pieces[0][1])
    chunks: list[Chunk] = []
    offset = 0
    for size, digest in pieces:
        chunks.append(Chunk(offset, size, digest))
        offset += size
    return Content(node.size, None, tuple(chunks))


def _same(content: Content) -> Content:
    return content


def _fail(error: PublishFailed) -> Content | None:
    raise error


def _read_some(descriptor: int, node: Node, size: int) -> bytes:
    try:
        return os.read(descriptor, size)
    except OSError as error:
        raise _unreadable(node, error) from error


def _unreadable(node: Node, error: OSError) -> PublishFailed:
    return PublishFailed(
        f"{shown(node.path)} cannot be read: {error.strerror}; nothing was published, make it readable first"
    )
