"""Two results side by side: what counts as a change, and what as a regression."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from hepwrap.perf.compare import Change, Verdict, compare
from hepwrap.perf.comparison import as_text
from hepwrap.perf.results import RowResult
from tests.helpers.measured import MACHINE, results, row, with_cell


def one(before: list[float | None], after: list[float | None], native: float = 100.0) -> Change:
    """What becomes of hepwrap's column; native took `native` in every round, before and after."""
    pair = [results(row("stat", {"native": [native] * 3, "hepwrap": samples})) for samples in (before, after)]
    return next(change for change in compare(*pair) if change.column == "hepwrap")


def test_the_same_is_the_same() -> None:
    change = one([10.0, 11.0, 12.0], [10.0, 11.0, 12.0])
    assert (change.verdict, change.gain) == (Verdict.SAME, 0.0)
    assert not change.is_regression(0)


def test_a_change_within_the_spread_is_none() -> None:
    assert one([10.0, 11.0, 12.0], [11.0, 12.0, 13.0]).verdict is Verdict.SAME


def test_twice_the_time_is_half_the_speed() -> None:
    change = one([10.0] * 3, [20.0] * 3)
    assert change.verdict is Verdict.SLOWER
    assert change.gain == -0.5
    assert change.is_regression(49)
    assert not change.is_regression(51)


def test_half_the_time_is_faster_and_no_regression() -> None:
    change = one([20.0] * 3, [10.0] * 3)
    assert (change.verdict, change.gain) == (Verdict.FASTER, 1.0)
    assert not change.is_regression(0)


def test_a_machine_that_is_slower_for_all_changes_no_ratio() -> None:
    before = results(row("stat", {"native": [100.0] * 3, "hepwrap": [10.0] * 3}))
    after = results(row("stat", {"native": [300.0] * 3, "hepwrap": [30.0] * 3}))
    native, hepwrap = compare(before, after)
    assert hepwrap.verdict is Verdict.SAME
    assert native.verdict is Verdict.SLOWER
    assert not native.is_regression(0)


def test_one_sample_is_no_change_and_no_regression_however_far_off_it_is() -> None:
    for before, after in (([10.0] * 3, [99.0]), ([10.0], [99.0] * 3)):
        change = one(list(before), list(after))
        assert change.verdict is Verdict.UNKNOWN
        assert not change.is_regression(0)
        text = as_text(results(), results(), [change])
        assert "one sample" in text
        assert text.splitlines()[-1].startswith("0 of 1 differ")


def test_what_is_missing_on_one_side_is_told_with_its_reason() -> None:
    fine = row("stat", {"native": [1.0] * 3, "hepwrap": [1.0] * 3})
    gone = RowResult("stat", "title", "group", "ns", None, "g++ is not installed")
    wrong = with_cell(fine, "hepwrap", error="its answers differ")
    short = replace(fine, cells={"native": fine.cells["native"]})
    for other, reason in ((gone, "g++ is not"), (wrong, "its answers differ"), (short, "no such column")):
        for pair, mark in (((fine, other), "LOST"), ((other, fine), "new")):
            a, b = (results(one_row) for one_row in pair)
            text = as_text(a, b, compare(a, b))
            line = next(line for line in text.splitlines() if line.split()[:2] == ["stat", "hepwrap"])
            assert f"{mark}  {reason}" in line
            assert text.splitlines()[-1].endswith("on one side only")
    neither = as_text(results(gone), results(fine, replace(gone, name="find")), compare(results(gone), results(fine)))
    assert neither.splitlines()[-1] == "without a figure in either: find"
    a, b = results(fine), results()
    assert as_text(a, b, compare(a, b)).count("LOST  no such row") == 2


def test_a_figure_that_is_no_longer_there_is_lost_and_a_regression() -> None:
    fine = row("stat", {"native": [1.0] * 3, "hepwrap": [1.0] * 3})
    wrong = with_cell(fine, "hepwrap", error="its answers differ")
    for after in (results(wrong), results()):
        lost = [change for change in compare(results(fine), after) if change.column == "hepwrap"]
        assert [change.verdict for change in lost] == [Verdict.LOST]
        assert lost[0].is_regression(1000)


def test_a_row_that_was_not_there_before_is_new_and_no_regression() -> None:
    new = compare(results(), results(row("stat", {"native": [1.0], "hepwrap": [1.0]})))
    assert {change.verdict for change in new} == {Verdict.NEW}
    assert not any(change.is_regression(0) for change in new)


def test_rows_without_native_are_compared_by_value() -> None:
    before = results(row("memory", {"hepwrap": [100.0] * 3}, unit="B"))
    after = results(row("memory", {"hepwrap": [150.0] * 3}, unit="B"))
    (change,) = compare(before, after)
    assert change.verdict is Verdict.SLOWER
    assert change.is_regression(30)


def test_counters_that_differ_are_told_whatever_the_times_are() -> None:
    def counted(stops: float) -> object:
        plain = row("stat", {"native": [1.0] * 3, "hepwrap": [1.0] * 3})
        return results(with_cell(plain, "hepwrap", counters={"tracer.stops": stops}))

    change = compare(counted(0.0), counted(10.0))[1]  # type: ignore[arg-type]
    assert change.verdict is Verdict.SAME
    assert change.counters == (("tracer.stops", 0.0, 1.0),)
    assert "stops 0.000 -> 1.00" in as_text(results(), results(), [change])


def test_other_machines_are_pointed_out() -> None:
    here, there = results(), results(machine=replace(MACHINE, processor="Another"))
    assert "different machines" in as_text(here, there, [])
    assert "different machines" not in as_text(here, here, [])


TIMES = st.lists(st.floats(1, 1e6), min_size=1, max_size=5)


@given(TIMES, TIMES)
def test_what_is_faster_one_way_is_slower_the_other(before: list[float], after: list[float]) -> None:
    there, back = one(list(before), list(after), 1.0), one(list(after), list(before), 1.0)
    opposite = {Verdict.FASTER: Verdict.SLOWER, Verdict.SLOWER: Verdict.FASTER}
    assert opposite.get(there.verdict, there.verdict) is back.verdict


@given(TIMES, TIMES, st.floats(0, 100))
def test_more_patience_finds_no_more_regressions(before: list[float], after: list[float], percent: float) -> None:
    change = one(list(before), list(after))
    assert change.is_regression(percent) >= change.is_regression(percent + 1)
