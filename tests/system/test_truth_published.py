"""Published by `hepwrap publish`, served by `hepwrap serve`, read under hepwrap: equal to the tree on disk.

The truth is the kernel's own word on the original tree, told by the same program as the same user.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.helpers import walking
from tests.helpers.fixtures import publishes
from tests.helpers.launches import Launches, quiet
from tests.helpers.publishing import Published, publish_and_serve
from tests.helpers.unprivileged import UID, Unprivileged
from tests.vfs_publish import odd_tree

NAME = "odd.hep.example"
IS_ROOT = os.geteuid() == 0
RECORDED = {"CVMFS_CLAIM_OWNERSHIP": "no"}
VARIANT = b"/links/variant"


def build(tree: Path) -> None:
    """The odd tree, and three nested catalogues."""
    tree.mkdir()
    odd_tree.make(tree, privileged=IS_ROOT)
    for index, name in enumerate(("a", "b", "c")):
        (tree / "catalogues" / name).mkdir(parents=True)
        (tree / "catalogues" / name / ".cvmfscatalog").touch()
        (tree / "catalogues" / name / "file").write_text(name * (index + 1))
    os.chmod(tree, 0o755)


published = publishes(NAME, build)


@pytest.fixture
def wrapped(published: Published, unprivileged: Unprivileged, patching: list[str]) -> Launches:
    return Launches.of(unprivileged, [*published.flags, *patching])


def walks(launcher: Launches, tree: Path) -> tuple[walking.Walk, walking.Walk]:
    """What the kernel says of the tree, and what the program is shown under hepwrap."""
    python = launcher.user.python
    native = walking.parse(quiet(launcher.native(*walking.command(python, tree), text=False)))
    shown = walking.parse(launcher.ok(*walking.command(python, f"/cvmfs/{NAME}"), env=RECORDED))
    return native, shown


def assert_equal(native: walking.Walk, shown: walking.Walk) -> None:
    """Every fact; but for the one link with a variable, which is expanded."""
    assert set(shown.entries) == set(native.entries)
    there, here = shown.told(), native.told()
    assert bytes.fromhex(there[VARIANT].pop("target")) == b"v1/bin", "the one link with a variable is expanded"
    assert bytes.fromhex(here[VARIANT].pop("target")) == b"$(HEPVER:-v1)/bin"
    assert (there[VARIANT].pop("size"), here[VARIANT].pop("size")) == (6, 17)
    for path, facts in here.items():
        assert there[path] == facts, path
    assert shown.groups() == native.groups()
    assert shown.refused == native.refused


def test_the_tree_comes_back_equal_for_an_ordinary_user(wrapped: Launches, published: Published) -> None:
    """Including what is refused: the modes 0400 and 0600 are root's files."""
    native, shown = walks(wrapped, published.tree)
    assert_equal(native, shown)
    if IS_ROOT:
        assert native.entries[b"/modes/400"]["sha256"] == "EACCES"


def test_the_tree_comes_back_equal_for_who_may_read_all(wrapped: Launches, published: Published) -> None:
    tester = Launches.as_myself(wrapped.user, wrapped.options)
    native, shown = walks(tester, published.tree)
    assert_equal(native, shown)
    assert native.entries[b"/modes/400"]["sha256"] != "EACCES"


@pytest.mark.skipif(not IS_ROOT, reason="only root can give the tree to an ordinary user")
def test_an_ordinary_user_does_the_whole_way_alone(unprivileged: Unprivileged, patching: list[str]) -> None:
    """keygen, publish, serve and the launch, all without any privilege."""
    place = unprivileged.home / f"alone{''.join(patching)}"
    (place / "tree").mkdir(parents=True)
    odd_tree.make(place / "tree", privileged=False)
    for path in odd_tree.paths(place):
        os.lchown(os.fsencode(place) + path, UID, UID)
    user = Launches.of(unprivileged)
    with publish_and_serve(user, NAME, place / "tree", place) as served:
        launcher = Launches.of(unprivileged, [*served.flags, *patching])
        native, shown = walks(launcher, place / "tree")
        assert_equal(native, shown)
        assert native.entries[b"/modes/400"]["uid"] == UID


def test_recursive_comparison_by_diff_finds_nothing(wrapped: Launches, published: Published) -> None:
    for name in ("odd names", "times", "catalogues", "attributes"):
        assert wrapped.ok("diff", "-r", "--no-dereference", published.tree / name, f"/cvmfs/{NAME}/{name}") == b""


def test_a_copy_out_of_the_repository_is_the_tree_again(wrapped: Launches, published: Published) -> None:
    """cp -a reads modes, times, links, attributes and holes."""
    target = wrapped.home / "copy"
    names = [
        f"/cvmfs/{NAME}/{name}" for name in ("odd names", "times", "attributes", "sparse", "links/one", "links/two")
    ]
    wrapped.ok("mkdir", target)
    wrapped.ok("cp", "-a", *names, target)
    copied = walking.parse(quiet(wrapped.native(*walking.command(wrapped.user.python, target), text=False)))
    original = walking.parse(quiet(wrapped.native(*walking.command(wrapped.user.python, published.tree), text=False)))
    for path, facts in copied.told("uid", "gid", "size", "may").items():
        if path and not path.startswith((b"/one", b"/two")):
            assert facts == original.told("uid", "gid", "size", "may")[path], path
    assert copied.entries[b"/one"]["inode"] == copied.entries[b"/two"]["inode"]


def test_a_new_revision_is_seen_by_the_next_launch_that_asks_and_not_by_a_running_one(
    unprivileged: Unprivileged, tester: Launches, patching: list[str], open_place: Path
) -> None:
    place = open_place / f"revisions{''.join(patching)}"
    (place / "tree").mkdir(parents=True)
    (place / "tree" / "file").write_text("first\n")
    with publish_and_serve(tester, NAME, place / "tree", place) as served:
        launcher = Launches.of(unprivileged, [*served.flags, *patching])
        with launcher.start("sh", "-c", f"cat /cvmfs/{NAME}/file; read go; cat /cvmfs/{NAME}/*") as running:
            assert running.line() == "first"
            (place / "tree" / "file").write_text("second\n")
            (place / "tree" / "new").write_text("new\n")
            quiet(served.publish_again())
            running.say("go")
            assert running.rest() == "first\n"
        see = ("sh", "-c", f"cat /cvmfs/{NAME}/*")
        assert launcher.ok(*see) == b"first\n", "its publisher allows 240 seconds"
        assert launcher.ok(*see, env={"HEPWRAP_MAX_TTL": "0"}) == b"second\nnew\n"
        assert launcher.ok(*see) == b"second\nnew\n", "nobody is taken back"
