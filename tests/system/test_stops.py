"""Stops, ends and execs at any moment: of whole groups, of threads beside waiting ones, of tasks between two steps."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.faulty_repository import ENGINES, TOP, FaultyRepository, parametrised
from tests.helpers.guests import Guests
from tests.helpers.jobs import Job, until
from tests.helpers.unprivileged import Unprivileged

README, MISSING, DIRECTORY = f"{TOP}/README", f"{TOP}/sw/no-such", f"{TOP}/data"
CONTENT = "synthetic test repository\n"
THINGS = ("calls", "questions", "faults", "handlers", "execs", "threads", "forks")


@pytest.fixture(params=ENGINES)
def served(request: pytest.FixtureRequest, unprivileged: Unprivileged) -> Iterator[FaultyRepository]:
    yield from parametrised(unprivileged, request.param)


def states(job: Job) -> set[str]:
    """Of all threads of the command, as ps shows them."""
    found = set()
    for path in Path(f"/proc/{job.pid}/task").iterdir():
        found.add((path / "stat").read_text().rpartition(")")[2].split()[0])
    return found


@pytest.mark.parametrize("thing", THINGS)
def test_what_is_killed_at_any_moment_is_dead_and_nothing_else(
    served: FaultyRepository, guests: Guests, thing: str
) -> None:
    """A hundred times, between whatever two steps of the tracer; then the next one is served."""
    done = served.launches.run(guests.path("killed_anywhere"), thing, "100", README, DIRECTORY)
    assert (done.returncode, done.stdout, done.stderr) == (0, "0 wrong, then 0\n", "")


def test_no_flag_of_clone_leads_out_of_the_world(served: FaultyRepository, guests: Guests) -> None:
    program = guests.path("clone_kinds")
    native = guests.run("clone_kinds", "/etc/passwd", "/etc/no-such")
    assert native.count("made, status 0\n") == 36
    assert served.launches.run(program, README, MISSING).stdout == native


@pytest.mark.parametrize("threads", [1, 4, 16])
def test_a_thread_executes_while_the_others_wait_for_a_fetch(
    served: FaultyRepository, guests: Guests, threads: int
) -> None:
    """They are gone, the first thread too, and the process goes on under its number as the new program."""
    served.stall_content("/README")
    words = [guests.path("exec_beside"), README, str(threads), "/bin/sh", "-c", f"echo $$; cat {TOP}/sw/v1/bin/run.sh"]
    with served.launches.start(*words) as job:
        served.wait_for_stalls()
        until(lambda: len(os.listdir(f"/proc/{job.pid}/task")) == threads + 1, "all threads are there")
        job.say("go")
        assert int(job.line()) == job.pid
        assert job.line() == "#!/bin/sh"
        assert served.is_stalling
        job.rest()
        assert job.wait() == 0
        assert served.is_stalling
        served.server.release.set()  # the answers find nobody
        job.wait_for_the_end_of_all()


def test_a_group_stop_stops_those_who_wait_for_a_fetch_and_those_who_do_not(
    served: FaultyRepository, guests: Guests
) -> None:
    served.stall_content("/README")
    mark = served.launches.home / "mark"
    with served.launches.start(guests.path("other_threads"), README, mark) as job:
        assert job.line() == "the other thread did 1000 rounds"
        served.wait_for_stalls()
        for _ in range(5):
            job.send(signal.SIGSTOP)
            assert job.wait_for_stop() == signal.SIGSTOP
            assert states(job) <= {"t", "T"}
            job.send(signal.SIGCONT)
            job.wait_for_continue()
        assert served.is_stalling
        served.server.release.set()
        assert job.line() == "open returned"
        assert job.wait() == 0


def test_a_group_that_makes_tasks_is_stopped_and_continued(served: FaultyRepository, guests: Guests) -> None:
    """New threads appear in the middle of group stops; each stop and each continuation is seen, no answer is wrong."""
    words = [guests.path("short_lives"), "2", "1500", "1500", README, MISSING]
    with served.launches.start(*words, start_new_session=True) as job:
        for _ in range(12):
            os.killpg(job.pid, signal.SIGSTOP)
            assert job.wait_for_stop() == signal.SIGSTOP
            os.killpg(job.pid, signal.SIGCONT)
            job.wait_for_continue()
        assert job.rest() == "0 wrong\n"
        assert job.wait() == 0


def test_a_stop_that_is_continued_at_once_is_lost_to_nobody(served: FaultyRepository) -> None:
    """Hundreds of pairs without waiting in between: in the end everybody runs."""
    script = f"read line; while read line; do cat {README}; done; echo end"
    with served.launches.start("sh", "-c", script) as job:
        job.say("begin")
        for _ in range(300):
            job.send(signal.SIGTSTP)
            job.send(signal.SIGCONT)
        job.say("more")
        assert job.line() + "\n" == CONTENT
        assert job.process.stdin is not None
        job.process.stdin.close()
        assert job.line() == "end"
        assert job.wait() == 0
