"""CPython's own tests, run by a CPython that lives in a repository: each comes to what it comes to on a real mount."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers import cpython_tests, once
from tests.helpers.fixtures import publishes
from tests.helpers.launches import Launches
from tests.helpers.publishing import Published
from tests.helpers.two_worlds import TwoWorlds
from tests.helpers.unprivileged import UID

pytestmark = pytest.mark.timeout(3 * cpython_tests.PATIENCE)

#: Modules of which `make test` runs all tests: seconds each.
QUICK = (
    "test_os", "test_posix", "test_posixpath", "test_glob", "test_pathlib", "test_shutil", "test_tempfile",
    "test_import", "test_importlib", "test_zipimport", "test_mmap", "test_fcntl",
)  # fmt: skip
#: And the others, up to a minute each.
LONG = (
    "test_subprocess", "test_signal", "test_threading", "test_venv", "test_multiprocessing_fork", "test_socket",
    "test_compileall",
)  # fmt: skip


@pytest.fixture
def desk() -> Iterator[Path]:
    """Where they work: of a short name, whatever TMPDIR is.  The name of a socket has 107 bytes at most, theirs have
    their process numbers in them, and where that makes one too long they skip."""
    place = Path(tempfile.mkdtemp(prefix="", dir="/tmp"))
    if os.geteuid() == 0:
        os.chown(place, UID, UID)
    yield place
    shutil.rmtree(place, ignore_errors=True)


cpython = publishes("cpython.hep.example", cpython_tests.build)


@pytest.mark.parametrize("module", [*QUICK, *(pytest.param(name, marks=pytest.mark.long) for name in LONG)])
def test_its_own_tests_come_to_the_same_as_on_a_mount(
    cpython: Published, user: Launches, patching: list[str], desk: Path, module: str
) -> None:
    worlds = TwoWorlds.of(user, cpython, patching)
    native = once.found(
        f"cpython-{module}", lambda: cpython_tests.outcomes(worlds.native.native, worlds.top, module, desk)
    )
    wrapped = cpython_tests.outcomes(worlds.wrapped.run, worlds.top, module, desk)
    assert "passed" in native.values(), native
    names = native.keys() | wrapped.keys()
    assert {
        name: (native.get(name), wrapped.get(name)) for name in names if native.get(name) != wrapped.get(name)
    } == {}
