"""The catalogues of one pinned revision as one tree of paths.

Owns which catalogue answers for a path (the longest nested prefix, again and again: section 7.4), loading them on
demand, and how many are kept.  Must not know trust: what loads the root catalogue verifies it, and every nested one is
bound to it by its hash.  Thread-safe; a slow fetch holds up only those who need that catalogue.

A mount point's own attributes are taken from the row in the parent catalogue: publishers keep both rows equal, and a
listing of a thousand nested catalogues need not load one of them.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

from hepwrap.cache.inflight import Inflight
from hepwrap.errors import CorruptObject
from hepwrap.settings import MIB
from hepwrap.vfs.entry import Entry

if TYPE_CHECKING:
    from hepwrap.vfs.catalog import Catalog, Nested

#: Bytes of nested catalogues that are kept; the least recently used are dropped and, if wanted again, read again.
KEPT_BYTES = 1024 * MIB

#: Reads, verifies and opens the nested catalogue that `Nested` names in a catalogue.
Load = Callable[["Catalog", "Nested"], "Catalog"]


class CatalogTree:
    """Questions about paths inside the repository, answered by the right catalogue."""

    def __init__(self, load_root: Callable[[], Catalog], load: Load, *, kept_bytes: int = KEPT_BYTES) -> None:
        self._load_root, self._load = load_root, load
        self._root: Catalog | None = None
        self._kept_bytes = kept_bytes
        self._lock = threading.Lock()
        #: By mount point, least recently used first.
        self._kept: OrderedDict[bytes, Catalog] = OrderedDict()
        #: By mount point; None is the root.
        self._inflight: Inflight[bytes | None, Catalog] = Inflight()
        self._closed = False
        self.loads = 0

    @property
    def root(self) -> Catalog:
        """The root catalogue; loaded by the first question, and where that fails by the next."""
        return self._root or self._inflight.join(None, self._enter_root)

    @property
    def loaded(self) -> int:
        """Catalogues in memory, the root with them."""
        with self._lock:
            return len(self._kept) + (self._root is not None)

    def lookup(self, path: bytes) -> Entry | None:
        """The entry, or None: then the catalogue that would hold it was loaded, verified, and has no such row."""
        return self.catalog_of(path).lookup(path)

    def listdir(self, path: bytes) -> list[Entry]:
        """Entries in the directory `path` that listings show."""
        return [entry for entry in self.catalog_below(path).listdir(path) if not entry.is_hidden]

    def catalog_of(self, path: bytes) -> Catalog:
        """The catalogue that holds the row of `path` (of a mount point: its parent's)."""
        return self._descend(path, itself=False)

    def catalog_below(self, path: bytes) -> Catalog:
        """The catalogue that holds the rows of what is in the directory `path`."""
        return self._descend(path, itself=True)

    def close(self) -> None:
        """Give all memory back; later questions raise CorruptObject."""
        with self._lock:
            catalogs = [catalog for catalog in (self._root, *self._kept.values()) if catalog is not None]
            self._kept.clear()
            self._closed = True
        for catalog in catalogs:
            catalog.image.close()

    def _enter_root(self) -> Catalog:
        if self._root is None:
            if self._closed:
                raise CorruptObject("the repository was closed before its root catalogue was read")
            self._root = self._load_root()
        return self._root

    def _descend(self, path: bytes, *, itself: bool) -> Catalog:
        catalog = self.root
        while (nested := catalog.nested_above(path, itself=itself)) is not None:
            catalog = self._child(catalog, nested)
        return catalog

    def _child(self, parent: Catalog, nested: Nested) -> Catalog:
        mount = parent.offset + nested.path
        found = self._find(mount)
        return found or self._inflight.join(mount, lambda: self._find(mount) or self._enter(parent, nested, mount))

    def _find(self, mount: bytes) -> Catalog | None:
        with self._lock:
            found = self._kept.get(mount)
            if found is not None:
                self._kept.move_to_end(mount)
            return found

    def _enter(self, parent: Catalog, nested: Nested, mount: bytes) -> Catalog:
        from hepwrap.vfs.entry_row import show

        row = parent.lookup(mount)
        if row is None or not row.is_nested_mount:
            raise CorruptObject(
                f"{parent.image.what} lists a nested catalogue at {show(nested.path)}, where it has no mount point"
            )
        catalog = self._load(parent, nested)
        with self._lock:
            self.loads += 1
            self._kept[mount] = catalog
            self._drop_oldest()
        return catalog

    def _drop_oldest(self) -> None:
        """Forget catalogues over the bound; who still uses one keeps it alive until done."""
        total = sum(catalog.image.size for catalog in self._kept.values())
        while total > self._kept_bytes and len(self._kept) > 1:
            total -= self._kept.popitem(last=False)[1].image.size
