"""What is promised of each row, and when a promise is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from hepwrap.perf.goals import GOALS, Goal, Promise, goal_of
from hepwrap.perf.macros import ROWS
from hepwrap.perf.results import RowResult
from hepwrap.perf.rows import Row
from hepwrap.perf.table import goal_text, promised
from tests.helpers.measured import MACHINE, results, row

#: Of every row that has one, as it is shown.
PROMISED = {
    "5.00x of stat": "stat stat-many stat-missing stat-link stat-deep stat-directory stat-relative "
    "stat-missing-relative access readlink",
    "0.800x": "open-close open-relative",
    "0.850x": "open-read-4k",
    "0.970x": "read-4k read-128k read-1m received-4k received-128k received-1m mmap-50m "
    "python pythia geant4 import-root",
    "1.50x": "readdir-1000 readdir-10000",
    "0.900x": "stat-host stat-many-host stat-missing-host stat-relative-host fstat-host access-host readlink-host "
    "open-close-host open-relative-host open-read-4k-host readdir-1000-host root.exe",
    "0.980x": "getppid",
    "0.700x": "exec-dynamic exec-dynamic-host",
    "1.00x": "find find-size ls grep grep-many",
    "<= +60.0 ms": "launch",
    "<= 60.0 MiB": "memory memory-find",
}


def test_every_promise_is_the_one_that_was_given() -> None:
    alone = [row for row in ROWS if row.processes == 1]
    found = {row.name: promised(row.goal, row.unit) for row in alone if row.goal}
    assert found == {name: text for text, names in PROMISED.items() for name in names.split()}
    assert GOALS.keys() <= {row.name for row in ROWS}


def test_several_processes_shall_reach_what_one_reaches() -> None:
    several = [row for row in ROWS if row.processes > 1]
    assert several
    for one in several:
        assert one.goal == Goal(Promise.SAME, 1.0, one.loop)
        assert promised(one.goal, one.unit) == "as one"
    assert goal_of("stat-first") is None


def is_kept(goal: Goal | None, native: Sequence[float], column: Sequence[float], *others: RowResult) -> bool | None:
    one = row("x", {"native": native, "hepwrap": column}, goal=goal)
    return results(one, *others).is_goal_reached(one, "hepwrap")


@pytest.mark.parametrize(
    ("goal", "native", "column", "reached"),
    [
        (Goal(Promise.SPEED, 2.0), 10.0, 5.0, True),
        (Goal(Promise.SPEED, 2.0), 10.0, 5.1, False),
        (Goal(Promise.ABOVE, 60.0), 10.0, 70.0, True),
        (Goal(Promise.ABOVE, 60.0), 10.0, 71.0, False),
        (Goal(Promise.MOST, 60.0), 10.0, 60.0, True),
        (Goal(Promise.MOST, 60.0), 10.0, 61.0, False),
        (None, 10.0, 5.0, None),
    ],
)
def test_a_promise_is_kept_up_to_its_figure(
    goal: Goal | None, native: float, column: float, reached: bool | None
) -> None:
    assert is_kept(goal, [native], [column]) is reached


def test_a_promise_without_figures_is_neither_kept_nor_broken() -> None:
    nothing = row("x", {"native": [1.0], "hepwrap": [None]})
    assert results(nothing).is_goal_reached(nothing, "hepwrap") is None
    alone = row("x", {"hepwrap": [5.0]}, goal=Goal(Promise.MOST, 9.0))
    assert results(alone).is_goal_reached(alone, "hepwrap") is True


@pytest.mark.parametrize(("column", "reached"), [(4.0, True), (4.1, False)])
def test_a_promise_about_another_row_is_judged_by_what_native_took_there(column: float, reached: bool) -> None:
    stat = row("stat", {"native": [20.0], "hepwrap": [1.0]})
    goal = Goal(Promise.SPEED, 5.0, "stat")
    assert is_kept(goal, [10.0], [column], stat) is reached
    assert is_kept(goal, [10.0], [column]) is None  # Without that row nothing can be said.
    access = row("access", {"native": [10.0], "hepwrap": [column]}, goal=goal)
    assert results(stat, access).needed_speed(access, "hepwrap") == 2.5


def several(processes: int, column: Sequence[float]) -> tuple[RowResult, RowResult]:
    one = row("stat", {"native": [100.0] * 3, "hepwrap": [9.0, 10.0, 11.0]})
    many = row(f"stat-x{processes}", {"native": [100.0] * 3, "hepwrap": column}, goal=goal_of(f"stat-x{processes}"))
    cells = {name: replace(cell, processes=processes) for name, cell in many.cells.items()}
    return one, replace(many, cells=cells)


@pytest.mark.parametrize(
    ("column", "reached"), [([10.0] * 3, True), ([1.0] * 3, True), ([11.0, 12.0, 13.0], True), ([20.0] * 3, False)]
)
def test_processes_at_once_are_as_fast_as_one_within_the_spread(column: Sequence[float], reached: bool) -> None:
    one, many = several(2, column)
    found = results(one, many)
    assert found.is_goal_reached(many, "hepwrap") is reached
    assert goal_text(found, many, "hepwrap") == f"as one {'ok' if reached else 'missed'}"
    assert found.needed_speed(many, "hepwrap") == 10.0


def test_nothing_is_promised_of_more_processes_than_cores_and_nothing_known_from_one_sample() -> None:
    one, many = several(MACHINE.cores + 1, [1000.0] * 3)
    assert results(one, many).is_goal_reached(many, "hepwrap") is None
    one, many = several(2, [1000.0])
    assert results(one, many).is_goal_reached(many, "hepwrap") is None


def test_a_row_has_the_goal_of_its_name() -> None:
    assert Row("stat", "stat", "names").goal == GOALS["stat"]
