"""Whole jobs that have been run before in the same launch: they ask nothing, fetch nothing, and hardly ever stop.

Counted for one more run, as the difference between few runs and many; what a first run costs is elsewhere.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.helpers import python_tree
from tests.helpers.fixtures import publishes
from tests.helpers.launches import Launches
from tests.helpers.needs import on_a_host_without_prefix
from tests.helpers.programs import Pair, fill
from tests.helpers.publishing import Published
from tests.helpers.root_stack import root_stack
from tests.helpers.unprivileged import Unprivileged

pytestmark = on_a_host_without_prefix

FEW, MANY = 2, 6
MODULES = (
    "argparse", "collections", "contextlib", "copy", "csv", "dataclasses", "decimal", "enum", "fractions", "functools",
    "glob", "heapq", "json", "logging", "pathlib", "random", "shutil", "string", "subprocess", "tempfile",
)  # fmt: skip
#: What a loader does that is told of directories which the host has not got, behind one of its links; and what a
#: program does that asks a shell for something, several times.
SEARCHES = "LD_LIBRARY_PATH={desk}/turn/gone/tls:{desk}/turn/gone:{desk}/turn/not/there"
ASKS = f"{SEARCHES} sh -c 'ls -d {{top}}/text/* | sed s/x/y/ | sort; ! readlink {{desk}}/turn/gone/a/b'"
#: A job, and for one more run of it: how many programs it executes, and how often its tasks stop at most: four times
#: for a fork, an exec and its end, once at each call that is about SIGSEGV (of a program that sets a handler), and at
#: the first call from each site of a library that the loader has mapped, of which other libraries of C have more.
JOBS = {
    "find": ("find {top} -size +1k", 1, 20),
    "ls": ("ls -lR {top}", 1, 20),
    "grep": ("grep -r unique {top}/text", 1, 20),
    "git": ("git --git-dir={top}/project.git log --stat", 1, 40),
    "compiler": ("cc -I{top}/include -c {top}/src/main.c -o {desk}/main.o", 3, 60),
    "shell": ("; ".join([ASKS] * 3), 15, 150),
}


@pytest.fixture
def turn(desk: Path) -> Path:
    """The desk, with a link to itself on it."""
    (desk / "turn").symlink_to(".")
    return desk


published_python = publishes("python.hep.example", python_tree.build)


def one_more(launcher: Launches, line: str, **more: object) -> dict[str, float]:
    """What one more run of the line costs, when it has been run before."""
    file = launcher.home / "warm.json"
    launcher.ok("true")  # from now on nobody asks what is new
    accounts = []
    for times in (FEW, MANY):
        script = "; ".join([f"{line} > /dev/null || exit 1"] * times)
        launcher.having(f"--stats={file}").ok("/bin/sh", "-c", script, **more)  # type: ignore[arg-type]
        account = json.loads(file.read_text())
        accounts.append({**account["tracer"], "fetches": account["fetch"]["requests"]})
    few, many = accounts
    return {name: (many[name] - few[name]) / (MANY - FEW) for name in few}


def check(cost: dict[str, float], programs: int, stops: int, *, patched: bool, tables: int = 0) -> None:
    """Exactly no question and no fetch, and few stops; trapped, a stop for each call that is caught.

    `tables`: of /proc, which the server writes anew each time that they are opened.
    """
    assert cost["upcalls"] <= tables, cost
    assert (cost["fetches"], cost["execs"]) == (0, programs), cost
    few = cost["stops"] if patched else cost["stops"] - cost["redirects"]
    assert few <= stops, cost


@pytest.mark.parametrize("job", JOBS)
def test_a_job_that_was_run_before_asks_nothing(work: Pair, turn: Path, patched: bool, job: str) -> None:
    line, programs, stops = JOBS[job]
    words = fill([line.replace("{desk}", str(turn))], work.top)
    tables = 1 if job == "grep" else 0  # its handler of stack overflows wants to know where the stack is
    check(one_more(work.launcher, words[0]), programs, stops, patched=patched, tables=tables)


def test_a_python_that_was_started_before_asks_nothing(
    published_python: Published, unprivileged: Unprivileged, patching: list[str], patched: bool
) -> None:
    launcher = Launches.of(unprivileged, [*published_python.flags, *patching])
    top = f"/cvmfs/{published_python.name}"
    environment = python_tree.environment(top)
    line = f"{top}/bin/python3 -c 'import {', '.join(MODULES)}'"
    check(one_more(launcher, line, env=environment), 1, 30, patched=patched)


@pytest.mark.parametrize("job", ["root.exe", "import-root"])
def test_a_root_that_was_started_before_asks_nothing(unprivileged: Unprivileged, patching: list[str], job: str) -> None:
    stack = root_stack(unprivileged, patching)
    line = {
        "root.exe": f"{stack.top}/root/bin/root.exe -b -q -l -e 0",
        "import-root": f"{stack.top}/bin/python3 -W ignore -c 'import ROOT'",
    }
    cost = one_more(stack.launcher, line[job], env=python_tree.environment(stack.top))
    # Each root.exe tries to make modules.timestamp anew: what is said of making something is the server's to say.
    assert (cost["upcalls"], cost["fetches"]) == ({"root.exe": 1, "import-root": 0}[job], 0), cost
