"""`hepwrap stat`: what a repository records of a path, for people or, with --tsv, for programs.

The columns of --tsv: path inside the repository, type, mode, uid, gid, size, mtime in seconds and nanoseconds, links,
the first of the names that are hard-linked, device number, link target, SHA-256 of the content; `-` for none.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from hepwrap.cli.arguments import Parsed
from hepwrap.cli.commands import Command
from hepwrap.cli.looking import Looking, Place, below, content, escaped, owner_of, shown, write

if TYPE_CHECKING:
    from hepwrap.vfs.resolve import Node

COLUMNS = (
    "path", "type", "mode", "uid", "gid", "size", "mtime_s", "mtime_ns", "nlink", "hlgroup", "rdev", "symlink", "sha256"
)  # fmt: skip
#: By S_IFMT: the letter of --tsv, and the words for people.
KINDS = {
    stat.S_IFREG: ("f", "regular file"),
    stat.S_IFDIR: ("d", "directory"),
    stat.S_IFLNK: ("l", "symbolic link"),
    stat.S_IFIFO: ("p", "fifo"),
    stat.S_IFCHR: ("c", "character special file"),
    stat.S_IFBLK: ("b", "block special file"),
    stat.S_IFSOCK: ("s", "socket"),
}


def kind_of(mode: int) -> tuple[str, str]:
    """Letter and words for a file type."""
    return KINDS.get(stat.S_IFMT(mode), ("?", "unknown"))


def main(parsed: Parsed, command: Command) -> int:
    """Show every place (links themselves); 0, or 1 where one could not be."""
    looking = Looking(parsed, command)
    table = _Table()
    if parsed.has("tsv"):
        write(b"#" + "\t".join(COLUMNS).encode() + b"\n")

    def each(place: Place) -> None:
        node = looking.find(place, follow=place.path.endswith(b"/"))
        for inner in below(node) if parsed.has("recursive") else (node,):
            write(table.row(inner) if parsed.has("tsv") else _described(inner))

    return looking.each(each)


class _Table:
    """Rows of --tsv.  Remembers, for one directory at a time, which names are one file."""

    def __init__(self) -> None:
        self._directory: tuple[int, bytes] | None = None
        self._first_names: dict[object, bytes] = {}

    def row(self, node: Node) -> bytes:
        entry, attributes = node.entry, node.mount.attributes(node.entry)
        fields = (
            escaped(entry.path) or b"/",
            kind_of(attributes.mode)[0].encode(),
            b"%04o" % stat.S_IMODE(attributes.mode),
            *(
                b"%d" % number
                for number in (
                    attributes.uid, attributes.gid, attributes.size, entry.mtime, entry.mtime_ns, attributes.nlink
                )
            ),
            escaped(self._link_group(node)) or b"-",
            b"%d" % entry.rdev,
            escaped(node.mount.target_of(entry) if entry.is_symlink else b"") or b"-",
            _sha256(node).encode(),
        )  # fmt: skip
        return b"\t".join(fields) + b"\n"

    def _link_group(self, node: Node) -> bytes:
        """The first of the paths that are this file; hard links never cross directories in this format."""
        if node.entry.link_group is None:
            return b""
        directory = node.entry.path.rpartition(b"/")[0]
        if self._directory != (node.mount.index, directory):
            self._directory, self._first_names = (node.mount.index, directory), {}
            for entry in sorted(node.mount.listdir(directory), key=lambda entry: entry.name):
                if entry.link_group is not None:
                    self._first_names.setdefault(entry.link_group, entry.path)
        return self._first_names.get(node.entry.link_group, node.entry.path)


def _sha256(node: Node) -> str:
    if not node.entry.is_file:
        return "-"
    digest = hashlib.sha256()
    for piece in content(node):
        digest.update(piece)
    return digest.hexdigest()


def _described(node: Node) -> bytes:
    entry, attributes = node.entry, node.mount.attributes(node.entry)
    user, group = owner_of(node.mount, attributes.uid, attributes.gid)
    arrow = b" -> " + shown(node.mount.target_of(entry)) if entry.is_symlink else b""
    lines = [
        b"  File: " + shown(node.path) + arrow,
        f"  Size: {attributes.size}\tLinks: {attributes.nlink}\t{kind_of(attributes.mode)[1]}".encode(),
        f"Access: ({stat.S_IMODE(attributes.mode):04o}/{stat.filemode(attributes.mode)})  "
        f"Uid: ({attributes.uid}/{user})  Gid: ({attributes.gid}/{group})".encode(),
        f"Modify: {_when(entry.mtime, entry.mtime_ns)}".encode(),
        *(line.encode() for line in _storage(node)),
    ]
    return b"\n".join(lines) + b"\n"


def _when(seconds: int, nanoseconds: int) -> str:
    local = time.localtime(seconds)
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', local)}.{nanoseconds:09d} {time.strftime('%z', local)}"


def _storage(node: Node) -> Iterator[str]:
    """How the content is stored, or which device it is."""
    entry = node.entry
    if stat.S_ISCHR(entry.mode) or stat.S_ISBLK(entry.mode):
        yield f"Device: {os.major(entry.rdev)}, {os.minor(entry.rdev)}"
    if entry.is_file:
        digest = f"  Object: {entry.digest}" if entry.digest is not None else ""
        chunks = (
            f"  Chunks: {len(node.mount.repository.parts(entry))}" if node.mount.repository and entry.is_chunked else ""
        )
        yield f"Stored: {entry.compression}{chunks}{digest}"
    if entry.is_nested_mount:
        yield "Nested: here a catalogue of its own begins"
