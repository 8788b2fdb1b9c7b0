"""The pure policies: pauses, pace, failover and blame, with a clock and chance of our own."""

from __future__ import annotations

import sys
import threading
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from requests.structures import CaseInsensitiveDict

from hepwrap.errors import CorruptObject, FetchFailed, MissingObject
from hepwrap.fetchers.blame import Blame, Fault, fault_of_answer
from hepwrap.fetchers.failover import Failover
from hepwrap.fetchers.pace import Pace, Stalled, TooMuch
from hepwrap.fetchers.retry import Backoff, retrying
from hepwrap.fetchers.tally import Tally
from hepwrap.fetchers.verdicts import Verdicts
from tests.fetchers.clock import Clock

seeds = st.integers(0, 2**32)


# Pauses.


@given(seeds, st.integers(0, 12), st.floats(0, 100), st.floats(0, 100))
def test_every_pause_is_within_its_doubling_bound(seed: int, retries: int, initial: float, maximum: float) -> None:
    pauses = list(Backoff(retries, initial, maximum).pauses(Random(seed)))
    assert len(pauses) == retries
    assert all(0 <= pause <= min(initial * 2**n, maximum) for n, pause in enumerate(pauses))


def test_pauses_use_the_whole_interval() -> None:
    firsts = [next(Backoff(1, 2.0, 10.0).pauses(Random(seed))) for seed in range(400)]
    assert min(firsts) < 0.1
    assert max(firsts) > 1.9


def test_later_pauses_may_be_longer_than_the_first_bound() -> None:
    thirds = [list(Backoff(3, 2.0, 10.0).pauses(Random(seed)))[2] for seed in range(100)]
    assert max(thirds) > 4


@given(st.integers(0, 6), st.integers(0, 8))
def test_a_transient_fault_is_asked_again_so_often_and_no_more(retries: int, failures: int) -> None:
    asked, noted = [], []

    def ask() -> str:
        asked.append(1)
        if len(asked) <= failures:
            raise Fault("fails", transient=True)
        return "bytes"

    def attempt() -> str:
        backoff = Backoff(retries, 1.0, 1.0)
        return retrying(ask, backoff, random=Random(0), sleep=lambda _: False, note=lambda: noted.append(1))

    if failures <= retries:
        assert attempt() == "bytes"
    else:
        with pytest.raises(Fault):
            attempt()
    assert len(asked) == min(failures, retries) + 1
    assert len(noted) == len(asked) - 1


def test_a_fault_that_will_not_pass_is_not_asked_again() -> None:
    asked: list[int] = []

    def ask() -> str:
        asked.append(1)
        raise Fault("fails")

    with pytest.raises(Fault):
        retrying(ask, Backoff(9, 1, 1), random=Random(0), sleep=lambda _: False, note=lambda: None)
    assert len(asked) == 1


def test_a_pause_that_is_broken_off_is_the_end() -> None:
    asked: list[int] = []

    def ask() -> str:
        asked.append(1)
        raise Fault("fails", transient=True)

    with pytest.raises(Fault):
        retrying(ask, Backoff(9, 1, 1), random=Random(0), sleep=lambda _: True, note=lambda: None)
    assert len(asked) == 1


# Pace.


@given(st.lists(st.tuples(st.integers(0, 3000), st.floats(0, 1)), max_size=200))
def test_no_transfer_is_waited_for_longer_than_its_bytes_are_worth(events: list[tuple[int, float]]) -> None:
    pace = Pace(window=2.0, low_speed=100, cap=10**9)
    waited, got = 0.0, 0
    for size, share in events:
        wait = share * pace.patience()
        waited, got = waited + wait, got + size
        try:
            pace.count(size, wait)
        except Stalled:
            break
    assert waited <= (got / 200 + 1) * 2 * 2.0


@given(st.lists(st.integers(1, 500), min_size=1, max_size=100))
def test_a_steady_transfer_over_the_limit_never_stalls(sizes: list[int]) -> None:
    pace = Pace(window=2.0, low_speed=100, cap=10**9)
    for size in sizes:
        pace.count(size, size / 101)


