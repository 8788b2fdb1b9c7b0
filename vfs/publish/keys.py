"""The keys of a repository: making them, reading them, and signing the whitelist with them.

`<fqrn>.masterkey` signs the whitelist and can be kept elsewhere; `<fqrn>.pub` is what clients trust;
`<fqrn>.key` signs manifests and `<fqrn>.crt` is its certificate.  Both private keys are readable by their owner only.
"""

from __future__ import annotations

import datetime
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hepwrap.digest import SHA1, Algorithm
from hepwrap.errors import ConfigurationError, CorruptObject, UsageError
from hepwrap.vfs.publish import files, manifest_writer, signing, whitelist
from hepwrap.vfs.publish.layout import Layout
from hepwrap.vfs.publish.lock import publisher_lock
from hepwrap.vfs.publish.names import check_repository_name, hash_algorithm
from hepwrap.vfs.publish.whitelist import DAY, Whitelist

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
    from cryptography.x509 import Certificate

KEY_BITS = 2048
#: Days for which a whitelist is valid, and days before its end from which publishing renews it.
WHITELIST_DAYS, RENEW_DAYS = 30, 10
#: Clients do not look at a certificate's dates (format notes, section 5).
_CERTIFICATE_DAYS = 3650
#: A common name has at most 64 characters (X.520).
_COMMON_NAME, _COMMON_NAME_LENGTH = " CernVM-FS Release Managers", 64


@dataclass(frozen=True, slots=True)
class KeyFiles:
    """Where the four files of a repository are."""

    public: Path
    master: Path
    private: Path
    certificate: Path

    @classmethod
    def of(cls, fqrn: str, directory: Path) -> KeyFiles:
        """Their names in a keys directory."""
        return cls(*(directory / f"{fqrn}.{ending}" for ending in ("pub", "masterkey", "key", "crt")))


@dataclass(frozen=True, slots=True)
class Signer:
    """What publishing needs: certificate, its private key, master public key, and where the master key would be."""

    fqrn: str
    files: KeyFiles
    private: RSAPrivateKey
    certificate_pem: bytes
    certificate_der: bytes
    master_public: RSAPublicKey

    def sign_manifest(self, text: bytes) -> bytes:
        """The signature of a manifest's hash text."""
        return signing.sign_sha1(self.private, text)


def generate(fqrn: str, directory: Path, *, algorithm: str = "sha1") -> tuple[KeyFiles, str]:
    """Make all four files in `directory` (made 0700 if missing).

    Returns where they are, and the certificate's fingerprint in the hash `algorithm`.  UsageError for a wrong name or
    where one of the files is there already: nothing is ever overwritten.
    """
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import Encoding, PrivateFormat, PublicFormat

    places = KeyFiles.of(check_repository_name(fqrn), directory)
    named = hash_algorithm(algorithm)
    for path in (places.public, places.master, places.private, places.certificate):
        if path.exists():
            raise files.already_there(path)
    directory.parent.mkdir(parents=True, exist_ok=True)
    files.make_directory(directory, files.PRIVATE_DIRECTORY)
    master = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    private = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    certificate = _certificate(fqrn, private)
    public = master.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    _write_private(places.master, master, PrivateFormat.TraditionalOpenSSL)
    _write_private(places.private, private, PrivateFormat.PKCS8)
    files.create_file(places.certificate, certificate.public_bytes(Encoding.PEM), mode=files.PUBLIC_FILE)
    files.create_file(places.public, public, mode=files.PUBLIC_FILE)
    return places, whitelist.fingerprint(certificate.public_bytes(Encoding.DER), named)


def renew_whitelist(
    fqrn: str,
    *,
    keys: Path,
    store: Path,
    algorithm: str | None = None,
    days: int = WHITELIST_DAYS,
    now: float | None = None,
) -> Whitelist:
    """Sign the whitelist of `STORE/<fqrn>` anew, valid for `days` from `now`, and put it there atomically.

    Fingerprints that the present whitelist has stay in it.  `algorithm` None: the one of the present manifest, or sha1.
    """
    layout = Layout(store / check_repository_name(fqrn))
    signer = load(fqrn, keys)
    layout.make()
    with publisher_lock(layout.lock, name=fqrn):
        return write_whitelist(signer, layout, _present_algorithm(layout, algorithm), days=days, now=now)


