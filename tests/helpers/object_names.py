"""Which object of a repository holds what: read from its catalogues without hepwrap's own reading half."""

from __future__ import annotations

import hashlib
import sqlite3
import struct
import zlib
from pathlib import Path


def object_name(digest: str, letter: str = "") -> str:
    return f"data/{digest[:2]}/{digest[2:]}{letter}"


def root_catalog(directory: Path) -> str:
    """Digest of the root catalogue."""
    lines = (directory / ".cvmfspublished").read_bytes().partition(b"\n--\n")[0].decode("latin-1").split("\n")
    return next(line[1:] for line in lines if line.startswith("C"))


def catalog_of(directory: Path, path: str) -> str:
    """Object name of the catalogue in which the entries below `path` stand (a mount point is its own catalogue's)."""
    return _search(directory, path)[0]


def objects_of(directory: Path, path: str) -> list[str]:
    """Object names of a file's content, in order: one, or its chunks."""
    _, db = _search(directory, path)
    key = struct.unpack("<qq", hashlib.md5(path.encode()).digest())
    chunks = db.execute("SELECT hash FROM chunks WHERE md5path_1 = ? AND md5path_2 = ? ORDER BY offset", key).fetchall()
    if chunks:
        return [object_name(row[0].hex(), "P") for row in chunks]
    rows = db.execute("SELECT hash FROM catalog WHERE md5path_1 = ? AND md5path_2 = ?", key).fetchall()
    assert rows, f"{path} is not in the repository"
    return [object_name(rows[0][0].hex())]


def object_of(directory: Path, path: str) -> str:
    """The one object of a small file."""
    names = objects_of(directory, path)
    assert len(names) == 1, names
    return names[0]


def _search(directory: Path, path: str) -> tuple[str, sqlite3.Connection]:
    digest = root_catalog(directory)
    while True:
        name = object_name(digest, "C")
        db = sqlite3.connect(":memory:")
        db.deserialize(zlib.decompress((directory / name).read_bytes()))
        rows = db.execute("SELECT path, sha1 FROM nested_catalogs").fetchall()
        below = [row for row in rows if path == row[0] or path.startswith(row[0] + "/")]
        if not below:
            return name, db
        digest = below[0][1]
