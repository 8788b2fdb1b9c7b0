"""Results of hepwrap perf that nobody measured, and a probe that takes no time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from hepwrap.errors import HepwrapError
from hepwrap.perf.columns import Column, usual
from hepwrap.perf.execute import TookTooLong
from hepwrap.perf.goals import Goal, Promise
from hepwrap.perf.machine import Machine
from hepwrap.perf.probes import Sample
from hepwrap.perf.results import Cell, ColumnInfo, Results, RowResult
from hepwrap.perf.rows import Row

MACHINE = Machine("A processor", 2, "6.1.0", "x86_64", 8 << 30, False, "glibc 2.36", "3.11.2", "ext4")
NATIVE, HEPWRAP, NO_PATCH = usual(["hepwrap"])


def row(name: str, samples: Mapping[str, Sequence[float | None]], **fields: object) -> RowResult:
    """A row with these samples in these columns, ten operations each."""
    cells = {column: Cell(10, samples=tuple(values), checksum="1") for column, values in samples.items()}
    goal = Goal(Promise.SPEED, 2.0)
    return replace(RowResult(name, f"title of {name}", "group", "ns", goal, "", cells), **fields)  # type: ignore[arg-type]


def results(*rows: RowResult, **fields: object) -> Results:
    """A run with native and hepwrap."""
    columns = (ColumnInfo("native", "native", "", "{tree}"), ColumnInfo("hepwrap", "hepwrap", "hepwrap --", "/cvmfs/p"))
    return replace(Results("2026-01-02T03:04:05+00:00", "0.1", MACHINE, 3, False, 0.5, columns, rows), **fields)  # type: ignore[arg-type]


def with_cell(of: RowResult, column: str, **fields: object) -> RowResult:
    """The row with something else in one cell."""
    return replace(of, cells={**of.cells, column: replace(of.cells[column], **fields)})  # type: ignore[arg-type]


@dataclass
class FakeProbe:
    """Knows what each operation takes, remembers what was asked for, and moves its own clock."""

    #: Nanoseconds of one operation by column.
    costs: Mapping[str, float]
    #: Stops of the tracer for one operation, and of each launch.
    stops: float = 0.0
    stops_of_launch: float = 100.0
    checksum: Callable[[Row, Column], str] = lambda _row, _column: "same"
    #: Raised for these (row, column).
    broken: Mapping[tuple[str, str], str] = field(default_factory=dict)
    #: These take `patience` seconds and are ended then.
    hangs: Collection[tuple[str, str]] = ()
    patience: float = 600.0
    taken: list[tuple[str, str, int]] = field(default_factory=list)
    seconds: float = 0.0

    def take(self, row: Row, column: Column, iterations: int) -> Sample:
        """What would have been measured."""
        self.taken.append((row.name, column.name, iterations))
        if (row.name, column.name) in self.broken:
            raise HepwrapError(self.broken[row.name, column.name])
        if (row.name, column.name) in self.hangs:
            self.seconds += self.patience
            raise TookTooLong("it took too long")
        total = self.costs[column.name] * iterations
        self.seconds += total / 1e9
        counters = {"tracer.stops": self.stops_of_launch + self.stops * iterations} if column.counts else {}
        return Sample(total, 7.0, self.checksum(row, column), counters)

    def clock(self) -> float:
        """Seconds that all of it would have taken."""
        return self.seconds

    def order(self, row: str) -> list[str]:
        """Columns in which a row was measured, in order."""
        return [column for name, column, _ in self.taken if name == row]
