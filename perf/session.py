"""One run of `hepwrap perf` from beginning to end: prepare, measure, gather.

The only module here that constructs the others.  hepwrap itself is run as a command, as a user runs it.
"""

from __future__ import annotations

import datetime
import os
import random
import shutil
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hepwrap.perf import program, work
from hepwrap.perf.columns import Column, known_peers, mounted_peer, usual
from hepwrap.perf.execute import Executor, Processes, succeed
from hepwrap.perf.machine import this_machine
from hepwrap.perf.making import Say, Sizes
from hepwrap.perf.parts import PARTS
from hepwrap.perf.probes import Probe
from hepwrap.perf.results import FIRST, ColumnInfo, Results, RowResult
from hepwrap.perf.rows import Row
from hepwrap.perf.runner import Plan, Runner
from hepwrap.perf.serving import served
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
    #: Where jobs are: our own, or others of the same names.
    workloads: Path = Path(__file__).resolve().parent / "jobs"

    def prepare(self, say: Say, *, stacks: bool = False) -> Made:
        """Tree, repository and programs, as far as they are not there."""
        program.compiler()  # Before anything is written: without one nothing can be measured.
        with work.locked(self.work):
            program.bench(self.executor, self.work.programs)
            return work.prepare(
                self.work,
                PARTS,
                self.sizes,
                stacks=stacks,
                executor=self.executor,
                hepwrap=self.hepwrap,
                say=say,
            )

    def columns(self, peers: Sequence[Column], *, only_named: bool = False) -> list[Column]:
        """All columns: the usual ones, peers that are installed unless `only_named`, and those that were asked for."""
        named = {peer.name for peer in peers}
        found = [] if only_named else [*known_peers(), *filter(None, [mounted_peer()])]
        return [*usual(self.hepwrap), *(peer for peer in found if peer.name not in named), *peers]

    def measure(
        self,
        rows: Sequence[Row],
        columns: Sequence[Column],
        plan: Plan,
        progress: Progress,
        *,
        named: Collection[str] = (),
        seed: int = 0,
    ) -> Results:
        """Everything; the work directory must have been prepared.  `named`: rows that were asked for by name."""
        made = work.read_made(self.work)
        with work.locked(self.work):
            missing = {row.name: self.why_not(row, made, named) for row in rows}
            possible = [row for row in rows if not missing[row.name]]
            date = self.clock.now().astimezone(datetime.UTC).isoformat(timespec="seconds")
            load = os.getloadavg()[0]
            environment = {**os.environ, **work.environment(self.work)}
            with served(columns, self.work, self.hepwrap, environment) as url:
                probe = self.probe(url, plan.limit)
                runner = Runner(probe, columns, plan, self.clock.seconds, random.Random(seed), progress)
                found = {result.name: result for result in runner.run(possible)}
        return Results(
            date=date,
            hepwrap=self._version(),
            machine=this_machine(self.work.tree),
            rounds=plan.rounds,
            is_quick=plan.budget is not None,
            load=round(load, 2),
            columns=tuple(_told(column, self.hepwrap) for column in columns),
            rows=tuple(_in_order(rows, found, missing)),
        )

    def why_not(self, row: Row, made: Made, named: Collection[str]) -> str:
        """Why a row cannot be measured here; "" where it can."""
        if row.only_named and row.name not in named:
            return f"{row.only_named}; --rows {row.name} measures it"
        path = work.environment(self.work)["PATH"]
        absent = next((tool for tool in row.tools if shutil.which(tool, path=path) is None), None)
        if absent:
            return f"{absent} is not installed"
        if row.job and not (self.workloads / row.job).is_file():
            return f"{row.job} is not in {self.workloads.name}, the directory of --workloads"
        return made.why_not(row.parts)

    def probe(self, url: str = "", limit: float = Plan().limit) -> Probe:
        """What takes samples; the work directory has been prepared.  `url`: see `serving`, `limit`: see `Plan`."""
        scratch = self.work.runs / "directory"
        scratch.mkdir(parents=True, exist_ok=True)
        places = {
            "work": str(self.work.root),
            "tree": str(self.work.tree),
            "host": str(self.work.tree),
            "store": str(self.work.store),
            "key": str(self.work.key),
            "url": url,
            "runs": str(self.work.runs),
            "workloads": str(self.workloads.absolute()),
            "stats": str(self.work.runs / "stats.json"),
        }
        bench = program.bench(self.executor, self.work.programs)
        environment = work.environment(self.work)
        return Probe(self.executor, bench, places, environment, scratch, self.sizes.used, limit)

    def _version(self) -> str:
        done = self.executor.run([*self.hepwrap, "--version"], {**os.environ}, Path("/"), 60.0)
        return succeed(done, "hepwrap --version").output.split()[-1]


def _told(column: Column, hepwrap: Sequence[str]) -> ColumnInfo:
    """A column without a word about where things lie on this machine."""
    words = list(column.before)
    if words[: len(hepwrap)] == list(hepwrap):
        words[: len(hepwrap)] = ["hepwrap"]
    return ColumnInfo(column.name, column.kind, " ".join(words), column.prefix, column.missing)


def _in_order(rows: Sequence[Row], found: Mapping[str, RowResult], missing: Mapping[str, str]) -> Iterator[RowResult]:
    """A result for every row that was asked for, with its first run behind it where there is one."""
    for row in rows:
        if row.name in found:
            yield found[row.name]
        else:
            yield RowResult(row.name, row.title, row.group, row.unit, row.goal, missing[row.name])
        if row.name + FIRST in found:
            yield found[row.name + FIRST]
