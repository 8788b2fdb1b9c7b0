"""One catalogue: the entries of one subtree, up to where nested catalogues take over (format notes, section 7).

Owns the queries and the schema.  Counts paths as the catalogue itself does ("inner"); the difference to paths inside
the repository is `offset`, which is empty except below bind mounts.  Must not know other catalogues (`catalog_tree`)
nor where the bytes came from.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from hepwrap.digest import BY_CODE, DIGEST_BYTES, Digest
from hepwrap.errors import CorruptObject, Unsupported
from hepwrap.records import dataclass, field
from hepwrap.vfs import entry as bits
from hepwrap.vfs import xattrs
from hepwrap.vfs.entry import Entry
from hepwrap.vfs.entry_row import COLUMNS, Place, decode, path_key, row_name, show
from hepwrap.vfs.image import Image, Row

_OPTIONAL = frozenset(("mtimens",))
_REQUIRED = tuple(column for column in COLUMNS if column not in _OPTIONAL)
_BY_KEY = "WHERE md5path_1 = ? AND md5path_2 = ?"
_BY_PARENT = "WHERE parent_1 = ? AND parent_2 = ?"
_SCHEMA = re.compile(r"(\d{1,3})\.(\d{1,3})")


@dataclass(frozen=True, slots=True)
class Nested:
    """A row of nested_catalogs or bind_mountpoints; the hash is looked at only when the catalogue is wanted."""

    path: bytes
    hash_text: bytes
    size: object
    bound: bool

    def digest(self, place: Place) -> Digest:
        """The catalogue's digest; CorruptObject naming the row."""
        try:
            return Digest.parse(self.hash_text.decode("latin-1"))
        except CorruptObject as error:
            raise place.broken(self.path, f"nested catalogue: {error}") from None

    def content_size(self, place: Place) -> int | None:
        """Uncompressed bytes; None where the catalogue (of an older schema) does not say."""
        if self.size is None or self.size == 0:
            return None
        if not isinstance(self.size, int) or self.size < 0:
            raise place.broken(self.path, "nested catalogue: its size is not a number of bytes")
        return self.size


@dataclass(frozen=True, slots=True)
class Chunk:
    """One row of `chunks`: `size` bytes at `offset` of the content."""

    offset: int
    size: int
    digest: Digest


