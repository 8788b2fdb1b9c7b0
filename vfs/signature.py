"""RSA, PKCS#1 v1.5: which bytes a signature was made over (format notes, sections 4 and 5).

Owns keys, and the only use of `cryptography` for verifying, imported when first needed.  Must not know what is signed.

Both documents are verified by recovering the signed block with the public key and comparing all of it with what it
must be.  The whitelist signs the bare hash text; the manifest wraps the SHA-1 of the hash text as signatures usually
do.  So SHA-1 is never asked of the library, which a system-wide policy may have told to refuse it.

What was verified on this machine need not be again: the same signature by the same key over the same bytes holds for
ever (`Signatures`).  That spares a launch the library, which is a quarter of its time.
"""

from __future__ import annotations

import re
from binascii import Error as NotBase64
from binascii import a2b_base64
from collections.abc import Collection

from hepwrap import hashes
from hepwrap.records import dataclass
from hepwrap.vfs import der

#: DER of DigestInfo for SHA-1, up to the digest (RFC 8017, section 9.2, note 1).
_SHA1_PREFIX = bytes.fromhex("3021300906052b0e03021a05000414")
#: rsaEncryption (RFC 8017, appendix A.1), the content of its object identifier.
_RSA = bytes.fromhex("2a864886f70d010101")
#: SubjectPublicKeyInfo (RFC 7468, section 13) or the bare RSAPublicKey in PEM form.
_PEM = re.compile(rb"-----BEGIN (RSA )?PUBLIC KEY-----([A-Za-z0-9+/=\s]*)-----END (RSA )?PUBLIC KEY-----")
#: Bits of a modulus, and most of an exponent: a hostile key must not keep the processor busy.
_BITS = range(1024, 16384 + 1)
_EXPONENT_BITS = 64


class NotRsa(Exception):
    """The bytes do not hold an RSA public key; the text says what they hold."""


@dataclass(frozen=True, slots=True)
class RsaKey:
    """An RSA public key."""

    modulus: int
    exponent: int

    def recovers(self, signature: bytes, wanted: bytes) -> bool:
        """True if `signature` is the type 1 block of `wanted`, made with the private half of this key."""
        from hmac import compare_digest

        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers

        try:
            key = RSAPublicNumbers(self.exponent, self.modulus).public_key()
            recovered = key.recover_data_from_signature(signature, PKCS1v15(), None)
        except (InvalidSignature, ValueError):
            return False
        return compare_digest(recovered, wanted)


class Signatures:
    """Which signatures hold.  `known` names some that have been verified before; `held` names those that held here.

    A name is a digest over the key, the signature and what it was made over: it stands for nothing else.
    """

    def __init__(self, known: Collection[str] = ()) -> None:
        self._known = frozenset(known)
        self.held: list[str] = []

    def signs_text(self, key: RsaKey, signature: bytes, text: bytes) -> bool:
        """True if `signature` is a raw block of `text` by the owner of `key` (the whitelist's way)."""
        return self._holds(key, signature, text)

    def signs_sha1(self, key: RsaKey, signature: bytes, text: bytes) -> bool:
        """True if `signature` is RSASSA-PKCS1-v1_5 with SHA-1 over `text` (the manifest's way)."""
        return self._holds(key, signature, _SHA1_PREFIX + hashes.new("sha1", text).digest())

    def _holds(self, key: RsaKey, signature: bytes, wanted: bytes) -> bool:
        parts = f"{key.modulus:x}:{key.exponent:x}:{signature.hex()}:{wanted.hex()}"
        name = hashes.new("sha256", parts.encode()).hexdigest()
        if name not in self._known and not key.recovers(signature, wanted):
            return False
        self.held.append(name)
        return True


def load_pem(data: bytes) -> RsaKey:
    """The first public key in PEM form; NotRsa where there is none."""
    match = _PEM.search(data)
    if match is None or match[1] != match[3]:
        raise NotRsa("not a readable public key (not in PEM form)")
    try:
        content = a2b_base64(b"".join(match[2].split()), strict_mode=True)
    except NotBase64:
        raise NotRsa("not a readable public key (damaged)") from None
    return _checked(content) if match[1] else load_der(content)


def load_der(data: bytes) -> RsaKey:
    """The RSA key in a SubjectPublicKeyInfo (RFC 5280, section 4.1); NotRsa otherwise."""
    try:
        content, finish = der.inside(data, 0, der.SEQUENCE)
        algorithm, position = der.inside(content, 0, der.SEQUENCE)
        bits, last = der.inside(content, position, der.BIT_STRING)
        kind, _ = der.inside(algorithm, 0, der.OBJECT_IDENTIFIER)
    except der.Malformed:
        raise NotRsa("not a readable public key (malformed)") from None
    if kind != _RSA:
        raise NotRsa(f"a key of another kind ({der.dotted(kind)}) than RSA")
    if finish != len(data) or last != len(content) or bits[:1] != b"\0":
        raise NotRsa("not a readable public key (malformed)")
    return _checked(bits[1:])


def _checked(data: bytes) -> RsaKey:
    """RSAPublicKey (RFC 8017, appendix A.1.1) with numbers that a key can have."""
    try:
        content, finish = der.inside(data, 0, der.SEQUENCE)
        numbers = der.integers(content)
    except der.Malformed:
        raise NotRsa("not a readable public key (malformed)") from None
    if finish != len(data) or len(numbers) != 2:
        raise NotRsa("not a readable public key (malformed)")
    modulus, exponent = numbers
    if modulus.bit_length() not in _BITS or not modulus & 1:
        raise NotRsa(f"an RSA key of {modulus.bit_length()} bits, or with an even modulus")
    if exponent < 3 or not exponent & 1 or exponent.bit_length() > _EXPONENT_BITS:
        raise NotRsa("an RSA key with an exponent that none has")
    return RsaKey(modulus, exponent)
