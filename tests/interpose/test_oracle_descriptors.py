"""The kernel as oracle: what can be done with descriptors of virtual things, and where they get to."""

from __future__ import annotations

import difflib

import pytest

from tests.helpers.oracle import HOST, MOUNT, NAME, Oracle

CASES = {
    "uses of a file": (60, "descriptor_uses", f"{MOUNT}/file", HOST),
    "uses of a small file": (60, "descriptor_uses", f"{MOUNT}/dir/other", HOST),
    "uses of a directory": (50, "descriptor_uses", f"{MOUNT}/dir", HOST),
    "travels of a directory": (90, "descriptor_travels", f"{MOUNT}/dir", "other"),
    "travels of a long directory": (90, "descriptor_travels", f"{MOUNT}/many", "entry-004-xxxx"),
    "travels of a repository": (90, "descriptor_travels", MOUNT, "file"),
    "travels of the top": (90, "descriptor_travels", "/cvmfs", NAME),
}


@pytest.mark.parametrize("case", CASES)
def test_a_descriptor_is_good_for_what_it_is_on_a_mount(oracle: Oracle, user: bool, case: str) -> None:
    at_least, guest, *arguments = CASES[case]
    kernel, ours = oracle.both(guest, *arguments, user=user)
    lines = difflib.unified_diff(kernel.splitlines(), ours.splitlines(), "mounted", "hepwrap", n=1, lineterm="")
    assert kernel.count("\n") >= at_least, kernel
    assert "\n".join(lines) == ""
