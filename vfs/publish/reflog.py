"""The reference log `.cvmfsreflog`: every root object that ever was (format notes, section 10).  Servers only.

Its digest stands in the manifest, and two files cannot be replaced in one step.  So the log is replaced first, and the
one before is kept; a publisher killed in between leaves a manifest whose log is that older one, and the next publisher
takes it up again.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path

from hepwrap.digest import Algorithm, Digest
from hepwrap.vfs.publish import catalog_writer, files
from hepwrap.vfs.publish.layout import Layout
from hepwrap.vfs.publish.manifest_writer import Manifest

_TABLES = (
    "CREATE TABLE properties (key TEXT, value TEXT, CONSTRAINT pk_properties PRIMARY KEY (key))",
    "CREATE TABLE refs (hash TEXT, type INTEGER, timestamp INTEGER, CONSTRAINT pk_refs PRIMARY KEY (hash))",
    "INSERT INTO properties VALUES ('schema', '1.0')",
    "INSERT INTO properties VALUES ('schema_revision', '0')",
)
CATALOG, CERTIFICATE, HISTORY, META_INFO = range(4)
References = Iterable[tuple[Digest, int]]


def references(manifest: Manifest) -> list[tuple[Digest, int]]:
    """The root objects that a manifest names, with their types."""
    named = (
        (manifest.root, CATALOG),
        (manifest.certificate, CERTIFICATE),
        (manifest.history, HISTORY),
        (manifest.meta_info, META_INFO),
    )
    return [(digest, kind) for digest, kind in named if digest is not None]


def read(layout: Layout, manifest: Manifest | None, warn: Callable[[str], None]) -> bytes | None:
    """The log that belongs to the present manifest; None where there is none (then it is begun anew)."""
    if manifest is None or manifest.reflog is None:
        return None
    for path in (layout.reflog, layout.previous_reflog):
        if path.exists() and Digest.of(data := path.read_bytes(), manifest.reflog.algorithm) == manifest.reflog:
            return data
    warn(f"{layout.reflog} is not the one that the manifest names; it is begun anew and forgets older revisions")
    return None


def extend(layout: Layout, log: bytes | None, *, fqrn: str, added: References, timestamp: int) -> bytes:
    """The log with further references (those that it has keep their times)."""
    with tempfile.TemporaryDirectory(dir=layout.temporary) as scratch:
        path = Path(scratch) / "reflog"
        if log is not None:
            path.write_bytes(log)
        with closing(catalog_writer.open_or_make(path, _TABLES)) as database:
            database.execute("INSERT OR REPLACE INTO properties VALUES ('fqrn', ?)", (fqrn,))
            rows = [(str(digest), kind, timestamp) for digest, kind in added]
            database.executemany("INSERT OR IGNORE INTO refs VALUES (?, ?, ?)", rows)
            catalog_writer.finish(database)
        return path.read_bytes()


def install(layout: Layout, present: bytes | None, log: bytes, algorithm: Algorithm) -> None:
    """Keep the `present` log aside, then put the new one and its checksum into place."""
    if present is not None:
        files.replace_file(layout.previous_reflog, present, temporary=layout.temporary, mode=files.PRIVATE_FILE)
    files.replace_file(layout.reflog, log, temporary=layout.temporary)
    checksum = str(Digest.of(log, algorithm)).encode()
    files.replace_file(layout.reflog_checksum, checksum, temporary=layout.temporary, mode=files.PRIVATE_FILE)
