"""`hepwrap find`: every path below a directory, one a line, as find(1) prints them."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable
from typing import TYPE_CHECKING

from hepwrap.cli.arguments import Parsed
from hepwrap.cli.commands import Command
from hepwrap.cli.looking import Looking, Place, below, shown, write
from hepwrap.cli.stat import KINDS, kind_of
from hepwrap.errors import UsageError

if TYPE_CHECKING:
    from hepwrap.vfs.resolve import Node

_LETTERS = frozenset(letter for letter, _ in KINDS.values())


def main(parsed: Parsed, command: Command) -> int:
    """Print what is below every place; 0, or 1 where one could not be walked to its end."""
    wanted = _filter(parsed)
    looking = Looking(parsed, command)

    def each(place: Place) -> None:
        start = looking.find(place, follow=place.path.endswith(b"/"))
        base = place.text.rstrip(b"/")
        for node in below(start):
            path = base + node.entry.path[len(start.entry.path) :]
            if wanted(node, path):
                write(path + b"\0" if parsed.has("zero") else shown(path) + b"\n")

    return looking.each(each)


def _filter(parsed: Parsed) -> Callable[[Node, bytes], bool]:
    """What -type and -name ask for."""
    import os

    letters = set(parsed.last("type").replace(",", "")) or set(_LETTERS)
    if not letters <= _LETTERS:
        unknown = "".join(sorted(letters - _LETTERS))
        raise UsageError(f"-type {unknown} is no type of file; there are {', '.join(sorted(_LETTERS))}")
    pattern = os.fsencode(parsed.last("name", "*"))

    def wanted(node: Node, path: bytes) -> bool:
        name = path.rpartition(b"/")[2]
        return kind_of(node.entry.mode)[0] in letters and fnmatch.fnmatchcase(name, pattern)

    return wanted
