"""Programs on other glibcs, on musl, and on no C library, Go: answers as natively, and no stops when warm."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.helpers import c_libraries, needs, work_tree
from tests.helpers.guests import Guests
from tests.helpers.programs import Pair, fill

KINDS = pytest.mark.parametrize("static", [False, True], ids=["dynamic", "static"])
#: stat, lstat, access, open, read, close, readdir, chdir, relative stat, in two places.
SHELL_LOOP = """
n=$1
while [ $n -gt 0 ]; do
  n=$((n - 1))
  for top in "$2" "$3"; do
    cd "$top" && [ -f "$top/file" ] && [ -h "$top/link" ] && [ ! -e "$top/missing" ] && [ -r file ] || exit 1
    read -r line < file && [ "$line" = content ] && cd dir && [ -e ../file ] && [ ! -e ../missing ] || exit 2
    for name in "$top"/dir/*; do [ -f "$name" ] || exit 3; done
  done
done
"""


@pytest.fixture(scope="module")
def musl() -> Guests:
    return Guests(needs.program("musl-gcc", "musl-tools"))


@pytest.fixture
def newer(guests: Guests) -> c_libraries.CLibrary:
    """glibc 2.41, on which programs run that were built here."""
    _, here = (os.confstr("CS_GNU_LIBC_VERSION") or "glibc 99").split()
    if tuple(map(int, here.split("."))) > (2, 41):
        pytest.skip(f"programs built for glibc {here} do not run on 2.41")
    return c_libraries.kept("trixie")


def tracer_counters(pair: Pair, words: list[str]) -> dict[str, int]:
    """What the tracer counted in a run in the repository that went well."""
    file = pair.launcher.home / "other-libraries.json"
    pair.launcher.having(f"--stats={file}").ok(*fill(words, pair.top))
    counters: dict[str, int] = json.loads(file.read_text())["tracer"]
    return counters


def assert_warm_calls_make_no_stop(pair: Pair, desk: Path, patched: bool, program: list[str], calls: int) -> None:
    """`program` takes a number of rounds, in each of which it makes `calls` calls, and two directories."""
    work_tree.warm(desk / "warm")
    few, many = (tracer_counters(pair, [*program, str(rounds), "{top}/warm", f"{desk}/warm"]) for rounds in (2, 102))
    if not patched:
        assert many["redirects"] - few["redirects"] >= 100 * calls
    else:
        assert [many[name] for name in ("stops", "redirects")] == [few[name] for name in ("stops", "redirects")]
    assert many["upcalls"] == few["upcalls"]


@needs.on_a_host_without_prefix
@KINDS
def test_a_warm_call_of_musl_makes_no_stop(work: Pair, musl: Guests, desk: Path, patched: bool, static: bool) -> None:
    program = [str(musl.path("warm_calls", static=static))]
    assert_warm_calls_make_no_stop(work, desk, patched, program, 2 * 20)


@needs.on_a_host_without_prefix
@pytest.mark.parametrize("release", c_libraries.RELEASES)
def test_a_warm_call_of_another_glibcs_shell_makes_no_stop(work: Pair, desk: Path, patched: bool, release: str) -> None:
    library = c_libraries.kept(release)
    program = [*library.command(library.shell), "-c", SHELL_LOOP, "sh"]
    assert_warm_calls_make_no_stop(work, desk, patched, program, 2 * 12)


@needs.on_a_host_without_prefix
def test_a_warm_call_of_glibc_2_41_makes_no_stop(
    work: Pair, guests: Guests, newer: c_libraries.CLibrary, desk: Path, patched: bool
) -> None:
    program = newer.command(guests.path("warm_calls"))
    assert_warm_calls_make_no_stop(work, desk, patched, program, 2 * 20)


@KINDS
def test_sites_in_a_program_of_musl_give_right_answers(work: Pair, musl: Guests, patched: bool, static: bool) -> None:
    words = [str(musl.path("site_storm", static=static)), "0", "{top}/src/main.c", "{top}/src/none"]
    assert (tracer_counters(work, words)["patched"] >= 100) == patched


@KINDS
def test_threads_of_musl_see_what_they_see_natively(work: Pair, musl: Guests, static: bool) -> None:
    program = musl.path("threads", static=static)
    assert work.assert_same(["sh", "-c", f"{program} 3 {{top}}/text/*/* {{top}}/src/* {{top}}/missing {{top}}/src"])


WAITING, CANCELLED = ["20", "{top}/src/main.c"], b"waiting: 20 of 20\nbeginning: 400 of 400\n"


@pytest.mark.parametrize("library", ["musl", "musl-static", "glibc"])
def test_a_thread_that_waits_in_a_call_is_cancelled(work: Pair, musl: Guests, guests: Guests, library: str) -> None:
    """Libraries look where the signal has interrupted the thread: within their own call, or somewhere else."""
    name = "cancelled_calls"
    program = guests.path(name) if library == "glibc" else musl.path(name, static=library == "musl-static")
    assert work.assert_same([str(program), *WAITING]) == CANCELLED


def test_a_thread_that_waits_in_a_call_of_glibc_2_41_is_cancelled(
    work: Pair, guests: Guests, newer: c_libraries.CLibrary
) -> None:
    assert work.assert_same([*newer.command(guests.path("cancelled_calls")), *WAITING]) == CANCELLED


@needs.on_a_host_without_prefix
def test_a_warm_call_of_go_makes_no_redirect(work: Pair, patched: bool) -> None:
    """All calls of Go 1.19, here, are made at one site, where threads wait in the kernel when it is caught first."""
    files = ["{top}/text/0/part 00.txt", "{top}/src/main.c"]
    few, many = (tracer_counters(work, ["{top}/bin/cgrep", "-l", "muon|main", *(files * times)]) for times in (10, 60))
    if not patched:
        assert many["redirects"] - few["redirects"] >= 50 * len(files)
    else:
        assert abs(many["redirects"] - few["redirects"]) < 10  # of threads that were on their way to it
    assert many["upcalls"] == few["upcalls"]
