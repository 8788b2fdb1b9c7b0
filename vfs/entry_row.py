"""From a hostile catalogue row to an `Entry`: every rule that a row must keep stands here, once.

Pure: values in, `Entry` or CorruptObject out.  Must not know SQLite; of the catalogue it knows only the name that
goes into messages.  Source: format notes, sections 7 to 7.6.
"""

from __future__ import annotations

import hashlib
import stat
import struct
from collections.abc import Hashable, Iterable, Sequence

from hepwrap.digest import BY_CODE, DIGEST_BYTES, Digest
from hepwrap.errors import CorruptObject
from hepwrap.records import dataclass
from hepwrap.vfs import entry as bits
from hepwrap.vfs.entry import Entry

MAX_NAME = 255
MAX_TARGET = 4095
_MAX_SIGNED = 2**63 - 1

#: Columns in the order in which `decode` takes them.
COLUMNS = (
    "md5path_1", "md5path_2", "parent_1", "parent_2", "hardlinks", "hash", "size", "mode", "mtime", "mtimens",
    "flags", "name", "symlink", "uid", "gid",
)  # fmt: skip

#: Least and greatest value of the columns that hold numbers.
_RANGES: dict[str, tuple[int, int]] = {
    "hardlinks": (-_MAX_SIGNED - 1, _MAX_SIGNED),
    "size": (0, _MAX_SIGNED),
    "mode": (0, 0xFFFF),
    "mtime": (-_MAX_SIGNED - 1, _MAX_SIGNED),
    "mtimens": (0, 999_999_999),
    "flags": (0, 2**32 - 1),
    "uid": (0, 2**32 - 1),
    "gid": (0, 2**32 - 1),
}

#: The flag that must agree with each type of `mode`; older publishers set only FILE on special files.
_FLAG_OF_TYPE = {
    stat.S_IFDIR: bits.DIRECTORY,
    stat.S_IFLNK: bits.SYMLINK,
    stat.S_IFREG: bits.FILE,
    stat.S_IFIFO: bits.FILE | bits.SPECIAL,
    stat.S_IFSOCK: bits.FILE | bits.SPECIAL,
    stat.S_IFCHR: bits.FILE | bits.SPECIAL,
    stat.S_IFBLK: bits.FILE | bits.SPECIAL,
}

_PLAIN_TYPES = frozenset((stat.S_IFDIR, stat.S_IFLNK, stat.S_IFREG))
_NEVER_PLAIN = bits.HIDDEN | bits.EXTERNAL | bits.NESTED_MOUNT | bits.BIND_MOUNT

_COMPRESSION = {0: "zlib", 1: "none"}


def path_key(path: bytes) -> tuple[int, int]:
    """The two signed little-endian halves of md5(path) that catalogues are keyed by; the root is b"" (7.1)."""
    first, second = struct.unpack("<qq", hashlib.md5(path, usedforsecurity=False).digest())
    return first, second


def child_keys(directory: bytes, names: Iterable[bytes]) -> bytes:
    """The keys of these names in `directory` (b"" is the root), 16 bytes each; TypeError where one is not bytes."""
    start = directory + b"/"
    return b"".join([hashlib.md5(start + name, usedforsecurity=False).digest() for name in names])


def parent_of(path: bytes) -> bytes:
    """Path of the directory that holds `path`; of the root, the root."""
    return path.rpartition(b"/")[0]


def show(path: bytes) -> str:
    """A path for a message: printable ASCII on one line, whatever it contains."""
    return ascii((path[:300] or b"/").decode("latin-1"))[1:-1]


def compression_name(flags: int) -> str:
    """ "zlib", "none", or "code N" where the number is unknown (section 3)."""
    code = flags >> bits.COMPRESSION_SHIFT & bits.COMPRESSION_MASK
    return _COMPRESSION.get(code, f"code {code}")


@dataclass(frozen=True, slots=True)
class Place:
    """The catalogue that a row stands in: its name for messages, and what tells its link groups from others'."""

    catalog: str
    group_scope: Hashable

    def broken(self, path: bytes, why: str) -> CorruptObject:
        """The error for a row that breaks a rule."""
        return CorruptObject(f"{self.catalog}, row {show(path)}: {why}; report it to the repository's publisher")


class _Rule(Exception):
    """Which rule a row breaks, before the row is named."""


def decode(row: Sequence[object], *, path: bytes, inner: bytes, place: Place) -> Entry:
    """The entry for `row`, which must be the row of `inner`, the path as its catalogue counts (7.4, bind mounts).

    `path` is the path inside the repository.  Raises CorruptObject that names catalogue, row and rule.
    """
    columns = dict(zip(COLUMNS, row, strict=True))
    try:
        _check_place(columns, inner)
        return _entry(columns, path, place)
    except _Rule as rule:
        raise place.broken(inner, str(rule)) from None


def is_plain(mode: int, flags: int) -> bool:
    """Whether nothing of `decode`'s rules is left for a row with these but to look at each value by itself.

    Then it is a file, directory or symbolic link that listings show, in no other catalogue; so whoever enters whole
    directories need not make an `Entry` of it (vfs/index/listing.c).
    """
    kind = stat.S_IFMT(mode)
    try:
        _check_kind(kind, flags)
    except _Rule:
        return False
    known_hash = flags >> bits.HASH_SHIFT & bits.HASH_MASK in BY_CODE
    return kind in _PLAIN_TYPES and not flags & _NEVER_PLAIN and known_hash


