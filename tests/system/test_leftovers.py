"""After the end nothing of a launch remains: no process, placeholder, shared memory or socket, whoever was killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.helpers.faulty_repository import ENGINES, TOP, FaultyRepository, parametrised
from tests.helpers.faulty_server import Stall
from tests.helpers.guests import Guests
from tests.helpers.jobs import Job, marked, until
from tests.helpers.leftovers import Belongings, belongings, placeholders
from tests.helpers.unprivileged import Unprivileged

README = f"{TOP}/README"
CONTENT = "synthetic test repository\n"
#: Opens a file and a directory, maps, makes children, one of them in a session of its own, and waits.
BUSY = (
    f"exec 3<{README} 4<{TOP}/data; cd {TOP}/sw; cat <&3; "
    "sleep 60 & setsid sleep 60 & sh -c 'cat /proc/self/maps >/dev/null; echo ready; read line' ; read line; exit 3"
)


@pytest.fixture(params=ENGINES)
def served(request: pytest.FixtureRequest, unprivileged: Unprivileged) -> Iterator[FaultyRepository]:
    yield from parametrised(unprivileged, request.param)


def start(served: FaultyRepository) -> Job:
    """A job with all kinds of things open, at work."""
    job = served.launches.start("bash", "-c", BUSY)
    assert [job.line(), job.line()] == [CONTENT.strip(), "ready"]
    return job


def seen(job: Job) -> Belongings:
    """What it has: at least the index, mapped by all, and nothing with a name."""
    found = belongings(job)
    assert found.memory, "the index is mapped"
    assert not found.sockets, "names are for strangers to find"
    assert len(marked(job.mark)) >= 4, marked(job.mark)
    return found


def test_nothing_remains_after_a_normal_end(served: FaultyRepository) -> None:
    with served.launches.start("sh", "-c", f"exec 3<{README}; cd {TOP}/data; echo ready; read line; exit 3") as job:
        assert job.line() == "ready"
        had = belongings(job)
        assert had.memory
        job.say("end")
        assert job.wait() == 3
        had.wait_until_gone()


def test_who_is_outside_and_has_one_file_open_keeps_no_others(served: FaultyRepository) -> None:
    """Files without seals are in one file system, which is there as long as any of it is open."""
    with served.launches.start(
        "sh", "-c", f"exec 3<{README}; cat {TOP}/sw/v1/bin/run.sh; echo ready; read line"
    ) as job:
        until(lambda: job.line() == "ready", "all is open")
        had, of_job = belongings(job), f"/proc/{job.pid}/fd"
        file = os.open(f"{of_job}/3", os.O_RDONLY)
        device = os.fstat(file).st_dev
        known = [os.open(f"{of_job}/{fd}", os.O_PATH) for fd in os.listdir(of_job)]
        above = [fd for fd in known if os.path.isdir(f"/proc/self/fd/{fd}") and os.fstat(fd).st_dev == device]
        names = [name for fd in above for name in os.listdir(f"/proc/self/fd/{fd}")]
        job.say("end")
        assert job.wait() == 0
        had.wait_until_gone()
        left = [name for fd in above for name in names if os.path.isfile(f"/proc/self/fd/{fd}/{name}")]
        content = os.pread(file, 100, 0)
        for fd in (file, *known):
            os.close(fd)
        assert (left, content) == ([], CONTENT.encode())
        assert not above or len(names) > 2, "sealed files are each by itself"


def test_killing_the_command_leaves_its_children_served_and_in_the_end_nothing(served: FaultyRepository) -> None:
    """As natively: children of a killed process live on.  They still have their world."""
    with start(served) as job:
        had = seen(job)
        job.send(signal.SIGKILL)
        assert job.wait() == -signal.SIGKILL

        def names() -> list[str]:
            return sorted(name for pid, name in marked(job.mark).items() if pid != had.helper)

        until(lambda: names() == ["sh", "sleep", "sleep"], "the children are left, and setsid has become sleep")
        left = marked(job.mark)
        for pid in left:
            if pid != had.helper:
                os.kill(pid, signal.SIGKILL)
        had.wait_until_gone()


def test_killing_the_helper_ends_the_whole_job(served: FaultyRepository) -> None:
    """A job never runs on half a world (PTRACE_O_EXITKILL), daemons included."""
    with start(served) as job:
        had = seen(job)
        os.kill(had.helper, signal.SIGKILL)
        assert job.wait() == -signal.SIGKILL
        had.wait_until_gone()


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT])
def test_a_crash_of_the_helper_ends_the_whole_job(served: FaultyRepository, number: signal.Signals) -> None:
    with start(served) as job:
        had = seen(job)
        os.kill(had.helper, number)
        assert job.wait() == -signal.SIGKILL
        had.wait_until_gone()


def test_signals_that_people_send_to_everything_do_not_end_the_helper(served: FaultyRepository) -> None:
    """A batch system's `kill -TERM` of all processes first, with KILL later: the job decides, the helper serves it."""
    with served.launches.start("sh", "-c", f"trap 'cat {README}; exit 4' TERM; echo ready; read line") as job:
        assert job.line() == "ready"
        helper = job.helper()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE, signal.SIGTSTP):
            os.kill(helper, number)
        job.send(signal.SIGTERM)
        assert job.line() + "\n" == CONTENT
        assert job.wait() == 4


