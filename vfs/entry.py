"""One row of a catalogue as the rest of the house sees it: what `lookup` and `listdir` answer with.

Owns the value object and nothing else.  Must not know how rows are stored or checked (`entry_row`), nor how they
are shown to a user (claimed ownership, expanded links: `mounts` and `shown`).
"""

from __future__ import annotations

import stat
from collections.abc import Hashable

from hepwrap.digest import Digest
from hepwrap.records import dataclass

# Bits of `flags` (format notes, section 7.2).
DIRECTORY = 0x1
NESTED_MOUNT = 0x2
FILE = 0x4
SYMLINK = 0x8
SPECIAL = 0x10
NESTED_ROOT = 0x20
CHUNKED = 0x40
EXTERNAL = 0x80
HASH_SHIFT, HASH_MASK = 8, 0x7
COMPRESSION_SHIFT, COMPRESSION_MASK = 11, 0x7
BIND_MOUNT = 0x4000
HIDDEN = 0x8000
DIRECT_IO = 0x10000


class Typed:
    """What a whole st_mode says of the type; for values with a `mode`."""

    __slots__ = ()
    mode: int

    @property
    def is_dir(self) -> bool:
        """A directory, a nested mount point included."""
        return stat.S_ISDIR(self.mode)

    @property
    def is_file(self) -> bool:
        """A regular file."""
        return stat.S_ISREG(self.mode)

    @property
    def is_symlink(self) -> bool:
        """A symbolic link."""
        return stat.S_ISLNK(self.mode)


@dataclass(frozen=True, slots=True)
class Entry(Typed):
    """A directory, file, symbolic link or special file of one revision (loosely struct inode plus dentry).

    Attributes are as the catalogue records them; a nested mount point has those of the row in its parent catalogue.
    """

    #: Path inside the repository: b"" is the root, else b"/a/b".  Raw bytes, never text.
    path: bytes
    #: Last component; b"" for the root.
    name: bytes
    #: Whole st_mode, with the type in S_IFMT.
    mode: int
    #: Bytes, as st_size; of a symlink the length of the raw target; 0 for special files.
    size: int
    #: Seconds since 1970, may be negative, and 0..999999999 nanoseconds on top of them.
    mtime: int
    mtime_ns: int
    uid: int
    gid: int
    nlink: int
    #: st_rdev of device files, else 0.
    rdev: int
    #: Flag bits as stored.
    flags: int
    #: Equal for entries that are hard links of each other; None where not linked.
    link_group: Hashable | None
    #: Of the stored object; None for what has none (directories, links, most chunked files).
    digest: Digest | None
    #: "zlib", "none", or "code N" for a number that hepwrap does not know.
    compression: str
    #: Raw target of a symlink, before variant expansion; else b"".
    symlink: bytes
    #: True where a nested (or bound) catalogue takes over below this directory.
    is_nested_mount: bool

    @property
    def is_chunked(self) -> bool:
        """Content stands in several objects, listed in the table of chunks."""
        return bool(self.flags & CHUNKED)

    @property
    def is_hidden(self) -> bool:
        """Can be looked up, does not appear in listings."""
        return bool(self.flags & HIDDEN)

    @property
    def is_external(self) -> bool:
        """Content lies outside the repository."""
        return bool(self.flags & EXTERNAL)

    @property
    def is_direct_io(self) -> bool:
        """Should be read past page caches (a hint; shown as a magic attribute only)."""
        return bool(self.flags & DIRECT_IO)
