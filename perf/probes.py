"""How a row is measured in a column, once: one launch, one sample.

Owns the words of the command and the reading of what the program prints.  Must not know of rounds or statistics.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from hepwrap.errors import HepwrapError
from hepwrap.perf.columns import Column, filled
from hepwrap.perf.counters import read_counters
from hepwrap.perf.execute import Done, Executor, succeed
from hepwrap.perf.figures import sums
from hepwrap.perf.rows import Kind, Row

Places = Mapping[str, str]
Words = Sequence[str]

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
    #: Seconds after which a launch is ended.
    limit: float

    def take(self, row: Row, column: Column, iterations: int) -> Sample:
        """One sample; HepwrapError where the program fails, or sees something else than at first, or takes too long."""
        places = {**self.places, "prefix": filled(column.prefix, self.places)}
        words = {
            Kind.LOOP: self._loop,
            Kind.COMMAND: self._command,
            Kind.LAUNCH: self._launch,
            Kind.MEMORY: self._memory,
        }
        try:
            return words[row.kind](row, column, iterations, places)
        except HepwrapError as error:
            raise type(error)(anywhere(str(error), self.places)) from None

    def _loop(
        self, row: Row, column: Column, iterations: int, places: Places, options: Words = (), more: Words = ()
    ) -> Sample:
        counts = ("-n", str(iterations), "-j", str(row.processes), "-f", str(self.files))
        program = (str(self.bench), *counts, *options, "{prefix}", "{host}", row.loop_name, *more)
        done, counters = self._run(row, column, program, places)
        match = _LINE.search(done.output)
        if not match:
            raise HepwrapError(f"the benchmark printed {done.output[:80]!r}")
        if int(match[4]):
            raise HepwrapError(f"{match[4]} answers were not those of the first pass")
        return Sample(float(match[1]), float(match[2]), match[3], counters)

    def _command(self, row: Row, column: Column, iterations: int, places: Places) -> Sample:
        """The command in the C program's `spawn`, which keeps what the first run prints."""
        save = Path(self.places["runs"]) / "output"
        options = [word for variable in row.environment for word in ("-e", variable)]
        options += ["-d", row.directory] if row.directory else []
        spawn = replace(row, loop="spawn")
        try:
            sample = self._loop(spawn, column, iterations, places, options, (str(save), *row.command))
        except HepwrapError as error:
            raise type(error)(f"{error}{_last_words(save.with_name('output.err'))}") from None
        text = save.read_text("utf-8", "backslashreplace")
        return replace(sample, checksum=digest(plain(text, row, places["prefix"])))

    def _launch(self, row: Row, column: Column, iterations: int, places: Places) -> Sample:
        """Wall time of whole launches; at least one, since nothing is idle here."""
        took = []
        counters: dict[str, float] = {}
        for _ in range(max(1, iterations)):
            done, found = self._run(row, column, ("{tree}/bin/true-dynamic",), places)
            took.append(done.seconds * 1e9)
            counters = sums(counters, found)
        return Sample(sum(took), took[0], digest(""), counters if iterations else {})

    def _memory(self, row: Row, column: Column, iterations: int, places: Places) -> Sample:
        """Resident memory of the process that traces us, without what is shared: that is the cache."""
        done, counters = self._run(row, column, ("sh", "-c", _ASK_TRACER, "sh", *row.command), places)
        resident = re.findall(r"^Rss(?:Anon|File):\s+(\d+) kB$", done.output, re.MULTILINE)
        if len(resident) != 2:
            raise HepwrapError("the helper's memory cannot be seen in /proc")
        return Sample(1024.0 * sum(map(int, resident)) * max(1, iterations), 0.0, digest(""), counters)

    def _run(self, row: Row, column: Column, program: Words, places: Places) -> tuple[Done, dict[str, float]]:
        """Run a program in a column; how it ended, and the counters."""
        stats = Path(self.places["stats"])
        stats.unlink(missing_ok=True)
        done = self.executor.run(column.command(program, places), self.environment, self.directory, self.limit)
        succeed(done, "it")
        return done, read_counters(stats) if column.counts else {}


#: proc_pid_status(5): our tracer is the helper.
_ASK_TRACER = """"$@" > /dev/null
tracer=$(sed -n 's/^TracerPid:[[:space:]]*//p' /proc/self/status)
cat "/proc/$tracer/status"
"""


def anywhere(text: str, places: Places) -> str:
    """`text` with placeholders for places of this machine: results are shown to others."""
    for name, value in sorted(places.items(), key=lambda item: -len(item[1])):
        text = text.replace(value, "{" + name + "}") if value.startswith("/") else text
    return text


def plain(text: str, row: Row, prefix: str) -> str:
    """What a command printed, without that in which two copies of a tree differ: where it is, order, padding."""
    lines = text.rstrip("\n").replace(prefix, "@").split("\n")
    if row.only_last_line:
        lines = lines[-1:]
    for pattern in row.unlike:
        lines = [re.sub(pattern, "", line) for line in lines]
    return "\n".join(sorted(" ".join(line.split()) for line in lines))


def digest(text: str) -> str:
    """A short name of a text."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _last_words(errors: Path) -> str:
    """The last line that a command wrote to its stderr."""
    try:
        lines = errors.read_text("utf-8", "backslashreplace").strip().splitlines()
    except OSError:
        return ""
    return f"; it said: {lines[-1][:200]}" if lines else ""
