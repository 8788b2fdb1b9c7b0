"""Perl, Ruby, Node.js and R: their scripts, modules and data in a repository, the interpreters of the machine."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.helpers import needs, scripting_tree
from tests.helpers.fixtures import pairs, publishes
from tests.helpers.launches import quiet
from tests.helpers.programs import Pair
from tests.helpers.scripting_tree import JOBS, TEXTS, WORDS

PLAIN = {"CVMFS_CLAIM_OWNERSHIP": "no", "LC_ALL": "C.UTF-8"}
#: How each language calls what a read-only file system says, and what natively mode bits say to an ordinary user.
READ_ONLY = re.compile(rb"Read-only file system|E_?ROFS")
REFUSED = re.compile(READ_ONLY.pattern + rb"|Permission denied|Operation not permitted|EACCES|EPERM")


published = publishes("scripting.hep.example", scripting_tree.build)
scripting = pairs()


@pytest.mark.parametrize("job", JOBS)
def test_a_script_does_in_a_repository_what_it_does_on_disk(scripting: Pair, desk: Path, job: str) -> None:
    """Executed by its first line; so the interpreter gets a virtual name."""
    needs.program(*JOBS[job])
    if os.geteuid() != 0:
        pytest.skip("natively one may write to a tree of one's own")
    native, wrapped = (
        quiet(run([f"{{top}}/{job}", "{top}"], env=PLAIN, cwd=desk)) for run in (scripting.native, scripting.wrapped)
    )
    assert REFUSED.sub(b"refused", wrapped) == REFUSED.sub(b"refused", native)
    assert READ_ONLY.search(wrapped)
    assert wrapped.count(b"TOP") > TEXTS
    assert b" says " in wrapped
    muons = sum(path.read_text().count(WORDS[1]) for path in (scripting.tree / "text").glob("*/*.txt"))
    assert f"{TEXTS} files, {muons}".encode() in re.sub(rb" +", b" ", wrapped)