def test_silence_for_one_window_is_a_stall() -> None:
    pace = Pace(window=5.0, low_speed=1024, cap=10**9)
    assert pace.patience() == 5.0
    with pytest.raises(Stalled, match="nothing for 5 s"):
        pace.stall()


def test_dripping_is_a_stall_though_no_single_wait_is_long() -> None:
    pace = Pace(window=5.0, low_speed=1024, cap=10**9)
    for _ in range(39):
        pace.count(1, 0.125)
    with pytest.raises(Stalled, match="under 1024 bytes a second"):
        pace.count(1, 0.125)


def test_time_that_we_did_not_wait_does_not_count() -> None:
    """A process that was stopped for an hour finds its patience as it was."""
    pace = Pace(window=5.0, low_speed=1024, cap=10**9)
    for _ in range(1000):
        pace.count(1, 0.0)
    assert pace.patience() == 5.0


def test_more_than_the_cap_is_cut_off() -> None:
    pace = Pace(window=5.0, low_speed=1024, cap=100)
    pace.count(100, 0.0)
    with pytest.raises(TooMuch):
        pace.count(1, 0.0)


# Failover.

groups_of_names = st.lists(
    st.lists(st.integers(0, 9).map(str), min_size=1, max_size=4, unique=True), min_size=1, max_size=4
)


def failover(
    groups: list[list[str]], clock: Clock | None = None, seed: int = 0, reset_after: float = 100.0
) -> Failover:
    return Failover(groups, reset_after=reset_after, clock=clock or Clock(), random=Random(seed))


@given(groups_of_names, seeds, st.lists(st.integers(0, 9).map(str), max_size=30))
def test_a_round_asks_everybody_once_and_the_current_one_first(groups, seed, failures) -> None:
    policy = failover(groups, seed=seed)
    for name in failures:
        policy.failed(name)
        order = policy.round()
        assert sorted(order) == sorted({name for group in groups for name in group})
        assert order[0] == policy.current


@given(groups_of_names, seeds)
def test_the_first_group_is_asked_before_the_others(groups, seed) -> None:
    order = failover(groups, seed=seed).round()
    assert set(order[: len(groups[0])]) == set(groups[0])


@given(groups_of_names, seeds, st.lists(st.integers(0, 9).map(str), max_size=30))
def test_after_the_reset_time_the_first_group_is_current_and_whole(groups, seed, failures) -> None:
    clock = Clock()
    policy = failover(groups, clock, seed)
    for name in failures:
        policy.failed(name)
    clock.now += 100
    assert policy.current in groups[0]
    assert set(policy.round()[: len(groups[0])]) == set(groups[0])


def test_within_a_group_the_pick_is_random_and_between_groups_it_is_not() -> None:
    firsts = {failover([["a", "b", "c"], ["d"]], seed=seed).current for seed in range(60)}
    assert firsts == {"a", "b", "c"}


def test_the_next_group_comes_when_all_of_one_have_failed() -> None:
    policy = failover([["a", "b"], ["c"]])
    first = policy.current
    assert policy.failed(first)
    assert {first, policy.current} == {"a", "b"}
    assert policy.failed(policy.current)
    assert policy.current == "c"


def test_after_the_last_comes_the_first() -> None:
    policy = failover([["a"], ["b"], ["c"]])
    seen = []
    for _ in range(4):
        seen.append(policy.current)
        policy.failed(policy.current)
    assert seen == ["a", "b", "c", "a"]


def test_sixty_reports_of_one_failure_move_on_once() -> None:
    policy = failover([["a"], ["b"], ["c"]])
    moved = [policy.failed("a") for _ in range(60)]
    assert policy.current == "b"
    assert moved.count(True) == 1


