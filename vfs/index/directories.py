"""Entering a directory whole: every name, and that there are no others.

Owns the way from catalogue rows to a listing.  Rows with nothing special about them go from SQLite into the index in
one call for a thousand of them (vfs/index/listing.c), without an object for each; the rest, as hard links and variant
links, one by one.  Must not know what is asked for, nor by whom.
"""

from __future__ import annotations

import stat
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hepwrap.cache.inflight import Inflight
from hepwrap.vfs.directory_rows import DirectoryRows
from hepwrap.vfs.entry import Entry
from hepwrap.vfs.entry_row import COLUMNS, is_plain
from hepwrap.vfs.image import Row
from hepwrap.vfs.index import _index
from hepwrap.vfs.index.rights import rights
from hepwrap.vfs.mounts import Mount
from hepwrap.vfs.resolve import Node

if TYPE_CHECKING:
    from hepwrap.vfs.index.book import Book

_KEY_BYTES = 16
#: Pairs of mode and flags that are remembered for one mount; real repositories have a dozen.
_MOST_KINDS = 4096
_MODE, _FLAGS = COLUMNS.index("mode"), COLUMNS.index("flags")


class Directories:
    """Enters directories for one book; simultaneous askers of one wait for each other."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._inflight: Inflight[int, None] = Inflight()
        #: By mount: what listing.c needs to know of rows with this mode and these flags; None: they are not plain.
        self._kinds: dict[int, dict[int, int | None]] = {}

    def enter(self, at: int) -> None:
        """Enter what is in the directory at `at`, unless that is done; raises what reading the catalogue raises."""
        if not self._is_done(at):
            self._inflight.join(at, lambda: None if self._is_done(at) else self._enter(at))

    def _is_done(self, at: int) -> bool:
        return self._book.is_listed(at) or not stat.S_ISDIR(self._book.shape(at)[0]) or self._book.is_foreign(at)

    def _enter(self, at: int) -> None:
        book = self._book
        mount = book.mount_of(at)
        path = book.path_of(at)[len(mount.prefix) :]
        rows = mount.rows(path)
        kinds = self._kinds.setdefault(mount.index, {})
        listing = book.index.listing(at, book.room_for_names, mount.owner, kinds)
        if mount is book.resolver.mounts.top:
            complete = self._put_names(listing, mount)
        elif rows is None:
            complete = self._put_entries(listing, mount, mount.listdir(path))
        else:
            complete = self._add_rows(listing, mount, rows)
        with book.lock:
            listing.publish(complete)

    @staticmethod
    def _put_names(listing: _index.Listing, mount: Mount) -> bool:
        """/cvmfs: what else there is nobody knows before it is asked for."""
        for entry in mount.listdir(b""):
            listing.put(entry.name, _index.FIRST_NUMBER, entry.mode)
        return False

    def _add_rows(self, listing: _index.Listing, mount: Mount, rows: DirectoryRows) -> bool:
        complete = True
        for batch in rows:
            keys = b"" if mount.has_mapped_ids else rows.keys(batch)
            with self._book.lock:
                left = listing.add(batch, keys)
            if left and self._learn(mount, [batch[i] for i in left]):
                keys = b"".join([keys[i * _KEY_BYTES : (i + 1) * _KEY_BYTES] for i in left])
                batch = [batch[i] for i in left]  # noqa: PLW2901 - what is left of it
                with self._book.lock:
                    left = listing.add(batch, keys)
            complete &= self._put_entries(listing, mount, [rows.entry(batch[i]) for i in left])
        return complete

    def _learn(self, mount: Mount, rows: Sequence[Row]) -> bool:
        """Look at modes and flags that have not been seen; whether there were any."""
        kinds = self._kinds[mount.index]
        before = len(kinds)
        for row in rows:
            mode, flags = row[_MODE], row[_FLAGS]
            if not (isinstance(mode, int) and 0 <= mode < 1 << 16 and isinstance(flags, int) and 0 <= flags < 1 << 32):
                continue  # broken: it will be told when the row is taken by itself
            if mode << 32 | flags not in kinds and len(kinds) < _MOST_KINDS:
                shown, enforced = mount.shown_mode(mode)
                kinds[mode << 32 | flags] = shown << 32 | rights(shown, enforced) if is_plain(mode, flags) else None
        return len(kinds) > before

    def _put_entries(self, listing: _index.Listing, mount: Mount, entries: Sequence[Entry]) -> bool:
        """One by one; whether each has a name now."""
        book, complete = self._book, True
        for entry in entries:
            node = Node(mount, entry)
            at = book.known(node) if book.is_full else book.inode(node)
            complete &= not book.is_full
            if not entry.is_hidden:
                number = book.number_of(at) if at else book.number(node)
                with book.lock:
                    listing.put(entry.name, number, entry.mode)
        return complete