def test_killing_a_child_leaves_the_others_served(served: FaultyRepository) -> None:
    script = f"sleep 60 & read line; kill -KILL $!; wait $!; echo $?; cat {README}; cat {TOP}/sw/v1/bin/run.sh; exit 5"
    with served.launches.start("bash", "-c", f"echo ready; {script}") as job:
        assert job.line() == "ready"
        had = belongings(job)
        job.say("go")
        assert job.line() == "137"
        assert job.line() + "\n" == CONTENT
        assert job.rest().startswith("#!/bin/sh")
        assert job.wait() == 5
        had.wait_until_gone()


def test_killing_everything_at_once_leaves_nothing(served: FaultyRepository) -> None:
    with start(served) as job:
        had = seen(job)
        for pid in marked(job.mark):
            with suppress(ProcessLookupError):  # the kernel was faster: it kills all with the helper
                os.kill(pid, signal.SIGKILL)
        assert job.wait() == -signal.SIGKILL
        had.wait_until_gone()


def test_killing_the_helper_while_a_fetch_stalls_ends_the_asker(served: FaultyRepository) -> None:
    served.stall_content("/README")
    with served.launches.start("cat", README) as job:
        served.wait_for_stalls()
        had = belongings(job)
        os.kill(had.helper, signal.SIGKILL)
        assert job.wait() == -signal.SIGKILL
        assert served.is_stalling
        had.wait_until_gone()


def test_killing_the_launcher_while_it_waits_for_the_manifest_leaves_nothing(served: FaultyRepository) -> None:
    """Before the command has begun there is a helper only, which finds that nobody waits."""
    served.server.fault(".cvmfspublished", Stall())
    with served.launches.start("cat", README) as job:
        served.wait_for_stalls()
        job.send(signal.SIGKILL)
        assert job.wait() == -signal.SIGKILL
        served.server.release.set()
        job.wait_for_the_end_of_all()


def test_ctrl_c_while_the_manifest_stalls_ends_the_launch(served: FaultyRepository) -> None:
    """By the signal, without a traceback."""
    served.server.fault(".cvmfspublished", Stall())
    with served.launches.start("cat", README) as job:
        served.wait_for_stalls()
        job.send(signal.SIGINT)
        assert job.wait() == -signal.SIGINT
        assert "Traceback" not in job.errors()
        assert served.is_stalling
        served.server.release.set()
        job.wait_for_the_end_of_all()


def test_a_launch_that_fails_leaves_nothing(served: FaultyRepository) -> None:
    with served.launches.having("--repo", "missing.hep.example=http://127.0.0.1:1/").start("cat", README) as job:
        assert job.wait() == 125
        job.wait_for_the_end_of_all()


def test_a_command_that_is_not_found_leaves_nothing(served: FaultyRepository) -> None:
    with served.launches.start(f"{TOP}/no/such/command") as job:
        assert job.wait() == 127
        job.wait_for_the_end_of_all()


def test_no_name_of_a_stand_in_is_ever_seen_while_a_job_runs(served: FaultyRepository) -> None:
    before = placeholders()
    with served.launches.start("bash", "-c", f"cd {TOP}/data; exec 3<{TOP}/sw 4<{TOP}; echo ready; read line") as job:
        assert job.line() == "ready"
        until(lambda: placeholders() <= before, "no placeholder stays")
        job.say("end")
        assert job.wait() == 0


#: What guests are killed at, all at once, each in a process of its own (`killed_anywhere`).
THINGS = ("calls", "questions", "faults", "handlers", "execs", "threads", "forks")


def test_storms_of_deaths_leave_the_helper_as_it_was(served: FaultyRepository, guests: Guests) -> None:
    """Fourteen makers and their children die at random moments; the helper has no descriptor more after the second."""
    guest = guests.path("killed_anywhere")
    storm = " ".join(f"{guest} {thing} 60 {README} {TOP}/data &" for thing in THINGS * 2)
    script = f"while read line; do {storm} wait; echo over; done"
    with served.launches.start("bash", "-c", script) as job:
        had = []
        for _ in range(3):
            job.say("again")
            said = [job.line() for _ in range(2 * len(THINGS) + 1)]
            assert said == ["0 wrong, then 0"] * (2 * len(THINGS)) + ["over"]
            until(lambda: set(marked(job.mark)) == {job.pid, job.helper()}, "only the shell and the helper are left")
            had.append(kept_open(job.helper()))
        assert had[1] == had[2]
        belonged = belongings(job)
        os.kill(job.helper(), signal.SIGKILL)
        assert job.wait() == -signal.SIGKILL
        belonged.wait_until_gone()


def kept_open(pid: int) -> list[str]:
    """What a process has open, but for what it reads of /proc just now."""
    found = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with suppress(FileNotFoundError):
            found.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
    return sorted(name for name in found if not name.startswith("/proc/"))
