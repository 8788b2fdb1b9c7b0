"""The shared repositories against what the real client showed of them."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from hepwrap.vfs.entry import Entry
from hepwrap.vfs.repository import Repository
from tests.helpers.shared import shared_path
from tests.helpers.workshop import Workshop

TYPES = {
    "d": stat.S_IFDIR, "f": stat.S_IFREG, "l": stat.S_IFLNK, "p": stat.S_IFIFO, "c": stat.S_IFCHR, "s": stat.S_IFSOCK,
}  # fmt: skip


def unescape(text: str) -> bytes:
    return re.sub(rb"\\x([0-9a-f]{2})", lambda match: bytes.fromhex(match[1].decode()), text.encode("latin-1"))


def rows(name: str) -> list[list[str]]:
    text = (shared_path("data/test.hep.example") / name).read_text("latin-1")
    return [line.split("\t") for line in text.split("\n") if line and not line.startswith("#")]


def inside(path: str) -> bytes:
    return b"" if path == "/" else unescape(path)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    opened = Workshop(tmp_path_factory.mktemp("truth")).open()
    yield opened
    opened.close()


def walk(repository: Repository) -> Iterator[Entry]:
    root = repository.lookup(b"")
    assert root is not None
    pending = [root]
    while pending:
        entry = pending.pop()
        yield entry
        if entry.is_dir:
            pending += repository.listdir(entry.path)


def test_every_attribute_of_every_entry_is_as_the_real_client_showed_it(repository: Repository) -> None:
    truth = rows("listing.tsv")
    assert len(truth) == 2279
    raw = {path: unescape(target) for path, target in rows("symlinks_raw.tsv")}
    groups: dict[object, set[str]] = {}
    for path, kind, mode, uid, gid, size, seconds, nanoseconds, nlink, group, rdev, _link, _sha in truth:
        entry = repository.lookup(inside(path))
        assert entry is not None, path
        assert entry.path == inside(path)
        assert (stat.S_IFMT(entry.mode), stat.S_IMODE(entry.mode)) == (TYPES[kind], int(mode, 8)), path
        assert (entry.uid, entry.gid, entry.nlink) == (int(uid), int(gid), int(nlink)), path
        assert (entry.mtime, entry.mtime_ns, entry.rdev) == (int(seconds), int(nanoseconds), int(rdev)), path
        if entry.is_symlink:
            assert entry.symlink == raw[path]
            assert entry.size == len(raw[path])
        else:
            assert entry.size == int(size), path
        assert (entry.link_group is None) == (group == "-"), path
        if group != "-":
            groups.setdefault(entry.link_group, set()).add(group)
    assert sorted(map(sorted, groups.values())) == [["/hard/a"], ["/hard/x"]]


def test_every_file_has_the_content_that_the_real_client_read(repository: Repository) -> None:
    files = [(row[0], row[12]) for row in rows("listing.tsv") if row[1] == "f"]
    assert len(files) == 2182
    for path, wanted in files:
        entry = repository.lookup(inside(path))
        assert entry is not None
        hasher = hashlib.sha256()
        for piece in repository.read(entry):
            hasher.update(piece)
        assert hasher.hexdigest() == wanted, path


def test_walking_finds_exactly_what_the_real_client_listed(repository: Repository) -> None:
    found = [entry.path for entry in walk(repository)]
    assert sorted(found) == sorted(inside(row[0]) for row in rows("listing.tsv"))


def test_listing_and_lookup_give_equal_entries(repository: Repository) -> None:
    for entry in walk(repository):
        assert repository.lookup(entry.path) == entry


def test_catalogues_are_those_that_the_publisher_made(repository: Repository) -> None:
    for path, digest, _depth, count, size in rows("catalogs.tsv"):
        catalog = repository.tree.catalog_below(inside(path))
        assert (catalog.mount, str(catalog.digest), catalog.image.size) == (inside(path), digest, int(size))
        assert len(catalog.image.select("catalog", ("flags",))) == int(count)
    assert repository.tree.loaded == 6


def test_a_mount_point_has_equal_attributes_in_parent_and_child(repository: Repository) -> None:
    """The choice of the parent's row (see catalog_tree) changes nothing in what the real publisher writes."""
    for path, *_ in rows("catalogs.tsv")[1:]:
        in_child = repository.tree.catalog_below(inside(path)).lookup(inside(path))
        in_parent = repository.lookup(inside(path))
        assert in_child is not None
        assert in_parent is not None
        assert in_parent.is_nested_mount
        for field in ("mode", "size", "mtime", "mtime_ns", "uid", "gid", "nlink"):
            assert getattr(in_child, field) == getattr(in_parent, field), (path, field)


