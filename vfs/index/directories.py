"""Entering a directory whole: every name, and that there are no others.

Owns the way from catalogue rows to a listing.  Rows with nothing special about them go from SQLite into the index in
one call for a thousand of them (vfs/index/listing.c), without an object for each; the rest, as hard links and variant
links, one by one.  Must not know what is asked for, nor by whom.
"""

from __future__ import annotations

import contextlib
import stat
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from hepwrap.cache.inflight import Inflight
from hepwrap.vfs.directory_rows import DirectoryRows
from hepwrap.vfs.entry import Entry
from hepwrap.vfs.entry_row import COLUMNS, is_plain
from hepwrap.vfs.image import Row
from hepwrap.vfs.index import _index
from hepwrap.vfs.index.layout import CHILD
from hepwrap.vfs.index.rights import rights
from hepwrap.vfs.mounts import Mount
from hepwrap.vfs.resolve import Node

if TYPE_CHECKING:
    from hepwrap.vfs.index.book import Book

_KEY_BYTES, _COUNT_BYTES, _TYPE_SHIFT = 16, 8, 12
FIRST_NUMBER = _index.FIRST_NUMBER
#: Name, inode number and st_mode.
Name = tuple[bytes, int, int]
#: Directories whose names are kept where the index has no room for them.
_MOST_WHOLE = 8
#: Pairs of mode and flags that are remembered for one mount; real repositories have a dozen.
_MOST_KINDS = 4096
_MODE, _FLAGS = COLUMNS.index("mode"), COLUMNS.index("flags")


class Directories:
    """Enters directories for one book; simultaneous askers of one wait for each other."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._inflight: Inflight[int, None] = Inflight()
        self._lock = threading.Lock()
        #: Names of directories that could not be entered, least recently used first.
        self._whole: OrderedDict[int, list[Name]] = OrderedDict()
        #: By mount: what listing.c needs to know of rows with this mode and these flags; None: they are not plain.
        self._kinds: dict[int, dict[int, int | None]] = {}

    def enter(self, at: int) -> None:
        """Enter what is in the directory at `at`, unless that is done; raises what reading the catalogue raises.

        Where the index is full by then there is no listing afterwards: `part` has to do.
        """
        if not self._is_done(at):
            self._inflight.join(at, lambda: None if self._is_done(at) else self._enter(at))

    def part(self, at: int, position: int, place: int) -> bytes:
        """A struct listing with the names from `position` on, as many as fit into a mailbox; it will lie at `place`."""
        with self._lock:
            if at in self._whole:
                self._whole.move_to_end(at)
        names = self._whole.get(at) or self._read(at)
        records, texts = b"", b""
        room = _index.PAYLOAD_BYTES - _COUNT_BYTES
        chosen: list[Name] = []
        for name, number, mode in names[position:]:
            room -= CHILD.size + len(name)
            if room < 0:
                break
            chosen.append((name, number, mode))
        text_at = place + _COUNT_BYTES + CHILD.size * len(chosen)
        for name, number, mode in chosen:
            kind = stat.S_IFMT(mode) >> _TYPE_SHIFT
            records += CHILD.pack(name_at=text_at + len(texts), st_ino=number, length=len(name), type=kind)
            texts += name
        return len(chosen).to_bytes(_COUNT_BYTES, "little") + records + texts

    def _read(self, at: int) -> list[Name]:
        """All names of a directory, `.` and `..` first, for as long as others have not taken their place."""
        book = self._book
        mount = book.mount_of(at)
        above = book.above(at)
        names: list[Name] = [(b".", book.number_of(at), stat.S_IFDIR), (b"..", book.number_of(above), stat.S_IFDIR)]
        for entry in mount.listdir(mount.inside(book.key_of(at))):
            node = Node(mount, entry)
            known = book.known(node)
            number = FIRST_NUMBER if mount is book.resolver.mounts.top else book.number_of(known) if known else 0
            names.append((entry.name, number or book.number(node), entry.mode))
        with self._lock:
            self._whole[at] = names
            if len(self._whole) > _MOST_WHOLE:
                self._whole.popitem(last=False)
        return names

    def _is_done(self, at: int) -> bool:
        book = self._book
        return book.is_listed(at) or book.is_full or not stat.S_ISDIR(book.shape(at)[0]) or book.is_foreign(at)

    def _enter(self, at: int) -> None:
        book = self._book
        mount = book.mount_of(at)
        path = mount.inside(book.key_of(at))
        rows = mount.rows(path)
        kinds = self._kinds.setdefault(mount.index, {})
        listing = book.index.listing(at, book.room_for_names, mount.owner, kinds)
        if mount is book.resolver.mounts.top:
            complete = self._put_names(listing, mount)
        else:
            covered = mount.covered(path)
            complete = not covered
            for left in self._add_rows(listing, mount, rows) if rows else [mount.listdir(path)]:
                self._put_entries(listing, mount, left, covered)
        with book.lock, contextlib.suppress(_index.Full):
            if not book.is_full:
                listing.publish(complete)

    @staticmethod
    def _put_names(listing: _index.Listing, mount: Mount) -> bool:
        """/cvmfs: what else there is nobody knows before it is asked for."""
        for entry in mount.listdir(b""):
            listing.put(entry.name, FIRST_NUMBER, entry.mode)
        return False

    def _add_rows(self, listing: _index.Listing, mount: Mount, rows: DirectoryRows) -> Iterator[list[Entry]]:
        """Enter what is plain; gives what is left, until there is no room."""
        for batch in rows:
            keys = b"" if mount.has_mapped_ids else rows.keys(batch)
            left = self._add(listing, batch, keys)
            if left and self._learn(mount, [batch[i] for i in left]):
                keys = b"".join([keys[i * _KEY_BYTES : (i + 1) * _KEY_BYTES] for i in left])
                batch = [batch[i] for i in left]  # noqa: PLW2901 - what is left of it
                left = self._add(listing, batch, keys)
            if self._book.is_full:
                return
            yield [rows.entry(batch[i]) for i in left]

    def _add(self, listing: _index.Listing, rows: list[Row], keys: bytes) -> list[int]:
        with self._book.lock:
            return listing.add(rows, keys)

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

    def _put_entries(
        self, listing: _index.Listing, mount: Mount, entries: Sequence[Entry], covered: frozenset[bytes]
    ) -> None:
        """One by one; of what is `covered` only the name, since another thing is found by it."""
        book = self._book
        for entry in entries:
            if entry.name in covered:
                with book.lock:
                    listing.put(entry.name, book.index.number(), entry.mode)
                continue
            at = book.inode(Node(mount, entry))
            if not entry.is_hidden:
                with book.lock:
                    listing.put(entry.name, book.number_of(at), entry.mode)
