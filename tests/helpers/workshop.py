"""A copy of a shared repository that tests may edit, and sign again with its throw-away keys.

    workshop = Workshop(tmp_path)
    workshop.manifest["S"] = "3"; workshop.sign_manifest()
    workshop.edit_catalog("/sw", lambda db: db.execute("UPDATE catalog SET mode = 0"))   # and every parent, and signs
    workshop.open().lookup(b"/README")

Written without hepwrap's own reading half, so that the two cannot agree on a mistake; objects that are not edited are
links into the shared data.
"""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from hepwrap.cache.objects import Objects
from hepwrap.fetchers.directory import DirectoryFetcher
from hepwrap.fetchers.fetcher import Fetcher
from hepwrap.settings import FetchSettings, RepositorySettings
from hepwrap.vfs.repository import Repository, open_repository
from hepwrap.vfs.state import StateDirectory
from tests.helpers.shared import shared_path

#: A moment at which the shared whitelists hold: 2027-01-15.
NOW = 1_800_000_000.0


@cache
def load_private_key(path: Path) -> RSAPrivateKey:
    key = load_pem_private_key(path.read_bytes(), None)
    assert isinstance(key, RSAPrivateKey)
    return key


@cache
def other_key() -> RSAPrivateKey:
    """A key that nobody trusts."""
    return generate_private_key(65537, 2048)


