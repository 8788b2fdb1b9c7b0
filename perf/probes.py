"""How a row is measured in a column, once: one launch, one sample.

Owns the words of the command and the reading of what the program prints.  Must not know of rounds or statistics.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hepwrap.errors import HepwrapError
from hepwrap.perf.columns import Column
from hepwrap.perf.counters import read_counters
from hepwrap.perf.execute import Executor, succeed
from hepwrap.perf.rows import Row

_LIMIT = 600.0
_LINE = re.compile(r"^ns=(\d+) first=(\d+) checksum=([0-9a-f]+) changed=(\d+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Sample:
    """One launch."""

    #: All iterations together.
    total: float
    #: The very first operation, before any was measured.
    first: float
    checksum: str
    counters: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Probe:
    """Measures."""

    executor: Executor
    #: The compiled C program.
    bench: Path
    #: What placeholders stand for.
    places: Mapping[str, str]
    environment: Mapping[str, str]
    #: Where programs run; empty.
    directory: Path
    #: How many files the many-files rows go over.
    files: int

    def take(self, row: Row, column: Column, iterations: int) -> Sample:
        """One sample; HepwrapError where the program fails, or sees something else than at first."""
        return self._loop(row, column, iterations, ())

    def _loop(self, row: Row, column: Column, iterations: int, more: Sequence[str]) -> Sample:
        words = ["-n", str(iterations), "-j", str(row.processes), "-f", str(self.files)]
        program = [str(self.bench), *words, column.prefix, "{host}", row.loop_name, *more]
        stats = Path(self.places["stats"])
        stats.unlink(missing_ok=True)
        done = self.executor.run(column.command(program, self.places), self.environment, self.directory, _LIMIT)
        succeed(done, f"{row.name} in column {column.name}")
        match = _LINE.search(done.output)
        if not match:
            raise HepwrapError(f"{row.name} in column {column.name}: the benchmark printed {done.output[:80]!r}")
        if int(match[4]):
            raise HepwrapError(f"{match[4]} answers were not those of the first pass")
        counters = read_counters(stats) if column.counts else {}
        return Sample(float(match[1]), float(match[2]), match[3], counters)
