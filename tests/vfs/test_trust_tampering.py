"""Every way to tamper with a repository: refused, with a sentence of its own that names the check and the object.

One row of TAMPERINGS is one edit (format notes, section 19, and more); each is a test, and together they are one more:
no two of them may say the same.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from hepwrap.errors import FetchFailed, HepwrapError, MissingObject, Unsupported, UntrustedManifest
from tests.helpers.workshop import NOW, Workshop, object_name, other_key, public_pem, sign_raw

Edit = Callable[[Workshop], object]
TAMPERINGS: dict[str, tuple[Edit, type[HepwrapError], str]] = {}


def refused(sentence: str, error: type[HepwrapError] = UntrustedManifest) -> Callable[[Edit], Edit]:
    """Register an edit: opening must raise exactly `error` with a sentence that matches."""

    def register(edit: Edit) -> Edit:
        TAMPERINGS[edit.__name__] = (edit, error, sentence)
        return edit

    return register


def flip(data: bytes, position: int) -> bytes:
    changed = bytearray(data)
    changed[position] ^= 0x10
    return bytes(changed)


def with_signature(data: bytes, signature: bytes) -> bytes:
    head, separator, rest = data.partition(b"\n--\n")
    return head + separator + rest.partition(b"\n")[0] + b"\n" + signature


# The manifest.


@refused("manifest of test.hep.example: its signature was not made with the key of certificate 1de42d2ac")
def manifest_signature_bit(w: Workshop) -> None:
    w.change(".cvmfspublished", lambda data: flip(data, -10))


@refused("manifest of test.hep.example: its text does not have the hash that it states")
def manifest_field_edited(w: Workshop) -> None:
    w.change(".cvmfspublished", lambda data: data.replace(b"\nS2\n", b"\nS3\n"))


@refused("manifest of test.hep.example: its signature was not made with the key")
def manifest_edited_with_a_new_hash_line(w: Workshop) -> None:
    signature = w.read(".cvmfspublished").partition(b"\n--\n")[2].partition(b"\n")[2]
    w.manifest["S"] = "3"
    w.sign_manifest()
    w.change(".cvmfspublished", lambda data: with_signature(data, signature))


@refused("manifest of test.hep.example: its signature was not made with the key")
def manifest_signed_by_another_key(w: Workshop) -> None:
    w.sign_manifest(key=other_key())


@refused("manifest of test.hep.example: its signature was not made with the key")
def manifest_signed_the_whitelists_way(w: Workshop) -> None:
    text = w.read(".cvmfspublished").partition(b"\n--\n")[2].partition(b"\n")[0]
    w.change(".cvmfspublished", lambda data: with_signature(data, sign_raw(w.key, text)))


@refused("manifest of test.hep.example: it has no signature part")
def manifest_without_signature_part(w: Workshop) -> None:
    w.change(".cvmfspublished", lambda data: data.partition(b"--\n")[0])


@refused("manifest of test.hep.example: it is not signed")
def manifest_with_an_empty_signature(w: Workshop) -> None:
    w.change(".cvmfspublished", lambda data: with_signature(data, b""))


@refused("manifest of test.hep.example: its signature of 4096 bytes is too long")
def manifest_with_an_endless_signature(w: Workshop) -> None:
    w.change(".cvmfspublished", lambda data: with_signature(data, bytes(4096)))


@refused("manifest of test.hep.example: its hash line is malformed")
def manifest_hash_line_garbage(w: Workshop) -> None:
    w.change(".cvmfspublished", lambda data: data.replace(b"\n--\n", b"\n--\nxyz"))


@refused("manifest of test.hep.example: it is the manifest of shake.hep.example")
def manifest_of_another_repository(w: Workshop) -> None:
    other = w.shared.parent / "shake128.hep.example/repo/.cvmfspublished"
    w.write(".cvmfspublished", other.read_bytes())


@refused("manifest of test.hep.example: it is the manifest of evil.hep.example")
def manifest_of_another_repository_rightly_signed(w: Workshop) -> None:
    w.manifest["N"] = "evil.hep.example"
    w.sign_manifest()


@refused("manifest of test.hep.example: field N is missing")
def manifest_without_a_name(w: Workshop) -> None:
    del w.manifest["N"]
    w.sign_manifest()


@refused("manifest of test.hep.example: field R is 'd41d8cd98f00b204e9800998ecf8427f'")
def manifest_with_another_root_path(w: Workshop) -> None:
    w.manifest["R"] = "d41d8cd98f00b204e9800998ecf8427f"
    w.sign_manifest()


@refused("manifest of test.hep.example: field C is there twice")
def manifest_with_a_field_twice(w: Workshop) -> None:
    w.sign_manifest(text="".join(f"{k}{v}\n" for k, v in w.manifest.items()) + f"C{w.manifest['C']}\n")


@refused("manifest of test.hep.example: field S holds '-1', which is no revision number")
def manifest_revision_negative(w: Workshop) -> None:
    w.manifest["S"] = "-1"
    w.sign_manifest()


@refused(r"manifest of test.hep.example: field C holds '\.\./\.\./\.\./etc/passwd', which is no content hash")
def manifest_root_hash_is_a_path(w: Workshop) -> None:
    w.manifest["C"] = "../../../etc/passwd"
    w.sign_manifest()


@refused(r"\.cvmfspublished of test.hep.example: .* has 2000001 bytes by that name, 1048576 are allowed", FetchFailed)
def manifest_oversized(w: Workshop) -> None:
    w.write(".cvmfspublished", b"C" + b"a" * 2_000_000)


@refused("manifest of test.hep.example: it has no signature part")
def manifest_is_a_web_page(w: Workshop) -> None:
    w.write(".cvmfspublished", b"<html><body>Please log in</body></html>")


@refused("manifest of test.hep.example: no server has it; check the servers' addresses", MissingObject)
def manifest_missing(w: Workshop) -> None:
    w.remove(".cvmfspublished")


# The certificate.


@refused("certificate 1de42d2a.* of test.hep.example: it is not what the manifest names")
def certificate_flipped(w: Workshop) -> None:
    w.change(object_name(w.manifest["X"], "X"), lambda data: flip(data, 40))


@refused("certificate 1de42d2a.* of test.hep.example: no server has it")
def certificate_missing(w: Workshop) -> None:
    w.remove(object_name(w.manifest["X"], "X"))


@refused("certificate of test.hep.example: its fingerprint (?!4A:A1).* is not in the whitelist")
def certificate_of_somebody_else(w: Workshop) -> None:
    other = Workshop(w.place / "other", "shake128.hep.example", "shake.hep.example", "-shake128")
    w.manifest["X"] = w.add_object((other.shared / "keys/shake.hep.example.crt").read_bytes(), "X")
    w.sign_manifest(key=other.key)


@refused("certificate .* of test.hep.example: it is not a PEM certificate")
def certificate_is_text(w: Workshop) -> None:
    w.manifest["X"] = w.add_object(b"hello", "X")
    w.sign_manifest()


@refused("certificate .* of test.hep.example: no RSA key can be read from it")
def certificate_is_cut(w: Workshop) -> None:
    pem = (w.shared / "keys/test.hep.example.crt").read_text().split("\n")
    w.manifest["X"] = w.add_object("\n".join(pem[:5] + pem[-2:]).encode(), "X")
    w.sign_manifest()


@refused("certificate .* of test.hep.example: it is not what the manifest names .* more than")
def certificate_is_a_bomb(w: Workshop) -> None:
    w.manifest["X"] = w.add_object(bytes(50_000_000), "X")
    w.sign_manifest()


# The whitelist.


@refused("whitelist of test.hep.example: its signature is by none of the trusted master keys")
def whitelist_signature_bit(w: Workshop) -> None:
    w.change(".cvmfswhitelist", lambda data: flip(data, -10))


@refused("whitelist of test.hep.example: its text does not have the hash that it states")
def whitelist_fingerprint_edited(w: Workshop) -> None:
    w.change(".cvmfswhitelist", lambda data: data.replace(b"\n4A:A1", b"\n4A:A2"))


@refused("whitelist of test.hep.example: its signature is by none")
def whitelist_edited_with_a_new_hash_line(w: Workshop) -> None:
    signature = w.read(".cvmfswhitelist").partition(b"\n--\n")[2].partition(b"\n")[2]
    w.sign_whitelist(expires="20391118023726")
    w.change(".cvmfswhitelist", lambda data: with_signature(data, signature))


@refused("whitelist of test.hep.example: its signature is by none")
def whitelist_signed_by_another_master_key(w: Workshop) -> None:
    w.sign_whitelist(key=other_key())


@refused("whitelist of test.hep.example: its signature is by none")
def whitelist_signed_by_the_repository_key(w: Workshop) -> None:
    w.sign_whitelist(key=w.key)


@refused("whitelist of test.hep.example: it is the whitelist of 'shake.hep.example'")
def whitelist_of_another_repository(w: Workshop) -> None:
    w.write(".cvmfswhitelist", (w.shared.parent / "shake128.hep.example/repo/.cvmfswhitelist").read_bytes())


@refused("whitelist of test.hep.example: no server has it; check the servers' addresses", MissingObject)
def whitelist_missing(w: Workshop) -> None:
    w.remove(".cvmfswhitelist")


@refused("whitelist of test.hep.example: it expired on 2027-01-01 00:00 UTC .* clock")
def whitelist_expired_but_rightly_signed(w: Workshop) -> None:
    w.sign_whitelist(expires="20270101000000")


@refused("certificate of test.hep.example: its fingerprint 4A:A1:.* is not in the whitelist")
def whitelist_does_not_list_the_certificate(w: Workshop) -> None:
    w.sign_whitelist(lines=["00:" * 19 + "00"])


@refused("certificate of test.hep.example: its fingerprint 4A:A1:.* is not in the whitelist")
def whitelist_lists_nothing(w: Workshop) -> None:
    w.sign_whitelist(lines=[])


@refused("whitelist of test.hep.example: the line 'hello' is no certificate fingerprint")
def whitelist_line_garbage(w: Workshop) -> None:
    w.sign_whitelist(lines=["hello"])


@refused("whitelist of test.hep.example: '20361318023726' is no time that exists")
def whitelist_expiry_in_month_13(w: Workshop) -> None:
    w.sign_whitelist(expires="20361318023726")


@refused("whitelist of test.hep.example: it does not begin with its time, its expiry")
def whitelist_expiry_missing(w: Workshop) -> None:
    w.sign_whitelist(text="20261121023726\nNtest.hep.example\n")


@refused("whitelist of test.hep.example: the repository verifies its whitelist by a detached PKCS#7", Unsupported)
def whitelist_by_pkcs7(w: Workshop) -> None:
    w.sign_whitelist(lines=["Vpkcs7", "00:" * 19 + "00"])


@refused("whitelist of test.hep.example: the repository wants its certificate checked against cert", Unsupported)
def whitelist_by_certificate_authorities(w: Workshop) -> None:
    w.sign_whitelist(lines=["Wcachain", "00:" * 19 + "00"])


# The root catalogue.


@refused("test.hep.example cannot be served: root catalogue 2cd14541.* have the digest")
def root_catalogue_flipped(w: Workshop) -> None:
    w.change(object_name(w.manifest["C"], "C"), lambda data: flip(data, 1000))


@refused("test.hep.example cannot be served: root catalogue 2cd14541.* have the digest")
def root_catalogue_truncated(w: Workshop) -> None:
    w.change(object_name(w.manifest["C"], "C"), lambda data: data[:500])


@refused("root catalogue 2cd14541.* of test.hep.example: .* the servers are incomplete", MissingObject)
def root_catalogue_missing(w: Workshop) -> None:
    w.remove(object_name(w.manifest["C"], "C"))


@refused("test.hep.example cannot be served: root catalogue .* unpacks to more than the 69631 bytes")
def root_catalogue_of_another_size_than_stated(w: Workshop) -> None:
    w.manifest["B"] = "69631"
    w.sign_manifest()


@refused("test.hep.example cannot be served: root catalogue .* hepwrap takes catalogues up to")
def root_catalogue_too_large(w: Workshop) -> None:
    w.manifest["B"] = str(2**50)
    w.sign_manifest()


@refused(
    "test.hep.example cannot be served: root catalogue .* 20000000 bytes are more than|unpacks to more than the 69632"
)
def root_catalogue_is_a_bomb(w: Workshop) -> None:
    w.manifest["C"] = w.add_object(bytes(20_000_000), "C")
    w.sign_manifest()


@refused("test.hep.example cannot be served: root catalogue .* bytes after the end of its zlib stream")
def root_catalogue_followed_by_bytes(w: Workshop) -> None:
    stored = w.read(object_name(w.manifest["C"], "C")) + b"more"
    w.manifest["C"] = w.add_object(stored, "C", compress=False)
    w.sign_manifest()


@refused("test.hep.example cannot be served: root catalogue .* is not a SQLite database")
def root_catalogue_is_text(w: Workshop) -> None:
    w.set_root(b"hello" * 300)


@refused("test.hep.example cannot be served: root catalogue .* is not a readable SQLite database")
def root_catalogue_is_half_a_database(w: Workshop) -> None:
    content = zlib.decompress(w.read(object_name(w.manifest["C"], "C")))
    w.set_root(content[:4096])


@refused("test.hep.example cannot be served: root catalogue .* is for '/data', but it is used for ''")
def root_catalogue_is_a_nested_one(w: Workshop) -> None:
    w.set_root(w.content("132eca1420fea0570e2169f5e7f09e778db3c463", "C"))


@refused("test.hep.example is open to members of a virtual organisation only", Unsupported)
def repository_for_members_only(w: Workshop) -> None:
    w.edit_catalog("", lambda db: db.execute("INSERT INTO properties VALUES ('voms_authz', '/atlas')"))


@cache
def refusal(name: str, place: Path) -> str:
    """What is said of one edit."""
    edit, error, _ = TAMPERINGS[name]
    workshop = Workshop(place)
    edit(workshop)
    with pytest.raises(error) as caught:
        workshop.open()
    assert type(caught.value) is error
    return str(caught.value)


@pytest.mark.parametrize("name", TAMPERINGS)
def test_tampering_is_refused_with_its_own_sentence(name: str, tmp_path: Path) -> None:
    text = refusal(name, tmp_path)
    assert re.search(TAMPERINGS[name][2], text), text
    assert "\n" not in text
    assert "test.hep.example" in text


def test_a_repository_that_nobody_touched_opens(tmp_path: Path) -> None:
    """Without it all of the above could be refused for one wrong reason."""
    workshop = Workshop(tmp_path)
    workshop.sign_manifest()
    workshop.sign_whitelist()
    assert workshop.open().revision == 2


def test_one_check_s_sentence_is_never_another_s(tmp_path: Path) -> None:
    """Edits that fail the same check share its sentence; no sentence fits the failure of another check."""
    texts = {name: refusal(name, tmp_path / name) for name in TAMPERINGS}
    for name, (_, _, sentence) in TAMPERINGS.items():
        for other, text in texts.items():
            same_check = TAMPERINGS[other][2].startswith(sentence) or sentence.startswith(TAMPERINGS[other][2])
            assert same_check or not re.search(sentence, text), (name, other, text)


def test_a_key_of_the_user_that_did_not_sign_is_named(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    wrong = tmp_path / "wrong.pub"
    wrong.write_bytes(public_pem(other_key()))
    with pytest.raises(UntrustedManifest, match=re.escape(f"none of the trusted master keys ({wrong})")):
        workshop.open(public_keys=(wrong,))


def test_any_one_of_several_master_keys_is_enough(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    wrong = tmp_path / "wrong.pub"
    wrong.write_bytes(public_pem(other_key()))
    assert workshop.open(public_keys=(wrong, workshop.public_key)).revision == 2


def test_a_whitelist_holds_until_the_full_hour_before_its_expiry(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    hour = NOW - NOW % 3600
    workshop.sign_whitelist(expires="20270115085959")
    assert hour == 1_800_000_000 - 0  # 2027-01-15 08:00:00 UTC, the very hour of the expiry
    assert workshop.open(clock=lambda: hour - 1).revision == 2
    with pytest.raises(UntrustedManifest, match="it expired on 2027-01-15 08:00 UTC"):
        workshop.open(clock=lambda: hour)


def test_comments_and_other_algorithms_in_a_whitelist_are_read(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    line = workshop.read(".cvmfswhitelist").split(b"\n")[3].decode()
    workshop.sign_whitelist(lines=["00:" * 19 + "00-SHAKE128 # old", f"{line}\t# the one in use", "# nothing", ""])
    assert workshop.open().revision == 2
