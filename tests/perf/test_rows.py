"""The tables of rows agree with the C program, with the parts and with each other."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from hepwrap.errors import UsageError
from hepwrap.perf.macros import COMMANDS, LAUNCHES, ROWS
from hepwrap.perf.making import Sizes
from hepwrap.perf.parts import PARTS
from hepwrap.perf.program import SOURCES
from hepwrap.perf.rows import LOOPS, Kind, chosen, counts_at_once

#: Rows of the C program that are no rows of the comparison: the empty one, and what runs commands.
TOOLS = {"nothing", "spawn"}


def rows_of_the_program() -> set[str]:
    text = "".join(path.read_text() for path in SOURCES.glob("*.c"))
    return set(re.findall(r'^    \{"([\w-]+)", ', text, re.MULTILINE))


def test_every_loop_is_a_row_of_the_program_and_every_row_is_measured() -> None:
    assert {row.loop_name for row in LOOPS} == rows_of_the_program() - TOOLS


def test_names_and_titles_are_unique() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)
    assert len({row.title for row in ROWS}) == len(ROWS)


def test_every_part_that_a_row_needs_can_be_made() -> None:
    assert {part for row in ROWS for part in row.parts} <= {part.name for part in PARTS}


WANTED = """
stat open-close open-read-4k open-read-128k open-read-1m read-4k read-128k read-1m
received-4k received-128k received-1m pass-4k pass-128k pass-1m
stat-many stat-missing access readlink readdir-1000 readdir-10000 mmap-50m exec-static exec-dynamic thread signal
getppid stat-relative stat-relative-host open-relative open-relative-host stat-host open-close-host
python find ls grep g++ git pythia geant4 root.exe import-root launch memory
"""


def test_the_rows_of_the_classic_tables_are_there() -> None:
    assert set(WANTED.split()) <= {row.name for row in ROWS}


@pytest.mark.parametrize(("cores", "counts"), [(1, [2, 4, 8]), (4, [2, 4, 8]), (6, [2, 4, 6, 8]), (64, [2, 4, 8, 64])])
def test_processes_at_once_are_two_four_eight_and_all_cores(cores: int, counts: list[int]) -> None:
    assert counts_at_once(cores) == counts


def test_stat_and_open_are_done_by_several_processes_at_once() -> None:
    counts = counts_at_once(len(os.sched_getaffinity(0)))
    wanted = {(loop, count) for loop in ("stat", "stat-many", "open-close", "open-read-4k") for count in counts}
    assert {(row.loop_name, row.processes) for row in LOOPS if row.processes > 1} == wanted


def test_there_is_as_much_as_the_titles_say() -> None:
    sizes = Sizes()
    assert (sizes.files, sizes.used, sizes.few_entries, sizes.many_entries) == (20_000, 10_000, 1_000, 10_000)
    assert sizes.large_bytes == 50 << 20
    by_name = {row.name: row for row in ROWS}
    imports = by_name["python"].command[2].removeprefix("import ").partition(";")[0].split(", ")
    assert len({*imports, "sys"}) == len(imports) == 21
    assert "20 imports" in by_name["python"].title
    assert [by_name[name].command for name in ("find", "ls")] == [
        ("find", "{prefix}/files"),
        ("ls", "-lR", "{prefix}/files"),
    ]


def test_packages_are_installed_at_the_versions_that_are_told() -> None:
    stacks = {part.title: part.make.args for part in PARTS if part.is_stack}  # type: ignore[attr-defined]
    assert stacks == {
        title: (title.replace(" ", "=="),) for title in ("pythia8mc 8.317.2", "geant4-pybind 0.1.3", "root 0.1a12")
    }


def test_kinds_have_what_they_need() -> None:
    assert all(row.kind is Kind.LOOP and not row.command for row in LOOPS)
    assert all(row.kind is Kind.COMMAND and row.command for row in COMMANDS)
    assert {row.kind for row in LAUNCHES} == {Kind.LAUNCH, Kind.MEMORY}
    assert all(row.unit == ("B" if row.kind is Kind.MEMORY else "ns") for row in ROWS)


def test_a_quick_run_has_rows_of_several_groups() -> None:
    assert len({row.group for row in ROWS if row.is_quick}) >= 5


def test_no_pattern_means_all_and_patterns_keep_the_order() -> None:
    assert chosen(ROWS, []) == ROWS
    names = [row.name for row in chosen(ROWS, ["open-close*", "stat", "launch"])]
    assert names == [row.name for row in ROWS if row.name in names]
    assert {"stat", "launch", "open-close", "open-close-x2"} <= set(names)
    assert "stat-many" not in names


def test_a_group_can_be_named() -> None:
    assert {row.group for row in chosen(ROWS, ["host files"])} == {"host files"}


def test_a_pattern_that_matches_nothing_is_refused_though_others_match() -> None:
    with pytest.raises(UsageError, match="no row is called 'statt'"):
        chosen(ROWS, ["stat", "statt"])


def test_the_sources_of_the_program_lie_in_the_package() -> None:
    assert {path.name for path in SOURCES.glob("*.[ch]")} == {"bench.h", "files.c", "main.c", "paths.c", "tasks.c"}
    assert Path(SOURCES).parent.name == "perf"
