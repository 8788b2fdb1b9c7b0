"""What a run has found, as values and as versioned JSON.

Owns the schema: everything that shows or compares results reads it from here.  Must not know how they were measured.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hepwrap.errors import HepwrapError
from hepwrap.perf.columns import HEPWRAP, NATIVE
from hepwrap.perf.figures import Summary, speed, summary
from hepwrap.perf.goals import Figures, Goal, Promise, is_reached, needed_speed
from hepwrap.perf.machine import Machine

SCHEMA = "hepwrap-perf"
#: Goes up when a reader of the older form would misunderstand the newer one.
VERSION = 2
#: A result has a few hundred thousand; whatever else is named shall not fill the memory.
_MOST_LETTERS = 64_000_000
#: Ends the name of a row that tells of the first run of a command in its launch.
FIRST = "-first"


@dataclass(frozen=True, slots=True)
class Cell:
    """One row in one column."""

    #: Operations in each sample, of each process.
    iterations: int = 0
    #: Fewer than natively, because it would have taken too long.
    is_scaled: bool = False
    #: Time (or what the row's unit says) of one operation, one for each round; None: not taken in that round.
    samples: tuple[float | None, ...] = ()
    #: What was seen; equal in all columns.
    checksum: str = ""
    #: Counters of the measured operations alone, all of one sample together.
    counters: Mapping[str, float] = field(default_factory=dict)
    #: Counters of the first touches before them.
    setup: Mapping[str, float] = field(default_factory=dict)
    #: Why there is no figure, or why it must not be believed.
    error: str = ""
    #: How many processes did so many operations each, at once.
    processes: int = 1

    @property
    def summary(self) -> Summary | None:
        """Median and spread; None where there is no figure to believe."""
        return None if self.error else summary(self.samples)

    def per_operation(self, counter: str) -> float | None:
        """A counter for one operation; None where nothing is counted."""
        operations = self.iterations * self.processes
        return self.counters[counter] / operations if operations and counter in self.counters else None


@dataclass(frozen=True, slots=True)
class RowResult:
    """One row in all columns."""

    name: str
    title: str
    group: str
    unit: str
    goal: Goal | None
    #: Why it could not be measured at all here; "" where it was.
    missing: str = ""
    cells: Mapping[str, Cell] = field(default_factory=dict)

    @property
    def processes(self) -> int:
        """How many do it at once."""
        return max((cell.processes for cell in self.cells.values()), default=1)

    def speed(self, column: str) -> Summary | None:
        """How many times as fast as native; None where there is nothing to compare."""
        base, other = self.cells.get(NATIVE), self.cells.get(column)
        if base is None or other is None or base.summary is None or other.summary is None:
            return None
        return speed(base.samples, other.samples)

    def figures(self, column: str) -> Figures:
        """What goals are judged by."""
        cells = {name: cell.summary for name, cell in self.cells.items()}
        return Figures(cells.get(NATIVE), cells.get(column), self.speed(column))


@dataclass(frozen=True, slots=True)
class ColumnInfo:
    """A column as it is told of: its command with placeholders, which name no place of this machine."""

    name: str
    kind: str
    command: str
    prefix: str
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Results:
    """A whole run."""

    #: When it began, ISO 8601, UTC.
    date: str
    #: Of hepwrap.
    hepwrap: str
    machine: Machine
    rounds: int
    is_quick: bool
    #: Load average (1 minute) when it began: what else the machine did.
    load: float
    columns: tuple[ColumnInfo, ...]
    rows: tuple[RowResult, ...]

    def is_goal_reached(self, row: RowResult, column: str) -> bool | None:
        """Whether the column keeps the row's promise; None where there is none, or no figure."""
        if row.goal is None or (row.goal.promise is Promise.SAME and row.processes > self.machine.cores):
            return None
        return is_reached(row.goal, row.figures(column), self._base(row, column))

    def needed_speed(self, row: RowResult, column: str) -> float | None:
        """How many times as fast as native the column must be there; None where no speed is promised, or known."""
        return None if row.goal is None else needed_speed(row.goal, row.figures(column), self._base(row, column))

    def _base(self, row: RowResult, column: str) -> Figures:
        """Of the row that the goal refers to; of the row itself where that is no other."""
        name = row.goal.base if row.goal is not None and row.goal.base else row.name
        return next((one.figures(column) for one in self.rows if one.name == name), Figures(None, None, None))

    def failures(self) -> list[str]:
        """Rows that have an error in a column of hepwrap's own, `row (column)`."""
        ours = {column.name for column in self.columns if column.kind == HEPWRAP}
        told = [row for row in self.rows if not row.name.endswith(FIRST)]
        return [f"{row.name} ({name})" for row in told for name in row.cells if name in ours and row.cells[name].error]


def as_json(results: Results) -> str:
    """Versioned JSON."""
    value = {"schema": SCHEMA, "version": VERSION, **dataclasses.asdict(results)}
    return json.dumps(value, indent=1, allow_nan=False) + "\n"


def from_json(text: str, name: str) -> Results:
    """What as_json() wrote; HepwrapError with `name` for anything else."""
    try:
        raw = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise HepwrapError(f"{name} is not JSON: {error}") from None
    if not isinstance(raw, dict) or raw.get("schema") != SCHEMA:
        raise HepwrapError(f"{name} is not a result of hepwrap perf: its schema is not {SCHEMA!r}")
    if raw.get("version") != VERSION:
        raise HepwrapError(
            f"{name} has version {raw.get('version')} of the schema and this hepwrap reads {VERSION}; measure again"
        )
    try:
        return _results(raw)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise HepwrapError(f"{name} is damaged: {type(error).__name__}: {error}") from None


def read(path: Path) -> Results:
    """Results in a file; HepwrapError where it cannot be read or is something else."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(_MOST_LETTERS + 1)
    except OSError as error:
        raise HepwrapError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise HepwrapError(f"{path} is not JSON: it is not even text") from None
    if len(text) > _MOST_LETTERS:
        raise HepwrapError(f"{path} is larger than any result of hepwrap perf")
    return from_json(text, str(path))


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no number of JSON")


def _results(raw: dict[str, Any]) -> Results:
    rest = {key: value for key, value in raw.items() if key not in ("schema", "version")}
    rest["machine"] = Machine(**raw["machine"])
    rest["columns"] = tuple(ColumnInfo(**column) for column in raw["columns"])
    rest["rows"] = tuple(_row(row) for row in raw["rows"])
    return Results(**rest)


def _row(raw: dict[str, Any]) -> RowResult:
    cells = {str(name): _cell(cell) for name, cell in raw["cells"].items()}
    goal = raw["goal"] and Goal(
        Promise(raw["goal"]["promise"]), _number(raw["goal"]["value"]), str(raw["goal"]["base"])
    )
    return RowResult(**{**raw, "cells": cells, "goal": goal})


def _cell(raw: dict[str, Any]) -> Cell:
    samples = tuple(None if sample is None else _number(sample) for sample in raw["samples"])
    counters = {kind: {str(k): _number(v) for k, v in raw[kind].items()} for kind in ("counters", "setup")}
    return Cell(**{**raw, "samples": samples, **counters})


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is no number")
    return value
