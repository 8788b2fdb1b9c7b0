"""Ways to a file besides the plain calls: they do the same as natively, or say that they are not there."""

from __future__ import annotations

import errno

from tests.helpers.filters import INSTALL
from tests.helpers.guests import Guests
from tests.helpers.launches import PYTHON
from tests.helpers.programs import Pair, fill

WORDS = ["{top}/text/0/part 00.txt", "{top}/src/main.c"]


def test_asynchronous_reading_and_a_look_with_all_signals_blocked_are_the_same(work: Pair, guests: Guests) -> None:
    text = work.assert_same([str(guests.path("other_ways")), *WORDS]).decode()
    assert "io_getevents: 1\n" in text
    assert "stat, all blocked: 0\nopen, all blocked: ok\n" in text


def test_calls_of_another_kind_are_not_there(work: Pair, guests: Guests) -> None:
    """int 0x80 and x32: their paths would go round us."""
    done = work.launcher.ok(str(guests.path("other_ways")), *fill(WORDS, work.top), "too")
    assert done.decode().splitlines()[-5:-2] == ["wide: 0"] * 3  # of a number 32 bits count
    assert done.decode().splitlines()[-2:] == [f"int 0x80: -{errno.ENOSYS}", f"x32: -{errno.ENOSYS}"]


#: Becomes a command for which the calls from 470 on, Linux 6.19's and later ones, are there, and say EXDEV.
NEWER = (
    """
import ctypes, errno, os, struct, sys
refuse, allow = (6, 0, 0, 0x50000 | errno.EXDEV), (6, 0, 0, 0x7fff0000)
tests = [(0x20, 0, 0, 0), (0x35, 0, 2, 470), (0x25, 1, 0, 1000), refuse, allow]
"""
    + INSTALL
    + "os.execvp(sys.argv[1], sys.argv[1:])\n"
)
LATEST = "import ctypes; libc = ctypes.CDLL(None, use_errno=True); print(libc.syscall(470, 0), ctypes.get_errno())"


def test_a_call_that_is_newer_than_the_table_is_not_there(work: Pair) -> None:
    """On a kernel that has it, too: nobody has looked whether it takes a path."""
    later = work.launcher.inside(PYTHON, "-c", NEWER)
    assert later.native(PYTHON, "-c", LATEST).stdout == f"-1 {errno.EXDEV}\n"
    assert later.ok(PYTHON, "-c", LATEST) == f"-1 {errno.ENOSYS}\n".encode()
