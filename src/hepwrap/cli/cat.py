"""`hepwrap cat`: the content of files, each object verified before a byte of it is written."""

from __future__ import annotations

from hepwrap.cli.arguments import Parsed
from hepwrap.cli.commands import Command
from hepwrap.cli.looking import Looking, Place, content, write
from hepwrap.errors import InvalidOperation, IsADirectory


def main(parsed: Parsed, command: Command) -> int:
    """Write out every place, in order; 0, or 1 where one could not be."""
    looking = Looking(parsed, command)

    def each(place: Place) -> None:
        from hepwrap.vfs.resolve import text

        node = looking.find(place, follow=True)
        if node.entry.is_dir:
            raise IsADirectory(f"{text(place.text)} is a directory; hepwrap ls lists it")
        if not node.entry.is_file:
            raise InvalidOperation(f"{text(place.text)} is a special file, which has no content")
        for piece in content(node):
            write(piece)

    return looking.each(each)
