"""The repository's certificate: its fingerprint and its key (format notes, section 6).

Reads as little of X.509 as it needs: the fingerprint is over the DER bytes as they stand, and the key is cut out by
position.  So serial numbers, dates and names that a strict parser would reject do no harm; nothing in them is used.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hepwrap.digest import ALGORITHMS, BY_SUFFIX, Digest
from hepwrap.errors import UntrustedManifest
from hepwrap.vfs.signature import NotRsa, load_public_key

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

_PEM = re.compile(rb"-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----([A-Za-z0-9+/=\s]*)-----END")
_SEQUENCE, _VERSION = 0x30, 0xA0
#: In TBSCertificate the key comes after serial number, algorithm, issuer, validity and subject (RFC 5280, 4.1).
_FIELDS_BEFORE_KEY = 5


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate in DER, and the RSA key in it."""

    der: bytes
    key: RSAPublicKey

    def fingerprint(self, algorithm: str = "sha1") -> str:
        """`AA:BB:...` in upper case, with the algorithm's suffix."""
        digest = Digest.of(self.der, ALGORITHMS[algorithm])
        return digest.raw.hex(":").upper() + digest.algorithm.suffix.upper()

    def listed_in(self, fingerprints: frozenset[str]) -> str | None:
        """The fingerprint under which this certificate stands in a list of them; each names its own algorithm."""
        suffixes = {text[59:].lower() for text in fingerprints}
        own = (self.fingerprint(BY_SUFFIX[suffix].name) for suffix in suffixes if suffix in BY_SUFFIX)
        return next((text for text in own if text in fingerprints), None)


def load(pem: bytes, *, what: str) -> Certificate:
    """The first certificate in `pem`; UntrustedManifest naming `what` where there is none with an RSA key."""
    match = _PEM.search(pem)
    if match is None:
        raise UntrustedManifest(f"{what}: it is not a PEM certificate")
    try:
        der = base64.b64decode(b"".join(match[1].split()), validate=True)
        return Certificate(der, load_public_key(_public_key_of(der), pem=False))
    except (binascii.Error, _Malformed, NotRsa) as error:
        raise UntrustedManifest(f"{what}: no RSA key can be read from it ({error or 'malformed'})") from None


class _Malformed(Exception):
    """The bytes are not a certificate's."""


def _public_key_of(der: bytes) -> bytes:
    """SubjectPublicKeyInfo of a certificate, in DER."""
    position, _ = _open(der, 0)
    position, _ = _open(der, position)
    if der[position : position + 1] == bytes((_VERSION,)):
        position = _end(der, position)
    for _ in range(_FIELDS_BEFORE_KEY):
        position = _end(der, position)
    return der[position : _end(der, position)]


def _open(der: bytes, position: int) -> tuple[int, int]:
    """Begin and end of the content of the SEQUENCE at `position`."""
    if der[position : position + 1] != bytes((_SEQUENCE,)):
        raise _Malformed("malformed")
    return _content(der, position)


def _end(der: bytes, position: int) -> int:
    return _content(der, position)[1]


def _content(der: bytes, position: int) -> tuple[int, int]:
    """Begin and end of the content of the element at `position` (X.690, 8.1.3: definite lengths)."""
    first = der[position + 1 : position + 2]
    if not first:
        raise _Malformed("malformed")
    count = first[0] & 0x7F if first[0] & 0x80 else 0
    begin = position + 2 + count
    length = int.from_bytes(der[position + 2 : begin], "big") if count else first[0]
    if count > 4 or (first[0] == 0x80) or begin + length > len(der):
        raise _Malformed("malformed")
    return begin, begin + length