@dataclass(slots=True)
class Catalog:
    """A verified catalogue, opened.  Thread-safe.

    `prefix` is the path that the catalogue must say it is for (b"" for a root catalogue); `offset` stands before
    inner paths in paths inside the repository.
    """

    image: Image
    digest: Digest
    prefix: bytes = b""
    offset: bytes = b""
    place: Place = field(init=False)
    properties: Mapping[str, str] = field(init=False)
    _by_key: str = field(init=False)
    _by_parent: str = field(init=False)
    nested: Mapping[bytes, Nested] = field(init=False)

    def __post_init__(self) -> None:
        self.place = Place(self.image.what, self.mount)
        self.image.require("catalog", _REQUIRED)
        self._by_key = self.image.statement("catalog", COLUMNS, _BY_KEY)
        self._by_parent = self.image.statement("catalog", COLUMNS, _BY_PARENT)
        self.properties = self.image.properties()
        self._check_schema()
        self._check_root()
        self.nested = self._read_nested("nested_catalogs", bound=False) | self._read_nested(
            "bind_mountpoints", bound=True
        )

    @property
    def mount(self) -> bytes:
        """Path inside the repository from which on this catalogue answers."""
        return self.offset + self.prefix

    def lookup(self, path: bytes) -> Entry | None:
        """The entry at `path` (inside the repository), None where this catalogue has no such row."""
        inner = self.inner(path)
        rows = self.image.rows(self._by_key, path_key(inner))
        return self._entry(rows[0], path) if rows else None

    def listdir(self, path: bytes) -> list[Entry]:
        """All entries whose directory is `path`, hidden ones too."""
        rows = self.image.rows(self._by_parent, path_key(self.inner(path)))
        return [self.entry(row, path) for row in rows]

    def rows_in(self, path: bytes) -> Iterator[list[Row]]:
        """The rows of all entries whose directory is `path` (COLUMNS, as stored), some at a time."""
        return self.image.batches(self._by_parent, path_key(self.inner(path)))

    def entry(self, row: Row, directory: bytes) -> Entry:
        """The entry of a row that stands in `directory`; CorruptObject where it breaks a rule."""
        return self._entry(row, directory + b"/" + row_name(row, self.place, directory))

    def chunks(self, entry: Entry) -> list[Chunk]:
        """The chunks of a file, checked to cover it exactly once (section 8)."""
        inner = self.inner(entry.path)
        columns = ("offset", "size", "hash")
        rows = self.image.select("chunks", columns, f"{_BY_KEY} ORDER BY offset", path_key(inner))
        found: list[Chunk] = []
        position = 0
        for row in rows:
            chunk = self._chunk(row, position, entry)
            found.append(chunk)
            position += chunk.size
        if position != entry.size:
            raise self.place.broken(inner, f"its chunks hold {position} bytes, the file has {entry.size}")
        return found

    def xattrs(self, path: bytes) -> dict[bytes, bytes]:
        """Extended attributes stored with `path`."""
        inner = self.inner(path)
        rows = self.image.select("catalog", ("xattr",), _BY_KEY, path_key(inner))
        blob = rows[0][0] if rows else None
        if blob in (None, b"", ""):
            return {}
        where = f"{self.place.catalog}, row {show(inner)}"
        if not isinstance(blob, bytes):
            raise CorruptObject(f"{where}: extended attributes are not bytes")
        return xattrs.decode(blob, where=where)

    def statistics(self) -> dict[str, int]:
        """The table of counters (7); empty in catalogues that have none."""
        rows = self.image.select("statistics", ("counter", "value"), "ORDER BY counter")
        return {k.decode("latin-1"): v for k, v in rows if isinstance(k, bytes) and isinstance(v, int)}

    def nested_above(self, path: bytes, *, itself: bool) -> Nested | None:
        """The longest nested catalogue whose directory is `path` (only if `itself`) or above it, else None."""
        if not self.nested:
            return None
        inner = self.inner(path)
        if not itself:
            inner = inner.rpartition(b"/")[0]
        while len(inner) > len(self.prefix):
            if inner in self.nested:
                return self.nested[inner]
            inner = inner.rpartition(b"/")[0]
        return None

    def inner(self, path: bytes) -> bytes:
        """`path` as this catalogue counts it."""
        return path[len(self.offset) :]

    def _entry(self, row: Row, path: bytes) -> Entry:
        inner = self.inner(path)
        entry = decode(row, path=path, inner=inner, place=self.place)
        if entry.is_nested_mount and inner not in self.nested:
            raise self.place.broken(inner, "it is marked as a nested catalogue, but none is listed for it")
        return entry

    def _chunk(self, row: Row, position: int, entry: Entry) -> Chunk:
        offset, size, raw = row
        inner = self.inner(entry.path)
        if offset != position:
            raise self.place.broken(inner, f"a chunk starts at {offset!r}, the one before ends at {position}")
        if not isinstance(size, int) or not 0 < size <= entry.size:
            raise self.place.broken(inner, f"a chunk has {size!r} bytes, the file {entry.size}")
        code = entry.flags >> bits.HASH_SHIFT & bits.HASH_MASK
        if not isinstance(raw, bytes) or len(raw) != DIGEST_BYTES:
            raise self.place.broken(inner, f"the chunk at {position} has no hash of {DIGEST_BYTES} bytes")
        return Chunk(position, size, Digest(BY_CODE[code], raw))

    def _check_schema(self) -> None:
        text = self.properties.get("schema", "")
        match = _SCHEMA.match(text)
        if match is None:
            raise CorruptObject(f"{self.image.what} does not say which schema it has ({text[:40]!r})")
        if not 2 <= int(match[1]) < 3:
            raise Unsupported(f"{self.image.what} has schema {text[:40]}; hepwrap reads catalogue schemas 2.x")

    def _check_root(self) -> None:
        said = self.properties.get("root_prefix", "")
        wanted = self.prefix.decode("utf-8", "backslashreplace")
        if said != wanted:
            raise CorruptObject(
                f"{self.image.what} says that it is for {said[:300]!r}, but it is used for {wanted[:300]!r}"
            )
        rows = self.image.rows(self._by_key, path_key(self.prefix))
        if not rows:
            raise CorruptObject(f"{self.image.what} has no row for its own root {show(self.prefix)}")
        root = decode(rows[0], path=self.mount, inner=self.prefix, place=self.place)
        if not root.is_dir or (self.prefix and not root.flags & bits.NESTED_ROOT):
            raise self.place.broken(self.prefix, "it is the catalogue's root but not marked as one")

    def _read_nested(self, table: str, *, bound: bool) -> dict[bytes, Nested]:
        found = {}
        for path, hash_text, size in self.image.select(table, ("path", "sha1", "size")):
            if not isinstance(path, bytes) or not self._can_hold(path):
                raise CorruptObject(f"{self.image.what} lists a nested catalogue at {path!r:.300}, not below itself")
            text = hash_text if isinstance(hash_text, bytes) else b""
            found[path] = Nested(path, text, size, bound)
        return found

    def _can_hold(self, path: bytes) -> bool:
        """Absolute, canonical and strictly below this catalogue's own root: so that no chain of them is endless."""
        components = path.split(b"/")[1:]
        return path.startswith(self.prefix + b"/") and not {b"", b".", b".."} & set(components) and b"\0" not in path