def test_a_late_report_about_another_member_of_the_group_changes_nobody() -> None:
    policy = failover([["a", "b", "c", "d"]])
    current = policy.current
    for other in {"a", "b", "c", "d"} - {current}:
        assert not policy.failed(other)
        assert policy.current == current
    assert policy.round()[0] == current


def test_the_time_to_come_back_runs_from_the_first_failure() -> None:
    clock = Clock()
    policy = failover([["a"], ["b"], ["c"]], clock)
    policy.failed("a")
    clock.now += 60
    policy.failed("b")
    clock.now += 39
    assert policy.current == "c"
    clock.now += 1
    assert policy.current == "a"


def test_one_that_fails_alone_stays_current() -> None:
    policy = failover([["a"]])
    assert not policy.failed("a")
    assert policy.round() == ["a"]


def test_nobody_at_all_is_an_empty_round() -> None:
    policy = failover([])
    assert policy.round() == []
    assert policy.current == ""
    assert not policy.failed("a")


# Blame.

BLAMES = [
    (200, {}, True, None),
    (206, {}, False, None),
    (404, {}, False, Blame.MISSING),
    (404, {}, True, Blame.MISSING),
    (404, {"X-Squid-Error": "ERR_DNS_FAIL 0"}, True, Blame.PROXY),
    (404, {"X-Squid-Error": "ERR_DNS_FAIL 0"}, False, Blame.MISSING),
    (400, {}, True, Blame.SERVER),
    (500, {}, True, Blame.SERVER),
    (503, {}, False, Blame.SERVER),
    (503, {"x-squid-error": "ERR_CONNECT_FAIL 111"}, True, Blame.PROXY),
    (502, {"Proxy-Status": "cache; error=connection_refused"}, True, Blame.PROXY),
    (502, {"Proxy-Status": "cache; hit"}, True, Blame.SERVER),
    (403, {}, True, Blame.PROXY),
    (407, {}, True, Blame.PROXY),
    (403, {}, False, Blame.SERVER),
    (429, {}, False, Blame.SERVER),
    (429, {}, True, Blame.PROXY),
    (301, {}, True, Blame.SERVER),
    (100, {}, False, Blame.SERVER),
]


@pytest.mark.parametrize(("status", "headers", "via_proxy", "blame"), BLAMES)
def test_status_and_headers_say_whose_fault_it_is(status, headers, via_proxy, blame) -> None:
    fault = fault_of_answer(status, CaseInsensitiveDict(headers), via_proxy=via_proxy)
    assert (fault and fault.blame) == blame
    assert fault is None or fault.transient == (status == 429)


# Verdicts.


def verdict(*problems: Fault | CorruptObject) -> Exception:
    verdicts = Verdicts("test.hep.example", "data/ab/cd")
    for number, problem in enumerate(problems):
        verdicts.add(f"http://server{number}", problem)
    return verdicts.error()


@given(st.lists(st.sampled_from([*Blame, "corrupt"]), max_size=6))
def test_missing_is_said_only_where_nothing_else_happened(kinds: list[Blame | str]) -> None:
    error = verdict(*(Fault("x", kind) if isinstance(kind, Blame) else CorruptObject("wrong") for kind in kinds))
    if "corrupt" in kinds:
        assert type(error) is CorruptObject
    elif kinds and set(kinds) == {Blame.MISSING}:
        assert type(error) is MissingObject
    else:
        assert type(error) is FetchFailed


def test_the_last_untrusted_is_the_one_that_is_raised() -> None:
    assert str(verdict(CorruptObject("first"), Fault("fails"), CorruptObject("second"))) == "second"


def test_a_long_list_of_servers_still_makes_a_readable_line() -> None:
    text = str(verdict(*(Fault("answered HTTP 500") for _ in range(40))))
    assert "and 36 more" in text
    assert len(text) < 400


# The account.


def test_no_count_is_lost_however_threads_are_switched() -> None:
    tally = Tally()
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=lambda: [tally.add(requests=1) for _ in range(5000)]) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert tally.counters.requests == 40_000
