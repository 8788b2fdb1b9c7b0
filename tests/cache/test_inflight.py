"""The join: one at work, others wait, nothing is remembered."""

from __future__ import annotations

import threading

import pytest

from hepwrap.cache.inflight import Inflight
from tests.helpers.memory_fetcher import PATIENCE
from tests.helpers.threads import Together


class Interrupted(BaseException):
    """Stands for KeyboardInterrupt, which pytest would take for the user's."""


def test_results_are_not_remembered() -> None:
    flights: Inflight[str, int] = Inflight()
    numbers = iter(range(10))
    assert [flights.join("key", lambda: next(numbers)) for _ in range(3)] == [0, 1, 2]


def test_keys_do_not_wait_for_each_other() -> None:
    flights: Inflight[int, int] = Inflight()
    meeting = threading.Barrier(8)

    def work() -> int:
        return meeting.wait(PATIENCE)

    results = Together([lambda key=key: flights.join(key, work) for key in range(8)]).results()
    assert sorted(results) == list(range(8))


def test_an_interrupted_worker_takes_nobody_with_it() -> None:
    flights: Inflight[str, str] = Inflight()
    joined, calls = threading.Event(), []

    def work() -> str:
        calls.append(1)
        if len(calls) == 1:
            assert joined.wait(PATIENCE)
            raise Interrupted
        return "done by another"

    outcomes = Together([lambda: flights.join("key", work, joined=joined.set)] * 2).outcomes()
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Interrupted", "str"]
    assert len(calls) == 2


def test_an_error_is_raised_anew_for_each_asker() -> None:
    flights: Inflight[str, str] = Inflight()
    joined = threading.Event()

    def work() -> str:
        assert joined.wait(PATIENCE)
        raise ValueError("wrong")

    first, second = Together([lambda: flights.join("key", work, joined=joined.set)] * 2).outcomes()
    assert isinstance(first, ValueError)
    assert isinstance(second, ValueError)
    assert first is not second
    assert first.__cause__ is second or second.__cause__ is first
    with pytest.raises(ValueError, match="wrong"):
        flights.join("key", work)
