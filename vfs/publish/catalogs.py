"""All catalogues of a revision, bottom up; those that say the same as before are taken over from the last revision.

Owns the way from the tree to objects.  Knows neither how a database is written nor why a directory is nested.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hepwrap.digest import Digest
from hepwrap.vfs import entry as bits
from hepwrap.vfs.publish import catalog_writer, statistics
from hepwrap.vfs.publish.catalog_writer import CatalogContent
from hepwrap.vfs.publish.layout import Layout
from hepwrap.vfs.publish.links import number_groups
from hepwrap.vfs.publish.node import Node
from hepwrap.vfs.publish.objects_writer import ObjectWriter
from hepwrap.vfs.publish.previous import CatalogReference, open_database
from hepwrap.vfs.publish.report import Progress, Report
from hepwrap.vfs.publish.row import NestedRow, RowMaker
from hepwrap.vfs.publish.statistics import Counters

#: What stands for "no previous catalogue", in every hash algorithm.
_NO_DIGEST = "0" * 40


@dataclass(slots=True)
class BuiltCatalog:
    """A catalogue that is in the store; `total` counts its own entries and those below."""

    digest: Digest
    size: int
    total: Counters


@dataclass(frozen=True, slots=True)
class Revision:
    """What the root catalogue says about this revision; seconds, and seconds since 1970."""

    number: int
    timestamp: int
    ttl: int


@dataclass(slots=True)
class CatalogBuilder:
    """Builds the catalogues of one revision into the store."""

    layout: Layout
    writer: ObjectWriter
    maker: RowMaker
    previous: Mapping[bytes, CatalogReference]
    revision: Revision
    report: Report
    built: dict[bytes, BuiltCatalog] = field(default_factory=dict)

    def build(self, chosen: list[Node]) -> BuiltCatalog:
        """Build those with a root in `chosen` (deepest first, the root last); returns the root catalogue."""
        for done, top in enumerate(chosen, start=1):
            self.built[top.path] = self._build(top)
            self.report(Progress("catalogs", done, len(chosen)))
        return self.built[b""]

    def _build(self, top: Node) -> BuiltCatalog:
        content = self._collect(top)
        own = statistics.count(content.rows, chunks=len(content.chunks), nested=len(content.nested))
        subtree = Counters()
        for nested in content.nested:
            subtree.add(self.built[nested.path].total)
        digest, size = self._unchanged(content) or self._write(content, own, subtree)
        own.add(subtree)
        return BuiltCatalog(digest, size, own)

    def _collect(self, top: Node) -> CatalogContent:
        content = CatalogContent(top.path, [self.maker.row(top, flags=bits.NESTED_ROOT if top.path else 0)])
        waiting, next_group = [top], 1
        while waiting:
            directory = waiting.pop()
            next_group = number_groups(directory, next_group)
            for child in directory.children:
                content.rows.append(self.maker.row(child, flags=bits.NESTED_MOUNT if child.nested else 0))
                content.chunks.extend(self.maker.chunks(child))
                if child.nested is not None:
                    below = self.built[child.path]
                    content.nested.append(NestedRow(child.path, str(below.digest), below.size))
                elif child.is_dir:
                    waiting.append(child)
        content.sort()
        return content

    def _unchanged(self, content: CatalogContent) -> tuple[Digest, int] | None:
        """The previous catalogue of that place if it says the same.  Never the root: it carries the revision."""
        before = self.previous.get(content.prefix) if content.prefix else None
        if before is None:
            return None
        with open_database(self.layout, before.digest, "C") as database:
            return (before.digest, before.size) if catalog_writer.same_content(database, content) else None

    def _write(self, content: CatalogContent, own: Counters, subtree: Counters) -> tuple[Digest, int]:
        with tempfile.TemporaryDirectory(dir=self.layout.temporary) as scratch:
            path = Path(scratch) / "catalog"
            catalog_writer.write_catalog(path, content, self._properties(content.prefix), own, subtree)
            data = path.read_bytes()
        return self.writer.put(data, "C").digest, len(data)

    def _properties(self, prefix: bytes) -> dict[str, str | bytes]:
        before = self.previous.get(prefix)
        common: dict[str, str | bytes] = {
            "last_modified": str(self.revision.timestamp),
            "previous_revision": str(before.digest) if before is not None else _NO_DIGEST,
        }
        if prefix:
            number = before.revision + 1 if before is not None else 1
            return {"root_prefix": prefix, "revision": str(number), **common}
        return {"TTL": str(self.revision.ttl), "revision": str(self.revision.number), **common}
