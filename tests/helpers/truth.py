"""What the real client showed of test.hep.example, from the tables beside it, in the form that `lstat` has it."""

from __future__ import annotations

import re
import stat
from dataclasses import dataclass

from tests.helpers.shared import shared_path

FOLDER = "data/test.hep.example"
ROOT = b"/cvmfs/test.hep.example"
TYPES = {
    "d": stat.S_IFDIR, "f": stat.S_IFREG, "l": stat.S_IFLNK, "p": stat.S_IFIFO, "c": stat.S_IFCHR, "s": stat.S_IFSOCK,
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One line of listing.tsv."""

    #: Absolute, below /cvmfs.
    path: bytes
    #: Its letter, as `find -printf %y` has it.
    kind: str
    permissions: int
    uid: int
    gid: int
    size: int
    #: Nanoseconds since 1970; the table has whole seconds, and what is added to them.
    mtime_ns: int
    nlink: int
    #: First path of its hard-link group, or None.
    group: str | None
    rdev: int
    #: Hexadecimal SHA-256 of the content, or None.
    sha256: str | None

    @property
    def mode(self) -> int:
        """st_mode."""
        return TYPES[self.kind] | self.permissions

    @property
    def find_time(self) -> str:
        """As GNU find's `%T@` shows it: the whole seconds with their sign, then what is added to them."""
        whole, rest = divmod(self.mtime_ns, 10**9)
        return f"{whole}.{rest:09d}0"

    @property
    def stat_time(self) -> str:
        """As `stat -c %.9Y` shows it: a decimal number."""
        whole, rest = divmod(abs(self.mtime_ns), 10**9)
        return f"{'-' if self.mtime_ns < 0 else ''}{whole}.{rest:09d}"


def unescape(text: str) -> bytes:
    """Names stand in the tables with `\\xNN` for odd bytes."""
    return re.sub(rb"\\x([0-9a-f]{2})", lambda match: bytes.fromhex(match[1].decode()), text.encode("latin-1"))


def table(name: str) -> list[list[str]]:
    """The rows of a table, split at tabs."""
    text = (shared_path(FOLDER) / name).read_text("latin-1")
    return [line.split("\t") for line in text.split("\n") if line and not line.startswith("#")]


def absolute(path: str) -> bytes:
    """A path of the tables as a program names it."""
    return ROOT if path == "/" else ROOT + unescape(path)


def listing() -> list[Row]:
    """Every entry, in the order of the table."""
    return [row_of(*fields) for fields in table("listing.tsv")]


def row_of(path: str, kind: str, mode: str, uid: str, gid: str, size: str, *rest: str) -> Row:
    """One line of the listing."""
    seconds, nanoseconds, nlink, group, rdev, _, digest = rest
    time = int(seconds) * 10**9 + int(nanoseconds)
    return Row(
        absolute(path), kind, int(mode, 8), int(uid), int(gid), int(size), time,
        int(nlink), None if group == "-" else group, int(rdev), None if digest == "-" else digest,
    )  # fmt: skip


def symlinks(name: str) -> dict[bytes, bytes]:
    """Targets by path, from symlinks_raw.tsv or symlinks_env.tsv."""
    return {absolute(path): unescape(target) for path, target in table(name)}


def plain_symlinks() -> dict[bytes, bytes]:
    """Targets by path with none of the variables set: the listing's own column."""
    return {
        absolute(row[0]): unescape("" if row[11] == "-" else row[11]) for row in table("listing.tsv") if row[1] == "l"
    }


def user_attributes() -> dict[bytes, dict[bytes, bytes]]:
    """Stored extended attributes by path."""
    found: dict[bytes, dict[bytes, bytes]] = {}
    for path, name, value in table("user_xattrs.tsv"):
        found.setdefault(absolute(path), {})[name.encode()] = unescape(value)
    return found
