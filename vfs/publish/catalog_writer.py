"""One catalogue as an SQLite database (format notes, section 7).  Knows tables; not where catalogues begin or end."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hepwrap.vfs.publish import statistics
from hepwrap.vfs.publish.row import ChunkRow, NestedRow, Row
from hepwrap.vfs.publish.statistics import Counters

SCHEMA, SCHEMA_REVISION = "2.5", "7"
#: Text columns hold raw bytes, which need not be valid UTF-8, and yet must have the type TEXT: hence the casts.
_TABLES = (
    "CREATE TABLE properties (key TEXT, value TEXT, CONSTRAINT pk_properties PRIMARY KEY (key))",
    "CREATE TABLE catalog (md5path_1 INTEGER, md5path_2 INTEGER, parent_1 INTEGER, parent_2 INTEGER,"
    " hardlinks INTEGER, hash BLOB, size INTEGER, mode INTEGER, mtime INTEGER, mtimens INTEGER, flags INTEGER,"
    " name TEXT, symlink TEXT, uid INTEGER, gid INTEGER, xattr BLOB,"
    " CONSTRAINT pk_catalog PRIMARY KEY (md5path_1, md5path_2))",
    "CREATE INDEX idx_catalog_parent ON catalog (parent_1, parent_2)",
    "CREATE TABLE chunks (md5path_1 INTEGER, md5path_2 INTEGER, offset INTEGER, size INTEGER, hash BLOB,"
    " CONSTRAINT pk_chunks PRIMARY KEY (md5path_1, md5path_2, offset, size),"
    " FOREIGN KEY (md5path_1, md5path_2) REFERENCES catalog (md5path_1, md5path_2))",
    "CREATE TABLE nested_catalogs (path TEXT, sha1 TEXT, size INTEGER,"
    " CONSTRAINT pk_nested_catalogs PRIMARY KEY (path))",
    "CREATE TABLE bind_mountpoints (path TEXT, sha1 TEXT, size INTEGER,"
    " CONSTRAINT pk_bind_mountpoints PRIMARY KEY (path))",
    "CREATE TABLE statistics (counter TEXT, value INTEGER, CONSTRAINT pk_statistics PRIMARY KEY (counter))",
)
_INSERT_ROW = "INSERT INTO catalog VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, CAST(? AS TEXT), CAST(? AS TEXT), ?, ?, ?)"


@dataclass(slots=True)
class CatalogContent:
    """Everything in one catalogue that describes the tree; two with equal content describe the same tree."""

    #: Where it is mounted, b"" for the root.
    prefix: bytes
    rows: list[Row] = field(default_factory=list)
    chunks: list[ChunkRow] = field(default_factory=list)
    nested: list[NestedRow] = field(default_factory=list)

    def sort(self) -> None:
        """Put the rows into the order of their keys, which is the order on disk and that of `same_content`."""
        self.rows.sort(key=lambda row: row[:2])
        self.chunks.sort()
        self.nested.sort()


def write_catalog(
    path: Path, content: CatalogContent, properties: Mapping[str, str | bytes], own: Counters, subtree: Counters
) -> None:
    """Write the database `path`, which must not exist; `content` is sorted."""
    database = open_or_make(path, _TABLES)
    try:
        database.executemany(
            "INSERT INTO properties VALUES (?, CAST(? AS TEXT))",
            [("schema", SCHEMA), ("schema_revision", SCHEMA_REVISION), *properties.items()],
        )
        database.executemany(_INSERT_ROW, content.rows)
        database.executemany("INSERT INTO chunks VALUES (?, ?, ?, ?, ?)", content.chunks)
        database.executemany("INSERT INTO nested_catalogs VALUES (CAST(? AS TEXT), ?, ?)", content.nested)
        database.executemany("INSERT INTO statistics VALUES (?, ?)", statistics.table(own, subtree))
        finish(database)
    finally:
        database.close()


def same_content(database: sqlite3.Connection, content: CatalogContent) -> bool:
    """Whether an open catalogue of an earlier revision says exactly `content` (sorted)."""
    database.text_factory = bytes
    columns = ", ".join(Row._fields)
    try:
        chunks = database.execute("SELECT md5path_1, md5path_2, offset, size, hash FROM chunks")
        nested = database.execute("SELECT path, sha1, size FROM nested_catalogs")
        bound = database.execute("SELECT count(*) FROM bind_mountpoints").fetchone()[0]
        if bound or sorted(chunks) != content.chunks:
            return False
        if sorted((path, sha1.decode(), size) for path, sha1, size in nested) != content.nested:
            return False
        rows = database.execute(f"SELECT {columns} FROM catalog ORDER BY md5path_1, md5path_2")
        return all(old == new for old, new in zip(rows, content.rows, strict=True))
    except (sqlite3.DatabaseError, ValueError, AttributeError):
        # An older schema, or rows of different number: another catalogue.
        return False


def open_or_make(path: Path, tables: tuple[str, ...]) -> sqlite3.Connection:
    """The database `path`; a new one gets these tables.  It is a temporary file, so it has no journal and no sync."""
    new = not path.exists()
    database = sqlite3.connect(path)
    database.execute("PRAGMA page_size = 4096")
    database.execute("PRAGMA journal_mode = OFF")
    database.execute("PRAGMA synchronous = OFF")
    if not new:
        return database
    for statement in tables:
        database.execute(statement)
    return database


def finish(database: sqlite3.Connection) -> None:
    """Commit and pack, so that the same rows give the same bytes."""
    database.commit()
    database.execute("VACUUM")