def write_whitelist(
    signer: Signer, layout: Layout, algorithm: Algorithm, *, days: int = WHITELIST_DAYS, now: float | None = None
) -> Whitelist:
    """As `renew_whitelist`, for who holds the lock of the store already."""
    if days < 1:
        raise UsageError(f"a whitelist valid for {days} days makes no sense; use 1 or more")
    master = _load_private(signer.files.master, "the master key")
    if master.public_key().public_numbers() != signer.master_public.public_numbers():
        raise ConfigurationError(f"{signer.files.master} does not belong to {signer.files.public}; use keys of one set")
    created = int(time.time() if now is None else now)
    own = whitelist.fingerprint(signer.certificate_der, algorithm)
    present = read_whitelist(signer, layout)
    others = tuple(line for line in present.fingerprints if line != own) if present is not None else ()
    renewed = Whitelist(signer.fqrn, created, created + days * DAY, (own, *others))
    data = whitelist.build(renewed, algorithm, lambda text: signing.sign_raw(master, text))
    files.replace_file(layout.whitelist, data, temporary=layout.temporary)
    return renewed


def read_whitelist(signer: Signer, layout: Layout) -> Whitelist | None:
    """The store's present whitelist; None where there is none or it is not one signed by this master key."""
    try:
        present = whitelist.parse(layout.whitelist.read_bytes(), signer.master_public)
    except (FileNotFoundError, CorruptObject):
        return None
    return present if present.name == signer.fqrn else None


def load(fqrn: str, directory: Path) -> Signer:
    """The keys that publishing needs, checked to belong together; ConfigurationError naming the file otherwise."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.serialization import Encoding, load_pem_public_key

    places = KeyFiles.of(check_repository_name(fqrn), directory)
    private = _load_private(places.private, "the private key")
    pem = _read(places.certificate, "the certificate")
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        master = load_pem_public_key(_read(places.public, "the master public key"))
    except ValueError as error:
        raise ConfigurationError(f"{places.certificate} or {places.public} is not PEM: {error}") from None
    key = certificate.public_key()
    if not isinstance(key, RSAPublicKey) or key.public_numbers() != private.public_key().public_numbers():
        raise ConfigurationError(f"{places.certificate} does not belong to {places.private}; use keys of one set")
    if not isinstance(master, RSAPublicKey):
        raise ConfigurationError(f"{places.public} is not an RSA key; the format has no other")
    return Signer(fqrn, places, private, pem, certificate.public_bytes(Encoding.DER), master)


def _present_algorithm(layout: Layout, algorithm: str | None) -> Algorithm:
    if algorithm is not None:
        return hash_algorithm(algorithm)
    try:
        return manifest_writer.parse(layout.manifest.read_bytes()).root.algorithm
    except FileNotFoundError:
        return SHA1


def _certificate(fqrn: str, key: RSAPrivateKey) -> Certificate:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import NameOID

    common_name = fqrn[: _COMMON_NAME_LENGTH - len(_COMMON_NAME)] + _COMMON_NAME
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    start = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start - datetime.timedelta(days=1))
        .not_valid_after(start + datetime.timedelta(days=_CERTIFICATE_DAYS))
        .sign(key, hashes.SHA256())
    )


def _write_private(path: Path, key: RSAPrivateKey, form: object) -> None:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    assert isinstance(form, PrivateFormat)
    files.create_file(path, key.private_bytes(Encoding.PEM, form, NoEncryption()), mode=files.PRIVATE_FILE)


def _load_private(path: Path, what: str) -> RSAPrivateKey:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(_read(path, what), password=None)
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f"{path} is not an unencrypted PEM private key: {error}") from None
    if not isinstance(key, RSAPrivateKey):
        raise ConfigurationError(f"{path} is not an RSA key; the format has no other")
    return key


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{what} {path} cannot be read: {error.strerror}; hepwrap keygen makes keys") from None
