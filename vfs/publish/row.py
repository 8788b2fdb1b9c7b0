"""Rows of a catalogue as values: columns, flags, path keys (format notes, section 7).  No database here."""

from __future__ import annotations

import hashlib
import stat
import struct
from typing import NamedTuple

from hepwrap.digest import Algorithm, Digest
from hepwrap.vfs import entry as bits
from hepwrap.vfs.publish.node import Node

#: What the format's own publisher records for every directory, whatever the file system says.
DIRECTORY_SIZE = 4096
_NANOSECONDS = 10**9
_KEY = struct.Struct("<qq")


class Row(NamedTuple):
    """One row of the table `catalog`, in the order of its columns."""

    md5path_1: int
    md5path_2: int
    parent_1: int
    parent_2: int
    hardlinks: int
    hash: bytes | None
    size: int
    mode: int
    mtime: int
    mtimens: int | None
    flags: int
    name: bytes
    symlink: bytes
    uid: int
    gid: int
    xattr: bytes | None


class ChunkRow(NamedTuple):
    """One row of the table `chunks`."""

    md5path_1: int
    md5path_2: int
    offset: int
    size: int
    hash: bytes


class NestedRow(NamedTuple):
    """One row of the table `nested_catalogs`: the mount point, digest in text form, bytes uncompressed."""

    path: bytes
    sha1: str
    size: int


def path_key(path: bytes) -> tuple[int, int]:
    """MD5 of the path (root: empty) as two signed little-endian numbers."""
    first, second = _KEY.unpack(hashlib.md5(path, usedforsecurity=False).digest())
    return first, second


def parent_key(path: bytes) -> tuple[int, int]:
    """Key of the parent directory; the root's is (0, 0)."""
    return path_key(path.rpartition(b"/")[0]) if path else (0, 0)


class RowMaker:
    """Makes rows; knows which hash algorithm and compression the objects of this publishing have."""

    def __init__(self, algorithm: Algorithm, compression_code: int) -> None:
        self._algorithm = algorithm
        self._object_flags = compression_code << bits.COMPRESSION_SHIFT

    def row(self, node: Node, *, flags: int = 0) -> Row:
        """The row of an entry; `flags` are those that depend on the catalogue (mount point, nested root)."""
        digest = node.content.digest if node.content is not None else None
        seconds, nanoseconds = divmod(node.mtime_ns, _NANOSECONDS)
        return Row(
            *path_key(node.path),
            *parent_key(node.path),
            _hard_links(node),
            digest.raw if digest is not None else None,
            _size(node),
            node.mode,
            seconds,
            nanoseconds,
            flags | self._flags(node),
            node.name,
            node.target,
            node.uid,
            node.gid,
            node.xattrs,
        )

    def chunks(self, node: Node) -> list[ChunkRow]:
        """The chunk rows of a regular file."""
        chunks = node.content.chunks if node.content is not None else ()
        return [ChunkRow(*path_key(node.path), chunk.offset, chunk.size, chunk.digest.raw) for chunk in chunks]

    def _flags(self, node: Node) -> int:
        if node.is_dir:
            return bits.DIRECTORY
        if node.is_symlink:
            return bits.FILE | bits.SYMLINK
        if not node.is_file:
            return bits.FILE | bits.SPECIAL
        chunked = bits.CHUNKED if node.content is not None and node.content.chunks else 0
        return bits.FILE | chunked | self._object_flags | self._digest_of(node).algorithm.code << bits.HASH_SHIFT

    def _digest_of(self, node: Node) -> Digest:
        if node.content is None:
            raise AssertionError(f"{node.path!r} has no content yet")
        return node.content.digest or node.content.chunks[0].digest


def _hard_links(node: Node) -> int:
    """Group and count; for a directory 2 and its subdirectories, as a file system would say."""
    if node.is_dir:
        return 2 + sum(child.is_dir for child in node.children)
    return node.link_group << 32 | node.link_count


def _size(node: Node) -> int:
    if node.is_dir:
        return DIRECTORY_SIZE
    if node.is_symlink:
        return len(node.target)
    if stat.S_ISREG(node.mode):
        return node.content.size if node.content is not None else 0
    return node.rdev
