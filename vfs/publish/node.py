"""One entry of the tree that is being published, from lstat(2) to its place in a catalogue.

Owns the in-memory tree; knows neither how it is read from disk nor how rows are written.
"""

from __future__ import annotations

import enum
import os
from collections.abc import Iterator
from dataclasses import dataclass

from hepwrap.digest import Digest
from hepwrap.vfs.entry import Typed


@dataclass(frozen=True, slots=True)
class Chunk:
    """One chunk object: bytes `offset` to `offset + size` of the file's content."""

    offset: int
    size: int
    digest: Digest


@dataclass(frozen=True, slots=True)
class Content:
    """Where a regular file's bytes are stored: one object, or chunks (then `digest` is None)."""

    size: int
    digest: Digest | None
    chunks: tuple[Chunk, ...] = ()


class Nested(enum.Enum):
    """Why a directory is the root of a nested catalogue."""

    MARKER = "a .cvmfscatalog file"
    DIRTAB = "a rule of .cvmfsdirtab"
    AUTOMATIC = "the limit of entries"


_STATUS = ("mode", "uid", "gid", "size", "mtime_ns", "ctime_ns", "inode", "device", "nlink", "rdev")


class Node(Typed):
    """An entry.  `path` is b"" for the root and b"/a/b" below it, as catalogues key it."""

    __slots__ = (
        "children",
        "content",
        "ctime_ns",
        "device",
        "gid",
        "gone",
        "inode",
        "link_count",
        "link_group",
        "mode",
        "mtime_ns",
        "name",
        "nested",
        "nlink",
        "path",
        "rdev",
        "size",
        "target",
        "uid",
        "xattrs",
    )

    def __init__(self, name: bytes, path: bytes, status: os.stat_result) -> None:
        self.name = name
        self.path = path
        self.set_status(status)
        #: Sorted by name; only for directories.
        self.children: list[Node] = []
        #: Raw target of a symbolic link.
        self.target = b""
        #: As catalogues store them (format notes, section 7.5); None where there are none.
        self.xattrs: bytes | None = None
        self.content: Content | None = None
        #: Number of the hard-link group, unique within one catalogue (0: none), and its number of members.
        self.link_group = 0
        self.link_count = 1
        self.nested: Nested | None = None
        #: The entry vanished while the tree was being read.
        self.gone = False

    def set_status(self, status: os.stat_result) -> None:
        """Take everything that lstat(2) or fstat(2) tells."""
        self.mode = status.st_mode
        self.uid = status.st_uid
        self.gid = status.st_gid
        self.size = status.st_size
        self.mtime_ns = status.st_mtime_ns
        self.ctime_ns = status.st_ctime_ns
        self.inode = status.st_ino
        self.device = status.st_dev
        self.nlink = status.st_nlink
        self.rdev = status.st_rdev

    def copy_status(self, other: Node) -> None:
        """Take over what lstat(2) told about `other`, a hard link to the same file."""
        for name in _STATUS:
            setattr(self, name, getattr(other, name))

    @property
    def version(self) -> tuple[int, ...]:
        """Differs where a file was written to, replaced, or given other attributes in between."""
        return (self.device, self.inode, self.size, self.mtime_ns, self.ctime_ns)


def directories(root: Node) -> Iterator[Node]:
    """All directories, each before those below it; reversed: each after them."""
    waiting = [root]
    while waiting:
        directory = waiting.pop()
        yield directory
        waiting.extend(child for child in reversed(directory.children) if child.is_dir)


def shown(path: bytes) -> str:
    """A path for messages: as text, odd bytes escaped, the root as `/`."""
    return path.decode("utf-8", "backslashreplace") or "/"
