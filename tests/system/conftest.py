"""Launchers for system tests: an ordinary user over loopback HTTP, each test once patched and once with --no-patch."""

from __future__ import annotations

import os

import pytest

from tests.helpers.launching import PATCHINGS, Launcher, flags_of
from tests.helpers.repositories import ServedRepository
from tests.helpers.unprivileged import Unprivileged


@pytest.fixture(params=PATCHINGS, scope="session")
def patching(request: pytest.FixtureRequest) -> list[str]:
    """The options with which call sites are patched, or not."""
    return PATCHINGS[request.param]


@pytest.fixture(scope="session")
def test_flags(unprivileged: Unprivileged, test_repository: ServedRepository) -> list[str]:
    """The options for test.hep.example."""
    return flags_of(unprivileged, test_repository)


@pytest.fixture
def launcher(unprivileged: Unprivileged, test_flags: list[str], patching: list[str]) -> Launcher:
    """Launches with test.hep.example, as an ordinary user."""
    return Launcher(unprivileged, test_flags, patching)


@pytest.fixture
def root_launcher(unprivileged: Unprivileged, test_flags: list[str], patching: list[str]) -> Launcher:
    """The same as the user who runs the tests; skipped where that is not root."""
    if os.geteuid() != 0:
        pytest.skip("reading what mode bits forbid an ordinary user needs root")
    return Launcher(unprivileged, test_flags, patching, as_tester=True)