def test_user_attributes_are_those_that_were_stored(repository: Repository) -> None:
    wanted: dict[bytes, dict[bytes, bytes]] = {}
    for path, name, value in rows("user_xattrs.tsv"):
        wanted.setdefault(inside(path), {})[name.encode()] = unescape(value)
    found = {entry.path: repository.xattrs(entry) for entry in walk(repository)}
    assert {path: attributes for path, attributes in found.items() if attributes} == wanted


def test_parts_of_a_chunked_file_are_its_chunks_in_order(repository: Repository) -> None:
    chunked = [entry for entry in walk(repository) if entry.is_chunked]
    assert len(chunked) == 5
    for entry in chunked:
        parts = repository.parts(entry)
        assert {part.ref.letter for part in parts} == {"P"}
        ends = [part.offset + part.size for part in parts]
        assert [part.offset for part in parts] == [0, *ends[:-1]]
        assert ends[-1] == entry.size
    assert {entry.compression for entry in chunked} == {"zlib", "none"}


def test_an_empty_file_needs_no_object(repository: Repository) -> None:
    entry = repository.lookup(b"/data/.cvmfscatalog")
    assert entry is not None
    assert entry.size == 0
    assert repository.parts(entry) == []
    assert list(repository.read(entry)) == []


def test_what_is_not_there_is_none_in_every_catalogue(repository: Repository) -> None:
    for path in (
        b"/nope",
        b"/sw/nope",
        b"/sw/v1/nope",
        b"/sw/v1/nope/deeper",
        b"/README/below-a-file",
        b"/data/many/no",
    ):
        assert repository.lookup(path) is None


def test_only_catalogues_on_the_way_are_loaded(tmp_path: Path) -> None:
    repository = Workshop(tmp_path).open()
    assert repository.tree.loaded == 1
    # The mount point itself stands in its parent.
    assert repository.lookup(b"/sw") is not None
    assert repository.tree.loaded == 1
    assert repository.lookup(b"/sw/v1/nope") is None
    assert repository.tree.loaded == 3


def test_catalogues_over_the_bound_are_dropped_and_read_again(tmp_path: Path) -> None:
    repository = Workshop(tmp_path).open()
    repository.tree._kept_bytes = 1
    assert len(repository.listdir(b"/data/many")) == 2001
    assert repository.lookup(b"/sw/v1/nope") is None
    assert repository.tree.loaded == 2
    assert len(repository.listdir(b"/data/many")) == 2001
    assert repository.tree.loads == 6


def test_the_shake128_repository_reads_whole(tmp_path: Path) -> None:
    repository = Workshop(tmp_path, "shake128.hep.example", "shake.hep.example", "-shake128").open()
    entries = list(walk(repository))
    assert len(entries) > 50
    assert repository.root_hash.algorithm.name == "shake128"
    read = 0
    for entry in entries:
        if entry.is_file:
            assert sum(len(piece) for piece in repository.read(entry)) == entry.size
            read += 1
    assert read > 20


def test_a_device_keeps_its_numbers_and_has_no_size(repository: Repository) -> None:
    entry = repository.lookup(b"/special_null")
    assert entry is not None
    assert (os.major(entry.rdev), os.minor(entry.rdev), entry.size) == (1, 3, 0)
