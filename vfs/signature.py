"""RSA, PKCS#1 v1.5: which bytes a signature was made over (format notes, sections 4 and 5).

Owns the only use of `cryptography` for verifying, imported when first needed.  Must not know what is signed.

Both documents are verified by recovering the signed block with the public key and comparing all of it with what it
must be.  The whitelist signs the bare hash text; the manifest wraps the SHA-1 of the hash text as signatures usually
do.  So SHA-1 is never asked of the library, which a system-wide policy may have told to refuse it.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

#: DER of DigestInfo for SHA-1, up to the digest (RFC 8017, section 9.2, note 1).
_SHA1_PREFIX = bytes.fromhex("3021300906052b0e03021a05000414")


class NotRsa(Exception):
    """The bytes do not hold an RSA public key; the text says what they hold."""


def load_public_key(data: bytes, *, pem: bool) -> RSAPublicKey:
    """The RSA public key in a SubjectPublicKeyInfo, PEM or DER; NotRsa otherwise."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_public_key

    try:
        key = load_pem_public_key(data) if pem else load_der_public_key(data)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise NotRsa(f"not a readable public key ({type(error).__name__})") from None
    if not isinstance(key, RSAPublicKey):
        raise NotRsa(f"a key of another kind ({type(key).__name__}) than RSA")
    return key


def signs_text(key: RSAPublicKey, signature: bytes, text: bytes) -> bool:
    """True if `signature` is a raw block of `text` by the owner of `key` (the whitelist's way)."""
    return _recovers(key, signature, text)


def signs_sha1(key: RSAPublicKey, signature: bytes, text: bytes) -> bool:
    """True if `signature` is RSASSA-PKCS1-v1_5 with SHA-1 over `text` (the manifest's way)."""
    return _recovers(key, signature, _SHA1_PREFIX + hashlib.sha1(text, usedforsecurity=False).digest())


def _recovers(key: RSAPublicKey, signature: bytes, wanted: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

    try:
        recovered = key.recover_data_from_signature(signature, PKCS1v15(), None)
    except (InvalidSignature, ValueError):
        return False
    return hmac.compare_digest(recovered, wanted)
