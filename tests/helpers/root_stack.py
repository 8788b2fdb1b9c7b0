"""The repository with ROOT in it that `hepwrap perf --prepare --stacks` makes; nobody downloads 700 MB for a test."""

from __future__ import annotations

import os
from dataclasses import dataclass

import pytest

from hepwrap.perf.work import NAME, Work, default_directory, read_made
from tests.helpers.launches import Launches
from tests.helpers.unprivileged import Unprivileged


@dataclass(frozen=True)
class RootStack:
    """Where it is, and how to launch with it."""

    launcher: Launches
    #: The same tree on disk, and in the repository.
    tree: str
    top: str


def root_stack(user: Unprivileged, patching: list[str]) -> RootStack:
    """The one in the work directory of `hepwrap perf`; the test is skipped where none is."""
    made = Work(default_directory(os.environ))
    if "root" not in read_made(made).published:
        pytest.skip("ROOT is in no work directory of hepwrap perf: hepwrap perf --prepare --stacks")
    options = ["--proxy", "DIRECT", "--repo", f"{NAME}={made.store}/{NAME}", "--key", str(made.key), *patching]
    return RootStack(Launches.as_myself(user, options), f"{made.tree}/python", f"/cvmfs/{NAME}/python")
