"""One directory as its catalogue stores it: for whoever enters it whole, without an object for each name.

Owns nothing but the pairing of rows with what judges them.  Must not know where they are entered.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hepwrap.records import dataclass
from hepwrap.vfs.catalog import Catalog
from hepwrap.vfs.entry import Entry
from hepwrap.vfs.entry_row import COLUMNS, child_keys
from hepwrap.vfs.image import Row

_NAME = COLUMNS.index("name")


@dataclass(frozen=True, slots=True)
class DirectoryRows:
    """The rows of the directory `path` (inside the repository), hidden ones too."""

    catalog: Catalog
    path: bytes

    def __iter__(self) -> Iterator[list[Row]]:
        """Some rows at a time; CorruptObject where the catalogue cannot be read."""
        return self.catalog.rows_in(self.path)

    def keys(self, rows: Sequence[Row]) -> bytes:
        """What the key columns of `rows` must say, 16 bytes a row; b"" where not all names are names."""
        try:
            return child_keys(self.catalog.inner(self.path), [row[_NAME] for row in rows])  # type: ignore[misc]
        except TypeError:
            return b""

    def entry(self, row: Row) -> Entry:
        """What a row says, every rule checked; CorruptObject naming the rule that it breaks."""
        return self.catalog.entry(row, self.path)
