"""Fixtures of the programs that nobody here wrote: an ordinary user runs them, patched and unpatched."""

from __future__ import annotations

import os

import pytest

from tests.helpers import needs
from tests.helpers.launches import Launches
from tests.helpers.unprivileged import Unprivileged
from tests.system.conftest import desk, patching, tester

__all__ = ["desk", "patching", "tester", "user"]


@pytest.fixture
def user(unprivileged: Unprivileged) -> Launches:
    """Launches without options, as an ordinary user; where the kernel's world can be made."""
    if os.geteuid() != 0:
        pytest.skip("only root can make the mount that hepwrap is compared with")
    needs.program("bwrap", "bubblewrap")
    return Launches.of(unprivileged)
