"""Reads and verifies a store with the standard library alone, so that writer and reader cannot agree on a mistake."""

from __future__ import annotations

import hashlib
import sqlite3
import stat
import struct
import tempfile
import zlib
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ALGORITHM_SUFFIX = {0: "", 1: "-rmd160", 2: "-shake128"}
COLUMNS = [
    "md5path_1",
    "md5path_2",
    "parent_1",
    "parent_2",
    "hardlinks",
    "hash",
    "size",
    "mode",
    "mtime",
    "mtimens",
    "flags",
    "name",
    "symlink",
    "uid",
    "gid",
    "xattr",
]


def digest(data: bytes, suffix: str) -> str:
    """Text form of the digest of `data`."""
    if suffix == "-shake128":
        return hashlib.shake_128(data).hexdigest(20) + suffix
    if suffix == "-rmd160":
        return hashlib.new("ripemd160", data).hexdigest() + suffix
    return hashlib.sha1(data).hexdigest()


def key(path: bytes) -> tuple[int, int]:
    return struct.unpack("<qq", hashlib.md5(path).digest())  # type: ignore[return-value]


@dataclass
class Item:
    """One entry as the catalogues tell it."""

    row: dict[str, Any]
    chunks: list[tuple[int, int, bytes]] = field(default_factory=list)
    #: Of a regular file.
    content: bytes = b""

    @property
    def xattrs(self) -> dict[bytes, bytes]:
        blob, found = self.row["xattr"], {}
        if blob is None:
            return {}
        assert blob[0] == 1
        position = 2
        for _ in range(blob[1]):
            name_size, value_size = blob[position], blob[position + 1]
            name = blob[position + 2 : position + 2 + name_size]
            position += 2 + name_size + value_size
            found[name] = blob[position - value_size : position]
        assert position == len(blob)
        assert list(found) == sorted(found)
        return found


