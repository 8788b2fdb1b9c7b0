"""The order of a run and its numbers of iterations, on a probe that takes no time."""

from __future__ import annotations

import random
from collections.abc import Sequence

from hepwrap.perf.macros import ROWS
from hepwrap.perf.results import RowResult
from hepwrap.perf.rows import Kind, Row
from hepwrap.perf.runner import QUICK, Plan, Runner
from tests.helpers.measured import HEPWRAP, NATIVE, NO_PATCH, FakeProbe

COLUMNS = (NATIVE, HEPWRAP, NO_PATCH)
STAT, OPEN = Row("stat", "stat", "names"), Row("open", "open", "names")
PYTHON = Row("python", "python", "jobs", Kind.COMMAND, command=("python",))
MEMORY = Row("memory", "memory", "launch", Kind.MEMORY, unit="B")
SAME = {"native": 1000.0, "hepwrap": 1000.0, "no-patch": 1000.0}


def run(probe: FakeProbe, rows: Sequence[Row], plan: Plan | None = None, *, seed: int = 1) -> dict[str, RowResult]:
    runner = Runner(
        probe, COLUMNS, plan or Plan(rounds=4), probe.clock, random.Random(seed), lambda _text, _share: None
    )
    return {result.name: result for result in runner.run(rows)}


def rounds_of(probe: FakeProbe, name: str, rounds: int) -> list[list[str]]:
    """The columns of each round, without what calibrated."""
    order = probe.order(name)[-3 * rounds :]
    return [order[at : at + 3] for at in range(0, len(order), 3)]


def test_every_round_has_every_column_once_before_any_comes_again() -> None:
    probe = FakeProbe(SAME)
    run(probe, [STAT])
    assert all(sorted(columns) == sorted(SAME) for columns in rounds_of(probe, "stat", 4))


def test_rounds_are_shuffled_and_the_same_seed_shuffles_the_same() -> None:
    probes = [FakeProbe(SAME) for _ in range(3)]
    for probe, seed in zip(probes, (1, 1, 2), strict=True):
        run(probe, [STAT], Plan(rounds=8), seed=seed)
    orders = [rounds_of(probe, "stat", 8) for probe in probes]
    assert orders[0] == orders[1] != orders[2]
    assert len({tuple(columns) for columns in orders[0]}) > 1


def test_all_rows_have_their_first_round_before_any_has_its_second() -> None:
    probe = FakeProbe(SAME)
    run(probe, [STAT, OPEN], Plan(rounds=2))
    names = [name for name, _, _ in probe.taken if name != "nothing"]
    assert names[-6:] == ["stat"] * 3 + ["open"] * 3
    first = names[:-6]
    assert first == sorted(first, reverse=True)  # Each is calibrated just before its first round.
    assert set(first) == {"stat", "open"}


def test_a_row_that_is_begun_in_time_has_a_figure_in_every_column() -> None:
    probe = FakeProbe(dict.fromkeys(SAME, 1e9))
    found = run(probe, [STAT, OPEN], Plan(rounds=3, loop_seconds=1.0, budget=0.5))
    assert all(cell.summary for cell in found["stat"].cells.values())
    assert "not reached" in found["open"].missing


def test_iterations_are_what_native_needs_for_the_wanted_time() -> None:
    cells = run(FakeProbe(SAME), [STAT], Plan(rounds=1, loop_seconds=0.1))["stat"].cells
    assert {cell.iterations for cell in cells.values()} == {100_000}
    assert not any(cell.is_scaled for cell in cells.values())


def test_native_is_calibrated_alone_and_once() -> None:
    probe = FakeProbe(SAME)
    run(probe, [STAT], Plan(rounds=1))
    order = probe.order("stat")
    assert set(order[: order.index("hepwrap")]) == {"native"}
    assert "native" not in order[order.index("hepwrap") : -3]


def test_a_column_that_would_take_too_long_gets_fewer_iterations_and_says_so() -> None:
    cells = run(FakeProbe({**SAME, "no-patch": 100_000.0}), [STAT], Plan(rounds=1, loop_seconds=0.1))["stat"].cells
    assert cells["no-patch"].is_scaled
    assert cells["no-patch"].iterations == 10_000
    assert cells["no-patch"].samples == (100_000.0,)
    assert not cells["hepwrap"].is_scaled


def test_an_operation_longer_than_the_wanted_time_is_done_once() -> None:
    probe = FakeProbe(dict.fromkeys(SAME, 5000000000.0))
    cells = run(probe, [PYTHON], Plan(rounds=2))["python"].cells
    assert {cell.iterations for cell in cells.values()} == {1}
    # One to calibrate, one idle for each that counts, and the rounds: nothing for scaling what cannot be scaled.
    assert len(probe.order("python")) == 1 + 2 + 2 * 3


def test_counters_are_those_of_the_operations_alone() -> None:
    cells = run(FakeProbe(SAME, stops=1.0), [STAT], Plan(rounds=1))["stat"].cells
    assert cells["hepwrap"].per_operation("tracer.stops") == 1.0
    assert cells["native"].counters == {}


def test_counters_of_several_processes_are_for_one_operation_of_one() -> None:
    both = Row("stat-x2", "stat, 2 processes", "at once", loop="stat", processes=2)
    cells = run(FakeProbe(SAME, stops=2.0), [both], Plan(rounds=1))["stat-x2"].cells
    assert cells["hepwrap"].per_operation("tracer.stops") == 1.0


def test_a_loop_without_stops_has_exactly_none() -> None:
    assert run(FakeProbe(SAME, stops=0.0), [STAT])["stat"].cells["hepwrap"].counters == {"tracer.stops": 0.0}


