"""Launchers for system tests: an ordinary user over loopback HTTP, each test once patched and once with --no-patch."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers import once, programs, work_tree
from tests.helpers.fixtures import pairs, publishes
from tests.helpers.guests import Guests
from tests.helpers.launches import PATCHINGS, Launches, flags_of
from tests.helpers.publishing import Published, published_once
from tests.helpers.repositories import ServedRepository
from tests.helpers.unprivileged import UID, Unprivileged


@pytest.fixture(params=PATCHINGS, scope="session")
def patching(request: pytest.FixtureRequest) -> list[str]:
    """The options with which call sites are patched, or not."""
    return PATCHINGS[request.param]


@pytest.fixture(scope="session")
def patched(patching: list[str]) -> bool:
    """Whether they are."""
    return "--no-patch" not in patching


@pytest.fixture(scope="session")
def test_flags(unprivileged: Unprivileged, test_repository: ServedRepository) -> list[str]:
    """The options for test.hep.example."""
    return flags_of(unprivileged, test_repository)


@pytest.fixture
def launcher(unprivileged: Unprivileged, test_flags: list[str], patching: list[str]) -> Launches:
    """Launches with test.hep.example, as an ordinary user."""
    return Launches.of(unprivileged, [*test_flags, *patching])


@pytest.fixture
def root_launcher(unprivileged: Unprivileged, test_flags: list[str], patching: list[str]) -> Launches:
    """The same as the user who runs the tests; skipped where that is not root."""
    if os.geteuid() != 0:
        pytest.skip("reading what mode bits forbid an ordinary user needs root")
    return Launches.as_myself(unprivileged, [*test_flags, *patching])


@pytest.fixture(scope="session")
def tester(unprivileged: Unprivileged) -> Launches:
    """Publishes and serves as the user who runs the tests."""
    return Launches.as_myself(unprivileged)


@pytest.fixture(scope="session")
def open_place(unprivileged: Unprivileged) -> Path:
    """A directory of the tester's that the ordinary user can enter; gone at the end."""
    place = unprivileged.home.parent / "places"
    place.mkdir(exist_ok=True)
    return place


@pytest.fixture(scope="session")
def native_programs(guests: Guests) -> Path:
    """The tree of `tests/helpers/programs.py` as the kernel can run it."""
    return once.made("native-programs", lambda tree: programs.build(tree, str(tree), guests))


@pytest.fixture(scope="session")
def published_programs(tester: Launches, guests: Guests, native_programs: Path) -> Iterator[Published]:
    """The same as a repository; its name makes both tops equally long, and with them all first lines."""
    name = "programs.".ljust(len(f"{native_programs}") - len("/cvmfs/.hep.example"), "p") + ".hep.example"
    with published_once(tester, name, lambda tree: programs.build(tree, f"/cvmfs/{name}", guests)) as published:
        yield published


@pytest.fixture
def pair(
    unprivileged: Unprivileged, published_programs: Published, native_programs: Path, patching: list[str]
) -> programs.Pair:
    """Both trees of programs, run as an ordinary user."""
    launcher = Launches.of(unprivileged, [*published_programs.flags, *patching])
    return programs.Pair(launcher, published_programs, native_programs)


#: work.hep.example (see `tests/helpers/work_tree.py`): things to work on, as a repository and on disk.
published_work = publishes("work.hep.example", work_tree.build)
work = pairs("published_work")


@pytest.fixture
def desk(unprivileged: Unprivileged) -> Iterator[Path]:
    """An empty directory of the ordinary user's own; gone after the test."""
    place = Path(tempfile.mkdtemp(dir=unprivileged.home))
    if os.geteuid() == 0:
        os.chown(place, UID, UID)
    yield place
    shutil.rmtree(place, ignore_errors=True)
