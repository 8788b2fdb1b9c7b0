"""Every row, natively and under hepwrap, patched and not: equal answers, and counters where they belong.

Counts are asserted and never times.
"""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest

from hepwrap.perf.columns import Column, usual
from hepwrap.perf.macros import COMMANDS, LAUNCHES, ROWS
from hepwrap.perf.parts import PARTS
from hepwrap.perf.probes import Probe, Sample
from hepwrap.perf.results import FIRST, RowResult
from hepwrap.perf.rows import LOOPS, Kind, Row
from hepwrap.perf.runner import NOTHING, Plan, Runner
from hepwrap.perf.session import Session
from hepwrap.perf.work import Made, Work, default_directory, read_made
from tests.helpers.needs import lacking

#: One or two operations of each row, once.
ONCE = Plan(rounds=1, loop_seconds=1e-6, command_seconds=1e-6)
STACKS = {part.name for part in PARTS if part.is_stack}
#: Rows whose loop may leave the program's own process: they start processes.
STARTS = {"exec-dynamic", "exec-static", "exec-dynamic-host"}


OF_STACKS = [row for row in COMMANDS if STACKS & set(row.parts)]


@dataclass
class Remembering:
    """The probe; what an empty launch counts is asked once for all rows."""

    probe: Probe
    empty: dict[str, Sample] = field(default_factory=dict)

    def take(self, row: Row, column: Column, iterations: int) -> Sample:
        if row is not NOTHING:
            return self.probe.take(row, column, iterations)
        if column.name not in self.empty:
            self.empty[column.name] = self.probe.take(row, column, iterations)
        return self.empty[column.name]


@pytest.fixture(scope="module")
def probe(prepared: tuple[Session, Made]) -> Remembering:
    return Remembering(prepared[0].probe())


def measure(session: Session, probe: Remembering, row: Row) -> dict[str, RowResult]:
    columns = usual(session.hepwrap)
    runner = Runner(probe, columns, ONCE, time.monotonic, random.Random(0), lambda _text, _share: None)
    return {result.name: result for result in runner.run([row])}


def check(session: Session, made: Made, probe: Remembering, row: Row) -> dict[str, RowResult]:
    """Measured in all columns with equal answers; skips a row that cannot be measured on this machine."""
    reason = session.why_not(row, made, {row.name})
    if reason:
        lacking(reason)
    found = measure(session, probe, row)
    result = found[row.name]
    assert result.missing == ""
    assert {name: cell.error for name, cell in result.cells.items()} == dict.fromkeys(result.cells, "")
    assert len({cell.checksum for cell in result.cells.values()}) == 1
    for name in ("hepwrap", "no-patch"):
        cell = result.cells[name]
        assert cell.samples[0] is not None
        assert {"tracer.stops", "tracer.upcalls", "fetch.requests"} <= cell.counters.keys()
    return found


@pytest.mark.parametrize("row", LOOPS, ids=lambda row: row.name)
def test_a_loop_sees_the_same_in_all_columns(prepared: tuple[Session, Made], probe: Remembering, row: Row) -> None:
    cells = check(*prepared, probe, row)[row.name].cells
    assert cells["native"].counters == {}
    if row.name not in STARTS:
        # What the warm loop needs of the server and of the store, patched or not.
        assert cells["hepwrap"].counters["fetch.requests"] == cells["no-patch"].counters["fetch.requests"] == 0


@pytest.fixture(scope="module")
def with_stacks(worker_id: str) -> Iterator[tuple[Session, Made]]:
    """The work directory that `hepwrap perf --prepare --stacks` makes, with a scratch directory of our own."""
    place = Work(default_directory(os.environ), scratch=f"runs-test-{worker_id}")
    made = read_made(place)
    if not set(made.published) >= STACKS:
        pytest.skip("hundreds of megabytes: hepwrap perf --prepare --stacks")
    yield Session(place), made
    shutil.rmtree(place.runs)


@pytest.mark.parametrize("row", OF_STACKS, ids=lambda row: row.name)
def test_a_job_of_a_stack_prints_the_same_in_all_columns(with_stacks: tuple[Session, Made], row: Row) -> None:
    session, made = with_stacks
    found = check(session, made, Remembering(session.probe()), row)
    assert found[row.name].cells["hepwrap"].counters["fetch.requests"] == 0


@pytest.mark.parametrize("row", [row for row in COMMANDS if row not in OF_STACKS], ids=lambda row: row.name)
def test_a_command_prints_the_same_in_all_columns(prepared: tuple[Session, Made], probe: Remembering, row: Row) -> None:
    found = check(*prepared, probe, row)
    assert found[row.name].cells["hepwrap"].counters["fetch.requests"] == 0
    first = found[row.name + FIRST].cells["hepwrap"]
    assert first.samples[0] is not None
    assert first.counters["tracer.upcalls"] > 0


@pytest.mark.parametrize("row", [row for row in LAUNCHES if row.kind is Kind.LAUNCH], ids=lambda row: row.name)
def test_a_launch_is_counted(prepared: tuple[Session, Made], probe: Remembering, row: Row) -> None:
    cells = check(*prepared, probe, row)[row.name].cells
    assert cells["hepwrap"].counters["tracer.execs"] == cells["hepwrap"].iterations


@pytest.mark.parametrize("row", [row for row in LAUNCHES if row.kind is Kind.MEMORY], ids=lambda row: row.name)
def test_memory_is_that_of_a_process_with_an_interpreter(
    prepared: tuple[Session, Made], probe: Remembering, row: Row
) -> None:
    cells = check(*prepared, probe, row)[row.name].cells
    assert set(cells) == {"hepwrap", "no-patch"}
    assert all(cell.samples[0] is not None and cell.samples[0] > 1 << 20 for cell in cells.values())


def test_a_row_without_what_it_needs_says_what_to_do(prepared: tuple[Session, Made]) -> None:
    session, made = prepared
    reasons = {row.name: session.why_not(row, made, ()) for row in ROWS}
    assert reasons["root.exe"] == "root 0.1a12 is not installed; hepwrap perf --prepare --stacks does it"
    assert reasons["pythia"] == "pythia8_events.py is not in nonexistent, the directory of --workloads"
    ours = replace(session, workloads=Session(session.work).workloads)
    assert {row.name: ours.why_not(row, made, ()) for row in ROWS}[
        "pythia"
    ] == "pythia8mc 8.317.2 is not installed; hepwrap perf --prepare --stacks does it"
    assert reasons["grep-many"] == "can take many minutes; --rows grep-many measures it"
    assert reasons["stat"] == ""
