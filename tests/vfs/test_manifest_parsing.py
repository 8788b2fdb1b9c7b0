"""Manifest and whitelist: what form they have, field by field."""

from __future__ import annotations

import re

import pytest

from hepwrap.errors import UntrustedManifest
from hepwrap.vfs import manifest, whitelist
from hepwrap.vfs.manifest import Manifest
from hepwrap.vfs.whitelist import Whitelist

HASH = "2cd145415d97cba6f605ae35dd46ac927bf6a4fc"
FIELDS = {
    "C": HASH,
    "B": "69632",
    "R": "d41d8cd98f00b204e9800998ecf8427e",
    "D": "240",
    "S": "2",
    "G": "yes",
    "A": "no",
    "N": "test.hep.example",
    "X": HASH,
    "H": HASH + "-shake128",
    "T": "1795228647",
    "M": HASH + "-rmd160",
    "Y": HASH,
}


def envelope(body: str) -> bytes:
    return body.encode("latin-1") + b"--\n" + HASH.encode() + b"\n" + bytes(256)


def parse(**changes: str | None) -> Manifest:
    fields = {key: text for key, text in (FIELDS | changes).items() if text is not None}
    body = "".join(f"{key}{text}\n" for key, text in fields.items())
    return manifest.parse(envelope(body), what="manifest of test", limit=10_000)


def test_every_field_is_read() -> None:
    found = parse()
    assert (found.root_size, found.ttl, found.revision, found.name) == (69632, 240, 2, "test.hep.example")
    assert (found.garbage_collectable, found.alternative_path, found.timestamp) == (True, False, 1795228647)
    assert (str(found.root_hash), str(found.history), str(found.meta_info)) == (HASH, FIELDS["H"], FIELDS["M"])


def test_what_is_optional_may_be_missing() -> None:
    found = parse(B=None, G=None, A=None, H=None, T=None, M=None, Y=None)
    assert (found.root_size, found.history, found.meta_info, found.timestamp) == (None, None, None, 0)
    assert (found.garbage_collectable, found.alternative_path) == (False, False)


@pytest.mark.parametrize("key", "CRDSNX")
def test_what_is_required_must_be_there(key: str) -> None:
    with pytest.raises(UntrustedManifest, match=f"^manifest of test: field {key} is missing$"):
        parse(**{key: None})


def test_unknown_fields_are_ignored_but_not_twice() -> None:
    assert parse(Z="future", Q="").revision == 2
    with pytest.raises(UntrustedManifest, match="field Z is there twice"):
        parse(Z="a\nZb")


BAD_FIELDS = [
    ("C", "", "content hash"),
    ("C", HASH[:-1], "content hash"),
    ("C", HASH.upper(), "content hash"),
    ("C", HASH + "-sha256", "content hash"),
    ("B", "-5", "number of bytes"),
    ("B", "0x10", "number of bytes"),
    ("B", "1e9", "number of bytes"),
    ("D", "", "number of seconds"),
    ("D", " 240", "number of seconds"),
    ("S", "2_000", "revision number"),
    ("S", "00", "revision number"),
    ("S", "9" * 20, "revision number"),
    ("S", "9" * 5000, "revision number"),
    ("S", "\xb2", "revision number"),
    ("N", "", "repository name"),
    ("N", "../../etc", "repository name"),
    ("N", "a b", "repository name"),
    ("N", "\xe9.cern.ch", "repository name"),
    ("X", "x", "content hash"),
    ("H", "-", "content hash"),
    ("T", "now", "time"),
    ("G", "maybe", "yes or no"),
    ("A", "YES", "yes or no"),
    ("M", HASH + HASH, "content hash"),
    ("Y", "0", "content hash"),
    ("L", "0", "content hash"),
]


@pytest.mark.parametrize(("key", "text", "meaning"), BAD_FIELDS)
def test_garbage_in_a_field_names_the_field_and_what_it_should_hold(key: str, text: str, meaning: str) -> None:
    with pytest.raises(
        UntrustedManifest, match=rf"^manifest of test: field {key} holds '.*', which is no {meaning}$"
    ) as e:
        parse(**{key: text})
    assert len(str(e.value)) < 200


@pytest.mark.parametrize("line", ["", "1number", "\xe9accent", "\0nul"])
def test_a_line_that_is_no_field_is_refused(line: str) -> None:
    body = "".join(f"{key}{text}\n" for key, text in FIELDS.items()) + line + "\n"
    with pytest.raises(UntrustedManifest, match="does not start with a field's letter"):
        manifest.parse(envelope(body), what="manifest of test", limit=10_000)


def test_more_bytes_than_allowed_are_refused_before_they_are_looked_at() -> None:
    with pytest.raises(UntrustedManifest, match=r"manifest of test: 10001 bytes are too many \(at most 10000\)"):
        manifest.parse(b"C" * 10_001, what="manifest of test", limit=10_000)


# The whitelist.

FINGERPRINT = "4A:A1:40:D8:C1:26:BE:45:D7:96:65:FB:E4:4B:68:F3:C4:C8:6C:EE"


def parse_list(*lines: str, created: str = "20261121023726", expires: str = "E20361118023726") -> Whitelist:
    body = "".join(f"{line}\n" for line in (created, expires, "Ntest.hep.example", *lines))
    return whitelist.parse(envelope(body), what="whitelist of test", limit=10_000)


def test_a_whitelist_gives_name_expiry_and_fingerprints() -> None:
    found = parse_list(FINGERPRINT, FINGERPRINT.replace("4A", "4B") + "-SHAKE128  # second", "# a comment")
    assert found.name == "test.hep.example"
    assert found.expires == 2110586400  # 2036-11-18 02:00 UTC
    assert found.fingerprints == {FINGERPRINT, FINGERPRINT.replace("4A", "4B") + "-SHAKE128"}


def test_minutes_and_seconds_of_the_expiry_do_not_count() -> None:
    full = parse_list(expires="E20361118020000").expires
    assert parse_list(expires="E20361118025959").expires == full
    assert parse_list(expires="E20361118030000").expires == full + 3600


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ({"created": "2026"}, "'2026' is no time of the form YYYYMMDDhhmmss"),
        ({"created": "20261121xx3726"}, "is no time of the form"),
        ({"created": "20261121250000"}, "is no time that exists"),
        ({"expires": "E2036111802372"}, "does not begin with its time, its expiry"),
        ({"expires": "X20361118023726"}, "does not begin with its time, its expiry"),
        ({"expires": "E20360230000000"}, "is no time that exists"),
    ],
)
def test_a_time_that_is_none_is_refused(lines: dict[str, str], sentence: str) -> None:
    with pytest.raises(UntrustedManifest, match=sentence):
        parse_list(FINGERPRINT, **lines)


@pytest.mark.parametrize("line", [FINGERPRINT[:-1], FINGERPRINT + ":00", FINGERPRINT + "-SHA256", "AA", "\xff\xfe"])
def test_a_line_that_is_no_fingerprint_is_refused(line: str) -> None:
    with pytest.raises(UntrustedManifest, match="is no certificate fingerprint"):
        parse_list(line)


def test_messages_show_garbage_as_printable_text() -> None:
    with pytest.raises(UntrustedManifest) as caught:
        parse_list("\x1b[2J\xff")
    assert re.fullmatch(r"[ -~]+", str(caught.value))
