"""Fixtures of the tests of configuration and command line."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.helpers.front import Cli, FakeMachine


@pytest.fixture
def machine(tmp_path: Path) -> FakeMachine:
    """A machine on which nothing is configured."""
    places = [tmp_path / name for name in ("root", "home", "cwd")]
    for place in places:
        place.mkdir()
    return FakeMachine(*places)


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """Runs `python -m hepwrap WORDS` in an empty home and an empty directory, with an environment that says nothing."""
    home, cwd = tmp_path / "cli-home", tmp_path / "cli-cwd"
    home.mkdir()
    cwd.mkdir()

    def run(
        *words: str | bytes | Path, environ: Mapping[str, str] | None = None, stdin: bytes = b"", directory: Path = cwd
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [sys.executable, "-m", "hepwrap", *map(os.fsencode, words)],
            cwd=directory,
            env={"HOME": str(home), "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", **(environ or {})},
            input=stdin,
            capture_output=True,
            check=False,
            timeout=120,
        )

    return run
