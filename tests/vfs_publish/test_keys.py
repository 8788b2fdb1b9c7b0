"""Keys: who may read them, what they are, and what openssl, which knows nothing of us, says about what they signed."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import subprocess
import time
from pathlib import Path

import pytest

from hepwrap.errors import ConfigurationError, UsageError
from hepwrap.vfs.publish import keys, signing, whitelist
from hepwrap.vfs.publish.layout import Layout
from tests.vfs_publish.conftest import NAME, Place

DAY = 86400


def openssl(*arguments: object, data: bytes = b"") -> bytes:
    return subprocess.run(["openssl", *map(str, arguments)], input=data, capture_output=True, check=True).stdout


def whitelist_parts(place: Place) -> tuple[list[str], str, bytes]:
    body, rest = (place.base / ".cvmfswhitelist").read_bytes().split(b"\n--\n", 1)
    text, signature = rest.split(b"\n", 1)
    assert hashlib.sha1(body + b"\n").hexdigest() == text.decode()
    return body.decode().split("\n"), text.decode(), signature


# Files.


def test_private_keys_are_private_and_the_others_public(key_set: Path) -> None:
    modes = {path.suffix: stat.S_IMODE(path.stat().st_mode) for path in key_set.iterdir()}
    assert modes == {".masterkey": 0o600, ".key": 0o600, ".crt": 0o644, ".pub": 0o644}
    assert stat.S_IMODE(key_set.stat().st_mode) == 0o700


def test_private_keys_are_never_readable_by_others_on_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the umask, at the moment of every link the file that gets its name is 0600 already."""
    seen: dict[str, int] = {}
    link = os.link

    def watch(source: str, target: Path) -> None:
        seen[Path(target).suffix] = stat.S_IMODE(os.stat(source).st_mode)
        link(source, target)

    monkeypatch.setattr(os, "link", watch)
    before = os.umask(0)
    try:
        keys.generate(NAME, tmp_path / "keys")
    finally:
        os.umask(before)
    assert seen == {".masterkey": 0o600, ".key": 0o600, ".crt": 0o644, ".pub": 0o644}
    assert len(list((tmp_path / "keys").iterdir())) == 4, "nothing temporary is left"


@pytest.mark.parametrize("ending", ["pub", "masterkey", "key", "crt"])
def test_no_key_is_ever_overwritten(tmp_path: Path, ending: str) -> None:
    (tmp_path / f"{NAME}.{ending}").write_text("precious")
    with pytest.raises(UsageError, match=rf"{NAME}\.{ending} is there already and is not overwritten"):
        keys.generate(NAME, tmp_path)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {f"{NAME}.{ending}": "precious"}


def test_a_key_that_appears_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    from hepwrap.vfs.publish.files import create_file

    (tmp_path / "key").write_text("precious")
    with pytest.raises(UsageError, match="is there already"):
        create_file(tmp_path / "key", b"new", mode=0o600)
    assert [path.name for path in tmp_path.iterdir()] == ["key"]
    assert (tmp_path / "key").read_text() == "precious"


