"""Ways to a file besides the plain calls: they do the same as natively, or say that they are not there."""

from __future__ import annotations

import errno

from tests.helpers.guests import Guests
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
