"""The revision that a store has before a publishing: its manifest, and its objects checked against their digests."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from hepwrap.digest import Digest
from hepwrap.errors import CorruptObject, MissingObject
from hepwrap.vfs.publish import manifest_writer
from hepwrap.vfs.publish.layout import Layout
from hepwrap.vfs.publish.manifest_writer import Manifest


@dataclass(frozen=True, slots=True)
class CatalogReference:
    """A catalogue in the store: digest, bytes uncompressed, and the value of its property `revision`."""

    digest: Digest
    size: int
    revision: int


def read_manifest(layout: Layout, name: str) -> Manifest | None:
    """The manifest of the newest revision; None for a new store."""
    try:
        manifest = manifest_writer.parse(layout.manifest.read_bytes())
    except FileNotFoundError:
        return None
    if manifest.name != name:
        raise CorruptObject(f"{layout.manifest} is of the repository {manifest.name}, not of {name}; use another store")
    return manifest


def read_object(layout: Layout, digest: Digest, letter: str) -> bytes:
    """The decompressed content of a zlib object; MissingObject or CorruptObject."""
    path = layout.object(digest.object_name(letter))
    try:
        stored = path.read_bytes()
    except FileNotFoundError:
        raise MissingObject(f"{path} is missing from the store; restore it from a copy") from None
    if Digest.of(stored, digest.algorithm) != digest:
        raise CorruptObject(f"{path} does not have the digest in its name; restore it from a copy")
    try:
        return zlib.decompress(stored)
    except zlib.error as error:
        raise CorruptObject(f"{path} is not a zlib stream ({error}); restore it from a copy") from None


@contextmanager
def open_database(layout: Layout, digest: Digest, letter: str) -> Iterator[sqlite3.Connection]:
    """An SQLite object, in memory: a check writes to no store, and one that is killed leaves nothing behind."""
    data = read_object(layout, digest, letter)
    with closing(sqlite3.connect(":memory:")) as database:
        database.deserialize(data)
        database.text_factory = bytes
        yield database


def catalog_references(layout: Layout, manifest: Manifest) -> dict[bytes, CatalogReference]:
    """All catalogues of a revision by mount point (root: b"")."""
    found: dict[bytes, CatalogReference] = {}
    waiting = [(b"", manifest.root, manifest.root_size)]
    while waiting:
        prefix, digest, size = waiting.pop()
        with open_database(layout, digest, "C") as database:
            revision = database.execute("SELECT value FROM properties WHERE key = 'revision'").fetchone()
            found[prefix] = CatalogReference(digest, size, int(revision[0]) if revision else 0)
            for path, text, nested_size in database.execute("SELECT path, sha1, size FROM nested_catalogs"):
                waiting.append((path, Digest.parse(text.decode()), nested_size))
    return found
