"""Fixtures that every room's tests may ask for.

Makes `tests.helpers.<module>` importable without putting the project's root on sys.path, where `import vfs` would find
the sources: tests test what is installed.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent


def _name_the_helpers() -> None:
    """Register `tests` and `tests.helpers` as packages that hold nothing but their path."""
    for name, place in (("tests", TESTS), ("tests.helpers", TESTS / "helpers")):
        package = sys.modules.setdefault(name, types.ModuleType(name))
        package.__path__ = [str(place)]
    sys.modules["tests"].helpers = sys.modules["tests.helpers"]  # type: ignore[attr-defined]
    sys.modules.setdefault("helpers", sys.modules["tests.helpers"])


_name_the_helpers()

from tests.helpers import as_from_a_terminal, once  # noqa: E402
from tests.helpers.guests import Guests  # noqa: E402
from tests.helpers.repositories import ServedRepository, serve_shared  # noqa: E402
from tests.helpers.unprivileged import Unprivileged, make_unprivileged  # noqa: E402


def pytest_configure(config: pytest.Config) -> None:
    """Workers of pytest-xdist share what the process that starts them has made."""
    as_from_a_terminal.become()
    if not hasattr(config, "workerinput"):
        once.begin()


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        once.end()


@pytest.fixture(scope="session")
def guests() -> Guests:
    """Builds `tests/guests/*.c`, each once."""
    return Guests()


@pytest.fixture(scope="session")
def hepwrap_command() -> list[str]:
    """How to start the installed hepwrap as the user who runs the tests."""
    return [sys.executable, "-m", "hepwrap"]


@pytest.fixture(scope="session")
def unprivileged() -> Iterator[Unprivileged]:
    """An ordinary user without any privilege, with an installation of hepwrap that this user can read."""
    yield from make_unprivileged()


@pytest.fixture(scope="session")
def test_repository() -> Iterator[ServedRepository]:
    """test.hep.example, written by the real publisher, over loopback HTTP."""
    yield from serve_shared("test.hep.example", "test.hep.example")


@pytest.fixture(scope="session")
def shake_repository() -> Iterator[ServedRepository]:
    """shake.hep.example, whose objects are named by SHAKE-128, over loopback HTTP."""
    yield from serve_shared("shake128.hep.example", "shake.hep.example")
