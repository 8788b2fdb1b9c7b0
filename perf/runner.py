"""Measures all rows in all columns: calibrates on native, then goes round after round.

Columns alternate within each row and round, in an order that is shuffled each time, so that a machine that is slow for
a while is slow for all.  Owns the order and the numbers of iterations; clock, chance and probe are handed in.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from hepwrap.errors import HepwrapError
from hepwrap.perf.columns import NATIVE, Column
from hepwrap.perf.execute import TookTooLong
from hepwrap.perf.figures import differences, fewest
from hepwrap.perf.probes import Sample
from hepwrap.perf.results import FIRST, Cell, RowResult
from hepwrap.perf.rows import Kind, Row

#: How many times the wanted time a slower column may take before it gets fewer iterations.
_PATIENCE = 10.0
#: The first try; grows by at most this factor from try to try.
_GROWTH = 100
_MOST_ITERATIONS = 100_000_000
#: Seconds: what a run that has a budget shall take in all, without the sample it is at and what is written then; and
#: what remains to measure where preparing has taken nearly all of it.
_MINUTE, _LEAST_BUDGET = 50.0, 5.0


class GivenUp(HepwrapError):
    """Not tried, because something in this column has taken too long."""


class Takes(Protocol):
    """Takes one sample (see probes.Probe)."""

    def take(self, row: Row, column: Column, iterations: int) -> Sample:
        """HepwrapError where it fails."""
        ...


@dataclass(frozen=True, slots=True)
class Plan:
    """How thoroughly."""

    rounds: int = 5
    #: Seconds that a native sample of a loop, and of a command, shall take.
    loop_seconds: float = 0.1
    command_seconds: float = 0.5
    #: No new sample is begun after that many seconds; None: no limit.
    budget: float | None = None
    #: Seconds after which a sample is ended, and its column given up.
    limit: float = 600.0

    def after(self, seconds: float) -> Plan:
        """What is left to do after so many seconds of preparing: the minute of --quick has them in it."""
        if self.budget is None:
            return self
        return replace(self, budget=max(_LEAST_BUDGET, min(self.budget, _MINUTE - seconds)))

    def wanted(self, row: Row) -> float:
        """Nanoseconds a native sample shall take."""
        return 1e9 * (self.command_seconds if row.kind is Kind.COMMAND else self.loop_seconds)


QUICK = Plan(rounds=3, loop_seconds=0.02, command_seconds=0.02, budget=35.0, limit=10.0)


@dataclass(slots=True)
class _Field:
    """A cell while it is being measured."""

    row: Row
    column: Column
    iterations: int = 0
    is_scaled: bool = False
    samples: list[float | None] = field(default_factory=list)
    firsts: list[float | None] = field(default_factory=list)
    checksum: str = ""
    counters: Mapping[str, float] = field(default_factory=dict)
    setup: Mapping[str, float] = field(default_factory=dict)
    idle: Mapping[str, float] = field(default_factory=dict)
    error: str = ""


@dataclass(slots=True)
class Runner:
    """One run."""

    probe: Takes
    columns: Sequence[Column]
    plan: Plan
    #: Seconds, from anywhere.
    clock: Callable[[], float]
    chance: random.Random
    #: Takes what is being done, the share of all that is done, and is called often.
    progress: Callable[[str, float], None]
    #: Columns in which something took too long, and what: they are not tried again, or a run could last for days.
    given_up: dict[str, str] = field(default_factory=dict)

    def run(self, rows: Sequence[Row]) -> list[RowResult]:
        """All rows that can be measured."""
        begin = self.clock()
        fields = [[_Field(row, column) for column in self.columns if _is_measured(row, column)] for row in rows]
        done, steps = 0, len(rows) * (self.plan.rounds + 1)

        def progress(text: str, count: int) -> None:
            spent = (self.clock() - begin) / self.plan.budget if self.plan.budget else 0.0
            self.progress(text, min(0.99, max(count / steps, spent)))

        empty = {column.name: self._nothing(column) for column in self.columns if column.counts and not column.missing}
        for number in range(self.plan.rounds):
            for cells in fields:
                name = cells[0].row.name
                if number == 0 and self._has_time(begin):
                    # Just before its first round: where time runs out, what was begun has a figure.
                    progress(f"calibrating {name}", done)
                    self._calibrate(cells, empty)
                    progress(f"round 1 of {self.plan.rounds}: {name}", done + 1)
                    self._round(cells)
                elif number > 0 and self._has_time(begin):
                    progress(f"round {number + 1} of {self.plan.rounds}: {name}", done)
                    self._round(cells)
                done += 2 if number == 0 else 1
        return [result for cells in fields for result in _results(cells)]

    def _has_time(self, begin: float) -> bool:
        return self.plan.budget is None or self.clock() - begin < self.plan.budget

    def _nothing(self, column: Column) -> Mapping[str, float]:
        """Counters of a launch whose program touches nothing."""
        try:
            return self._take(NOTHING, column, 0).counters
        except HepwrapError:
            return {}  # The rows will say it.

    def _calibrate(self, cells: Sequence[_Field], empty: Mapping[str, Mapping[str, float]]) -> None:
        """How many iterations native needs, and who must do with fewer."""
        native = _native(cells)
        if native is None:
            for cell in cells:
                cell.iterations = 1
            return
        wanted = self.plan.wanted(native.row)
        try:
            native.iterations = self._iterations(native, wanted)
        except HepwrapError as error:
            for cell in cells:
                cell.error = str(error) if cell is native else "native failed"
            return
        for cell in cells:
            if cell is not native:
                self._scale(cell, native.iterations, wanted, empty)

    def _iterations(self, cell: _Field, wanted: float) -> int:
        """As many as take about `wanted` nanoseconds."""
        count = 1
        while True:
            sample = self._take(cell.row, cell.column, count)
            cell.checksum = sample.checksum
            if sample.total >= wanted / 3 or count >= _MOST_ITERATIONS:
                return max(1, min(_MOST_ITERATIONS, round(count * wanted / max(sample.total, 1.0))))
            count = min(_MOST_ITERATIONS, max(count + 1, int(count * min(_GROWTH, wanted / max(sample.total, 1.0)))))

    def _scale(self, cell: _Field, iterations: int, wanted: float, empty: Mapping[str, Mapping[str, float]]) -> None:
        """The idle run's counters, and a short run to see whether this column is too slow for all iterations."""
        try:
            if cell.column.counts:
                cell.idle = self._take(cell.row, cell.column, 0).counters
                cell.setup = differences(dict(cell.idle), dict(empty.get(cell.column.name, {})))
            if iterations == 1:
                cell.iterations = 1
                return
            few = max(1, iterations // 20)
            took = self._take(cell.row, cell.column, few).total / few
        except HepwrapError as error:
            cell.error = str(error)
            return
        most = max(1, int(_PATIENCE * wanted / max(took, 1.0)))
        cell.iterations, cell.is_scaled = min(iterations, most), iterations > most

    def _round(self, cells: Sequence[_Field]) -> None:
        """One sample in every column, in a new order."""
        order = list(cells)
        self.chance.shuffle(order)
        for cell in order:
            sample = self._sample(cell) if cell.iterations and not cell.error else None
            cell.samples.append(sample.total / cell.iterations if sample else None)
            cell.firsts.append(sample.first if sample else None)
        native = _native(cells)
        for cell in cells:
            if native and cell.checksum and native.checksum and cell.checksum != native.checksum:
                cell.error = cell.error or f"its answers differ from native's ({cell.checksum}, {native.checksum})"

    def _take(self, row: Row, column: Column, iterations: int) -> Sample:
        """One sample; GivenUp without trying where the column has taken too long before."""
        if column.name in self.given_up:
            raise GivenUp(f"given up: {self.given_up[column.name]}")
        try:
            return self.probe.take(row, column, iterations)
        except TookTooLong as error:
            self.given_up[column.name] = f"in {row.name} {error}"
            raise

    def _sample(self, cell: _Field) -> Sample | None:
        try:
            sample = self._take(cell.row, cell.column, cell.iterations)
        except HepwrapError as error:
            if not (isinstance(error, GivenUp) and cell.samples):
                cell.error = str(error)
            return None
        cell.checksum = sample.checksum
        if cell.column.counts:
            found = differences(dict(sample.counters), dict(cell.idle))
            cell.counters = fewest(dict(cell.counters), found) if cell.counters else found
        return sample


#: Touches nothing: what is counted here is the launch and the loader.
NOTHING = Row("nothing", "nothing", "")


def _is_measured(row: Row, column: Column) -> bool:
    """Only hepwrap has a helper whose memory could be measured."""
    return not column.missing and (row.kind is not Kind.MEMORY or column.counts)


def _native(cells: Sequence[_Field]) -> _Field | None:
    return next((cell for cell in cells if cell.column.kind == NATIVE), None)


def _results(cells: Sequence[_Field]) -> list[RowResult]:
    """The row; of a command also its first run in each launch."""
    row = cells[0].row
    results = [_result(row, cells, {cell.column.name: _cell(cell) for cell in cells})]
    if row.kind is Kind.COMMAND:
        title = f"{row.title}: the first run in a launch"
        first = replace(row, name=row.name + FIRST, title=title)
        results.append(_result(first, cells, {cell.column.name: _first(cell) for cell in cells}))
    return results


def _result(row: Row, cells: Sequence[_Field], shown: Mapping[str, Cell]) -> RowResult:
    missing = "" if any(sample is not None for cell in cells for sample in cell.samples) else _reason(cells)
    return RowResult(row.name, row.title, row.group, row.unit, row.goal, missing, shown)


def _reason(cells: Sequence[_Field]) -> str:
    return next((cell.error for cell in cells if cell.error), "not reached within the time of --quick")


def _cell(cell: _Field) -> Cell:
    return Cell(
        cell.iterations,
        cell.is_scaled,
        tuple(cell.samples),
        cell.checksum,
        dict(cell.counters),
        dict(cell.setup),
        cell.error,
        cell.row.processes,
    )


def _first(cell: _Field) -> Cell:
    """The first run, which set everything up, as a cell of its own."""
    return replace(_cell(cell), iterations=1, is_scaled=False, samples=tuple(cell.firsts), counters=dict(cell.setup))
