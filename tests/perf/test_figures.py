"""Medians, spreads and ratios: laws that hold for all numbers."""

from __future__ import annotations

import statistics

from hypothesis import given
from hypothesis import strategies as st

from hepwrap.perf.figures import Summary, changed, differences, fewest, growth, present, speed, summary, sums

TIMES = st.floats(min_value=1e-3, max_value=1e12, allow_nan=False)
SAMPLES = st.lists(TIMES | st.none(), max_size=12)


@given(SAMPLES)
def test_a_summary_is_of_the_samples_that_were_taken(samples: list[float | None]) -> None:
    found, values = summary(samples), present(samples)
    if not values:
        assert found is None
        return
    assert found is not None
    assert found.count == len(values)
    assert found.median == statistics.median(values)
    assert min(values) <= found.median <= max(values)
    assert 0 <= found.spread <= max(values) - min(values)


@given(SAMPLES, st.randoms(use_true_random=False))
def test_a_summary_does_not_depend_on_the_order(samples: list[float | None], chance: object) -> None:
    shuffled = list(samples)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert summary(shuffled) == summary(samples)


@given(TIMES, st.integers(1, 9))
def test_equal_samples_have_no_spread(value: float, count: int) -> None:
    assert summary([value] * count) == Summary(value, 0.0, count)


@given(st.lists(TIMES, min_size=3, max_size=9), st.floats(min_value=1e13, max_value=1e15))
def test_one_sample_far_off_moves_the_median_no_further_than_its_neighbour(values: list[float], far: float) -> None:
    before, after = sorted(values), summary([*values, far])
    assert after is not None
    assert after.median <= before[len(before) // 2 + 1]


@given(SAMPLES)
def test_a_column_is_as_fast_as_itself(samples: list[float | None]) -> None:
    found = speed(samples, samples)
    assert found is None or (found.median, found.spread) == (1.0, 0.0)


@given(st.lists(TIMES, min_size=1, max_size=9), st.floats(min_value=1e-3, max_value=1e3))
def test_half_the_time_is_twice_the_speed_however_the_rounds_differ(base: list[float], factor: float) -> None:
    found = speed(base, [value / factor for value in base])
    assert found is not None
    assert abs(found.median / factor - 1) < 1e-9
    assert found.spread < 1e-9 * factor


@given(SAMPLES, SAMPLES)
def test_only_rounds_in_which_both_were_measured_count(base: list[float | None], other: list[float | None]) -> None:
    both = [pair for pair in zip(base, other, strict=False) if None not in pair]
    found = speed(base, other)
    assert (found.count if found else 0) == len(both)


@given(TIMES, TIMES, TIMES, TIMES)
def test_a_change_is_a_change_in_both_directions(one: float, two: float, spread_one: float, spread_two: float) -> None:
    before, after = Summary(one, spread_one, 3), Summary(two, spread_two, 3)
    assert changed(before, after) == changed(after, before)
    assert not changed(before, before)


@given(st.floats(1, 1e4), st.floats(1, 1e4))
def test_growth_is_undone_by_shrinking(one: float, two: float) -> None:
    assert abs((1 + growth(one, two)) * (1 + growth(two, one)) - 1) < 1e-9
    assert growth(one, one) == 0


def test_nothing_grows_from_nothing() -> None:
    assert growth(0.0, 5.0) == 0.0
    assert Summary(0.0, 0.0, 1).relative == 0.0


COUNTERS = st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 10**9).map(float))


@given(COUNTERS, COUNTERS)
def test_counters_of_the_row_and_of_the_idle_run_are_those_of_both(
    row: dict[str, float], idle: dict[str, float]
) -> None:
    assert differences(sums(row, idle), idle) == {name: row.get(name, 0) for name in sorted(row.keys() | idle.keys())}


@given(COUNTERS, COUNTERS)
def test_no_count_is_negative_and_the_fewest_is_no_more_than_either(
    one: dict[str, float], other: dict[str, float]
) -> None:
    assert all(count >= 0 for count in differences(one, other).values())
    found = fewest(one, other)
    assert all(found[name] <= one.get(name, 0) and found[name] <= other.get(name, 0) for name in found)
    assert fewest(one, one) == one
