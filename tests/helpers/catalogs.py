"""Trees as catalogues made on the spot: real SQLite images and real rows, without publishing, keys or objects.

Owns the rows as a careful publisher would write them, which tests may then spoil.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable

from hepwrap.digest import SHA1, Digest
from hepwrap.settings import RepositorySettings
from hepwrap.vfs.catalog import Catalog
from hepwrap.vfs.catalog_tree import CatalogTree
from hepwrap.vfs.directory_rows import DirectoryRows
from hepwrap.vfs.entry import DIRECTORY, FILE, SYMLINK, Entry
from hepwrap.vfs.entry_row import COLUMNS, path_key
from hepwrap.vfs.image import Image
from tests.helpers.tree import Directory, File, Item, Link, walk

_TABLES = (
    "CREATE TABLE properties (key TEXT, value TEXT)",
    "CREATE TABLE nested_catalogs (path TEXT, sha1 TEXT, size INTEGER)",
    "CREATE TABLE bind_mountpoints (path TEXT, sha1 TEXT, size INTEGER)",
    "CREATE TABLE chunks (md5path_1 INTEGER, md5path_2 INTEGER, offset INTEGER, size INTEGER, hash BLOB)",
    "CREATE TABLE catalog (md5path_1 INTEGER, md5path_2 INTEGER, parent_1 INTEGER, parent_2 INTEGER, hardlinks INTEGER,"
    " hash BLOB, size INTEGER, mode INTEGER, mtime INTEGER, mtimens INTEGER, flags INTEGER, name TEXT, symlink TEXT,"
    " uid INTEGER, gid INTEGER, xattr BLOB, PRIMARY KEY (md5path_1, md5path_2))",
    "CREATE INDEX parents ON catalog (parent_1, parent_2)",
)
_INSERT = f"INSERT INTO catalog VALUES ({', '.join(['?'] * 11)}, CAST(? AS TEXT), CAST(? AS TEXT), ?, ?, NULL)"
_FLAGS = {Directory: DIRECTORY, File: FILE, Link: FILE | SYMLINK}
#: What is done to the database before it becomes an image.
Edit = Callable[[sqlite3.Connection], object]


def row_of(path: bytes, item: Item) -> tuple[object, ...]:
    """The row of `item` at `path` (b"" is the root), in the order of COLUMNS."""
    above = path_key(path.rpartition(b"/")[0]) if path else (0, 0)
    target = item.target if isinstance(item, Link) else b""
    size = 4096 if isinstance(item, Directory) else len(target) if target else len(path)
    content = bytes(20) if isinstance(item, File) else None
    return (
        *path_key(path), *above, 1, content, size, item.kind | item.mode, 1_500_000_000 + len(path), 0,
        _FLAGS[type(item)], path.rpartition(b"/")[2], target, *item.owner,
    )  # fmt: skip


def image_of(rows: Iterable[tuple[object, ...]], *edits: Edit) -> bytes:
    """A catalogue with these rows, for the root of a repository."""
    database = sqlite3.connect(":memory:")
    try:
        for table in _TABLES:
            database.execute(table)
        database.executemany("INSERT INTO properties VALUES (?, ?)", [("schema", "2.5"), ("root_prefix", "")])
        database.executemany(_INSERT, rows)
        for edit in edits:
            edit(database)
        database.commit()
        return database.serialize()
    finally:
        database.close()


def where(path: bytes) -> str:
    """The condition that holds for the row of `path`."""
    first, second = path_key(path)
    return f"WHERE md5path_1 = {first} AND md5path_2 = {second}"


def update(path: bytes, assignment: str) -> Edit:
    """An edit of one row."""
    return lambda database: database.execute(f"UPDATE catalog SET {assignment} {where(path)}")


class CatalogRepository:
    """A CatalogueView of one catalogue.  `statements` counts SELECTs."""

    def __init__(self, name: str, image: bytes, settings: RepositorySettings | None = None) -> None:
        self.name = name
        self.settings = settings or RepositorySettings(name, claim_ownership=False)
        self.image = Image(image, what="the catalogue")
        self.tree = CatalogTree(
            lambda: Catalog(self.image, Digest(SHA1, bytes(20))), lambda _parent, _nested: self.tree.root
        )

    @classmethod
    def of(cls, name: str, root: Directory, *edits: Edit) -> CatalogRepository:
        """Of a tree, spoilt by `edits`."""
        return cls(name, image_of((row_of(path, item) for path, item in walk(root)), *edits))

    @property
    def statements(self) -> int:
        return self.image.queries

    def lookup(self, path: bytes) -> Entry | None:
        return self.tree.lookup(path)

    def listdir(self, path: bytes) -> list[Entry]:
        return self.tree.listdir(path)

    def rows(self, path: bytes) -> DirectoryRows:
        return DirectoryRows(self.tree.catalog_below(path), path)

    def statistics(self) -> dict[str, int]:
        """Nobody has counted."""
        return {}


assert len(COLUMNS) == 15, "row_of writes them all"