@pytest.mark.parametrize(
    "name",
    ["", "a", ".a.b", "a..b", "a.b.", "a/b.c", "../a.b", "-a.b", "a b.c", "caf\u00e9.fr", "a.b\n", "x" * 58 + ".ab"],
)
def test_what_is_not_a_repository_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="repository name"):
        keys.generate(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_longest_name_still_gets_a_certificate(tmp_path: Path) -> None:
    name = "x" * 54 + ".a.bcd"
    assert len(name) == 60
    keys.generate(name, tmp_path)
    subject = openssl("x509", "-in", tmp_path / f"{name}.crt", "-noout", "-subject").decode()
    assert "CernVM-FS Release Managers" in subject


def test_openssl_finds_the_keys_in_order(key_set: Path) -> None:
    certificate = key_set / f"{NAME}.crt"
    assert (
        f"CN = {NAME} CernVM-FS Release Managers" in openssl("x509", "-in", certificate, "-noout", "-subject").decode()
    )
    openssl("verify", "-CAfile", certificate, certificate)
    for private in (key_set / f"{NAME}.key", key_set / f"{NAME}.masterkey"):
        assert b"Key is valid" in openssl("pkey", "-in", private, "-check", "-noout")
        assert b"2048 bit" in openssl("pkey", "-in", private, "-text", "-noout")
    public = openssl("pkey", "-in", key_set / f"{NAME}.masterkey", "-pubout")
    assert public == (key_set / f"{NAME}.pub").read_bytes()


# Signatures.


@pytest.mark.parametrize("algorithm", ["sha1", "shake128"])
def test_openssl_recovers_the_hash_text_from_the_whitelist(place: Place, algorithm: str) -> None:
    place.publish(algorithm=algorithm)
    body, rest = (place.base / ".cvmfswhitelist").read_bytes().split(b"\n--\n", 1)
    text, signature = rest.split(b"\n", 1)
    signed = place.tree.parent / "signature"
    signed.write_bytes(signature)
    recovered = openssl("pkeyutl", "-verifyrecover", "-pubin", "-inkey", place.keys / f"{NAME}.pub", "-in", signed)
    assert recovered == text
    lines = body.decode().split("\n")
    assert lines[2] == f"N{NAME}"
    der = openssl("x509", "-in", place.keys / f"{NAME}.crt", "-outform", "DER")
    sha1, shake = hashlib.sha1(der).digest(), hashlib.shake_128(der).digest(20)
    expected = sha1.hex(":").upper() if algorithm == "sha1" else shake.hex(":").upper() + "-SHAKE128"
    assert lines[3:] == [expected]


@pytest.mark.parametrize("algorithm", ["sha1", "shake128"])
def test_openssl_verifies_the_manifest(place: Place, algorithm: str) -> None:
    place.write("file", b"x")
    place.publish(algorithm=algorithm)
    store = place.read()
    certificate, signature, text = (place.tree.parent / name for name in ("certificate", "signature", "text"))
    certificate.write_bytes(store.certificate)
    signature.write_bytes(store.signature)
    text.write_text(store.hash_text)
    public = place.tree.parent / "public"
    public.write_bytes(openssl("x509", "-in", certificate, "-noout", "-pubkey"))
    assert b"Verified OK" in openssl("dgst", "-sha1", "-verify", public, "-signature", signature, text)
    text.write_text(store.hash_text[:-1] + "x")
    with pytest.raises(subprocess.CalledProcessError):
        openssl("dgst", "-sha1", "-verify", public, "-signature", signature, text)


def test_recover_takes_nothing_but_an_exact_block(key_set: Path) -> None:
    signer = keys.load(NAME, key_set)
    signature = signing.sign_raw(signer.private, b"text")
    public = signer.private.public_key()
    assert signing.recover(public, signature) == b"text"
    assert signing.recover(public, signature[:-1] + bytes([signature[-1] ^ 1])) is None
    assert signing.recover(public, signature[:-1]) is None
    assert signing.recover(public, b"\xff" * 256) is None
    assert signing.recover(signer.master_public, signature) is None


# Whitelist.


def test_a_whitelist_is_valid_for_thirty_days(place: Place) -> None:
    moment = 1_800_000_000
    place.clock = lambda: moment
    assert place.publish().whitelist_renewed
    lines, _, _ = whitelist_parts(place)
    assert lines[0] == time.strftime("%Y%m%d%H%M%S", time.gmtime(moment))
    assert lines[1] == "E" + time.strftime("%Y%m%d%H%M%S", time.gmtime(moment + 30 * DAY))


def test_publishing_renews_near_the_end_only(place: Place) -> None:
    moment = 1_800_000_000.0
    place.clock = lambda: moment
    place.publish()
    moment += 19 * DAY
    assert not place.publish().whitelist_renewed
    moment += 2 * DAY
    assert place.publish().whitelist_renewed
    lines, _, _ = whitelist_parts(place)
    assert lines[1] == "E" + time.strftime("%Y%m%d%H%M%S", time.gmtime(moment + 30 * DAY))


def test_without_the_master_key_a_whitelist_near_its_end_is_a_warning(place: Place) -> None:
    moment = 1_800_000_000.0
    place.clock = lambda: moment
    place.publish()
    (place.keys / f"{NAME}.masterkey").unlink()
    moment += 25 * DAY
    report = place.publish()
    assert not report.whitelist_renewed
    assert "ends in 5.0 days, and the master key to renew it is not here" in report.warnings[0]


@pytest.mark.parametrize("state", ["missing", "expired", "of another key"])
def test_without_a_good_whitelist_and_master_key_nothing_is_published(place: Place, tmp_path: Path, state: str) -> None:
    moment = 1_800_000_000.0
    place.clock = lambda: moment
    place.publish()
    (place.keys / f"{NAME}.masterkey").unlink()
    if state == "missing":
        (place.base / ".cvmfswhitelist").unlink()
    elif state == "expired":
        moment += 31 * DAY
    else:
        keys.generate(NAME, tmp_path / "other")
        (tmp_path / "other" / f"{NAME}.masterkey").unlink()
        place.keys = tmp_path / "other"
    with pytest.raises(ConfigurationError, match=r"whitelist .* is missing, expired or without this certificate"):
        place.publish()
    assert place.read().fields["S"] == "1"


def test_renewing_by_hand_keeps_other_certificates(place: Place, tmp_path: Path) -> None:
    """While a certificate is replaced, manifests signed with the one before must stay trusted."""
    place.publish()
    lines, _, _ = whitelist_parts(place)
    keys.generate(NAME, tmp_path / "new")
    for ending in ("crt", "key"):
        shutil.copy(tmp_path / "new" / f"{NAME}.{ending}", place.keys / f"{NAME}.{ending}")
    renewed = keys.renew_whitelist(NAME, keys=place.keys, store=place.store, days=7, now=1_800_000_000)
    assert renewed.expires == 1_800_000_000 + 7 * DAY
    after, _, _ = whitelist_parts(place)
    assert len(after) == 5
    assert after[4] == lines[3]
    assert whitelist.lists(renewed, keys.load(NAME, place.keys).certificate_der)


def test_a_replaced_certificate_is_listed_when_publishing(place: Place, tmp_path: Path) -> None:
    place.publish()
    keys.generate(NAME, tmp_path / "new")
    for ending in ("crt", "key"):
        shutil.copy(tmp_path / "new" / f"{NAME}.{ending}", place.keys / f"{NAME}.{ending}")
    assert place.publish().whitelist_renewed
    assert place.read().certificate == (place.keys / f"{NAME}.crt").read_bytes()


# What is wrong with a keys directory.


@pytest.mark.parametrize("ending", ["key", "crt", "pub"])
def test_a_missing_key_is_named(place: Place, ending: str) -> None:
    (place.keys / f"{NAME}.{ending}").unlink()
    with pytest.raises(ConfigurationError, match=rf"{NAME}\.{ending} cannot be read: No such file"):
        place.publish()
    assert not place.store.exists()


@pytest.mark.parametrize("ending", ["key", "crt", "pub"])
def test_a_key_that_is_garbage_is_named(place: Place, ending: str) -> None:
    (place.keys / f"{NAME}.{ending}").write_text("garbage")
    with pytest.raises(ConfigurationError, match=rf"{NAME}\.{ending}.* is not .*PEM"):
        place.publish()


def test_certificate_and_private_key_must_belong_together(place: Place) -> None:
    shutil.copy(place.keys / f"{NAME}.masterkey", place.keys / f"{NAME}.key")
    with pytest.raises(ConfigurationError, match="does not belong to"):
        place.publish()


def test_master_key_and_public_key_must_belong_together(place: Place) -> None:
    shutil.copy(place.keys / f"{NAME}.key", place.keys / f"{NAME}.masterkey")
    with pytest.raises(ConfigurationError, match=r"masterkey does not belong to .*\.pub"):
        place.publish()
    assert not Layout(place.base).manifest.exists()
