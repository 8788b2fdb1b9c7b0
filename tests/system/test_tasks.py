"""Tasks that come and go: many at once, for one call, and killed while they make others.  Counted, never timed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.helpers.faulty_repository import ENGINES, TOP, engine_options
from tests.helpers.guests import Guests
from tests.helpers.launches import Launches
from tests.helpers.repositories import ServedRepository
from tests.helpers.unprivileged import Unprivileged

PRESENT, MISSING = f"{TOP}/README", f"{TOP}/sw/no-such"


@pytest.fixture
def launches(unprivileged: Unprivileged, test_repository: ServedRepository) -> Launches:
    key = str(unprivileged.give(test_repository.key))
    return Launches.of(unprivileged, [*test_repository.flags[:2], "--key", key, *test_repository.flags[4:]])


def counted(launches: Launches, *words: Any) -> tuple[str, dict[str, int]]:
    """What it printed, and the tracer's counters."""
    file = launches.home / "account.json"
    done = launches.having(f"--stats={file}").run(*words)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout, json.loads(file.read_text())["tracer"]


@pytest.mark.parametrize("engine", ENGINES)
def test_two_thousand_short_lives_are_all_served_and_all_counted(
    launches: Launches, guests: Guests, engine: str
) -> None:
    text, counters = counted(
        launches.having(*engine_options(engine)), guests.path("short_lives"), "4", "250", "252", PRESENT, MISSING
    )
    assert text == "0 wrong\n"
    assert counters["tasks"] == 4 * (1 + 250 + 252)
    assert counters["lost"] == counters["faults"] == 0


def test_many_that_make_tasks_at_once_are_still_patched(launches: Launches, guests: Guests) -> None:
    """Whose memory is whose stays known, in whatever order the kernel tells it: of 2400 calls few are caught."""
    text, counters = counted(launches, guests.path("short_lives"), "8", "100", "0", PRESENT, MISSING)
    assert text == "0 wrong\n"
    assert counters["redirects"] < 300


@pytest.mark.parametrize("threads", [[], ["threads"]], ids=["alone", "beside threads"])
@pytest.mark.parametrize("how", ["fork", "vfork", "exec", "thread", "exit"])
def test_what_a_killed_maker_leaves_runs_on(launches: Launches, guests: Guests, how: str, threads: list[str]) -> None:
    """Its last child was made, but it was killed before it could say so; one of ours adopts it and waits for it."""
    text, counters = counted(launches, guests.path("killed_makers"), how, "100", PRESENT, *threads)
    assert text == "0 wrong\n"
    assert counters["tasks"] > 100


def test_what_a_killed_maker_leaves_to_a_stranger_runs_on(launches: Launches) -> None:
    """Adopted by nobody of the job."""
    script = (
        "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do"
        " (while :; do (:) & done) & sleep 0.0$i; kill -KILL $!; wait $!; done 2>/dev/null; echo end"
    )
    with launches.start("bash", "-c", script) as job:
        assert job.line() == "end"
        assert job.wait() == 0
        job.wait_for_the_end_of_all()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("static", [True, False], ids=["static", "dynamic"])
def test_five_hundred_coroutines_of_a_page_of_stack_take_turns(
    launches: Launches, guests: Guests, static: bool, engine: str
) -> None:
    """Below each is a guard page; the first call of each kind is caught, and its site changed, on such a stack."""
    words = ("env", "LD_BIND_NOW=1", guests.path("coroutines", static=static), "500", PRESENT, f"{TOP}/sw", MISSING)
    text, counters = counted(launches.having(*engine_options(engine)), *words)
    assert text == "500 came to their end, 0 wrong\n"
    assert counters["faults"] == 0


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("processes", "threads"), [(1, 1000), (300, 1), (40, 50)])
def test_a_thousand_that_live_at_once_are_all_served(
    launches: Launches, guests: Guests, processes: int, threads: int, engine: str
) -> None:
    words = (guests.path("many_alive"), str(processes), str(threads), PRESENT, MISSING)
    text, counters = counted(launches.having(*engine_options(engine)), *words)
    assert text == f"{processes * threads} alive at once, 0 wrong\n"
    assert counters["tasks"] == processes * (1 + threads)
    assert counters["lost"] == 0
