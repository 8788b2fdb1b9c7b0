"""The account is given once, when the last thread of the first process ends, whoever that is."""

from __future__ import annotations

import json
import re
import signal

import pytest

from tests.helpers.faulty_repository import ENGINES, TOP, engine_options, faulty_repository
from tests.helpers.faulty_server import Status
from tests.helpers.guests import Guests
from tests.helpers.launches import Launches, one_sentence
from tests.helpers.object_names import object_of
from tests.helpers.repositories import ServedRepository
from tests.helpers.unprivileged import Unprivileged

MANY = f"{TOP}/data/many"
COUNT = 30
WAYS = {"open": 7, "leave": 7, "exec": 7, "leave-exec": 7, "leave-kill": -signal.SIGKILL}


@pytest.fixture(params=ENGINES)
def launches(request: pytest.FixtureRequest, unprivileged: Unprivileged, test_repository: ServedRepository) -> Launches:
    key = str(unprivileged.give(test_repository.key))
    flags = [*test_repository.flags[:2], "--key", key, *test_repository.flags[4:], *engine_options(request.param)]
    return Launches.of(unprivileged, flags)


def test_the_account_holds_what_the_last_thread_did(launches: Launches, guests: Guests) -> None:
    file = launches.home / "account.json"
    for way, code in WAYS.items():
        done = launches.having(f"--stats={file}").run(guests.path("last_thread"), way, MANY, str(COUNT))
        assert (done.returncode, done.stderr) == (code, "")
        assert done.stdout.endswith(f"opened {COUNT}\n")
        account = json.loads(file.read_text())
        file.unlink()
        assert account["questions"]["openat"] >= COUNT
        assert account["tracer"]["execs"] == (2 if "exec" in way else 1)


@pytest.mark.parametrize("way", WAYS)
def test_the_account_stands_once_on_stderr(launches: Launches, guests: Guests, way: str) -> None:
    done = launches.having("--stats").run(guests.path("last_thread"), way, MANY, str(COUNT))
    lines = done.stderr.splitlines()
    assert len(lines) == 4
    opens = re.search(r"openat (\d+)", lines[1])
    assert opens is not None
    assert int(opens[1]) >= COUNT


def test_the_account_does_not_wait_for_children_left_behind(launches: Launches) -> None:
    """It stands when the first process has ended, and does not come again with the last."""
    script = f"(read line; cat {MANY}/f00000.dat >/dev/null; echo end) <&3 & exec 3<&-; exit 3"
    with launches.having("--stats").start("bash", "-c", f"exec 3<&0; {script}") as job:
        assert job.wait() == 3
        assert job.process.stderr is not None
        first = b""
        while first.count(b"\n") < 4:
            first += job.process.stderr.read(4096) or b""
        job.say("go on")
        assert job.line() == "end"
        assert job.errors() == ""


@pytest.mark.parametrize("way", ["open", "leave"])
def test_a_failure_is_told_though_the_first_thread_has_ended(
    unprivileged: Unprivileged, guests: Guests, way: str
) -> None:
    """Nothing of the stderr is kept then: it is borrowed from any thread of the process."""
    with faulty_repository(unprivileged) as repository:
        name = repository.fault(object_of(repository.directory, "/data/many/f00003.dat"), Status(404))
        done = repository.launches.run(guests.path("last_thread"), way, MANY, "5")
    assert done.stdout.endswith("opened 4\n")
    assert name in one_sentence(done.stderr)
    assert done.returncode == 7
