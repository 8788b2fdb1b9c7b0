"""`hepwrap ls`: names in a directory, as ls(1) prints them."""

from __future__ import annotations

import stat
import time
from typing import TYPE_CHECKING

from hepwrap.cli.arguments import Parsed
from hepwrap.cli.commands import Command
from hepwrap.cli.looking import Looking, Place, owner_of, shown, write

if TYPE_CHECKING:
    from hepwrap.vfs.resolve import Node


def main(parsed: Parsed, command: Command) -> int:
    """List every place; 0, or 1 where one could not be."""
    looking = Looking(parsed, command)
    lister = _Lister(parsed, headings=parsed.has("recursive") or len(looking.places) > 1)

    def each(place: Place) -> None:
        # As for ls(1): -l shows a link itself, unless a slash asks for what it leads to.
        node = looking.find(place, follow=not parsed.has("long") or place.path.endswith(b"/") or not place.path)
        lister.place(node, place.text)

    return looking.each(each)


class _Lister:
    def __init__(self, parsed: Parsed, *, headings: bool) -> None:
        self._long, self._all = parsed.has("long"), parsed.has("all")
        self._recursive, self._headings = parsed.has("recursive"), headings
        self._first = True

    def place(self, node: Node, name: bytes) -> None:
        """One operand: a directory's content, or the line of anything else."""
        if node.entry.is_dir:
            self._directory(node, name.rstrip(b"/") or b"/")
        else:
            self._lines([(name, node)])
            self._first = False

    def _directory(self, node: Node, name: bytes) -> None:
        from hepwrap.vfs.resolve import Node

        if self._headings:
            write((b"" if self._first else b"\n") + shown(name) + b":\n")
        self._first = False
        entries = sorted(node.mount.listdir(node.entry.path), key=lambda entry: entry.name)
        found = [(entry.name, Node(node.mount, entry)) for entry in entries]
        hidden = [(b".", node), (b"..", node)] if self._all else []
        self._lines(hidden + [each for each in found if self._all or not each[0].startswith(b".")])
        if self._recursive:
            for child, inner in found:
                if inner.entry.is_dir and (self._all or not child.startswith(b".")):
                    self._directory(inner, name + b"/" + child)

    def _lines(self, found: list[tuple[bytes, Node]]) -> None:
        if not self._long:
            write(b"".join(shown(name) + b"\n" for name, _ in found))
            return
        rows = [_long(name, node) for name, node in found]
        widths = [max((len(row[column]) for row in rows), default=0) for column in range(5)]
        for row in rows:
            mode, links, user, group, size, when, name = row
            write(
                b" ".join(
                    (
                        mode,
                        links.rjust(widths[1]),
                        user.ljust(widths[2]),
                        group.ljust(widths[3]),
                        size.rjust(widths[4]),
                        when,
                        name,
                    )
                )
                + b"\n"
            )


def _long(name: bytes, node: Node) -> tuple[bytes, ...]:
    """Mode, links, user, group, size (of devices: their numbers), time, name with a link's target."""
    import os

    attributes = node.mount.attributes(node.entry)
    user, group = owner_of(node.mount, attributes.uid, attributes.gid)
    size = str(attributes.size)
    if stat.S_ISCHR(attributes.mode) or stat.S_ISBLK(attributes.mode):
        size = f"{os.major(node.entry.rdev)}, {os.minor(node.entry.rdev)}"
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(node.entry.mtime))
    arrow = b" -> " + shown(node.mount.target_of(node.entry)) if node.entry.is_symlink else b""
    texts = (stat.filemode(attributes.mode), str(attributes.nlink), user, group, size, when)
    return (*(text.encode() for text in texts), shown(name) + arrow)
