"""The two RSA signatures of the format (sections 4 and 5), over the hash *text* of a document.

Owns PKCS#1 v1.5 blocks.  The whitelist's has no DigestInfo, which no high-level interface offers; the manifest's is
the standard one with SHA-1, which some systems forbid their cryptographic library to make.  So both are made here by
modular powers; `cryptography` only reads and makes keys.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

#: DER of DigestInfo for SHA-1 up to the digest itself (RFC 8017, section 9.2, note 1).
_SHA1_PREFIX = bytes.fromhex("3021300906052b0e03021a05000414")


def sign_raw(key: RSAPrivateKey, text: bytes) -> bytes:
    """The block type 1 signature of `text` itself, as whitelists have it."""
    numbers = key.private_numbers()
    modulus = numbers.public_numbers.n
    length = (modulus.bit_length() + 7) // 8
    block = b"\x00\x01" + b"\xff" * (length - 3 - len(text)) + b"\x00" + text
    # Chinese remainders: two powers of half the length, four times as fast.
    number = int.from_bytes(block, "big")
    first = pow(number, numbers.dmp1, numbers.p)
    second = pow(number, numbers.dmq1, numbers.q)
    signature = second + numbers.q * ((first - second) * numbers.iqmp % numbers.p)
    return signature.to_bytes(length, "big")


def sign_sha1(key: RSAPrivateKey, text: bytes) -> bytes:
    """RSASSA-PKCS1-v1_5 with SHA-1 of `text`, as manifests have it, whatever the repository's hash algorithm is."""
    return sign_raw(key, _SHA1_PREFIX + hashlib.sha1(text, usedforsecurity=False).digest())


def recover(key: RSAPublicKey, signature: bytes) -> bytes | None:
    """The text under a raw signature; None where it is not one of this key."""
    numbers = key.public_numbers()
    length = (numbers.n.bit_length() + 7) // 8
    number = int.from_bytes(signature, "big")
    if len(signature) != length or number >= numbers.n:
        return None
    padding, separator, text = pow(number, numbers.e, numbers.n).to_bytes(length, "big")[2:].partition(b"\x00")
    block = b"\x00\x01" + padding + separator + text
    made_here = b"\x00\x01" + b"\xff" * (length - 3 - len(text)) + b"\x00" + text
    return text if block == made_here and len(padding) >= 8 else None
