"""Programs on another C library, musl, and on none, Go: answers as natively, and how many stops they cost when warm."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.helpers import needs, work_tree
from tests.helpers.guests import Guests
from tests.helpers.programs import Pair, fill

KINDS = pytest.mark.parametrize("static", [False, True], ids=["dynamic", "static"])
#: Of `warm_calls`, calls of one round that musl makes through its one site for all that may be cancelled: open.
CANCELLABLE = 10


@pytest.fixture(scope="module")
def musl() -> Guests:
    return Guests(needs.program("musl-gcc", "musl-tools"))


def tracer_counters(pair: Pair, words: list[str]) -> dict[str, int]:
    """What the tracer counted in a run in the repository that went well."""
    file = pair.launcher.home / "other-libraries.json"
    pair.launcher.having(f"--stats={file}").ok(*fill(words, pair.top))
    counters: dict[str, int] = json.loads(file.read_text())["tracer"]
    return counters


@KINDS
def test_a_warm_call_of_musl_stops_only_where_its_site_is_known_to_be_left(
    work: Pair, musl: Guests, desk: Path, patching: list[str], static: bool
) -> None:
    work_tree.warm(desk / "warm")
    program = str(musl.path("warm_calls", static=static))
    few, many = (
        tracer_counters(work, [program, str(rounds), "{top}/warm", f"{desk}/warm"])["redirects"] for rounds in (2, 102)
    )
    if patching:
        assert many - few >= 100 * 2 * 20
    else:
        assert many - few == 100 * CANCELLABLE


@KINDS
def test_sites_in_a_program_of_musl_give_right_answers(
    work: Pair, musl: Guests, patching: list[str], static: bool
) -> None:
    words = [str(musl.path("site_storm", static=static)), "0", "{top}/src/main.c", "{top}/src/none"]
    assert (tracer_counters(work, words)["patched"] >= 100) != bool(patching)


@KINDS
def test_threads_of_musl_see_what_they_see_natively(work: Pair, musl: Guests, static: bool) -> None:
    program = musl.path("threads", static=static)
    assert work.assert_same(["sh", "-c", f"{program} 3 {{top}}/text/*/* {{top}}/src/* {{top}}/missing {{top}}/src"])


@pytest.mark.parametrize("library", ["musl", "musl-static", "glibc"])
def test_a_thread_that_waits_in_a_call_is_cancelled(work: Pair, musl: Guests, guests: Guests, library: str) -> None:
    """Libraries look where the signal has interrupted the thread: within their own call, or somewhere else."""
    name = "cancelled_calls"
    program = guests.path(name) if library == "glibc" else musl.path(name, static=library == "musl-static")
    text = work.assert_same([str(program), "20", "{top}/src/main.c"])
    assert text == b"waiting: 20 of 20\nbeginning: 400 of 400\n"


def test_a_warm_call_of_go_stops_once_as_all_its_calls_are_made_at_one_site(work: Pair, patching: list[str]) -> None:
    """Go 1.19, here, makes the first of them when it has threads: nobody may change what is behind the call then."""
    files = ["{top}/text/0/part 00.txt", "{top}/src/main.c"]
    few, many = (tracer_counters(work, ["{top}/bin/cgrep", "-l", "muon|main", *(files * times)]) for times in (10, 60))
    assert many["redirects"] - few["redirects"] >= 50 * len(files)
    assert many["upcalls"] == few["upcalls"]
