"""ROOT in a repository: cling's just-in-time compiler, RDataFrame, and its program by every name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.helpers import python_tree
from tests.helpers.launches import quiet
from tests.helpers.root_stack import root_stack
from tests.helpers.unprivileged import Unprivileged

SCRIPT = Path(__file__).resolve().parents[1] / "scripts/dataframe.py"


def test_a_dataframe_has_the_same_numbers(unprivileged: Unprivileged, patching: list[str], tmp_path: Path) -> None:
    stack = root_stack(unprivileged, patching)
    shown = []
    for start, top in ((stack.launcher.native, stack.tree), (stack.launcher.run, stack.top)):
        words = [f"{top}/bin/python3", "-W", "ignore", SCRIPT, tmp_path / f"{len(shown)}.root"]
        shown.append(quiet(start(*words, env=python_tree.environment(top), text=False)).splitlines())
    assert shown[0] == shown[1]
    assert shown[1][1] == b"42"


@pytest.mark.parametrize("name", ["path", "link", "PATH"])
def test_root_finds_itself_by_every_name(
    unprivileged: Unprivileged, patching: list[str], tmp_path: Path, name: str
) -> None:
    """It looks for its libraries beside where it was started, and compiles with headers from there."""
    stack = root_stack(unprivileged, patching)
    program = f"{stack.top}/root/bin/root.exe"
    (tmp_path / "root-of-mine").symlink_to(program)
    (tmp_path / "twice.C").write_text("#include <TLorentzVector.h>\nint twice(int n) { return 2 * n; }\n")
    words = {"path": [program], "link": [f"{tmp_path}/root-of-mine"], "PATH": ["root.exe"]}
    path = f"{stack.top}/root/bin:{os.environ['PATH']}"
    code = f'gROOT->ProcessLine(".L {tmp_path}/twice.C"); gROOT->ProcessLine("printf(\\"%d\\\\n\\", twice(4))");0'
    done = stack.launcher.run(*words[name], "-b", "-q", "-l", "-e", code, env={"PATH": path})
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "8", done.stdout
