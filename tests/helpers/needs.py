"""What a test cannot do without: where it is missing the test is skipped, aloud; in CI (`CI=true`) it fails."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest


def lacking(message: str) -> NoReturn:
    """Skip the test, or fail in CI."""
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


def program(name: str, package: str) -> str:
    """The path of a program of the machine's, which Debian has in `package`."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    return found or lacking(f"{name} is missing: apt-get install {package}")


#: Where the host has a /cvmfs of its own the kernel's success is not believed, and some questions remain (decision 4):
#: what is counted is more.  In CI it has none.
on_a_host_without_prefix = pytest.mark.skipif(
    os.path.isdir("/cvmfs") and os.environ.get("CI") != "true",
    reason="the host has a /cvmfs: what it answers is checked",
)
