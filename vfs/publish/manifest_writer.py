"""The manifest `.cvmfspublished` (format notes, section 4): fields to bytes and back.  Knows no files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hepwrap.digest import Algorithm, Digest
from hepwrap.errors import CorruptObject
from hepwrap.vfs.publish import document

#: MD5 of the empty path: the root's.
_ROOT_PATH = "d41d8cd98f00b204e9800998ecf8427e"


@dataclass(frozen=True, slots=True)
class Manifest:
    """One revision.  Sizes in bytes, times in seconds (`ttl` a duration, `timestamp` since 1970)."""

    name: str
    root: Digest
    root_size: int
    revision: int
    timestamp: int
    ttl: int
    certificate: Digest
    history: Digest | None
    meta_info: Digest | None
    reflog: Digest | None
    garbage_collectable: bool

    def body(self) -> bytes:
        """The signed lines, in the order in which the format's own publisher writes them."""
        fields = (
            ("C", self.root),
            ("B", self.root_size),
            ("R", _ROOT_PATH),
            ("D", self.ttl),
            ("S", self.revision),
            ("G", "yes" if self.garbage_collectable else "no"),
            ("A", "no"),
            ("N", self.name),
            ("X", self.certificate),
            ("H", self.history),
            ("T", self.timestamp),
            ("M", self.meta_info),
            ("Y", self.reflog),
        )
        return "".join(f"{letter}{value}\n" for letter, value in fields if value is not None).encode()


def build(manifest: Manifest, algorithm: Algorithm, sign: Callable[[bytes], bytes]) -> bytes:
    """The whole file; `sign` signs the hash text."""
    return document.build(manifest.body(), algorithm, sign)


def parse(data: bytes) -> Manifest:
    """What our own store says about its newest revision; CorruptObject where it makes no sense.

    This reads a store that we write to and is no check of trust: that is the reader's.
    """
    lines = document.parse(data, what=".cvmfspublished").lines
    fields = {line[:1].decode("ascii", "replace"): line[1:].decode("utf-8", "replace") for line in lines if line}
    try:
        return Manifest(
            name=fields["N"],
            root=Digest.parse(fields["C"]),
            root_size=int(fields.get("B", "0")),
            revision=int(fields["S"]),
            timestamp=int(fields.get("T", "0")),
            ttl=int(fields["D"]),
            certificate=Digest.parse(fields["X"]),
            history=_digest(fields, "H"),
            meta_info=_digest(fields, "M"),
            reflog=_digest(fields, "Y"),
            garbage_collectable=fields.get("G") == "yes",
        )
    except (KeyError, ValueError) as error:
        raise CorruptObject(f".cvmfspublished lacks a field or has a wrong one ({error}); restore a copy") from None


def _digest(fields: dict[str, str], letter: str) -> Digest | None:
    return Digest.parse(fields[letter]) if letter in fields else None
