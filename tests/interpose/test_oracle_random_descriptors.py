"""Random things with descriptors, compared with a mount (`random_descriptors`)."""

from __future__ import annotations

import difflib
from pathlib import Path

import pytest

from tests.helpers import random_descriptors
from tests.helpers.launches import PYTHON
from tests.helpers.oracle import Oracle, make_host

#: The same each time: what was found once is found again.
SEEDS = range(4)
TURNS = 250


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_done_with_descriptors_gives_what_it_gives_on_a_mount(oracle: Oracle, user: bool, seed: int) -> None:
    script = oracle.place / "random_descriptors.py"
    script.write_text(Path(random_descriptors.__file__).read_text())
    script.chmod(0o644)
    command = [PYTHON, script, str(seed), str(TURNS)]
    make_host(oracle.place / "host")
    native = oracle.native(command, user=user)
    make_host(oracle.place / "host")
    ours = oracle.interposed(command, user=user)
    assert native.endswith("\nend\n"), native[-1000:]
    assert list(difflib.unified_diff(native.splitlines(), ours.splitlines(), lineterm="", n=1)) == []
