"""Does a published revision add up?  Recomputes what the publisher recorded, from the rows and objects in the store.

Independent of how the revision was written; the store may also come from the format's own publisher.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from hepwrap.digest import BY_CODE, Digest
from hepwrap.errors import HepwrapError, NotFound
from hepwrap.vfs import entry as bits
from hepwrap.vfs.publish import manifest_writer, previous, statistics
from hepwrap.vfs.publish.layout import Layout
from hepwrap.vfs.publish.statistics import Counters


def check(base: Path, *, objects: bool = False) -> list[str]:
    """One sentence for each thing that is wrong with the newest revision of the store `base` (`STORE/<fqrn>`).

    With `objects` all stored objects of files are read and hashed too; without, only catalogues are.
    """
    layout = Layout(base)
    try:
        manifest = manifest_writer.parse(layout.manifest.read_bytes())
    except FileNotFoundError:
        raise NotFound(f"{layout.manifest} does not exist; name the directory of a repository in a store") from None
    problems: list[str] = []
    _check_catalog(layout, b"", manifest.root, manifest.root_size, problems, objects=objects)
    for digest, letter in ((manifest.certificate, "X"), (manifest.history, "H"), (manifest.meta_info, "M")):
        if digest is not None:
            _check_object(layout, digest, letter, problems)
    if manifest.reflog is not None and not _is_reflog(layout, manifest.reflog):
        problems.append(f"{layout.reflog} is not the one that the manifest names; publishing again repairs it")
    return problems


def _is_reflog(layout: Layout, digest: Digest) -> bool:
    return layout.reflog.exists() and Digest.of(layout.reflog.read_bytes(), digest.algorithm) == digest


def _check_catalog(
    layout: Layout, prefix: bytes, digest: Digest, size: int, problems: list[str], *, objects: bool
) -> Counters:
    """Check one catalogue and all below it; returns the counters of all of them."""
    place = prefix.decode(errors="backslashreplace") or "/"
    below = Counters()
    try:
        data = previous.read_object(layout, digest, "C")
        if len(data) != size:
            problems.append(f"catalogue {place} has {len(data)} bytes, {size} are recorded")
        with previous.open_database(layout, digest, "C") as catalog:
            own = statistics.recompute(catalog)
            for path, text, nested_size in catalog.execute("SELECT path, sha1, size FROM nested_catalogs").fetchall():
                nested = Digest.parse(text.decode())
                below.add(_check_catalog(layout, path, nested, nested_size, problems, objects=objects))
            for scope, counted in (("self", own), ("subtree", below)):
                told = statistics.stored(catalog, scope)
                if told != counted:
                    problems.append(f"catalogue {place}: {scope} statistics say {told}, the rows say {counted}")
            _check_rows(catalog, place, problems)
            if objects:
                _check_files(layout, catalog, problems)
    except HepwrapError as error:
        problems.append(str(error))
        return below
    own.add(below)
    return own


def _check_rows(catalog: sqlite3.Connection, place: str, problems: list[str]) -> None:
    """Laws between rows: every row has its parent, chunks add up, link counts are right."""
    orphans = catalog.execute(
        "SELECT count(*) FROM catalog c WHERE NOT EXISTS (SELECT 1 FROM catalog p WHERE p.md5path_1 = c.parent_1"
        " AND p.md5path_2 = c.parent_2) AND (c.flags & 32) = 0 AND (c.parent_1 <> 0 OR c.parent_2 <> 0)"
    ).fetchone()[0]
    if orphans:
        problems.append(f"catalogue {place}: {orphans} entries have no parent directory")
    groups = catalog.execute(
        "SELECT hardlinks >> 32, hardlinks & 4294967295, count(*) FROM catalog WHERE hardlinks >> 32 > 0 GROUP BY 1, 2"
    )
    for group, told, counted in groups:
        if told != counted:
            problems.append(f"catalogue {place}: link group {group} has {counted} members, {told} are recorded")
    gaps = catalog.execute(
        "SELECT count(*) FROM catalog f WHERE f.flags & 64 AND f.size <> (SELECT coalesce(sum(c.size), 0) FROM chunks c"
        " WHERE c.md5path_1 = f.md5path_1 AND c.md5path_2 = f.md5path_2)"
    ).fetchone()[0]
    if gaps:
        problems.append(f"catalogue {place}: the chunks of {gaps} files do not add up to their sizes")


def _check_files(layout: Layout, catalog: sqlite3.Connection, problems: list[str]) -> None:
    whole = "SELECT hash, flags, '' FROM catalog WHERE hash IS NOT NULL AND length(hash) > 0"
    chunks = (
        "SELECT c.hash, f.flags, 'P' FROM chunks c JOIN catalog f"
        " ON f.md5path_1 = c.md5path_1 AND f.md5path_2 = c.md5path_2"
    )
    for raw, flags, letter in catalog.execute(f"{whole} UNION {chunks}").fetchall():
        _check_object(
            layout, Digest(BY_CODE[flags >> bits.HASH_SHIFT & bits.HASH_MASK], raw), letter.decode(), problems
        )


def _check_object(layout: Layout, digest: Digest, letter: str, problems: list[str]) -> None:
    path = layout.object(digest.object_name(letter))
    try:
        if Digest.of(path.read_bytes(), digest.algorithm) != digest:
            problems.append(f"{path} does not have the digest in its name")
    except FileNotFoundError:
        problems.append(f"{path} is missing from the store")
