"""Where the shared test data lies: real repositories, workloads.

`HEPWRAP_SHARED` names the directory, else it is `../shared` beside the project.  Without it the tests that need it are
skipped (see `needs`).
"""

from __future__ import annotations

import os
from pathlib import Path

from tests.helpers.needs import lacking

ROOT = Path(__file__).resolve().parents[2]


def shared_directory() -> Path:
    """The directory, whether or not it is there."""
    return Path(os.environ.get("HEPWRAP_SHARED") or ROOT.parent / "shared")


def shared_path(relative: str) -> Path:
    """The path of `relative` below the shared directory; skips the test (in CI: fails) where it is missing."""
    path = shared_directory() / relative
    if not path.exists():
        lacking(f"shared test data is missing: {path} (HEPWRAP_SHARED names the directory it lies in)")
    return path
