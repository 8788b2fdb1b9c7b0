"""The kernel as oracle: random calls on paths and descriptors, in random states, give what they do on a mount."""

from __future__ import annotations

import pytest

from tests.helpers import random_calls
from tests.helpers.launches import PATCHINGS
from tests.helpers.oracle import Host, Oracle, agree

CALLS = 6000


@pytest.mark.parametrize("patching", PATCHINGS)
@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_random_calls_give_what_they_do_on_a_mount(
    oracle: Oracle, user: bool, host: Host, seed: int, patching: str
) -> None:
    script = list(random_calls.script(seed, CALLS))
    agree(oracle, script, user=user, host=host, flags=PATCHINGS[patching], at_least=CALLS)


@pytest.mark.parametrize("patching", PATCHINGS)
def test_a_descriptor_alone_is_as_good_as_a_path(oracle: Oracle, user: bool, host: Host, patching: str) -> None:
    script = list(random_calls.by_descriptor_alone())
    agree(oracle, script, user=user, host=host, flags=PATCHINGS[patching], at_least=1000)


def test_a_seed_gives_the_same_script_and_another_gives_another() -> None:
    assert list(random_calls.script(1, 500)) == list(random_calls.script(1, 500))
    assert list(random_calls.script(1, 500)) != list(random_calls.script(2, 500))