def row_name(row: Sequence[object], place: Place, directory: bytes) -> bytes:
    """The name in a row of a listing, checked to be one component; CorruptObject otherwise."""
    try:
        return _name(row[COLUMNS.index("name")])
    except _Rule as rule:
        raise place.broken(directory, f"one of its names {rule}") from None


def _entry(columns: dict[str, object], path: bytes, place: Place) -> Entry:
    number = {column: _number(column, columns[column]) for column in _RANGES}
    mode, flags, size = number["mode"], number["flags"], number["size"]
    kind = stat.S_IFMT(mode)
    _check_kind(kind, flags)
    target = _target(columns["symlink"], kind)
    group, nlink = divmod(number["hardlinks"] % 2**64, 2**32)
    if group and kind == stat.S_IFDIR:
        raise _Rule("a directory stands in a hard link group")
    stored_size = {stat.S_IFREG: size, stat.S_IFDIR: size, stat.S_IFLNK: len(target)}
    return Entry(
        path=path,
        name=path.rpartition(b"/")[2],
        mode=mode,
        size=stored_size.get(kind, 0),
        mtime=number["mtime"],
        mtime_ns=number["mtimens"],
        uid=number["uid"],
        gid=number["gid"],
        # Catalogues of old schemas have no link counts; the kernel never shows less than one.
        nlink=nlink or 1,
        rdev=size if kind in (stat.S_IFCHR, stat.S_IFBLK) else 0,
        flags=flags,
        link_group=(place.group_scope, group) if group else None,
        digest=_digest(columns["hash"], kind, flags, size),
        compression=compression_name(flags),
        symlink=target,
        is_nested_mount=bool(flags & (bits.NESTED_MOUNT | bits.BIND_MOUNT)),
    )


def _number(column: str, value: object) -> int:
    if value is None and column == "mtimens":
        return 0
    low, high = _RANGES[column]
    if not isinstance(value, int) or not low <= value <= high:
        raise _Rule(f"{column} is {_short(value)}, not a number from {low} to {high}")
    return value


def _name(value: object) -> bytes:
    name = value.encode() if isinstance(value, str) else value
    if not isinstance(name, bytes):
        raise _Rule(f"is {_short(value)}, not a text")
    if not name or name in (b".", b"..") or b"/" in name or b"\0" in name or len(name) > MAX_NAME:
        raise _Rule(f"is {_short(name)}, which is no name of one component")
    return name


def _check_place(columns: dict[str, object], inner: bytes) -> None:
    if inner:
        name, parent = inner.rpartition(b"/")[2], path_key(parent_of(inner))
        if _name(columns["name"]) != name:
            raise _Rule(f"its name {_short(columns['name'])} is not the last component of its path")
    else:
        parent = (0, 0)
        if columns["name"] not in (b"", "", None):
            raise _Rule(f"the root has the name {_short(columns['name'])}")
    if (columns["md5path_1"], columns["md5path_2"]) != path_key(inner):
        raise _Rule("its key is not the MD5 of its path")
    if (columns["parent_1"], columns["parent_2"]) != parent:
        raise _Rule("its parent pointer is not the MD5 of its directory")


def _check_kind(kind: int, flags: int) -> None:
    wanted = _FLAG_OF_TYPE.get(kind)
    if wanted is None:
        raise _Rule(f"mode says file type {kind:#o}, which does not exist")
    if not flags & wanted:
        raise _Rule(f"mode says file type {kind:#o}, flags {flags:#x} say another")
    if kind != stat.S_IFDIR and flags & (bits.DIRECTORY | bits.NESTED_MOUNT | bits.NESTED_ROOT | bits.BIND_MOUNT):
        raise _Rule(f"flags {flags:#x} say directory, mode says file type {kind:#o}")
    if kind != stat.S_IFLNK and flags & bits.SYMLINK:
        raise _Rule(f"flags {flags:#x} say symbolic link, mode says file type {kind:#o}")
    if kind != stat.S_IFREG and flags & (bits.CHUNKED | bits.EXTERNAL):
        raise _Rule(f"flags {flags:#x} say chunked or external, but it is not a regular file")


def _target(value: object, kind: int) -> bytes:
    if kind != stat.S_IFLNK:
        return b""
    target = value.encode() if isinstance(value, str) else value
    if not isinstance(target, bytes) or not 0 < len(target) <= MAX_TARGET or b"\0" in target:
        raise _Rule(f"its link target is {_short(value)}, not 1 to {MAX_TARGET} bytes without NUL")
    return target


def _digest(value: object, kind: int, flags: int, size: int) -> Digest | None:
    code = flags >> bits.HASH_SHIFT & bits.HASH_MASK
    if code not in BY_CODE:
        raise _Rule(f"flags {flags:#x} name hash algorithm {code}, which does not exist")
    if value in (None, b"", ""):
        if kind == stat.S_IFREG and size and not flags & (bits.CHUNKED | bits.EXTERNAL):
            raise _Rule("a file with content has no hash")
        return None
    if not isinstance(value, bytes) or len(value) != DIGEST_BYTES:
        raise _Rule(f"its hash is {_short(value)}, not {DIGEST_BYTES} bytes")
    return Digest(BY_CODE[code], value)


def _short(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 80 else text[:77] + "..."
