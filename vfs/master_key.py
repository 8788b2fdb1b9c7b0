"""The master public keys that a user trusts for a repository: local files, read once (format notes, sections 5, 13)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hepwrap import hashes
from hepwrap.errors import ConfigurationError
from hepwrap.records import dataclass
from hepwrap.vfs.signature import NotRsa, RsaKey, load_pem


@dataclass(frozen=True, slots=True)
class MasterKey:
    """A public key, where it came from, its PEM text, and a name for it that no other key has."""

    key: RsaKey
    source: str
    pem: bytes
    identity: str


def load(paths: Sequence[Path], name: str) -> list[MasterKey]:
    """The keys in `paths`; ConfigurationError where there is none, or where one is not an RSA public key."""
    if not paths:
        raise ConfigurationError(
            f"no master public key is known for {name}; give one with --key FILE or CVMFS_PUBLIC_KEY"
        )
    return [_load(path) for path in paths]


def _load(path: Path) -> MasterKey:
    try:
        pem = path.read_bytes()
        key = load_pem(pem)
    except OSError as error:
        raise ConfigurationError(f"{path}: the master public key cannot be read ({error.strerror})") from None
    except NotRsa as error:
        raise ConfigurationError(f"{path}: {error}; a master public key is a PEM file `BEGIN PUBLIC KEY`") from None
    identity = hashes.new("sha256", f"{key.modulus:x}:{key.exponent:x}".encode()).hexdigest()[:32]
    return MasterKey(key, str(path), pem, identity)
