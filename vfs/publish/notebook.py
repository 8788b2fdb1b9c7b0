"""What this publisher remembers of earlier runs, so that unchanged files are neither read nor compressed again.

Owns the SQLite file `.publisher/seen.sqlite`.  It is an optimisation only: without it, everything is read again and
found in the store.  It is committed when the objects it speaks of are durable, so what it says may be believed.
Thread-safe.

A file counts as unchanged when path, device, inode, size, mtime and ctime (nanoseconds) are the same.  Nobody but
root can set a ctime, so unlike mtime and size it cannot be made to lie by `touch -d` or `rsync -t`.  A file that was
changed less than `SETTLED_NS` before it was read is not remembered: a second change in the same tick of the file
system's clock would not show.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from pathlib import Path

from hepwrap.digest import Digest
from hepwrap.vfs.publish.node import Chunk, Content, Node

SETTLED_NS = 2 * 10**9
_LAYOUT = 1
_TABLES = (
    "CREATE TABLE files (path BLOB PRIMARY KEY, version TEXT, options TEXT, content TEXT, run INTEGER)",
    "CREATE TABLE contents (sha256 BLOB, kind TEXT, digest TEXT, stored INTEGER, PRIMARY KEY (sha256, kind))",
    f"PRAGMA user_version = {_LAYOUT}",
)


class Notebook:
    """The remembered files and contents.  `options` names what shapes objects: hash, compression, chunk sizes."""

    def __init__(self, path: Path, *, options: str, now_ns: int) -> None:
        self._database = _open(path)
        self._lock = threading.Lock()
        self._options = options
        self._now_ns = now_ns
        last = self._database.execute("SELECT coalesce(max(run), 0) FROM files").fetchone()[0]
        self._run = int(last) + 1

    def file(self, node: Node) -> Content | None:
        """How the file was stored, if it is unchanged since."""
        with self._lock:
            row = self._database.execute(
                "SELECT content FROM files WHERE path = ? AND version = ? AND options = ?",
                (node.path, _version(node), self._options),
            ).fetchone()
        return _decode(row[0], node.size) if row is not None else None

    def remember_file(self, node: Node, content: Content) -> None:
        """Remember the file, unless it was changed too recently to tell a further change."""
        if max(node.ctime_ns, node.mtime_ns) + SETTLED_NS > self._now_ns:
            return
        row = (node.path, _version(node), self._options, _encode(content), self._run)
        with self._lock:
            self._database.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)", row)

    def content(self, sha256: bytes, kind: str) -> tuple[Digest, int] | None:
        """Digest and stored size of the object that holds this content."""
        with self._lock:
            row = self._database.execute(
                "SELECT digest, stored FROM contents WHERE sha256 = ? AND kind = ?", (sha256, kind)
            ).fetchone()
        return (Digest.parse(row[0]), row[1]) if row is not None else None

    def remember_content(self, sha256: bytes, kind: str, digest: Digest, stored: int) -> None:
        """Remember which object holds this content."""
        with self._lock:
            self._database.execute(
                "INSERT OR REPLACE INTO contents VALUES (?, ?, ?, ?)", (sha256, kind, str(digest), stored)
            )

    def commit(self) -> None:
        """Keep what was remembered; files that this run did not meet are forgotten.  The objects must be durable."""
        with self._lock:
            self._database.execute("DELETE FROM files WHERE run <> ?", (self._run,))
            self._database.commit()

    def close(self) -> None:
        """Forget what was not committed."""
        with self._lock:
            self._database.rollback()
            self._database.close()


def _open(path: Path) -> sqlite3.Connection:
    """Open or make it; one that is damaged or of another layout is thrown away, it is only an optimisation."""
    database = sqlite3.connect(path, check_same_thread=False)
    try:
        if database.execute("PRAGMA user_version").fetchone()[0] == _LAYOUT:
            return database
    except sqlite3.DatabaseError:
        pass
    database.close()
    path.unlink(missing_ok=True)
    path.with_name(path.name + "-journal").unlink(missing_ok=True)
    path.touch(mode=0o600)
    database = sqlite3.connect(path, check_same_thread=False)
    for statement in _TABLES:
        database.execute(statement)
    database.commit()
    return database


def _version(node: Node) -> str:
    return ",".join(map(str, node.version))


def _encode(content: Content) -> str:
    whole = str(content.digest) if content.digest is not None else ""
    return json.dumps([whole, [[chunk.offset, chunk.size, str(chunk.digest)] for chunk in content.chunks]])


def _decode(text: str, size: int) -> Content:
    whole, chunks = json.loads(text)
    return Content(
        size,
        Digest.parse(whole) if whole else None,
        tuple(Chunk(offset, length, Digest.parse(digest)) for offset, length, digest in chunks),
    )