def test_counters_of_the_first_touches_are_without_those_of_an_empty_launch() -> None:
    probe = FakeProbe(SAME, stops=1.0)
    setup = run(probe, [STAT])["stat"].cells["hepwrap"].setup
    assert setup == {"tracer.stops": 0.0}
    assert probe.order("nothing") == ["hepwrap", "no-patch"]


def test_different_answers_are_an_error_and_no_figure() -> None:
    probe = FakeProbe(SAME, checksum=lambda _row, column: "other" if column is HEPWRAP else "same")
    result = run(probe, [STAT])["stat"]
    assert "differ" in result.cells["hepwrap"].error
    assert result.cells["hepwrap"].summary is None
    assert result.speed("hepwrap") is None
    assert result.speed("no-patch") is not None


def test_a_column_that_fails_leaves_the_others_and_is_not_tried_again() -> None:
    probe = FakeProbe(SAME, broken={("stat", "hepwrap"): "it broke"})
    result = run(probe, [STAT, OPEN])
    assert result["stat"].cells["hepwrap"].error == "it broke"
    assert result["stat"].speed("no-patch") is not None
    assert result["open"].speed("hepwrap") is not None
    assert probe.order("stat").count("hepwrap") == 1


def test_where_native_fails_the_row_is_missing_with_its_reason() -> None:
    result = run(FakeProbe(SAME, broken={("stat", "native"): "no such file"}), [STAT])["stat"]
    assert result.missing == "no such file"
    assert result.cells["hepwrap"].error == "native failed"


def test_a_command_has_a_row_for_its_first_run() -> None:
    found = run(FakeProbe(SAME), [PYTHON], Plan(rounds=3))
    assert found["python-first"].cells["native"].samples == (7.0, 7.0, 7.0)
    assert found["python-first"].cells["native"].iterations == 1
    assert found["python-first"].goal is None


def test_memory_is_measured_of_hepwrap_only() -> None:
    probe = FakeProbe(SAME)
    result = run(probe, [MEMORY], Plan(rounds=2))["memory"]
    assert set(probe.order("memory")) == {"hepwrap", "no-patch"} == set(result.cells)
    assert result.cells["hepwrap"].samples == (1000.0, 1000.0)


def test_a_budget_ends_the_run_and_what_was_not_reached_says_so() -> None:
    probe = FakeProbe(dict.fromkeys(SAME, 1000000000.0))
    found = run(probe, [STAT, OPEN], Plan(rounds=100, loop_seconds=1.0, budget=4.0))
    assert 1 <= len(found["stat"].cells["native"].samples) < 3
    assert "not reached" in found["open"].missing
    assert probe.seconds < 12


def test_a_quick_run_ends_within_a_minute_also_where_a_sample_takes_seconds() -> None:
    probe = FakeProbe(dict.fromkeys(SAME, 2e9))
    quick = [row for row in ROWS if row.is_quick]
    found = run(probe, quick, QUICK)
    assert found.keys() >= {row.name for row in quick}
    assert 30 < probe.seconds < 60


def test_a_column_that_takes_too_long_is_not_tried_again_and_says_why() -> None:
    probe = FakeProbe(SAME, hangs={("stat", "no-patch")})
    found = run(probe, [STAT, OPEN], Plan(rounds=3))
    assert probe.order("stat").count("no-patch") == 1
    assert "no-patch" not in probe.order("open")
    assert found["stat"].cells["no-patch"].error == "it took too long"
    assert found["open"].cells["no-patch"].error == "given up: in stat it took too long"
    assert all(row.speed("hepwrap") for row in found.values())


def test_figures_of_a_column_stay_where_it_is_given_up_later() -> None:
    probe = FakeProbe(SAME, hangs={("open", "no-patch")})
    found = run(probe, [STAT, OPEN, STAT], Plan(rounds=2))
    assert found["stat"].cells["no-patch"].error.startswith("given up")  # The third row came after it hung.
    found = run(FakeProbe(SAME, hangs={("open", "no-patch")}), [STAT, OPEN], Plan(rounds=2))
    assert found["stat"].cells["no-patch"].samples == (1000.0, None)
    assert found["stat"].speed("no-patch")


def test_a_quick_run_ends_within_a_minute_also_where_a_column_hangs() -> None:
    quick = [row for row in ROWS if row.is_quick]
    probe = FakeProbe(dict.fromkeys(SAME, 1e6), hangs={(row.name, "no-patch") for row in quick}, patience=QUICK.limit)
    run(probe, quick, QUICK)
    assert probe.seconds < 60


def test_the_minute_of_a_quick_run_has_preparing_in_it() -> None:
    assert QUICK.after(0.0) == QUICK
    assert QUICK.after(30.0).budget == 20.0
    assert (QUICK.after(100.0).budget or 0.0) > 0
    assert Plan().after(100.0) == Plan()


def test_where_time_is_limited_progress_is_that_of_time() -> None:
    shares: list[float] = []
    probe = FakeProbe(dict.fromkeys(SAME, 1e9))
    plan = Plan(rounds=100, loop_seconds=1.0, budget=40.0)
    Runner(probe, COLUMNS, plan, probe.clock, random.Random(), lambda _text, share: shares.append(share)).run([STAT])
    assert shares == sorted(shares)
    assert 0.8 < shares[-1] < 1


def test_progress_grows_from_nothing_to_nearly_all() -> None:
    shares: list[float] = []
    probe = FakeProbe(SAME)
    Runner(probe, COLUMNS, Plan(rounds=3), probe.clock, random.Random(), lambda _text, share: shares.append(share)).run(
        [STAT, OPEN]
    )
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert 0.8 < shares[-1] < 1
