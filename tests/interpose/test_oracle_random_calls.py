"""The kernel as oracle: random calls on paths and descriptors, in random states, give what they do on a mount."""

from __future__ import annotations

import pytest

from tests.helpers import random_calls
from tests.helpers.oracle import HOST, MOUNT, Host, Oracle, agree

CALLS = 6000


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_random_calls_give_what_they_do_on_a_mount(oracle: Oracle, user: bool, host: Host, seed: int) -> None:
    script = list(random_calls.script(seed, CALLS))
    agree(oracle, script, user=user, host=host, at_least=CALLS)


def test_a_descriptor_alone_is_as_good_as_a_path(oracle: Oracle, user: bool, host: Host) -> None:
    script = list(random_calls.by_descriptor_alone())
    agree(oracle, script, user=user, host=host, at_least=1000)


def test_a_slash_behind_a_link_to_a_directory_is_seen_before_it(oracle: Oracle, user: bool, host: Host) -> None:
    """Nothing can be made by such a name: EISDIR, before EEXIST."""
    ways = ("/dev/fd/53", "/proc/self/fd/53", f"{HOST}/into", f"{HOST}/into/dir", f"{MOUNT}/dirlink", f"{MOUNT}/dir")
    script = [f"d=257 i-100 s{MOUNT}/dir i0", "33 @d i53"]
    script += [
        f"257 i-100 s{way}{end} i{flags} i0"
        for way in ways
        for end in ("/", "//", "/.", "/./", "/..", "")
        for flags in (0xC0, 0x40, 0xAC0, 0x42, 0x240)
    ]
    agree(oracle, script, user=user, host=host, at_least=150)


def test_a_seed_gives_the_same_script_and_another_gives_another() -> None:
    assert list(random_calls.script(1, 500)) == list(random_calls.script(1, 500))
    assert list(random_calls.script(1, 500)) != list(random_calls.script(2, 500))
