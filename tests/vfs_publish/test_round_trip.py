"""What is published comes back: every entry, every attribute, every byte."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from hepwrap.cache.objects import Objects
from hepwrap.fetchers.registry import open_fetcher
from hepwrap.settings import FetchSettings, RepositorySettings
from hepwrap.vfs.publish import checker
from hepwrap.vfs.repository import Repository, open_repository
from tests.helpers.unprivileged import Unprivileged
from tests.vfs_publish import odd_tree
from tests.vfs_publish.conftest import NAME, Place
from tests.vfs_publish.store_reader import Store

IS_ROOT = os.geteuid() == 0


def compare(tree: Path, store: Store) -> None:
    """Everything that lstat, readlink, getxattr and read tell."""
    truth = odd_tree.paths(tree)
    assert set(store.entries) == set(truth)
    base = os.fsencode(tree)
    for path, status in truth.items():
        row = store.entries[path].row
        told = (row["mode"], row["uid"], row["gid"], row["mtime"] * 10**9 + row["mtimens"])
        assert told == (status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns), path
        assert 0 <= row["mtimens"] < 10**9
        if stat.S_ISLNK(status.st_mode):
            assert row["symlink"] == os.readlink(base + path)
        elif stat.S_ISREG(status.st_mode):
            assert store.entries[path].content == Path(os.fsdecode(base + path)).read_bytes(), path
        elif not stat.S_ISDIR(status.st_mode):
            assert row["size"] == status.st_rdev, path
        if not stat.S_ISDIR(status.st_mode):
            assert row["hardlinks"] & 0xFFFFFFFF == status.st_nlink, path
        if not stat.S_ISLNK(status.st_mode):
            assert store.entries[path].xattrs == odd_tree.attributes(base + path), path


@pytest.mark.parametrize("algorithm", ["sha1", "shake128"])
@pytest.mark.parametrize("compression", ["zlib", "none"])
def test_everything_odd_comes_back_equal(place: Place, algorithm: str, compression: str) -> None:
    odd_tree.make(place.tree, privileged=IS_ROOT)
    report = place.publish(algorithm=algorithm, compression=compression)
    store = place.read()
    compare(place.tree, store)
    store.verify_reflog()
    assert checker.check(place.base, objects=True) == []
    assert report.warnings == ()
    assert store.fields["C"].endswith("-shake128") == (algorithm == "shake128")
    assert store.entries[b"/chunked"].row["flags"] & 0x40
    assert not store.entries[b"/just one chunk"].row["flags"] & 0x40
    assert store.entries[b"/empty"].row["flags"] >> 11 & 7 == (compression == "none")


def test_an_ordinary_user_publishes_a_tree(unprivileged: Unprivileged) -> None:
    script = (
        "import sys, pathlib; from hepwrap.vfs.publish import keys; from hepwrap.vfs.publish.publisher import publish;"
        "p = pathlib.Path(sys.argv[1]); keys.generate('sw.hep.example', p / 'keys');"
        "publish(p / 'tree', name='sw.hep.example', store=p / 'store', keys=p / 'keys')"
    )
    home = unprivileged.home / "publishing"
    (home / "tree").mkdir(parents=True)
    odd_tree.make(home / "tree", privileged=False)
    if IS_ROOT:
        for path in odd_tree.paths(home):
            os.lchown(os.fsencode(home) + path, 54321, 54321)
    done = unprivileged.run([unprivileged.python, "-c", script, home])
    assert done.returncode == 0, done.stderr
    compare(home / "tree", Store(home / "store" / NAME))
    assert stat.S_IMODE((home / "keys" / f"{NAME}.masterkey").stat().st_mode) == 0o600


@pytest.mark.parametrize("algorithm", ["sha1", "shake128"])
def test_our_reader_reads_what_our_writer_writes(place: Place, algorithm: str) -> None:
    odd_tree.make(place.tree, privileged=IS_ROOT)
    place.write("sub/.cvmfscatalog")
    place.write("sub/deep/file", b"nested")
    place.publish(algorithm=algorithm, tag="v1")
    repository = _open(place)
    truth = odd_tree.paths(place.tree)
    base = os.fsencode(place.tree)
    for path, status in truth.items():
        entry = repository.lookup(path)
        assert entry is not None, path
        assert (entry.mode, entry.uid, entry.gid) == (status.st_mode, status.st_uid, status.st_gid)
        assert (entry.mtime * 10**9 + entry.mtime_ns) == status.st_mtime_ns
        if entry.is_file:
            assert b"".join(repository.read(entry)) == Path(os.fsdecode(base + path)).read_bytes()
        elif entry.is_symlink:
            assert entry.symlink == os.readlink(base + path)
        elif entry.is_dir:
            names = {path + b"/" + child.name for child in repository.listdir(path)}
            assert names == {other for other in truth if other and other.rpartition(b"/")[0] == path}
        else:
            assert entry.rdev == status.st_rdev
        if not entry.is_symlink:
            assert repository.xattrs(entry) == odd_tree.attributes(base + path)
    one, two, pair = (repository.lookup(b"/links/" + name) for name in (b"one", b"two", b"pair a"))
    assert one is not None
    assert two is not None
    assert pair is not None
    assert one.link_group == two.link_group != pair.link_group
    assert repository.lookup(b"/sub/deep/nothing") is None
    assert {tag.name for tag in repository.tags()} >= {"trunk", "v1"}


def _open(place: Place) -> Repository:
    fetch = FetchSettings(servers=(str(place.base),))
    settings = RepositorySettings(NAME, fetch=fetch, public_keys=(place.keys / f"{NAME}.pub",))
    return open_repository(settings, open_fetcher(fetch, fqrn=NAME), Objects(), state=None)


def test_attributes_that_do_not_fit_are_left_out_with_a_warning(place: Place) -> None:
    path = place.write("file")
    try:
        os.setxattr(path, b"user.large", b"x" * 256)
        os.setxattr(path, b"user.small", b"y")
    except OSError:
        pytest.skip("this file system has no user attributes of that size")
    report = place.publish()
    assert place.read().entries[b"/file"].xattrs == {b"user.small": b"y"}
    assert len(report.warnings) == 1
    assert "/file: attribute user.large does not fit" in report.warnings[0]


def test_links_across_directories_become_separate_files_with_a_warning(place: Place) -> None:
    first = place.write("a/file", b"linked")
    os.link(first, place.write("b/other").parent / "file")
    os.link(first, place.tree / "a" / "second")
    report = place.publish()
    entries = place.read().entries
    assert entries[b"/a/file"].row["hardlinks"] == entries[b"/a/second"].row["hardlinks"] == (1 << 32 | 2)
    assert entries[b"/b/file"].row["hardlinks"] == 1
    assert entries[b"/b/file"].content == b"linked"
    assert [text for text in report.warnings if "/a/file and /b/file are hard links" in text] == list(report.warnings)
    assert len(report.warnings) == 1


def test_a_link_to_outside_of_the_tree_is_an_ordinary_file_without_a_warning(place: Place) -> None:
    os.link(place.write("file", b"x"), place.tree.parent / "outside")
    report = place.publish()
    assert place.read().entries[b"/file"].row["hardlinks"] == 1
    assert report.warnings == ()


def test_a_web_server_of_another_user_can_read_everything_whatever_the_umask(place: Place) -> None:
    place.write("file", b"x")
    before = os.umask(0o077)
    try:
        place.publish(master_replica=True)
    finally:
        os.umask(before)
    for directory, names, files in os.walk(place.base):
        if ".publisher" in names:
            assert stat.S_IMODE(os.stat(os.path.join(directory, ".publisher")).st_mode) == 0o700
            names.remove(".publisher")
        for name in names:
            assert stat.S_IMODE(os.stat(os.path.join(directory, name)).st_mode) == 0o755
        for name in files:
            assert stat.S_IMODE(os.stat(os.path.join(directory, name)).st_mode) == 0o644, name
    assert stat.S_IMODE(place.base.stat().st_mode) == stat.S_IMODE(place.store.stat().st_mode) == 0o755
    assert (place.base / ".cvmfs_master_replica").exists()
