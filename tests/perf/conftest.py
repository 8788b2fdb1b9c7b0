"""Fixtures of the tests of the harness."""

from __future__ import annotations

import os
from importlib.util import find_spec

import pytest


@pytest.fixture
def needs_matplotlib() -> None:
    """Skips aloud where matplotlib is missing; in CI, which installs it, that is a failure."""
    if find_spec("matplotlib") is None:
        message = "matplotlib is missing: pip install 'hepwrap[perf]'"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
