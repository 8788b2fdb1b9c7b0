"""The kernel as oracle: random calls in random states give what they do on a mount; a seed that did not stays."""

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


def test_a_seed_gives_the_same_script_and_another_gives_another() -> None:
    assert list(random_calls.script(1, 500)) == list(random_calls.script(1, 500))
    assert list(random_calls.script(1, 500)) != list(random_calls.script(2, 500))
