"""What manifest and whitelist have in common: a body, a line `--`, a line with its hash, and a signature.

Pure.  Owns the split and the check of the hash line; must not know keys (`signature`) or fields.
Source: format notes, sections 4 and 5; the body includes the newline before `--`.
"""

from __future__ import annotations

from hepwrap.digest import Digest
from hepwrap.errors import CorruptObject, UntrustedManifest
from hepwrap.records import dataclass

_SEPARATOR = b"\n--\n"
#: RSA keys up to 16384 bits; ours are 2048.
_MAX_SIGNATURE = 2048


@dataclass(frozen=True, slots=True)
class Envelope:
    """A signed text: `body` is what `hash_text` is the digest of, `signature` signs `hash_text`."""

    what: str
    body: bytes
    hash_text: bytes
    signature: bytes

    @property
    def lines(self) -> list[bytes]:
        """Lines of the body, without newlines."""
        return self.body.split(b"\n")[:-1]

    def check_hash(self) -> None:
        """UntrustedManifest unless the hash line is the digest of the body."""
        try:
            said = Digest.parse(self.hash_text.decode("latin-1"))
        except CorruptObject as error:
            raise UntrustedManifest(f"{self.what}: its hash line is malformed: {error}") from None
        if Digest.of(self.body, said.algorithm) != said:
            raise UntrustedManifest(
                f"{self.what}: its text does not have the hash that it states; it was damaged or changed on the way"
            )


def split(data: bytes, *, what: str, limit: int) -> Envelope:
    """Take `data` apart; UntrustedManifest, naming `what`, where it has not that form or is over `limit` bytes."""
    if len(data) > limit:
        raise UntrustedManifest(f"{what}: {len(data)} bytes are too many (at most {limit})")
    body, separator, rest = data.partition(_SEPARATOR)
    if not separator:
        raise UntrustedManifest(
            f"{what}: it has no signature part (no line `--`); it was cut short or is something else"
        )
    hash_text, newline, signature = rest.partition(b"\n")
    if not newline or not signature:
        raise UntrustedManifest(f"{what}: it is not signed (nothing follows its hash line)")
    if len(signature) > _MAX_SIGNATURE:
        raise UntrustedManifest(f"{what}: its signature of {len(signature)} bytes is too long")
    return Envelope(what, body + b"\n", hash_text, signature)
