"""What the kernel calls a memory file, and whom it stands for: the same questions to a world with either store."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hepwrap.cache.stores import Store
from tests.helpers.indexed import NAME
from tests.helpers.staged import PLACE, Stage

LOADER, OTHER = (PLACE + b"/cvmfs/" + NAME + b"/lib/" + name for name in (b"loader", b"other"))


@pytest.fixture
def stage(tmp_path: Path, store: Callable[[int], Store]) -> Iterator[Stage]:
    stage = Stage(tmp_path, 1 << 20, store)
    stage.files._name = stage.world.name_of  # as a launch has it
    yield stage
    stage.files.close()


def inode(stage: Stage, name: str) -> int:
    return stage.world.book.inode(stage.loader(name))


def called(stage: Stage, at: int) -> bytes:
    """The kernel's own word."""
    fd = stage.world.hold(at)
    try:
        return os.readlink(b"/proc/self/fd/%d" % fd)
    finally:
        os.close(fd)


def test_a_file_is_called_as_it_is_and_no_other_is(stage: Stage) -> None:
    loader, other = inode(stage, "loader"), inode(stage, "other")
    name = called(stage, loader).removesuffix(b" (deleted)")
    assert stage.world.is_called(loader, name)
    assert stage.world.is_called(loader, name + b" (deleted)")
    assert not stage.world.is_called(other, name)
    assert not stage.world.is_called(loader, name + b"1")
    assert not stage.world.is_called(loader, LOADER)


def test_a_name_alone_leads_to_the_virtual_path(stage: Stage) -> None:
    for name, path in (("loader", LOADER), ("other", OTHER)):
        shown = called(stage, inode(stage, name))
        assert stage.world.path_called(shown) == path
        assert stage.world.path_called(shown.removesuffix(b" (deleted)") + b" (deleted)") == path


@pytest.mark.parametrize("name", [b"/bin/true", b"/memfd:x", b"/0badc0de-4096", b"/deadbeef-x (deleted)", b"-1"])
def test_names_of_others_lead_nowhere(stage: Stage, name: bytes) -> None:
    assert stage.world.path_called(name) is None
    assert not stage.world.is_called(inode(stage, "loader"), name)


def test_it_is_known_also_when_it_has_left(stage: Stage) -> None:
    """Who has it open or mapped still asks."""
    loader = inode(stage, "loader")
    fd = stage.world.hold(loader)
    stage.files.close()
    shown = os.readlink(b"/proc/self/fd/%d" % fd)
    assert shown.endswith(b" (deleted)")
    assert stage.world.is_called(loader, shown)
    assert stage.world.path_called(shown) == LOADER
    assert stage.world.whose(os.fstat(fd)) == LOADER
    os.close(fd)


def test_a_file_that_leaves_late_does_not_take_the_new_one_with_it(stage: Stage) -> None:
    """Its eviction is told when the inode may have another file already, which programs go on opening."""
    loader = inode(stage, "loader")
    stage.world.stand_in(loader)
    former = stage.files.peek(loader)
    assert former is not None
    stage.world.evicted(former)
    assert stage.world.book.descriptor_of(loader) == -1
    stage.world.book.set_standin(loader, former.fd + 1, former.device, former.inode + 1)
    stage.world.evicted(former)
    assert stage.world.book.descriptor_of(loader) == former.fd + 1
