"""The history database with its tags (format notes, section 10)."""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from hepwrap.digest import Digest
from hepwrap.errors import UsageError
from hepwrap.vfs.publish import catalog_writer
from hepwrap.vfs.publish.layout import Layout
from hepwrap.vfs.publish.names import TRUNK, TRUNK_PREVIOUS
from hepwrap.vfs.publish.previous import open_database, read_object

_TABLES = (
    "CREATE TABLE properties (key TEXT, value TEXT, CONSTRAINT pk_properties PRIMARY KEY (key))",
    "CREATE TABLE branches (branch TEXT, parent TEXT, initial_revision INTEGER,"
    " CONSTRAINT pk_branch PRIMARY KEY (branch), FOREIGN KEY (parent) REFERENCES branches (branch),"
    " CHECK ((branch <> '') OR (parent IS NULL)), CHECK ((branch = '') OR (parent IS NOT NULL)))",
    "CREATE TABLE tags (name TEXT, hash TEXT, revision INTEGER, timestamp INTEGER, channel INTEGER,"
    " description TEXT, size INTEGER, branch TEXT, CONSTRAINT pk_tags PRIMARY KEY (name),"
    " FOREIGN KEY (branch) REFERENCES branches (branch))",
    "CREATE TABLE recycle_bin (hash TEXT, flags INTEGER, CONSTRAINT pk_hash PRIMARY KEY (hash))",
    "INSERT INTO branches VALUES ('', NULL, 0)",
    "INSERT INTO properties VALUES ('schema', '1.0')",
    "INSERT INTO properties VALUES ('schema_revision', '3')",
)
_NO_DIGEST = "0" * 40


@dataclass(frozen=True, slots=True)
class TaggedRevision:
    """A revision as tags name it: its root catalogue (digest, bytes uncompressed), number, and seconds since 1970."""

    root: Digest
    size: int
    number: int
    timestamp: int


def tag_names(layout: Layout, history: Digest | None) -> set[str]:
    """The tags that there are."""
    if history is None:
        return set()
    with open_database(layout, history, "H") as database:
        return {bytes(name).decode(errors="replace") for (name,) in database.execute("SELECT name FROM tags")}


def check_free(layout: Layout, history: Digest | None, tag: str | None) -> None:
    """UsageError where the tag is taken: a named revision never changes."""
    if tag is not None and tag in tag_names(layout, history):
        raise UsageError(f"the tag {tag!r} names an earlier revision already and is never moved; choose another name")


def next_history(
    layout: Layout, *, fqrn: str, before: Digest | None, revision: TaggedRevision, tag: str | None, description: str
) -> bytes:
    """The history after `revision`: `trunk` moves to it, `trunk-previous` to where trunk was, `tag` is added."""
    with tempfile.TemporaryDirectory(dir=layout.temporary) as scratch:
        path = Path(scratch) / "history"
        if before is not None:
            path.write_bytes(read_object(layout, before, "H"))
        with closing(catalog_writer.open_or_make(path, _TABLES)) as database:
            _set_property(database, "fqrn", fqrn)
            _set_property(database, "previous_revision", str(before) if before is not None else _NO_DIGEST)
            _move_trunk(database)
            _add(database, TRUNK, revision, "current HEAD")
            if tag is not None:
                _add(database, tag, revision, description)
            catalog_writer.finish(database)
        return path.read_bytes()


def _move_trunk(database: sqlite3.Connection) -> None:
    if database.execute("SELECT count(*) FROM tags WHERE name = ?", (TRUNK,)).fetchone()[0]:
        database.execute("DELETE FROM tags WHERE name = ?", (TRUNK_PREVIOUS,))
        database.execute(
            "UPDATE tags SET name = ?, description = 'default undo target' WHERE name = ?", (TRUNK_PREVIOUS, TRUNK)
        )


def _add(database: sqlite3.Connection, name: str, revision: TaggedRevision, description: str) -> None:
    database.execute(
        "INSERT INTO tags VALUES (?, ?, ?, ?, 0, ?, ?, '')",
        (name, str(revision.root), revision.number, revision.timestamp, description, revision.size),
    )


def _set_property(database: sqlite3.Connection, key: str, value: str) -> None:
    database.execute("INSERT OR REPLACE INTO properties VALUES (?, ?)", (key, value))
