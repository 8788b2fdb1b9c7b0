"""The kernel as oracle: what can be done with descriptors of virtual things, and where they get to."""

from __future__ import annotations

import dataclasses
import difflib
import os

import pytest

from tests.helpers import call_matrix, descriptor_matrix
from tests.helpers.oracle import HOST, MOUNT, NAME, Oracle, agree

CASES = {
    "uses of a file": (60, "descriptor_uses", f"{MOUNT}/file", HOST),
    "uses of a small file": (60, "descriptor_uses", f"{MOUNT}/dir/other", HOST),
    "uses of a directory": (50, "descriptor_uses", f"{MOUNT}/dir", HOST),
    "travels of a directory": (90, "descriptor_travels", f"{MOUNT}/dir", "other"),
    "travels of a long directory": (90, "descriptor_travels", f"{MOUNT}/many", "entry-004-xxxx"),
    "travels of a repository": (90, "descriptor_travels", MOUNT, "file"),
    "travels of the top": (90, "descriptor_travels", "/cvmfs", NAME),
}

#: Enough, with the links of a chain, to take the place of what was opened before where there are 256 descriptors.
DIRECTORIES = ("", "dir", "dir/sub", "dir/sub/deep", "many", "emptydir", "chain", "d111", "d444", "d1777", "dirlink")


@pytest.mark.parametrize("case", CASES)
def test_a_descriptor_is_good_for_what_it_is_on_a_mount(oracle: Oracle, user: bool, case: str) -> None:
    at_least, guest, *arguments = CASES[case]
    kernel, ours = oracle.both(guest, *arguments, user=user)
    lines = difflib.unified_diff(kernel.splitlines(), ours.splitlines(), "mounted", "hepwrap", n=1, lineterm="")
    assert kernel.count("\n") >= at_least, kernel
    assert "\n".join(lines) == ""


def test_a_pipe_is_known_once_it_was_written_to(oracle: Oracle, user: bool) -> None:
    """Its stand-in lies where times of modification are kept."""
    script = [f"w=257 i-100 s{MOUNT}/fifo i{os.O_RDWR | os.O_NONBLOCK}", "1 @w sx i1"]
    script += [f"r=257 i-100 s{MOUNT}/fifo i{os.O_NONBLOCK}", "0 @r b8 i8", "33 @w i50", "89 s/proc/self/fd/50 b99 i99"]
    script += [*call_matrix.descriptor_calls("@w"), *call_matrix.writing_descriptor_calls("@r"), "4 s/dev/fd/50 t"]
    agree(oracle, script, user=user, at_least=60)


def test_a_pipe_stays_that_pipe_whatever_else_is_opened(oracle: Oracle, user: bool) -> None:
    """Few descriptors: what stands in for links leaves for others."""
    few = dataclasses.replace(
        oracle,
        hepwrap_command=["prlimit", "--nofile=256:256", *oracle.hepwrap_command],
        user=dataclasses.replace(
            oracle.user, hepwrap_command=["prlimit", "--nofile=256:256", *oracle.user.hepwrap_command]
        ),
    )
    script = [f"w=257 i-100 s{MOUNT}/fifo i{os.O_RDWR | os.O_NONBLOCK}"]
    script += [f"257 i-100 s{MOUNT}/chain/{number} i{os.O_PATH | os.O_NOFOLLOW}" for number in range(1, 45)]
    script += [f"257 i-100 s{MOUNT}/{name} i{os.O_DIRECTORY}" for name in DIRECTORIES]
    script += ["1 @w sx i1", f"r=257 i-100 s{MOUNT}/fifo i{os.O_NONBLOCK}", "0 @r b8 i8", "5 @w t"]
    agree(few, script, user=user, at_least=50)


@pytest.mark.parametrize("what", descriptor_matrix.OPENED)
def test_every_call_on_a_descriptor_gives_what_it_does_on_a_mount(oracle: Oracle, user: bool, what: str) -> None:
    """Of a file that has left memory since it was opened, and comes again when it is opened by its names."""
    away = [f"257 i-100 s{MOUNT}/{name} i0" for name in ("exec", "script", "dir/other")]
    script = descriptor_matrix.uses(what)
    script[3:3] = away
    agree(oracle, script, user=user, at_least=2000, flags=("--cache-size", "1"))
