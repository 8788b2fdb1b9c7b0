"""The frame that manifest and whitelist share: body, `--`, hash text, signature (format notes, sections 4 and 5)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hepwrap.digest import Algorithm, Digest
from hepwrap.errors import CorruptObject

_SEPARATOR = b"\n--\n"


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed document; its hash line has been compared with the body, its signature has not been looked at."""

    lines: tuple[bytes, ...]
    digest: Digest
    signature: bytes


def build(body: bytes, algorithm: Algorithm, sign: Callable[[bytes], bytes]) -> bytes:
    """`body` (ending in a newline) with hash line and signature; `sign` gets the hash text."""
    text = str(Digest.of(body, algorithm)).encode()
    return body + b"--\n" + text + b"\n" + sign(text)


def parse(data: bytes, *, what: str) -> Document:
    """Take a document apart; CorruptObject, naming it by `what`, where it is torn or its hash line is wrong."""
    body, separator, rest = data.partition(_SEPARATOR)
    text, newline, signature = rest.partition(b"\n")
    if not separator or not newline:
        raise CorruptObject(f"{what} is torn: it has no signature; restore it from a copy")
    digest = Digest.parse(text.decode("ascii", "replace"))
    if Digest.of(body + b"\n", digest.algorithm) != digest:
        raise CorruptObject(f"{what} is damaged: its hash line does not fit; restore it from a copy")
    return Document(tuple(body.split(b"\n")), digest, signature)
