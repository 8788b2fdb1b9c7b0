"""While a fetch stalls, signals take effect at once: shown by what happens before the server is let go."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.helpers.faulty_repository import ENGINES, TOP, FaultyRepository, parametrised
from tests.helpers.faulty_server import Exchange
from tests.helpers.guests import Guests
from tests.helpers.launches import PYTHON
from tests.helpers.unprivileged import Unprivileged

README = f"{TOP}/README"
CONTENT = "synthetic test repository\n"


MANY = f"{TOP}/data/many"


@dataclass(frozen=True)
class Interrupting:
    """A fault: sends SIGINT to a process at once, and says nothing until released."""

    pid: int

    def __call__(self, exchange: Exchange) -> None:
        os.kill(self.pid, signal.SIGINT)
        exchange.wait()


@pytest.fixture(params=ENGINES)
def stalling(request: pytest.FixtureRequest, unprivileged: Unprivileged) -> Iterator[FaultyRepository]:
    """The content of /README stalls, and so does the catalogue for what is below /data."""
    for repository in parametrised(unprivileged, request.param):
        repository.stall_content("/README")
        repository.stall_catalog("/data")
        yield repository


@pytest.mark.parametrize(("call", "path"), [("open", README), ("stat", f"{TOP}/data/dup1.bin")])
@pytest.mark.parametrize(
    ("how", "alarms", "last"), [("restart", 3, "left by the handler"), ("interrupt", 1, "returned -1 EINTR")]
)
def test_an_alarm_during_a_stalled_call_follows_sa_restart(
    stalling: FaultyRepository, guests: Guests, call: str, path: str, how: str, alarms: int, last: str
) -> None:
    done = stalling.launches.run(guests.path("signal_while_blocked"), how, call, path, "3")
    assert stalling.is_stalling
    assert done.stdout.splitlines() == ["before", *["alarm"] * alarms, last], done.stderr
    assert done.returncode == 0


def test_a_call_restarted_by_many_alarms_ends_with_the_content(stalling: FaultyRepository, guests: Guests) -> None:
    """Each restart waits for the same fetch: the server is asked once."""
    with stalling.launches.start(guests.path("signal_while_blocked"), "restart", "open", README, "1000") as job:
        assert job.line() == "before"
        for _ in range(5):
            assert job.line() == "alarm"
        stalling.server.release.set()
        lines = job.rest().splitlines()
        assert lines[-1] == "returned"
        assert set(lines[:-1]) <= {"alarm"}
        assert job.wait() == 0
    assert stalling.server.count("data/18/*") == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL, signal.SIGUSR1])
def test_a_deadly_signal_ends_a_stalled_open(stalling: FaultyRepository, number: signal.Signals) -> None:
    with stalling.launches.start("cat", README) as job:
        stalling.wait_for_stalls()
        job.send(number)
        assert job.wait() == -number
        assert job.rest() == ""
        assert stalling.is_stalling
        job.wait_for_the_end_of_all()
        assert stalling.is_stalling


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_deadly_signal_ends_a_stalled_stat(stalling: FaultyRepository, number: signal.Signals) -> None:
    with stalling.launches.start("stat", f"{TOP}/data/dup1.bin") as job:
        stalling.wait_for_stalls()
        job.send(number)
        assert job.wait() == -number
        assert stalling.is_stalling


@pytest.mark.parametrize("number", [signal.SIGTSTP, signal.SIGSTOP])
def test_a_stop_during_a_stalled_open_stops_at_once_and_goes_on(
    stalling: FaultyRepository, number: signal.Signals
) -> None:
    with stalling.launches.start("cat", README) as job:
        stalling.wait_for_stalls()
        job.send(number)
        assert job.wait_for_stop() == number
        assert stalling.is_stalling
        stalling.server.release.set()  # the answer comes to a stopped process, which must stay stopped
        assert job.is_silent()
        job.send(signal.SIGCONT)
        job.wait_for_continue()
        assert job.rest() == CONTENT
        assert job.wait() == 0


def test_a_stopped_and_continued_call_still_waits_for_the_same_fetch(stalling: FaultyRepository) -> None:
    with stalling.launches.start("cat", README) as job:
        stalling.wait_for_stalls()
        for _ in range(3):
            job.send(signal.SIGTSTP)
            assert job.wait_for_stop() == signal.SIGTSTP
            job.send(signal.SIGCONT)
            job.wait_for_continue()
        assert stalling.is_stalling
        stalling.server.release.set()
        assert job.rest() == CONTENT
        assert job.wait() == 0
    assert stalling.server.count("data/18/*") == 1


def test_a_stopped_process_is_killed_while_its_fetch_stalls(stalling: FaultyRepository) -> None:
    with stalling.launches.start("cat", README) as job:
        stalling.wait_for_stalls()
        job.send(signal.SIGSTOP)
        job.wait_for_stop()
        job.send(signal.SIGKILL)
        assert job.wait() == -signal.SIGKILL
        assert stalling.is_stalling


def test_timeout_ends_a_stalled_command(stalling: FaultyRepository) -> None:
    """timeout(1) makes a process group and sends SIGTERM to it; 124 is what it says then."""
    done = stalling.launches.run("timeout", "0.2", "cat", README)
    assert stalling.is_stalling
    assert (done.returncode, done.stdout) == (124, "")


def test_the_other_threads_run_on_while_one_waits_for_a_fetch(stalling: FaultyRepository, guests: Guests) -> None:
    mark = stalling.launches.home / "mark"
    with stalling.launches.start(guests.path("other_threads"), README, mark) as job:
        assert job.line() == "the other thread did 1000 rounds"
        stalling.wait_for_stalls()
        assert stalling.is_stalling
        stalling.server.release.set()
        assert job.line() == "open returned"
        assert job.wait() == 0
    assert mark.exists()


def test_virtual_files_are_served_to_others_while_one_fetch_stalls(stalling: FaultyRepository) -> None:
    script = f"cat {README} & while ! cat {TOP}/sw/v1/bin/run.sh; do :; done; readlink {TOP}/links/*; echo done; wait"
    with stalling.launches.start("sh", "-c", script) as job:
        lines = []
        while not lines or lines[-1] != "done":
            lines.append(job.line())
            assert lines[-1] or len(lines) < 100, lines
        stalling.wait_for_stalls()
        assert stalling.is_stalling
        assert lines[0].startswith("#!/bin/sh")
        stalling.server.release.set()
        assert job.rest() == CONTENT
        assert job.wait() == 0


@pytest.mark.parametrize("call", [f"os.stat('{TOP}/data/dup1.bin')", f"open('{README}')", f"os.listdir('{TOP}/data')"])
def test_python_gets_its_keyboard_interrupt_in_a_stalled_call(stalling: FaultyRepository, call: str) -> None:
    program = f"import os\ntry:\n    {call}\nexcept KeyboardInterrupt:\n    print('interrupted')"
    with stalling.launches.start(PYTHON, "-c", program) as job:
        stalling.wait_for_stalls()
        job.send(signal.SIGINT)
        assert job.line() == "interrupted"
        assert stalling.is_stalling
        assert job.wait() == 0


def test_an_uncaught_keyboard_interrupt_is_death_by_sigint(stalling: FaultyRepository) -> None:
    with stalling.launches.start(PYTHON, "-c", f"open('{README}')") as job:
        stalling.wait_for_stalls()
        job.send(signal.SIGINT)
        assert job.errors().endswith("KeyboardInterrupt\n")
        assert job.wait() == -signal.SIGINT
        assert stalling.is_stalling


def test_a_signal_right_after_the_question_is_not_forgotten(stalling: FaultyRepository) -> None:
    """Between asking and sleeping there is no gap: each open is interrupted as soon as the server has its request.

    Fifty at a time, since a server may hold back further requests where so many hang; no request is ever answered.
    """
    program = (
        "import os\n"
        f"os.stat('{MANY}/f00000.dat')\n"
        "print(os.getpid(), flush=True)\n"
        "for number in range(50):\n"
        f"    try: open('{MANY}/f%05d.dat' % number)\n"
        "    except KeyboardInterrupt: print(number, flush=True)\n"
    )
    stalling.server.heal()
    stalling.server.release.clear()
    with stalling.launches.start(PYTHON, "-c", program) as job:
        pid = int(job.line())
        stalling.server.fault("data/*", Interrupting(pid))
        for number in range(50):
            assert job.line() == str(number)
        assert stalling.is_stalling
        assert job.wait() == 0


def test_an_interrupted_python_reads_the_same_file_afterwards(stalling: FaultyRepository) -> None:
    program = (
        f"try:\n    open('{README}')\nexcept KeyboardInterrupt:\n    print(1, flush=True)\n"
        f"print(open('{README}').read())"
    )
    with stalling.launches.start(PYTHON, "-c", program) as job:
        stalling.wait_for_stalls()
        job.send(signal.SIGINT)
        assert job.line() == "1"
        stalling.server.release.set()
        assert job.line() + "\n" == CONTENT
        assert job.rest() == "\n"
        assert job.wait() == 0


def test_a_handler_runs_while_an_exec_waits_for_its_program(stalling: FaultyRepository) -> None:
    """exec(2) is not interrupted, but a handler is called, and a deadly signal ends it."""
    name = stalling.stall_content("/sw/v1/bin/run.sh")
    program = (
        "import os, signal\n"
        "signal.signal(signal.SIGALRM, lambda *_: None)\n"
        "os.set_blocking(1, False)\n"
        "signal.set_wakeup_fd(1)\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.1)\n"
        f"os.execv('{TOP}/sw/v1/bin/run.sh', ['run.sh'])"
    )
    with stalling.launches.start(PYTHON, "-c", program) as job:
        stalling.wait_for_stalls()
        assert job.process.stdout is not None
        assert job.process.stdout.read(1) == bytes([signal.SIGALRM])
        assert stalling.is_stalling
        job.send(signal.SIGTERM)
        assert job.wait() == -signal.SIGTERM
        assert stalling.is_stalling
    assert stalling.server.count(name) == 1


def test_killing_the_asker_does_not_spoil_the_fetch_for_the_next(stalling: FaultyRepository) -> None:
    script = f"cat {README} & read line; kill -KILL $!; wait $!; echo $?; cat {README}"
    with stalling.launches.start("sh", "-c", script) as job:
        stalling.wait_for_stalls()
        job.say("go on")
        assert job.line() == "137"
        assert stalling.is_stalling
        stalling.server.release.set()
        assert job.rest() == CONTENT
        assert job.wait() == 0
    assert stalling.server.count("data/18/*") == 1


def test_sigstop_to_one_process_leaves_the_others_served(stalling: FaultyRepository) -> None:
    script = (
        f"cat {README} & read line; kill -STOP $!; cat {TOP}/sw/v1/bin/run.sh >&2; echo still; "
        "read line; kill -CONT $!; wait"
    )
    with stalling.launches.start("sh", "-c", script) as job:
        stalling.wait_for_stalls()
        job.say("stop it")
        assert job.line() == "still"
        assert stalling.is_stalling
        stalling.server.release.set()
        job.say("let it go on")
        assert job.rest() == CONTENT
        assert job.wait() == 0


def test_a_blocked_signal_stays_pending_until_the_call_returns(stalling: FaultyRepository) -> None:
    program = (
        "import signal, sys\n"
        "signal.signal(signal.SIGUSR1, lambda *_: print('handled', flush=True))\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])\n"
        f"text = open('{README}').read()\n"
        "print(text, end='', flush=True)\n"
        "signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])\n"
    )
    with stalling.launches.start(PYTHON, "-c", program) as job:
        stalling.wait_for_stalls()
        job.send(signal.SIGUSR1)
        assert job.is_silent()
        stalling.server.release.set()
        assert job.rest() == CONTENT + "handled\n"
        assert job.wait() == 0
