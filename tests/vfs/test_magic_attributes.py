"""The magic attributes: their values, of which entries, and who sees them listed."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hepwrap import __version__
from hepwrap.errors import NoAttribute
from hepwrap.vfs.entry import Entry
from hepwrap.vfs.magic import ROWS, MagicAttributes
from hepwrap.vfs.repository import Repository
from hepwrap.vfs.xattrs import decode
from tests.helpers.workshop import Workshop

FACTS = {"pid": 4711, "uptime": 3, "maxfd": 1024, "nioerr": 2, "timestamp_last_ioerr": 1_800_000_000}


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(tmp_path_factory.mktemp("magic"))


@pytest.fixture(scope="module")
def magic(workshop: Workshop) -> Iterator[MagicAttributes]:
    repository = workshop.open()
    yield MagicAttributes(repository, facts=lambda: FACTS)
    repository.close()


def entry_at(repository: Repository, path: bytes) -> Entry:
    entry = repository.lookup(path)
    assert entry is not None
    return entry


def value(magic: MagicAttributes, path: bytes, name: str) -> str:
    return magic.get(entry_at(magic.repository, path), name.encode()).decode()


def find(repository: Repository, wanted: Callable[[Entry], bool]) -> Entry:
    pending = [b""]
    while pending:
        for entry in repository.listdir(pending.pop()):
            if wanted(entry):
                return entry
            if entry.is_dir:
                pending.append(entry.path)
    raise AssertionError("no such entry")


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("user.fqrn", "test.hep.example"),
        ("user.revision", "2"),
        ("user.root_hash", "2cd145415d97cba6f605ae35dd46ac927bf6a4fc"),
        ("user.tag", ""),
        ("user.version", __version__),
        ("user.expires", "never (fixed root catalog)"),
        ("user.proxy", "DIRECT"),
        ("user.timeout", "5"),
        ("user.timeout_direct", "10"),
        ("user.pid", "4711"),
        ("user.uptime", "3"),
        ("user.maxfd", "1024"),
        ("user.usedfd", "0"),
        ("user.nioerr", "2"),
        ("user.timestamp_last_ioerr", "1800000000"),
        ("user.ncleanup24", "-1"),
    ],
)
@pytest.mark.parametrize("path", [b"", b"/README", b"/sw/v1", b"/links/self"])
def test_what_is_true_of_the_repository_is_answered_at_every_entry(
    name: str, wanted: str, path: bytes, magic: MagicAttributes
) -> None:
    assert value(magic, path, name) == wanted


def test_the_tag_that_was_asked_for_is_shown(workshop: Workshop) -> None:
    pinned = MagicAttributes(workshop.open(tag="v1.0"))
    assert (value(pinned, b"", "user.tag"), value(pinned, b"", "user.revision")) == ("v1.0", "1")


def test_servers_are_shown_as_the_fetcher_describes_them(magic: MagicAttributes, workshop: Workshop) -> None:
    assert value(magic, b"", "user.host") == str(workshop.root)
    assert value(magic, b"", "user.host_list") == str(workshop.root)


def test_public_keys_are_the_pem_texts(magic: MagicAttributes, workshop: Workshop) -> None:
    assert magic.get(entry_at(magic.repository, b""), b"user.pubkeys") == workshop.public_key.read_bytes()


def test_meta_information_is_the_repository_s_own_json(magic: MagicAttributes) -> None:
    assert json.loads(value(magic, b"", "user.repo_metainfo"))["description"] == "synthetic repository"


def test_a_repository_without_meta_information_says_so(tmp_path: Path) -> None:
    bare = Workshop(tmp_path)
    del bare.manifest["M"]
    bare.sign_manifest()
    assert value(MagicAttributes(bare.open()), b"", "user.repo_metainfo") == "metainfo not available"


def test_counters_of_catalogues_are_rows_of_name_and_value(magic: MagicAttributes) -> None:
    lines = value(magic, b"", "user.repo_counters").splitlines()
    assert "self_regular,45" in lines
    assert "subtree_regular,2137" in lines
    head = value(magic, b"/sw/v1/lib", "user.catalog_counters").splitlines()[:2]
    assert head == ["catalog_hash: b3a3acad430985bb6fe0d86545c1e0d15d982526", "catalog_mountpoint: /sw/v1"]
    assert value(magic, b"", "user.catalog_counters").splitlines()[1] == "catalog_mountpoint: /"


def test_loaded_catalogues_and_received_bytes_are_counted(workshop: Workshop) -> None:
    magic = MagicAttributes(workshop.open())
    before = int(value(magic, b"", "user.nclg")), int(value(magic, b"", "user.ndownload"))
    magic.repository.listdir(b"/data/many")
    assert (int(value(magic, b"", "user.nclg")), int(value(magic, b"", "user.ndownload"))) == (3, before[1] + 2)
    assert before[0] == 1
    assert int(value(magic, b"", "user.rx")) == magic.repository.fetcher.counters.bytes_received // 1024 > 0


def test_hash_and_lhash_of_a_zlib_file_are_the_object_s(magic: MagicAttributes) -> None:
    digest = str(entry_at(magic.repository, b"/README").digest)
    assert value(magic, b"/README", "user.hash") == value(magic, b"/README", "user.lhash") == digest


def test_lhash_of_a_stored_file_is_of_its_recompression(magic: MagicAttributes) -> None:
    entry = find(magic.repository, lambda e: e.compression == "none" and e.digest is not None and e.size > 0)
    content = b"".join(magic.repository.read(entry))
    assert magic.get(entry, b"user.hash").decode() == hashlib.sha1(content).hexdigest()
    assert magic.get(entry, b"user.lhash").decode() == hashlib.sha1(zlib.compress(content)).hexdigest()
    assert magic.get(entry, b"user.compression") == b"none"


def test_a_chunked_file_lists_its_chunks_and_has_no_hash(magic: MagicAttributes) -> None:
    entry = find(magic.repository, lambda e: e.is_chunked and e.size == 500000)
    head, *rows = magic.get(entry, b"user.chunk_list").decode().splitlines()
    assert head == "hash,offset,size"
    assert magic.get(entry, b"user.chunks").decode() == str(len(rows)) == "3"
    assert sum(int(row.split(",")[2]) for row in rows) == 500000
    for name in (b"user.hash", b"user.lhash"):
        with pytest.raises(NoAttribute, match=r"test\.hep\.example:/.* has no extended attribute user\.l?hash"):
            magic.get(entry, name)


def test_a_plain_file_is_one_chunk(magic: MagicAttributes) -> None:
    digest = value(magic, b"/README", "user.hash")
    assert value(magic, b"/README", "user.chunks") == "1"
    assert value(magic, b"/README", "user.chunk_list") == f"hash,offset,size\n{digest},0,26\n"
    assert value(magic, b"/README", "user.compression") == "zlib"
    assert value(magic, b"/README", "user.external_file") == value(magic, b"/README", "user.direct_io") == "0"


def test_rawlink_is_the_target_before_expansion(magic: MagicAttributes) -> None:
    entry = entry_at(magic.repository, b"/links/var_default")
    assert b"$(" in entry.symlink
    assert magic.get(entry, b"user.rawlink") == magic.get(entry, b"xfsroot.rawlink") == entry.symlink


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (b"/README", "user.rawlink"),
        (b"", "user.hash"),
        (b"", "user.chunks"),
        (b"/links/self", "user.compression"),
        (b"/README", "user.nothing"),
        (b"/README", "fqrn"),
        (b"/README", "security.selinux"),
        (b"/README", ""),
    ],
)
def test_what_an_entry_does_not_have_is_no_attribute(path: bytes, name: str, magic: MagicAttributes) -> None:
    with pytest.raises(NoAttribute):
        value(magic, path, name)


def test_stored_attributes_are_there_as_well(magic: MagicAttributes) -> None:
    assert value(magic, b"/xattr/with", "user.hep.dataset") == "mc16"
    assert magic.names(entry_at(magic.repository, b"/xattr/with")) == [b"user.bin", b"user.hep.dataset"]


def test_a_stored_attribute_wins_over_a_magic_one_and_is_listed_once(tmp_path: Path) -> None:
    blob = b"\x01\x01" + bytes((9, 4)) + b"user.fqrn" + b"mine"
    assert decode(blob, where="here") == {b"user.fqrn": b"mine"}
    workshop = Workshop(tmp_path)
    workshop.edit_catalog("", lambda db: db.execute("UPDATE catalog SET xattr = ? WHERE name = 'README'", (blob,)))
    magic = MagicAttributes(workshop.open(magic_xattrs_visibility="always"))
    assert value(magic, b"/README", "user.fqrn") == "mine"
    assert magic.names(entry_at(magic.repository, b"/README")).count(b"user.fqrn") == 1


@pytest.mark.parametrize(
    ("visibility", "at_root", "elsewhere"), [("rootonly", True, False), ("always", True, True), ("never", False, False)]
)
def test_listing_follows_the_visibility_but_asking_by_name_always_works(
    visibility: str, at_root: bool, elsewhere: bool, workshop: Workshop
) -> None:
    magic = MagicAttributes(workshop.open(magic_xattrs_visibility=visibility))
    for path, shown in ((b"", at_root), (b"/README", elsewhere)):
        entry = entry_at(magic.repository, path)
        assert (b"user.fqrn" in magic.names(entry)) is shown
        assert magic.get(entry, b"user.fqrn") == b"test.hep.example"


def test_every_listed_attribute_can_be_read(workshop: Workshop) -> None:
    magic = MagicAttributes(workshop.open(magic_xattrs_visibility="always"))
    listed: set[bytes] = set()
    for path in (b"", b"/README", b"/links/self", b"/special_null", b"/sw"):
        entry = entry_at(magic.repository, path)
        names = magic.names(entry)
        listed.update(names)
        for name in names:
            assert isinstance(magic.get(entry, name), bytes)
    assert listed == set(ROWS)


def test_every_attribute_that_scripts_rely_on_has_a_row() -> None:
    relied_on = (
        "fqrn revision root_hash tag version host host_list proxy proxy_list timeout timeout_direct expires pid uptime "
        "nclg inode_max maxfd usedfd nopen ndownload rx nioerr timestamp_last_ioerr pubkeys repo_metainfo "
        "repo_counters catalog_counters hash lhash chunks chunk_list compression rawlink external_file direct_io"
    )
    assert {f"user.{name}".encode() for name in relied_on.split()} <= set(ROWS)
