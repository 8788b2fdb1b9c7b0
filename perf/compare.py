"""Compares two results: what became faster or slower by more than the spread.

Speeds relative to native are compared, each in its own run, so that another load or another machine changes little;
for the native column, and for rows without a native figure, the values themselves.  Must not print.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass

from hepwrap.perf.columns import NATIVE
from hepwrap.perf.counters import FETCHES, STOPS, UPCALLS
from hepwrap.perf.figures import Summary, changed, growth
from hepwrap.perf.results import Cell, Results, RowResult


class Verdict(enum.StrEnum):
    """What became of a row in a column."""

    SAME = "same"
    #: A single sample does not tell how far it may be off.
    UNKNOWN = "unknown"
    FASTER = "faster"
    SLOWER = "slower"
    #: There was a figure, and now there is none.
    LOST = "lost"
    NEW = "new"


@dataclass(frozen=True, slots=True)
class Change:
    """One row in one column, before and after."""

    row: RowResult
    column: str
    verdict: Verdict
    #: Values in the row's unit.
    before: Summary | None
    after: Summary | None
    #: Speeds relative to native.
    speed_before: Summary | None
    speed_after: Summary | None
    #: By which share it is better (positive) or worse; 0 where that cannot be said.
    gain: float
    #: Counters of one operation that are not what they were: name, before, after.
    counters: tuple[tuple[str, float, float], ...] = ()
    #: Why there is no figure in one of them.
    reason: str = ""

    def is_regression(self, percent: float) -> bool:
        """Whether it is lost, or worse by more than the spread and by more than `percent`; native is the yardstick."""
        if self.column == NATIVE:
            return False
        return self.verdict is Verdict.LOST or (self.verdict is Verdict.SLOWER and -100 * self.gain > percent)


def compare(before: Results, after: Results) -> list[Change]:
    """Every row and column for which either has a figure, in the order of `after`, then what only `before` has."""
    old = {row.name: row for row in before.rows}
    new = {row.name: row for row in after.rows}
    names = [*new, *(name for name in old if name not in new)]
    columns = list(dict.fromkeys(column.name for results in (after, before) for column in results.columns))
    return [change for name in names for change in _of_row(old.get(name), new.get(name), columns)]


def _of_row(old: RowResult | None, new: RowResult | None, columns: list[str]) -> Iterator[Change]:
    for column in columns:
        before, after = _cell(old, column), _cell(new, column)
        if before.summary is None and after.summary is None:
            continue
        row = new or old
        assert row is not None
        speeds = (old.speed(column) if old else None, new.speed(column) if new else None)
        verdict, gain = _judge(before.summary, after.summary, *(speeds if column != NATIVE else (None, None)))
        counters, reason = _counters(before, after), _reason((old, before), (new, after))
        yield Change(row, column, verdict, before.summary, after.summary, *speeds, gain, counters, reason)


def _cell(row: RowResult | None, column: str) -> Cell:
    return Cell() if row is None else row.cells.get(column, Cell())


def _reason(*sides: tuple[RowResult | None, Cell]) -> str:
    """Of the side that has no figure."""
    for row, cell in sides:
        if row is None:
            return "no such row"
        if cell.summary is None:
            return cell.error or row.missing or "no such column"
    return ""


def _judge(
    before: Summary | None, after: Summary | None, speed_before: Summary | None, speed_after: Summary | None
) -> tuple[Verdict, float]:
    if before is None or after is None:
        return (Verdict.NEW if before is None else Verdict.LOST), 0.0
    if speed_before is not None and speed_after is not None:
        worse, better = speed_before, speed_after
    else:
        worse, better = after, before  # Less is better.
    gain = growth(worse.median, better.median)
    if min(worse.count, better.count) < 2:
        return Verdict.UNKNOWN, gain
    if not changed(worse, better):
        return Verdict.SAME, gain
    return (Verdict.FASTER if better.median > worse.median else Verdict.SLOWER), gain


def _counters(before: Cell, after: Cell) -> tuple[tuple[str, float, float], ...]:
    """What differs by more than a hundredth of an operation."""
    pairs = ((name, before.per_operation(name), after.per_operation(name)) for name in (STOPS, UPCALLS, FETCHES))
    known = ((name, one, two) for name, one, two in pairs if one is not None and two is not None)
    return tuple((name, one, two) for name, one, two in known if abs(one - two) >= 0.01)
