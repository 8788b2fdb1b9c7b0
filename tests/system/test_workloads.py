"""Real HEP jobs from a signed repository over HTTP, as an ordinary user: what they print is what they print natively.

Their last line is a digest of every particle (see the workloads' own description), so one wrong bit would show.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.helpers import workload_stack
from tests.helpers.launches import Launches, quiet
from tests.helpers.publishing import serve
from tests.helpers.python_tree import environment
from tests.helpers.shared import shared_path
from tests.helpers.unprivileged import Unprivileged

#: The first run on a machine downloads and publishes some hundred megabytes.
pytestmark = pytest.mark.timeout(1200)


@dataclass(frozen=True)
class Stack:
    """The stack on disk, and how to reach the same as a repository."""

    tree: Path
    flags: list[str]


@pytest.fixture(scope="module")
def stack(tester: Launches, unprivileged: Unprivileged) -> Iterator[Stack]:
    place = workload_stack.made(tester)
    name = workload_stack.NAME
    key = unprivileged.give(place / "keys" / f"{name}.pub")
    with serve(tester, place / "store") as url:
        repository = ["--repo", f"{name}={url}/cvmfs/{name}", "--key", str(key)]
        yield Stack(place / "stack", ["--proxy", "DIRECT", *repository])


def native_output(stack: Stack, tester: Launches, script: Path, count: str, more: dict[str, str]) -> bytes:
    """What the job prints on the machine itself, run by the tester: the tree may lie where others cannot go."""
    variables = {**tester.user.environment(), **environment(str(stack.tree)), **more}
    done = subprocess.run(
        [stack.tree / "bin/python3", script, count], env=variables, capture_output=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    return done.stdout


@pytest.mark.parametrize(
    ("name", "count", "last_begins"),
    [("pythia8_events.py", "200", "events=200 "), ("geant4_decays.py", "20000", "events=20000 ")],
)
def test_a_workload_prints_the_same_digest_as_natively(
    stack: Stack, tester: Launches, unprivileged: Unprivileged, patching: list[str], desk: Path, name: str, count: str,
    last_begins: str,
) -> None:  # fmt: skip
    script = unprivileged.give(shared_path(f"workloads/{name}"))
    more = {"GEANT4_DATA_DIR": str(desk)}  # empty, and it exists: else the module would ask to download
    launcher = Launches.of(unprivileged, [*stack.flags, *patching])
    top = f"/cvmfs/{workload_stack.NAME}"
    variables = {**environment(top), **more}
    wrapped = launcher.run(f"{top}/bin/python3", script, count, env=variables, cwd=desk, timeout=200, text=False)
    native = native_output(stack, tester, script, count, more)
    assert quiet(wrapped).splitlines()[-1].startswith(last_begins.encode())
    assert wrapped.stdout == native


def test_the_workload_uses_what_is_in_the_repository(
    stack: Stack, unprivileged: Unprivileged, patching: list[str], desk: Path
) -> None:
    """Interpreter, module and physics data come from /cvmfs, and not from a Python of the machine."""
    launcher = Launches.of(unprivileged, [*stack.flags, *patching])
    top = f"/cvmfs/{workload_stack.NAME}"
    code = "import sys, pythia8mc, geant4_pybind\nprint(sys.prefix, pythia8mc.__file__, geant4_pybind.__file__)\n"
    variables = {**environment(top), "GEANT4_DATA_DIR": str(desk)}
    shown = launcher.run(f"{top}/bin/python3", "-c", code, env=variables, cwd=desk).stdout.split()
    assert shown[0] == top
    assert len(shown) == 3
    assert all(word.startswith(f"{top}/") and word.endswith(".so") for word in shown[1:]), shown
