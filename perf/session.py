"""One run of `hepwrap perf` from beginning to end: prepare, measure, gather.

The only module here that constructs the others.  hepwrap itself is run as a command, as a user runs it.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hepwrap.perf import program, work
from hepwrap.perf.columns import Column, known_peers, mounted_peer, usual
from hepwrap.perf.execute import Executor, Processes, succeed
from hepwrap.perf.machine import this_machine
from hepwrap.perf.parts import PARTS, Say, Sizes
from hepwrap.perf.probes import Probe
from hepwrap.perf.results import ColumnInfo, Results, RowResult
from hepwrap.perf.rows import Row
from hepwrap.perf.runner import Plan, Runner
from hepwrap.perf.work import Made, Work

#: Takes what is being done and the share of all that is done.
Progress = Callable[[str, float], None]


def hepwrap_command() -> tuple[str, ...]:
    """How this very hepwrap is run."""
    return (sys.executable, "-m", "hepwrap")


@dataclass(frozen=True, slots=True)
class Clock:
    """Time, so that tests can have another."""

    seconds: Callable[[], float] = time.monotonic
    now: Callable[[], datetime.datetime] = field(default=lambda: datetime.datetime.now(datetime.UTC))


@dataclass(frozen=True, slots=True)
class Session:
    """What a run is made of."""

    work: Work
    sizes: Sizes = field(default_factory=Sizes)
    executor: Executor = field(default_factory=Processes)
    clock: Clock = field(default_factory=Clock)
    hepwrap: Sequence[str] = field(default_factory=hepwrap_command)

    def prepare(self, say: Say) -> Made:
        """Tree, repository and programs, as far as they are not there."""
        program.compiler()  # Before anything is written: without one nothing can be measured.
        with work.locked(self.work):
            return work.prepare(self.work, PARTS, self.sizes, executor=self.executor, hepwrap=self.hepwrap, say=say)

    def columns(self, peers: Sequence[Column], *, only_named: bool = False) -> list[Column]:
        """All columns: the usual ones, peers that are installed unless `only_named`, and those that were asked for."""
        named = {peer.name for peer in peers}
        found = [] if only_named else [*known_peers(), *filter(None, [mounted_peer()])]
        return [*usual(self.hepwrap), *(peer for peer in found if peer.name not in named), *peers]

    def measure(
        self, rows: Sequence[Row], columns: Sequence[Column], plan: Plan, progress: Progress, *, seed: int = 0
    ) -> Results:
        """Everything; the work directory must have been prepared."""
        made = work.read_made(self.work)
        with work.locked(self.work):
            missing = {row.name: made.why_not(row.parts) for row in rows}
            possible = [row for row in rows if not missing[row.name]]
            date = self.clock.now().astimezone(datetime.UTC).isoformat(timespec="seconds")
            load = os.getloadavg()[0]
            runner = Runner(self._probe(), columns, plan, self.clock.seconds, random.Random(seed), progress)
            found = {result.name: result for result in runner.run(possible)}
        return Results(
            date=date,
            hepwrap=self._version(),
            machine=this_machine(self.work.tree),
            rounds=plan.rounds,
            is_quick=plan.budget is not None,
            load=round(load, 2),
            columns=tuple(_told(column, self.hepwrap) for column in columns),
            rows=tuple(found.get(row.name) or _missing(row, missing[row.name]) for row in rows),
        )

    def _probe(self) -> Probe:
        scratch = self.work.runs / "directory"
        scratch.mkdir(parents=True, exist_ok=True)
        places = {
            "tree": str(self.work.tree),
            "host": str(self.work.tree),
            "store": str(self.work.store),
            "key": str(self.work.key),
            "runs": str(self.work.runs),
            "stats": str(self.work.runs / "stats.json"),
        }
        bench = program.bench(self.executor, self.work.programs)
        environment = work.environment(self.work)
        return Probe(self.executor, bench, places, environment, scratch, self.sizes.used)

    def _version(self) -> str:
        done = self.executor.run([*self.hepwrap, "--version"], {**os.environ}, Path("/"), 60.0)
        return succeed(done, "hepwrap --version").output.split()[-1]


def _told(column: Column, hepwrap: Sequence[str]) -> ColumnInfo:
    """A column without a word about where things lie on this machine."""
    words = list(column.before)
    if words[: len(hepwrap)] == list(hepwrap):
        words[: len(hepwrap)] = ["hepwrap"]
    return ColumnInfo(column.name, column.kind, " ".join(words), column.prefix, column.missing)


def _missing(row: Row, reason: str) -> RowResult:
    return RowResult(row.name, row.title, row.group, row.unit, row.goal, reason)


def write(path: Path, text: str) -> None:
    """A result file, whole or not at all."""
    unfinished = path.with_name(path.name + ".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_text(text)
        unfinished.rename(path)
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink()
