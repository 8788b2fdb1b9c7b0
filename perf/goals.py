"""What is promised of each row, as one table, and when a promise is kept.  Must not know how rows are measured."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass

from hepwrap.perf.figures import Summary, changed

_MIB = 1024 * 1024


class Promise(enum.StrEnum):
    """How a goal is meant."""

    #: At least so many times native's speed: of the same row, or of the row that is the base.
    SPEED = "speed"
    #: As many times native's speed as the base, which is the same with one process; as long as each has a core.
    SAME = "same"
    #: At most so much more than native, in the row's unit.
    ABOVE = "above"
    #: At most so much, in the row's unit.
    MOST = "most"


@dataclass(frozen=True, slots=True)
class Goal:
    """A promise and its figure."""

    promise: Promise
    value: float
    #: The name of another row that it is compared with; "" where there is none.
    base: str = ""


def _of(goal: Goal, *names: str) -> dict[str, Goal]:
    return dict.fromkeys((name for words in names for name in words.split()), goal)


def _speed(value: float, base: str = "") -> Goal:
    return Goal(Promise.SPEED, value, base)


#: By name of the row.
GOALS: Mapping[str, Goal] = {
    # Whatever is asked by name is compared with a stat of a local file.
    **_of(
        _speed(5.0, "stat"),
        "stat stat-many stat-link stat-deep stat-directory stat-relative access readlink",
        "stat-missing stat-missing-relative",
    ),
    **_of(_speed(0.8), "open-close open-relative"),
    **_of(_speed(0.85), "open-read-4k"),
    **_of(_speed(0.97), "read-4k read-128k read-1m received-4k received-128k received-1m mmap-50m"),
    **_of(_speed(1.5), "readdir-1000 readdir-10000"),
    **_of(
        _speed(0.9),
        "stat-host stat-many-host stat-missing-host stat-relative-host fstat-host access-host readlink-host",
        "open-close-host open-relative-host open-read-4k-host readdir-1000-host",
    ),
    **_of(_speed(0.98), "getppid"),
    **_of(_speed(0.7), "exec-dynamic exec-dynamic-host"),
    **_of(_speed(0.97), "python pythia geant4 import-root"),
    **_of(_speed(0.9), "root.exe"),
    **_of(_speed(1.0), "find find-size ls grep grep-many"),
    **_of(Goal(Promise.ABOVE, 60e6), "launch"),
    **_of(Goal(Promise.MOST, 60 * _MIB), "memory memory-find"),
}


def goal_of(name: str) -> Goal | None:
    """What is promised of the row of this name; of several processes at once, what one reaches."""
    if several := re.fullmatch(r"(.+)-x\d+", name):
        return Goal(Promise.SAME, 1.0, several[1])
    return GOALS.get(name)


@dataclass(frozen=True, slots=True)
class Figures:
    """What was found of a row in a column; None where nothing was."""

    native: Summary | None
    column: Summary | None
    speed: Summary | None


def needed_speed(goal: Goal, row: Figures, base: Figures) -> float | None:
    """How many times as fast as native the row must be; None where a speed is not what is promised, or not known."""
    if goal.promise is Promise.SAME:
        return None if base.speed is None else base.speed.median
    if goal.promise is not Promise.SPEED:
        return None
    if not goal.base:
        return goal.value
    if row.native is None or base.native is None or not base.native.median:
        return None
    return goal.value * row.native.median / base.native.median


def is_reached(goal: Goal, row: Figures, base: Figures) -> bool | None:
    """Whether the medians keep the promise; None where they cannot say.  `base`: of the row that is `goal.base`."""
    if goal.promise is Promise.SAME:
        return _is_same(row.speed, base.speed)
    if goal.promise is Promise.SPEED:
        needed = needed_speed(goal, row, base)
        return None if needed is None or row.speed is None else row.speed.median >= needed
    if row.column is None or (goal.promise is Promise.ABOVE and row.native is None):
        return None
    above = row.native.median if row.native is not None and goal.promise is Promise.ABOVE else 0.0
    return row.column.median - above <= goal.value


def _is_same(row: Summary | None, base: Summary | None) -> bool | None:
    """Not less by more than the spreads, which one sample has not."""
    if row is None or base is None or min(row.count, base.count) < 2:
        return None
    return row.median >= base.median or not changed(base, row)
