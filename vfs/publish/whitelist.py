"""The whitelist `.cvmfswhitelist` (format notes, section 5): text to bytes and back.  Knows no files.

The master key signs it; it says which certificates may sign manifests, and until when.
"""

from __future__ import annotations

import calendar
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hepwrap.digest import BY_SUFFIX, Algorithm, Digest
from hepwrap.errors import CorruptObject
from hepwrap.vfs.publish import document, signing

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

_TIME = "%Y%m%d%H%M%S"
DAY = 86400


@dataclass(frozen=True, slots=True)
class Whitelist:
    """`expires` in seconds since 1970 (readers look at its hour only); fingerprints in text form."""

    name: str
    created: int
    expires: int
    fingerprints: tuple[str, ...]

    def body(self) -> bytes:
        """The signed lines."""
        lines = (_text(self.created), "E" + _text(self.expires), "N" + self.name, *self.fingerprints)
        return "".join(line + "\n" for line in lines).encode()


def fingerprint(certificate_der: bytes, algorithm: Algorithm) -> str:
    """A certificate's digest as whitelists list it: `AA:BB:...-SHAKE128`."""
    digest = Digest.of(certificate_der, algorithm)
    return digest.raw.hex(":").upper() + algorithm.suffix.upper()


def lists(whitelist: Whitelist, certificate_der: bytes) -> bool:
    """Whether the certificate is in the list, in any hash algorithm."""
    return any(
        line == fingerprint(certificate_der, BY_SUFFIX[suffix])
        for line in whitelist.fingerprints
        if (suffix := line[59:].lower()) in BY_SUFFIX
    )


def build(whitelist: Whitelist, algorithm: Algorithm, sign: Callable[[bytes], bytes]) -> bytes:
    """The whole file; `sign` makes the raw signature of the hash text."""
    return document.build(whitelist.body(), algorithm, sign)


def parse(data: bytes, master: RSAPublicKey) -> Whitelist:
    """A whitelist signed by `master`; CorruptObject with the reason for anything else."""
    parsed = document.parse(data, what=".cvmfswhitelist")
    if signing.recover(master, parsed.signature) != str(parsed.digest).encode():
        raise CorruptObject(".cvmfswhitelist is not signed by this master key; use the repository's own keys")
    lines = [line.decode("utf-8", "replace") for line in parsed.lines]
    try:
        created, expires, name = _seconds(lines[0]), _seconds(lines[1].removeprefix("E")), lines[2].removeprefix("N")
    except (IndexError, ValueError):
        raise CorruptObject(".cvmfswhitelist has no dates or no name in its first lines; renew it") from None
    fingerprints = tuple(first for line in lines[3:] if (first := _fingerprint(line)))
    return Whitelist(name, created, expires, fingerprints)


def _fingerprint(line: str) -> str:
    """A line without its comment."""
    words = line.partition("#")[0].split()
    return words[0] if words else ""


def _text(seconds: int) -> str:
    return time.strftime(_TIME, time.gmtime(seconds))


def _seconds(text: str) -> int:
    return calendar.timegm(time.strptime(text, _TIME))