class Store:
    """The newest revision of the store `base`; `entries` by path, everything checked on the way."""

    def __init__(self, base: Path) -> None:
        self.base = base
        body, rest = (base / ".cvmfspublished").read_bytes().split(b"\n--\n", 1)
        text, self.signature = rest.split(b"\n", 1)
        self.hash_text = text.decode()
        assert digest(body + b"\n", self.hash_text[40:]) == self.hash_text
        self.fields = {line[:1].decode(): line[1:].decode() for line in body.split(b"\n")}
        self.letters = "".join(line[:1].decode() for line in body.split(b"\n"))
        assert self.fields["R"] == hashlib.md5(b"").hexdigest()
        self.entries: dict[bytes, Item] = {}
        self.catalogs: dict[bytes, str] = {}
        self.rows_of: Counter[bytes] = Counter()
        self.properties: dict[bytes, dict[str, str]] = {}
        self.object_names: set[str] = set()
        self._catalog(b"", self.fields["C"], int(self.fields["B"]))
        self.certificate = self.object(self.fields["X"], "X")
        self.meta = self.object(self.fields["M"], "M")

    def verify_reflog(self) -> None:
        text = self.fields["Y"]
        assert digest((self.base / ".cvmfsreflog").read_bytes(), text[40:]) == text

    def object(self, text: str, letter: str = "", compression: int = 0) -> bytes:
        """The content of an object whose stored bytes have the digest `text`."""
        name = f"data/{text[:2]}/{text[2:]}{letter}"
        self.object_names.add(name)
        stored = (self.base / name).read_bytes()
        assert digest(stored, text[40:]) == text, name
        if compression == 1:
            return stored
        stream = zlib.decompressobj()
        data = stream.decompress(stored)
        assert stream.eof
        assert not stream.unused_data
        return data

    def database(self, text: str, letter: str) -> sqlite3.Connection:
        return open_bytes(self.object(text, letter))

    def tags(self) -> dict[str, tuple[str, int]]:
        """Name to root hash and revision."""
        history = self.database(self.fields["H"], "H")
        rows = history.execute("SELECT name, hash, revision FROM tags").fetchall()
        return {name.decode(): (root.decode(), revision) for name, root, revision in rows}

    def _catalog(self, prefix: bytes, text: str, size: int) -> Counter[str]:
        data = self.object(text, "C")
        assert len(data) == size, prefix
        self.catalogs[prefix] = text
        database = open_bytes(data)
        rows = database.execute(f"SELECT {', '.join(COLUMNS)} FROM catalog").fetchall()
        for name_type, link_type in database.execute("SELECT DISTINCT typeof(name), typeof(symlink) FROM catalog"):
            assert (name_type, link_type) == (b"text", b"text")
        self.properties[prefix] = {
            k.decode(): v.decode(errors="surrogateescape") for k, v in database.execute("SELECT * FROM properties")
        }
        chunks: defaultdict[tuple[int, int], list[tuple[int, int, bytes]]] = defaultdict(list)
        for first, second, *chunk in database.execute("SELECT * FROM chunks ORDER BY offset"):
            chunks[first, second].append(tuple(chunk))
        nested = {path: (t.decode(), s) for path, t, s in database.execute("SELECT * FROM nested_catalogs")}
        self.rows_of[prefix] = len(rows)
        own = self._rows(prefix, [dict(zip(COLUMNS, row, strict=True)) for row in rows], chunks, set(nested))
        own["nested"], own["chunks"] = len(nested), sum(map(len, chunks.values()))
        below: Counter[str] = Counter()
        for path, (nested_text, nested_size) in nested.items():
            below += self._catalog(path, nested_text, nested_size)
        told = {k.decode(): v for k, v in database.execute("SELECT counter, value FROM statistics")}
        for scope, counted in (("self", own), ("subtree", below)):
            assert {k: v for k, v in told.items() if k.startswith(scope) and v} == {
                f"{scope}_{k}": v for k, v in counted.items() if v
            }, prefix
        assert len(told) == 24
        database.close()
        return own + below

    def _rows(
        self,
        prefix: bytes,
        rows: list[dict[str, Any]],
        chunks: dict[tuple[int, int], list[tuple[int, int, bytes]]],
        nested: set[bytes],
    ) -> Counter[str]:
        """Give rows their paths, from the catalogue's root down; check each law of a row."""
        children: defaultdict[tuple[int, int], list[dict[str, Any]]] = defaultdict(list)
        top = None
        for row in rows:
            if (row["md5path_1"], row["md5path_2"]) == key(prefix):
                top = row
            else:
                children[row["parent_1"], row["parent_2"]].append(row)
        assert top is not None, prefix
        assert bool(top["flags"] & 0x20) == bool(prefix)
        if prefix:
            assert (top["parent_1"], top["parent_2"]) == key(prefix.rpartition(b"/")[0])
            above = self.entries[prefix].row
            assert {**top, "flags": 0} == {**above, "flags": 0}, "both rows of a mount point say the same"
        counters: Counter[str] = Counter()
        groups: Counter[int] = Counter()
        waiting, seen = [(prefix, top)], 0
        while waiting:
            path, row = waiting.pop()
            seen += 1
            assert (row["md5path_1"], row["md5path_2"]) == key(path)
            assert bool(row["flags"] & 0x2) == (path in nested), path
            item = Item(row, chunks.get(key(path), []))
            if not (prefix and path == prefix):
                self.entries[path] = item
            self._count(item, counters)
            groups[row["hardlinks"]] += row["hardlinks"] >> 32 > 0
            if stat.S_ISDIR(row["mode"]):
                waiting += [(path + b"/" + child["name"], child) for child in children.pop(key(path), [])]
        assert seen == len(rows), "every row hangs on a parent"
        assert all(n in (0, links & 0xFFFFFFFF) for links, n in groups.items())
        return counters

    def _count(self, item: Item, counters: Counter[str]) -> None:
        row = item.row
        mode, flags = row["mode"], row["flags"]
        counters["xattr"] += row["xattr"] is not None
        if stat.S_ISDIR(mode):
            counters["dir"] += 1
        elif stat.S_ISLNK(mode):
            counters["symlink"] += 1
            assert row["size"] == len(row["symlink"])
        elif not stat.S_ISREG(mode):
            counters["special"] += 1
        else:
            counters["regular"] += 1
            counters["file_size"] += row["size"]
            counters["chunked"] += bool(flags & 0x40)
            counters["chunked_size"] += row["size"] if flags & 0x40 else 0
            item.content = self._content(item)
            assert len(item.content) == row["size"]

    def _content(self, item: Item) -> bytes:
        flags = item.row["flags"]
        suffix, compression = ALGORITHM_SUFFIX[flags >> 8 & 7], flags >> 11 & 7
        if not flags & 0x40:
            return self.object(item.row["hash"].hex() + suffix, "", compression)
        assert item.row["hash"] is None
        assert len(item.chunks) > 1
        content = b""
        for offset, size, raw in item.chunks:
            assert offset == len(content)
            data = self.object(raw.hex() + suffix, "P", compression)
            assert len(data) == size
            content += data
        return content


def open_bytes(data: bytes) -> sqlite3.Connection:
    """An SQLite database from its bytes."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        source = sqlite3.connect(file.name)
        memory = sqlite3.connect(":memory:")
        source.backup(memory)
        source.close()
    memory.text_factory = bytes
    return memory
