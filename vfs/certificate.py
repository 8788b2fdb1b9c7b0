"""The repository's certificate: its fingerprint and its key (format notes, section 6).

Reads as little of X.509 as it needs: the fingerprint is over the DER bytes as they stand, and the key is cut out by
position.  So serial numbers, dates and names that a strict parser would reject do no harm; nothing in them is used.
"""

from __future__ import annotations

import re
from binascii import Error as NotBase64
from binascii import a2b_base64

from hepwrap.digest import ALGORITHMS, BY_SUFFIX, Digest
from hepwrap.errors import UntrustedManifest
from hepwrap.records import dataclass
from hepwrap.vfs import der
from hepwrap.vfs.signature import NotRsa, RsaKey, load_der

_PEM = re.compile(rb"-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----([A-Za-z0-9+/=\s]*)-----END")
#: In TBSCertificate the key comes after serial number, algorithm, issuer, validity and subject (RFC 5280, 4.1).
_FIELDS_BEFORE_KEY = 5


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate in DER, and the RSA key in it."""

    der: bytes
    key: RsaKey

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
        content = a2b_base64(b"".join(match[1].split()), strict_mode=True)
        return Certificate(content, load_der(_public_key_of(content)))
    except (NotBase64, der.Malformed, NotRsa) as error:
        raise UntrustedManifest(f"{what}: no RSA key can be read from it ({error})") from None


def _public_key_of(certificate: bytes) -> bytes:
    """SubjectPublicKeyInfo of a certificate, in DER."""
    position = 0
    for _ in range(2):
        if not der.has_tag(certificate, position, der.SEQUENCE):
            raise der.Malformed
        position = der.content(certificate, position)[0]
    if der.has_tag(certificate, position, der.VERSION):
        position = der.end(certificate, position)
    for _ in range(_FIELDS_BEFORE_KEY):
        position = der.end(certificate, position)
    return certificate[position : der.end(certificate, position)]
