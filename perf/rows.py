"""The rows of the comparison: what each consists of, and the table of those that are loops of the C program (`bench/`).

Owns names, groups and titles; `goals` has what is promised, `macros` the rows that are commands.  Must not know how
anything is run.
"""

from __future__ import annotations

import enum
import fnmatch
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hepwrap.errors import UsageError
from hepwrap.perf.goals import Goal, goal_of


class Kind(enum.Enum):
    """How a row is measured."""

    #: A loop of the C program.
    LOOP = "loop"
    #: A command, run again and again inside one launch: the first time, and all later ones.
    COMMAND = "command"
    #: Starting a program that does nothing, from outside.
    LAUNCH = "launch"
    #: Resident memory of hepwrap's helper, in bytes.
    MEMORY = "memory"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    name: str
    title: str
    group: str
    kind: Kind = Kind.LOOP
    #: The row of the C program; "" means `name`.
    loop: str = ""
    #: How many processes do it at once.
    processes: int = 1
    #: Command with {prefix} for the tree, {runs} for a scratch directory, {workloads} for the jobs; what it prints is
    #: compared between columns.
    command: tuple[str, ...] = ()
    #: Variables of the command's environment, and its working directory, with the same placeholders.
    environment: tuple[str, ...] = ()
    directory: str = ""
    #: Parts of the tree (`parts`), programs in PATH, and a job file that it cannot do without.
    parts: tuple[str, ...] = ("files",)
    tools: tuple[str, ...] = ()
    job: str = ""
    #: Part of `--quick`.
    is_quick: bool = False
    #: Why it is measured only where `--rows` has its very name; "" where it always is.
    only_named: str = ""
    unit: str = "ns"
    #: Only the last line of what it prints is compared: jobs print a digest there.
    only_last_line: bool = False
    #: Regular expressions for what two copies of a tree may print differently.
    unlike: tuple[str, ...] = ()

    @property
    def goal(self) -> Goal | None:
        """What is promised."""
        return goal_of(self.name)

    @property
    def loop_name(self) -> str:
        """What the C program calls it."""
        return self.loop or self.name


_HOST = "host files"
_AT_ONCE = "several processes at once"


def _loops(group: str, *rows: tuple[str, str, bool]) -> tuple[Row, ...]:
    return tuple(Row(name, title, group, is_quick=quick) for name, title, quick in rows)


def counts_at_once(cores: int) -> list[int]:
    """How many processes do the same at once: a few, and as many as there are cores."""
    return sorted({2, 4, 8, cores} - {1})


def _at_once(count: int) -> tuple[Row, ...]:
    loops = (
        ("stat", "stat of a file"),
        ("stat-many", "stat over many files"),
        ("open-close", "open and close"),
        ("open-read-4k", "open, read 4 KB, close"),
    )
    return tuple(
        Row(f"{loop}-x{count}", f"{title}, {count} processes", _AT_ONCE, loop=loop, processes=count)
        for loop, title in loops
    )


LOOPS: tuple[Row, ...] = (
    *_loops(
        "names",
        ("stat", "stat of a file", True),
        ("stat-many", "stat over 10,000 different files", True),
        ("stat-missing", "stat of 1,000 missing files", True),
        ("stat-link", "stat through a symbolic link", False),
        ("stat-deep", "stat of a file ten directories down", False),
        ("stat-directory", "stat of a directory", False),
        ("fstat", "fstat of an open file", False),
        ("access", "access", False),
        ("readlink", "readlink", False),
        ("chdir", "chdir to and fro", False),
        ("getcwd", "getcwd", False),
        ("stat-relative", "stat, relative to a virtual directory", True),
        ("stat-missing-relative", "stat of a missing file, relative", False),
        ("open-relative", "open and close, relative", False),
        ("readdir-1000", "read a directory of 1,000 entries", True),
        ("readdir-10000", "read a directory of 10,000 entries", False),
    ),
    *_loops(
        "content",
        ("open-close", "open and close a file", True),
        ("open-read-4k", "open, read 4 KB, close", True),
        ("open-read-128k", "open, read 128 KB, close", False),
        ("open-read-1m", "open, read 1 MB, close", False),
        ("read-4k", "read 4 KB of an open file", True),
        ("read-128k", "read 128 KB of an open file", False),
        ("read-1m", "read 1 MB of an open file", False),
        ("received-4k", "read 4 KB of a file received over a socket", False),
        ("received-128k", "read 128 KB of a file received over a socket", False),
        ("received-1m", "read 1 MB of a file received over a socket", False),
        ("pass-4k", "pass an open file to a process, which reads 4 KB", False),
        ("pass-128k", "pass an open file to a process, which reads 128 KB", False),
        ("pass-1m", "pass an open file to a process, which reads 1 MB", False),
        ("mmap-50m", "mmap and touch 50 MB", False),
    ),
    *_loops(
        "processes",
        ("thread", "create and join a thread", False),
        ("signal", "a signal to ourselves", False),
        ("getppid", "getppid, which is not ours", True),
    ),
    *(
        Row(name, f"fork and exec of a {title}", "processes", parts=(part,), is_quick=quick)
        for name, title, part, quick in (
            ("exec-dynamic", "dynamic program", "program", True),
            ("exec-static", "static program", "static-program", False),
            ("exec-dynamic-host", "dynamic program of the host", "program", False),
        )
    ),
    *_loops(
        _HOST,
        ("stat-host", "stat of a host file", True),
        ("stat-many-host", "stat over 10,000 host files", False),
        ("stat-missing-host", "stat of 1,000 missing host files", True),
        ("fstat-host", "fstat of an open host file", False),
        ("access-host", "access of a host file", False),
        ("readlink-host", "readlink of a host link", False),
        ("stat-relative-host", "stat, relative to a host directory", False),
        ("open-close-host", "open and close a host file", True),
        ("open-relative-host", "open and close, relative to a host directory", False),
        ("open-read-4k-host", "open, read 4 KB of a host file, close", False),
        ("readdir-1000-host", "read a host directory of 1,000 entries", False),
    ),
    *(row for count in counts_at_once(len(os.sched_getaffinity(0))) for row in _at_once(count)),
)


def chosen(rows: Sequence[Row], patterns: Iterable[str]) -> tuple[Row, ...]:
    """The rows whose name or group matches one of the shell patterns; UsageError for a pattern that matches none."""
    wanted = list(patterns)
    if not wanted:
        return tuple(rows)
    names: set[str] = set()
    for pattern in wanted:
        found = {row.name for row in rows if fnmatch.fnmatch(row.name, pattern) or row.group == pattern}
        if not found:
            raise UsageError(f"--rows: no row is called {pattern!r}; hepwrap perf --list names all")
        names |= found
    return tuple(row for row in rows if row.name in names)
