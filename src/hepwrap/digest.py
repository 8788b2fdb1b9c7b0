"""Content digests and the names of objects (format notes, section 2).

A digest is over the *stored* bytes.  Text form: 40 hex digits and, except for SHA-1, a suffix naming the algorithm.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from hepwrap import hashes
from hepwrap.errors import CorruptObject, Unsupported
from hepwrap.records import dataclass

DIGEST_BYTES = 20


@dataclass(frozen=True, slots=True)
class Algorithm:
    """One hash algorithm: its name, the suffix in text form, and its number in catalogue flags (bits 8-10)."""

    name: str
    suffix: str
    code: int
    make: Callable[[bytes | memoryview], Any]


def _rmd160(data: bytes | memoryview) -> Any:
    """RIPEMD-160 where this machine's OpenSSL has it; policies take it away, and then the object cannot be checked."""
    try:
        return hashes.new("ripemd160", data)
    except ValueError:
        raise Unsupported("a RIPEMD-160 digest cannot be checked: this machine's OpenSSL does not have it") from None


SHA1 = Algorithm("sha1", "", 0, lambda data: hashes.new("sha1", data))
RMD160 = Algorithm("rmd160", "-rmd160", 1, _rmd160)
SHAKE128 = Algorithm("shake128", "-shake128", 2, lambda data: hashes.new("shake_128", data))
ALGORITHMS: dict[str, Algorithm] = {a.name: a for a in (SHA1, RMD160, SHAKE128)}
BY_CODE: dict[int, Algorithm] = {a.code: a for a in ALGORITHMS.values()}
BY_SUFFIX: dict[str, Algorithm] = {a.suffix: a for a in ALGORITHMS.values()}

_TEXT = re.compile(r"([0-9a-f]{40})(|-rmd160|-shake128)")


class Hasher:
    """Incremental digest: of `data`, then `update(bytes)`, then `digest()`."""

    def __init__(self, algorithm: Algorithm, data: bytes | memoryview = b"") -> None:
        self._algorithm = algorithm
        self._state = algorithm.make(data)

    def update(self, data: bytes | memoryview) -> None:
        """Take in more of the data."""
        self._state.update(data)

    def digest(self) -> Digest:
        """The digest of what was taken in so far."""
        raw = self._state.digest(DIGEST_BYTES) if self._algorithm is SHAKE128 else self._state.digest()
        return Digest(self._algorithm, raw)


@dataclass(frozen=True, slots=True)
class Digest:
    """An algorithm and 20 raw bytes."""

    algorithm: Algorithm
    raw: bytes

    @classmethod
    def parse(cls, text: str) -> Digest:
        """From text form; CorruptObject where it is not one."""
        match = _TEXT.fullmatch(text)
        if match is None:
            raise CorruptObject(f"{text[:80]!r} is not a content digest (40 hex digits and an optional suffix)")
        return cls(BY_SUFFIX[match[2]], bytes.fromhex(match[1]))

    @classmethod
    def of(cls, data: bytes | memoryview, algorithm: Algorithm = SHA1) -> Digest:
        """The digest of `data`."""
        return Hasher(algorithm, data).digest()

    def __str__(self) -> str:
        return self.raw.hex() + self.algorithm.suffix

    def object_name(self, letter: str = "") -> str:
        """`data/ab/cdef...[-algorithm][letter]`: where servers keep the object."""
        text = str(self)
        return f"data/{text[:2]}/{text[2:]}{letter}"
