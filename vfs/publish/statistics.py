"""The counters in a catalogue's `statistics` table, and the checker that recomputes them (format notes, section 7).

`self_*` counts rows of the catalogue itself, `subtree_*` the sum over all catalogues below it.  A catalogue counts its
own root directory, and also the mount points of its nested catalogues; so a nested root is counted on both sides.
Chunked files count as regular ones too; each name of a hard-linked file counts.
"""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Iterable
from dataclasses import dataclass, fields

from hepwrap.vfs import entry as bits
from hepwrap.vfs.publish.row import Row


@dataclass(slots=True)
class Counters:
    """One set of counters, in entries and bytes."""

    regular: int = 0
    symlink: int = 0
    special: int = 0
    dir: int = 0
    nested: int = 0
    chunked: int = 0
    chunks: int = 0
    file_size: int = 0
    chunked_size: int = 0
    xattr: int = 0
    external: int = 0
    external_file_size: int = 0

    def add(self, other: Counters) -> None:
        """Add `other` to these."""
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))

    def count_row(self, mode: int, flags: int, size: int, has_xattrs: bool) -> None:
        """Count one row of a catalogue."""
        if stat.S_ISREG(mode):
            self._count_file(flags, size)
        elif stat.S_ISDIR(mode):
            self.dir += 1
        elif stat.S_ISLNK(mode):
            self.symlink += 1
        else:
            self.special += 1
        self.xattr += has_xattrs

    def _count_file(self, flags: int, size: int) -> None:
        self.regular += 1
        self.file_size += size
        if flags & bits.CHUNKED:
            self.chunked += 1
            self.chunked_size += size
        if flags & bits.EXTERNAL:
            self.external += 1
            self.external_file_size += size


def count(rows: Iterable[Row], *, chunks: int, nested: int) -> Counters:
    """The counters of a catalogue with these rows."""
    counters = Counters(chunks=chunks, nested=nested)
    for row in rows:
        counters.count_row(row.mode, row.flags, row.size, row.xattr is not None)
    return counters


def table(own: Counters, subtree: Counters) -> list[tuple[str, int]]:
    """Rows of the `statistics` table."""
    return [
        (f"{scope}_{field.name}", getattr(counters, field.name))
        for scope, counters in (("self", own), ("subtree", subtree))
        for field in fields(Counters)
    ]


def recompute(catalog: sqlite3.Connection) -> Counters:
    """The `self_*` counters as the rows of an open catalogue say."""
    counters = Counters(
        chunks=catalog.execute("SELECT count(*) FROM chunks").fetchone()[0],
        nested=catalog.execute("SELECT count(*) FROM nested_catalogs").fetchone()[0],
    )
    for row in catalog.execute("SELECT mode, flags, size, xattr IS NOT NULL FROM catalog"):
        counters.count_row(*row)
    return counters


def stored(catalog: sqlite3.Connection, scope: str) -> Counters:
    """The counters that an open catalogue tells; `scope` is "self" or "subtree"."""
    told = dict(catalog.execute("SELECT CAST(counter AS BLOB), value FROM statistics").fetchall())
    return Counters(**{field.name: told.get(f"{scope}_{field.name}".encode(), 0) for field in fields(Counters)})
