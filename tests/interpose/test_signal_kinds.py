"""Handlers of every kind that strike inside the runtime: the same events, as often, and no wrong answer."""

from __future__ import annotations

import pytest

from tests.helpers.oracle import MOUNT, Oracle

#: Each part of the guest, and what it must say natively.
PARTS = {
    "own stack": "wrong 0, elsewhere 0",
    "own stack, disarmed": "wrong 0, elsewhere 0",
    "nested": "wrong 0, deepest as often: 1",
    "queued": "wrong 0, out of order 0, handled 500",
    "preempted": "wrong 0, handled 200",
    "forking": "wrong 0, children 60, of these wrong 0",
    "executing": "\n".join(["after exec: 0 wrong"] * 10),
    "to threads": "wrong 0 0",
    "stopped": "stops 100, continues 100, status 0",
    "all blocked": "wrong 0, handled 0, then 1",
    "survived": "wrong 0, of another address 0, handled 600",
    "profiled": "wrong 0",
}


@pytest.mark.parametrize("part", PARTS)
def test_a_handler_that_strikes_in_the_runtime_is_as_anywhere(oracle: Oracle, part: str) -> None:
    words = [str(oracle.guests.path("signal_kinds")), f"{MOUNT}/file", f"{MOUNT}/no-such", part]
    text = oracle.interposed(words, user=False)
    assert text == f"{part}: {PARTS[part]}\n"


def test_the_kernel_says_the_same(made_oracle: Oracle) -> None:
    text = made_oracle.native(
        [made_oracle.guests.path("signal_kinds"), f"{MOUNT}/file", f"{MOUNT}/no-such"], user=False
    )
    assert text == "".join(f"{part}: {words}\n" for part, words in PARTS.items())


@pytest.mark.parametrize("part", ["own stack", "preempted", "forking", "survived"])
def test_nor_is_it_in_a_static_program_of_an_ordinary_user(oracle: Oracle, part: str) -> None:
    words = [str(oracle.guests.path("signal_kinds", static=True)), f"{MOUNT}/file", f"{MOUNT}/no-such", part]
    assert oracle.interposed(words, user=True) == f"{part}: {PARTS[part]}\n"
