"""The manifest `.cvmfspublished`: which root catalogue is the newest, said by the repository (format notes, section 4).

Pure and strict: bytes in, `Manifest` or UntrustedManifest out.  Believes nothing: `trust` checks who signed it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from hepwrap.digest import Digest
from hepwrap.errors import CorruptObject, UntrustedManifest
from hepwrap.records import dataclass
from hepwrap.vfs.envelope import Envelope, split

NAME = ".cvmfspublished"
#: md5 of the empty path: the only root path that a repository can have.
ROOT_PATH = b"d41d8cd98f00b204e9800998ecf8427e"

_NUMBER = re.compile(rb"0|[1-9][0-9]{0,19}")
_FQRN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252}[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True)
class Manifest:
    """Every field that hepwrap uses, validated in form only."""

    envelope: Envelope
    #: Root catalogue, and its uncompressed bytes where told.
    root_hash: Digest
    root_size: int | None
    #: Seconds for which a client may go without asking again.
    ttl: int
    revision: int
    name: str
    certificate: Digest
    history: Digest | None
    meta_info: Digest | None
    #: Seconds since 1970 when this revision was published; 0 where not told.
    timestamp: int
    garbage_collectable: bool
    #: Root catalogue and certificate are also to be had as `.cvmfsalt-...`.
    alternative_path: bool


def parse(data: bytes, *, what: str, limit: int) -> Manifest:
    """The manifest in `data`; `what` names it in messages.  Unknown fields are ignored, repeated ones refused."""
    envelope = split(data, what=what, limit=limit)
    fields = _fields(envelope)
    found = {key: _read(envelope, key, value) for key, value in fields.items() if key in _READERS}
    for key in "CRDSNX":
        if key not in found:
            raise UntrustedManifest(f"{what}: field {key} is missing")
    if fields["R"] != ROOT_PATH:
        raise UntrustedManifest(f"{what}: field R is {_show(fields['R'])}, not the hash of the empty path")
    return Manifest(
        envelope=envelope,
        root_hash=found["C"],
        root_size=found.get("B"),
        ttl=found["D"],
        revision=found["S"],
        name=found["N"],
        certificate=found["X"],
        history=found.get("H"),
        meta_info=found.get("M"),
        timestamp=found.get("T", 0),
        garbage_collectable=found.get("G", False),
        alternative_path=found.get("A", False),
    )


def is_repository_name(text: str) -> bool:
    """True for what can be a fully qualified repository name (and is safe as a file name)."""
    return _FQRN.fullmatch(text) is not None and ".." not in text


def _fields(envelope: Envelope) -> dict[str, bytes]:
    fields: dict[str, bytes] = {}
    for line in envelope.lines:
        key = line[:1].decode("latin-1")
        if not key.isascii() or not key.isalpha():
            raise UntrustedManifest(f"{envelope.what}: the line {_show(line)} does not start with a field's letter")
        if key in fields:
            raise UntrustedManifest(f"{envelope.what}: field {key} is there twice")
        fields[key] = line[1:]
    return fields


def _read(envelope: Envelope, key: str, value: bytes) -> Any:
    try:
        return _READERS[key](value)
    except (ValueError, CorruptObject):
        raise UntrustedManifest(
            f"{envelope.what}: field {key} holds {_show(value)}, which is no {_MEANS[key]}"
        ) from None


def _digest(value: bytes) -> Digest:
    return Digest.parse(value.decode("latin-1"))


def _number(value: bytes) -> int:
    if not _NUMBER.fullmatch(value) or int(value) >= 2**63:
        raise ValueError
    return int(value)


def _yes_no(value: bytes) -> bool:
    if value not in (b"yes", b"no"):
        raise ValueError
    return value == b"yes"


def _name(value: bytes) -> str:
    text = value.decode("ascii")
    if not is_repository_name(text):
        raise ValueError
    return text


def _root_path(value: bytes) -> bytes:
    return value


_READERS: dict[str, Callable[[bytes], Any]] = {
    "C": _digest, "B": _number, "R": _root_path, "D": _number, "S": _number, "N": _name, "X": _digest, "H": _digest,
    "T": _number, "G": _yes_no, "A": _yes_no, "M": _digest, "Y": _digest, "L": _digest,
}  # fmt: skip
_MEANS = {
    "C": "content hash", "B": "number of bytes", "R": "path hash", "D": "number of seconds", "S": "revision number",
    "N": "repository name", "X": "content hash", "H": "content hash", "T": "time", "G": "yes or no",
    "A": "yes or no", "M": "content hash", "Y": "content hash", "L": "content hash",
}  # fmt: skip


def _show(value: bytes) -> str:
    return ascii(value[:60].decode("latin-1"))
