"""shake.hep.example, whose objects are named by SHAKE-128: read whole, against an independent reader of its store.

There is no listing of it by the real client, so the truth is what the standard library makes of its catalogues.
"""

from __future__ import annotations

import hashlib
import os
import stat

import pytest

from tests.helpers import walking
from tests.helpers.launches import Launches, flags_of, quiet
from tests.helpers.repositories import ServedRepository
from tests.helpers.unprivileged import Unprivileged
from tests.vfs_publish.store_reader import Store

NAME = "shake.hep.example"
RECORDED = {"CVMFS_CLAIM_OWNERSHIP": "no"}


@pytest.fixture(scope="module")
def store(shake_repository: ServedRepository) -> Store:
    return Store(shake_repository.directory)


@pytest.fixture
def root_shake(unprivileged: Unprivileged, shake_repository: ServedRepository, patching: list[str]) -> Launches:
    if os.geteuid() != 0:
        pytest.skip("reading what mode bits forbid an ordinary user needs root")
    return Launches.as_myself(unprivileged, [*flags_of(unprivileged, shake_repository), *patching])


def test_every_entry_is_as_an_independent_reader_finds_it(root_shake: Launches, store: Store) -> None:
    command = walking.command(root_shake.user.python, f"/cvmfs/{NAME}")
    walk = walking.parse(root_shake.ok(*command, env=RECORDED))
    assert set(walk.entries) == set(store.entries)
    assert len(walk.entries) == 107
    assert walk.refused == []
    for path, item in store.entries.items():
        shown, row = walk.entries[path], item.row
        assert (shown["mode"], shown["uid"], shown["gid"]) == (row["mode"], row["uid"], row["gid"]), path
        assert shown["mtime_ns"] == row["mtime"] * 10**9 + (row["mtimens"] or 0), path
        if stat.S_ISREG(row["mode"]):
            assert shown["sha256"] == hashlib.sha256(item.content).hexdigest(), path
            assert shown["size"] == row["size"], path
        if path:
            assert shown["attributes"] == {name.decode(): value.hex() for name, value in item.xattrs.items()}, path


def test_the_algorithm_shows_in_the_root_hash(root_shake: Launches) -> None:
    shown = root_shake.ok("getfattr", "--absolute-names", "--only-values", "-n", "user.root_hash", f"/cvmfs/{NAME}")
    assert shown.endswith(b"-shake128")


def test_both_repositories_stand_side_by_side(
    unprivileged: Unprivileged,
    shake_repository: ServedRepository,
    test_repository: ServedRepository,
    patching: list[str],
) -> None:
    """Two repositories are two devices, and `..` leads from one to the other."""
    launcher = Launches.of(unprivileged, [*flags_of(unprivileged, shake_repository, test_repository), *patching])
    assert launcher.ok("ls", "/cvmfs") == b"shake.hep.example\ntest.hep.example\n"
    devices = launcher.ok("stat", "-c", "%d", f"/cvmfs/{NAME}", "/cvmfs/test.hep.example").split()
    assert len(set(devices)) == 2
    assert launcher.ok("cat", f"/cvmfs/{NAME}/../test.hep.example/README") == b"synthetic test repository\n"


def test_it_is_looked_at_without_tracing_as_well(
    unprivileged: Unprivileged, shake_repository: ServedRepository, store: Store
) -> None:
    """As who may read all, where that is root; every name is listed all the same."""
    launches = Launches.as_myself(unprivileged, flags_of(unprivileged, shake_repository))
    text = quiet(launches.look("find", f"{NAME}/", "-print0"))
    assert len(text.split(b"\0")[:-1]) == len(store.entries)