def public_pem(key: RSAPrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def sign_raw(key: RSAPrivateKey, text: bytes) -> bytes:
    """A PKCS#1 v1.5 type 1 block of `text` itself, without DigestInfo: how whitelists are signed."""
    numbers = key.private_numbers()
    n, length = numbers.public_numbers.n, key.key_size // 8
    block = b"\0\1" + b"\xff" * (length - 3 - len(text)) + b"\0" + text
    return pow(int.from_bytes(block, "big"), numbers.d, n).to_bytes(length, "big")


def digest_text(data: bytes, suffix: str = "") -> str:
    if suffix == "-shake128":
        return hashlib.shake_128(data).hexdigest(20) + suffix
    return hashlib.sha1(data).hexdigest() + suffix


def object_name(digest: str, letter: str = "") -> str:
    return f"data/{digest[:2]}/{digest[2:]}{letter}"


@dataclass
class Workshop:
    """An editable copy of the shared repository `name` in `place`."""

    place: Path
    folder: str = "test.hep.example"
    name: str = "test.hep.example"
    suffix: str = ""
    manifest: dict[str, str] = field(init=False)
    #: Sentences that the repository gave to `warn`.
    warnings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        shared = shared_path(f"data/{self.folder}")
        self.shared = shared
        self.root = self.place / "repo"
        self.root.joinpath("data").mkdir(parents=True)
        for directory in (shared / "repo/data").iterdir():
            (self.root / "data" / directory.name).symlink_to(directory)
        for name in (".cvmfspublished", ".cvmfswhitelist"):
            shutil.copyfile(shared / "repo" / name, self.root / name)
        self.public_key = shared / f"keys/{self.name}.pub"
        self.key = load_private_key(shared / f"keys/{self.name}.key")
        self.master = load_private_key(shared / f"keys/{self.name}.masterkey")
        lines = self.read(".cvmfspublished").partition(b"\n--\n")[0].decode("latin-1").split("\n")
        self.manifest = {line[0]: line[1:] for line in lines}

    # Files as the server has them.

    def read(self, name: str) -> bytes:
        return (self.root / name).read_bytes()

    def write(self, name: str, data: bytes) -> None:
        path = self.root / name
        self._own(path.parent)
        path.unlink(missing_ok=True)
        path.write_bytes(data)

    def remove(self, name: str) -> None:
        path = self.root / name
        self._own(path.parent)
        path.unlink()

    def change(self, name: str, edit: Callable[[bytes], bytes]) -> None:
        self.write(name, edit(self.read(name)))

    def _own(self, directory: Path) -> None:
        """Make a real directory of links out of a link to a shared directory."""
        if directory.is_symlink():
            shared = directory.resolve()
            directory.unlink()
            directory.mkdir()
            for file in shared.iterdir():
                (directory / file.name).symlink_to(file)
        directory.mkdir(exist_ok=True)

    # Objects.

    def add_object(self, content: bytes, letter: str = "", *, compress: bool = True) -> str:
        stored = zlib.compress(content) if compress else content
        digest = digest_text(stored, self.suffix)
        self.write(object_name(digest, letter), stored)
        return digest

    def content(self, digest: str, letter: str = "") -> bytes:
        return zlib.decompress(self.read(object_name(digest, letter)))

    # What is signed.

    def sign_manifest(self, *, key: RSAPrivateKey | None = None, text: str | None = None) -> None:
        body = "".join(f"{k}{v}\n" for k, v in self.manifest.items()) if text is None else text
        data = body.encode("latin-1")
        digest = digest_text(data, self.suffix).encode()
        signature = (key or self.key).sign(digest, PKCS1v15(), SHA1())
        self.write(".cvmfspublished", data + b"--\n" + digest + b"\n" + signature)

    def sign_whitelist(
        self,
        *,
        expires: str = "20361118023726",
        name: str | None = None,
        lines: Sequence[str] | None = None,
        key: RSAPrivateKey | None = None,
        text: str | None = None,
    ) -> None:
        if lines is None:
            lines = self.read(".cvmfswhitelist").partition(b"\n--\n")[0].decode("latin-1").split("\n")[3:]
        body = f"20261121023726\nE{expires}\nN{name or self.name}\n" + "".join(f"{line}\n" for line in lines)
        data = (body if text is None else text).encode("latin-1")
        digest = digest_text(data, self.suffix).encode()
        self.write(".cvmfswhitelist", data + b"--\n" + digest + b"\n" + sign_raw(key or self.master, digest))

    # Catalogues and the history.

    def edit_catalog(self, mount: str, edit: Callable[[sqlite3.Connection], object]) -> None:
        """Edit the catalogue at `mount` ("" is the root), its parents with it, and sign the manifest."""
        self.set_root(self._edited(self.manifest["C"], mount, edit))

    def set_root(self, catalog: bytes) -> None:
        self.manifest["C"] = self.add_object(catalog, "C")
        self.manifest["B"] = str(len(catalog))
        self.sign_manifest()

    def _edited(self, digest: str, mount: str, edit: Callable[[sqlite3.Connection], object]) -> bytes:
        db = sqlite3.connect(":memory:", isolation_level=None)
        db.deserialize(self.content(digest, "C"))
        nested = [row for row in db.execute("SELECT path, sha1 FROM nested_catalogs") if within(mount, row[0])]
        if nested:
            path, child_digest = nested[0]
            child = self._edited(child_digest, mount, edit)
            update = "UPDATE nested_catalogs SET sha1 = ?, size = ? WHERE path = ?"
            db.execute(update, (self.add_object(child, "C"), len(child), path))
        else:
            edit(db)
        return db.serialize()

    def edit_history(self, edit: Callable[[sqlite3.Connection], object]) -> None:
        db = sqlite3.connect(":memory:", isolation_level=None)
        db.deserialize(self.content(self.manifest["H"], "H"))
        edit(db)
        self.manifest["H"] = self.add_object(db.serialize(), "H")
        self.sign_manifest()

    # Reading it with hepwrap.

    def settings(self, **more: Any) -> RepositorySettings:
        fetch = FetchSettings(servers=(str(self.root),))
        return RepositorySettings(**{"name": self.name, "fetch": fetch, "public_keys": (self.public_key,), **more})

    def open(
        self,
        *,
        state: StateDirectory | None = None,
        clock: Callable[[], float] = lambda: NOW,
        fetcher: Fetcher | None = None,
        ttl: float = 0.0,
        **more: Any,
    ) -> Repository:
        settings = self.settings(**more)
        fetcher = fetcher or DirectoryFetcher(settings.fetch, fqrn=self.name)
        return open_repository(
            settings, fetcher, Objects(workers=4), state=state, clock=clock, warn=self.warnings.append, ttl=ttl
        )


def within(mount: str, above: str) -> bool:
    return mount == above or mount.startswith(above + "/")
