"""Packing the records of the index, from the layout that the C side was compiled with (`layout.def`)."""

from __future__ import annotations

import struct

from hepwrap.vfs.index import _index

#: {struct: {field: (struct-module code, offset)}}
LAYOUT: dict[str, dict[str, tuple[str, int]]] = _index.layout


class Record:
    """Packs one kind of record and knows where its fields lie."""

    def __init__(self, name: str) -> None:
        fields = LAYOUT[name]
        self.names = tuple(fields)
        self.struct = struct.Struct("<" + "".join(code for code, _ in fields.values()))
        self.size = self.struct.size

    def pack(self, **values: int) -> bytes:
        """The record with these fields, all others 0."""
        return self.struct.pack(*(values.get(name, 0) for name in self.names))

    def unpack(self, data: bytes) -> dict[str, int]:
        """The fields of a record."""
        return dict(zip(self.names, self.struct.unpack(data[: self.size]), strict=True))


def offset(record: str, field: str) -> int:
    """Where a field lies in its record, in bytes."""
    return LAYOUT[record][field][1]


def width(record: str, field: str) -> int:
    """Bytes of a field."""
    return struct.calcsize("<" + LAYOUT[record][field][0])


INODE, CHILD, MOUNT, PLAN = Record("inode"), Record("child"), Record("mount"), Record("plan")


def target(kind: int, value: int = 0) -> int:
    """A target word: kind in the top byte (enum target_kind of layout.h)."""
    return (kind << _index.TARGET_SHIFT) | value


def target_errno(number: int) -> int:
    """The target that makes a call fail with this positive errno (0: succeed)."""
    return target(_index.TARGET_ERRNO, number)
