"""Random and mutated bytes in every document that comes from outside: nothing but our own errors ever comes out."""

from __future__ import annotations

import base64
import contextlib
import sqlite3
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hepwrap.digest import Digest
from hepwrap.errors import HepwrapError
from hepwrap.vfs import certificate, envelope, history, manifest, master_key, whitelist, xattrs
from hepwrap.vfs.catalog import Catalog
from hepwrap.vfs.image import Image
from hepwrap.vfs.trust import Trust
from tests.helpers.shared import shared_path
from tests.helpers.workshop import NOW, object_name

FAST = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
SLOW = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))

ROOT = "2cd145415d97cba6f605ae35dd46ac927bf6a4fc"
HISTORY = "5439c0d7a583168a5f1d047d2735bd46263c5862"
CERTIFICATE = "1de42d2ac7708ae06bf5113a34638087ffef4775"


@cache
def shared(name: str) -> bytes:
    return (shared_path("data/test.hep.example/repo") / name).read_bytes()


def content(digest: str, letter: str) -> bytes:
    return zlib.decompress(shared(object_name(digest, letter)))


@cache
def trust() -> Trust:
    key = shared_path("data/test.hep.example/keys/test.hep.example.pub")
    return Trust("test.hep.example", master_key.load([key], "test.hep.example"), NOW)


@st.composite
def mutations(draw: st.DrawFn, original: Callable[[], bytes]) -> bytes:
    """The original with a few bytes changed, taken out, put in, or all after a point cut off."""
    data = bytearray(original())
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        kind = draw(st.sampled_from(("change", "change", "change", "delete", "insert", "cut", "swap")))
        if kind == "change" and data:
            data[at] = draw(st.integers(0, 255))
        elif kind == "delete":
            del data[at : at + draw(st.integers(1, 40))]
        elif kind == "insert":
            data[at:at] = draw(st.binary(min_size=1, max_size=40))
        elif kind == "cut":
            del data[at:]
        elif len(data) > 200:
            other = draw(st.integers(0, len(data) - 100))
            data[at : at + 100] = data[other : other + 100]
    return bytes(data)


def only_ours(work: Callable[[], object]) -> None:
    with contextlib.suppress(HepwrapError):
        work()


@FAST
@given(st.one_of(st.binary(max_size=2000), mutations(lambda: shared(".cvmfspublished"))))
def test_no_bytes_crash_the_manifest(data: bytes) -> None:
    only_ours(lambda: manifest.parse(data, what="manifest", limit=4000))
    only_ours(lambda: trust().manifest(data))


@FAST
@given(st.one_of(st.binary(max_size=2000), mutations(lambda: shared(".cvmfswhitelist"))))
def test_no_bytes_crash_the_whitelist(data: bytes) -> None:
    only_ours(lambda: whitelist.parse(data, what="whitelist", limit=4000))
    only_ours(lambda: trust().whitelist(data, certificate.load(content(CERTIFICATE, "X"), what="certificate")))


@FAST
@given(mutations(lambda: shared(".cvmfspublished")))
def test_a_mutated_manifest_is_never_believed(data: bytes) -> None:
    """Unless the mutation gave back the original."""
    if data == shared(".cvmfspublished"):
        return
    with pytest.raises(HepwrapError):  # noqa: PT012 - any of the steps may refuse
        found = trust().manifest(data)
        trust().certificate(found, content(CERTIFICATE, "X"))


@FAST
@given(mutations(lambda: shared(".cvmfswhitelist")))
def test_a_mutated_whitelist_is_never_believed(data: bytes) -> None:
    if data == shared(".cvmfswhitelist"):
        return
    with pytest.raises(HepwrapError):
        trust().whitelist(data, certificate.load(content(CERTIFICATE, "X"), what="certificate"))


@FAST
@given(st.one_of(st.binary(max_size=1500), mutations(lambda: content(CERTIFICATE, "X"))))
def test_no_bytes_crash_the_certificate(data: bytes) -> None:
    only_ours(lambda: certificate.load(data, what="certificate"))


@FAST
@given(mutations(lambda: certificate.load(content(CERTIFICATE, "X"), what="certificate").der))
def test_no_der_crashes_the_certificate(der: bytes) -> None:
    pem = b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(der) + b"-----END CERTIFICATE-----\n"
    only_ours(lambda: certificate.load(pem, what="certificate").fingerprint("shake128"))


@FAST
@given(st.binary(max_size=300))
def test_no_bytes_crash_the_attributes(blob: bytes) -> None:
    only_ours(lambda: xattrs.decode(b"\x01" + blob, where="row"))


def use(data: bytes) -> None:
    """Everything that a repository asks of a catalogue."""
    catalog = Catalog(Image(data, what="catalogue"), Digest.of(data))
    catalog.statistics()
    pending = [b""]
    # A file of this size cannot hold more directories; a broken one must not lead round in circles for ever.
    for _ in range(500):
        if not pending:
            return
        directory = pending.pop()
        only_ours(lambda path=directory: catalog.lookup(path))  # type: ignore[misc]
        with contextlib.suppress(HepwrapError):
            for entry in catalog.listdir(directory):
                only_ours(lambda path=entry.path: catalog.xattrs(path))  # type: ignore[misc]
                only_ours(lambda row=entry: catalog.chunks(row))  # type: ignore[misc]
                pending += [entry.path] if entry.is_dir else []


@SLOW
@given(mutations(lambda: content(ROOT, "C")))
def test_no_bytes_crash_the_catalogue(data: bytes) -> None:
    only_ours(lambda: use(data))


@SLOW
@given(st.binary(max_size=4096))
def test_no_bytes_behind_a_right_header_crash_the_catalogue(data: bytes) -> None:
    only_ours(lambda: use(content(ROOT, "C")[:100] + data))


@SLOW
@given(mutations(lambda: content(HISTORY, "H")))
def test_no_bytes_crash_the_history(data: bytes) -> None:
    only_ours(lambda: history.read(data, what="history", name="test.hep.example"))


COLUMNS = (
    "hardlinks", "hash", "size", "mode", "mtime", "mtimens", "flags", "name", "symlink", "uid", "gid", "xattr",
    "parent_1", "md5path_2",
)  # fmt: skip
VALUES = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.binary(max_size=300),
    st.sampled_from(["", "text", "é"]),
)


@SLOW
@given(st.dictionaries(st.sampled_from(COLUMNS), VALUES, min_size=1, max_size=4))
def test_no_values_in_the_rows_crash_the_catalogue(changes: dict[str, object]) -> None:
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.deserialize(content(ROOT, "C"))
    for column, value in changes.items():
        for name in ("README", "a", "self", "emptydir"):
            with contextlib.suppress(sqlite3.IntegrityError):
                db.execute(f"UPDATE catalog SET {column} = ? WHERE name = ?", (value, name))
    only_ours(lambda: use(db.serialize()))


@FAST
@given(st.binary(max_size=400))
def test_no_bytes_crash_the_envelope(data: bytes) -> None:
    only_ours(lambda: envelope.split(data, what="x", limit=300).check_hash())


def test_the_originals_pass_all_of_it(tmp_path: Path) -> None:
    """Else the tests above could pass because everything is refused for one reason."""
    found = trust().manifest(shared(".cvmfspublished"))
    loaded = trust().certificate(found, content(CERTIFICATE, "X"))
    assert trust().whitelist(shared(".cvmfswhitelist"), loaded).fingerprint.startswith("4A:A1")
    use(content(ROOT, "C"))
    assert len(history.read(content(HISTORY, "H"), what="history", name="test.hep.example")) == 4
