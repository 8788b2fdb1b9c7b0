"""What a job sees of a bad network: EIO, never ENOENT; a sentence, a count; and the content once the server is back."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.helpers.faulty_repository import ENGINES, TOP, FaultyRepository, parametrised
from tests.helpers.faulty_server import (
    Body,
    CloseEarly,
    Drip,
    Endless,
    Exchange,
    Fault,
    FaultyServer,
    HangUp,
    Length,
    Raw,
    Redirect,
    Stall,
    StallBody,
    Status,
)
from tests.helpers.launches import PYTHON, Launches
from tests.helpers.object_names import catalog_of, object_of, objects_of
from tests.helpers.unprivileged import Unprivileged

README = f"{TOP}/README"
CONTENT = "synthetic test repository\n"
#: Nobody waits long for what fails on purpose, and nobody tries again later.
QUICK = {"CVMFS_TIMEOUT_DIRECT": "1", "CVMFS_TIMEOUT": "1", "CVMFS_MAX_RETRIES": "0", "CVMFS_BACKOFF_INIT": "0"}


@pytest.fixture(params=ENGINES)
def repository(request: pytest.FixtureRequest, unprivileged: Unprivileged) -> Iterator[FaultyRepository]:
    yield from parametrised(unprivileged, request.param)


@pytest.fixture
def one(unprivileged: Unprivileged) -> Iterator[FaultyRepository]:
    """Without --no-patch, where the engine's way does not matter."""
    yield from parametrised(unprivileged, ENGINES[0])


def account_of(launches: Launches) -> dict[str, Any]:
    """What --stats=FILE wrote."""
    return dict(json.loads((launches.home / "stats.json").read_text()))


def with_account(launches: Launches) -> Launches:
    return launches.having(f"--stats={launches.home}/stats.json")


#: Every way in which the object of /README cannot be had: the fault, and a word that the sentence must have.
FAULTS: dict[str, tuple[Fault, str]] = {
    "503": (Status(503), "503"),
    "500": (Status(500), "500"),
    "403": (Status(403), "403"),
    "404": (Status(404), "404"),
    "410": (Status(410), ""),
    "hangs up": (HangUp(), ""),
    "sends half": (CloseEarly(), ""),
    "tells too long a length": (Length(by=10), ""),
    "tells too short a length": (Length(by=-5), ""),
    "tells garbage as length": (Length(text="many"), ""),
    "tells a negative length": (Length(text="-1"), ""),
    "redirects to itself": (Redirect("/cvmfs/test.hep.example/data/"), "redirect"),
    "redirects elsewhere": (Redirect("http://127.0.0.1:1/"), "redirect"),
    "wrong bytes": (Body(b"these are not the bytes"), ""),
    "no bytes": (Body(b""), ""),
    "html": (Body(b"<html>login</html>", {"Content-Type": "text/html"}), ""),
    "endless": (Endless(), ""),
    "no HTTP": (Raw(b"\x00\xff no protocol at all\r\n\r\n"), ""),
    "stalls": (Stall(), ""),
    "stalls in the body": (StallBody(5), ""),
    "drips": (Drip(0.3), ""),
}


@pytest.mark.parametrize("name", FAULTS)
def test_an_object_that_cannot_be_had_is_eio_not_enoent(one: FaultyRepository, name: str) -> None:
    """The program gets EIO, the user one sentence that names the object, the account one failure; the job goes on."""
    fault, word = FAULTS[name]
    asked = one.fault(object_of(one.directory, "/README"), fault)
    launches = with_account(one.launches)
    done = launches.run("sh", "-c", f"cat {README}; cat {TOP}/sw/v1/bin/run.sh; exit 6", env=QUICK)
    first, second = sorted(done.stderr.splitlines())
    assert first == f"cat: {README}: Input/output error"
    assert second.startswith("hepwrap: ")
    digest = asked.replace("/", "").removeprefix("data")
    assert digest in second.replace("/", ""), second
    assert word in second.lower()
    assert done.stdout.startswith("#!/bin/sh")
    assert done.returncode == 6
    assert account_of(launches)["answers"]["failures"] == 1
    assert one.server.count(asked) >= 1


def test_the_way_of_the_engine_makes_no_difference_to_a_fault(repository: FaultyRepository) -> None:
    repository.fault(object_of(repository.directory, "/README"), Status(503))
    done = repository.launches.run("cat", README, env=QUICK)
    assert done.returncode == 1
    assert f"cat: {README}: Input/output error\n" in done.stderr


def test_a_catalogue_that_cannot_be_had_is_eio_for_all_below_and_for_nothing_else(repository: FaultyRepository) -> None:
    repository.fault(catalog_of(repository.directory, "/data/x"), Status(503))
    program = (
        "import os, errno\n"
        f"for path in ('data/dup1.bin', 'data/no/such', 'data/missing', 'README', 'no/such', 'sw/v1/missing'):\n"
        f"    try: os.stat('{TOP}/' + path); print(path, 0)\n"
        "    except OSError as e: print(path, errno.errorcode[e.errno])\n"
        f"try: os.listdir('{TOP}/data')\n"
        "except OSError as e: print(errno.errorcode[e.errno])\n"
    )
    done = repository.launches.run(PYTHON, "-c", program, env=QUICK)
    assert done.stdout.splitlines() == [
        "data/dup1.bin EIO",
        "data/no/such EIO",
        "data/missing EIO",
        "README 0",
        "no/such ENOENT",
        "sw/v1/missing ENOENT",
        "EIO",
    ], done.stderr


@pytest.mark.parametrize("call", ["open", "stat", "access", "exec", "readlink", "statfs", "chdir", "listxattr"])
def test_no_call_takes_an_unreachable_catalogue_for_a_missing_file(one: FaultyRepository, call: str) -> None:
    one.fault(catalog_of(one.directory, "/data/x"), HangUp())
    calls = {
        "open": "os.open(p, 0)",
        "stat": "os.stat(p)",
        "access": "libc.access(p.encode(), 4) and fail()",
        "exec": "os.execv(p, ['x'])",
        "readlink": "os.readlink(p)",
        "statfs": "os.statvfs(p)",
        "chdir": "os.chdir(p)",
        "listxattr": "os.listxattr(p)",
    }
    program = (
        "import os, errno, ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        "def fail(): raise OSError(ctypes.get_errno(), '')\n"
        f"p = '{TOP}/data/dup1.bin'\n"
        f"try: {calls[call]}; print('worked')\n"
        "except OSError as e: print(errno.errorcode[e.errno])\n"
    )
    assert one.launches.run(PYTHON, "-c", program, env=QUICK).stdout == "EIO\n"


def test_every_failed_call_is_counted_and_only_a_few_are_said(one: FaultyRepository) -> None:
    one.fault("data/??/*", Status(503))
    for catalog in ("/", "/data/x", "/data/many/x"):
        one.fault(catalog_of(one.directory, catalog), Exchange.honest)
    one.fault("data/??/*X", Exchange.honest)
    launches = with_account(one.launches)
    script = f"cd {TOP}/data/many; for n in 0 1 2 3 4 5 6 7; do cat f0000$n.dat; done; :"
    done = launches.run("sh", "-c", script, env=QUICK)
    account = account_of(launches)
    assert account["answers"]["failures"] == 8
    assert account["fetch"]["failures"] >= 8
    assert done.stderr.count("Input/output error") == 8
    ours = [line for line in done.stderr.splitlines() if line.startswith("hepwrap: ")]
    assert 2 <= len(ours) <= 5
    assert "8 calls failed, the last" in ours[-1]
    assert ".log" in ours[-1]
    log = ours[-1].rpartition(" in ")[2]
    assert launches.home / "" in (launches.home / log).parents
    assert len((launches.home / log).read_text().splitlines()) >= 8


def test_the_log_of_a_job_names_each_failed_object(one: FaultyRepository) -> None:
    asked = one.fault(object_of(one.directory, "/README"), Status(503))
    log = one.launches.home / "job.log"
    one.launches.having(f"--log={log}").run("cat", README, env=QUICK)
    assert asked.removeprefix("data/").replace("/", "") in log.read_text().replace("/", "")


def test_a_job_without_a_fault_says_nothing_and_counts_none(repository: FaultyRepository) -> None:
    launches = with_account(repository.launches)
    done = launches.run("sh", "-c", f"cat {README}; test -e {TOP}/no/such")
    assert (done.returncode, done.stdout, done.stderr) == (1, CONTENT, "")
    account = account_of(launches)
    assert account["answers"]["failures"] == 0
    assert account["fetch"]["failures"] == account["fetch"]["corrupt"] == account["fetch"]["retries"] == 0
    assert account["fetch"]["requests"] == len(repository.server.names())


# The server comes back.


def test_what_failed_while_the_server_was_dead_works_afterwards(repository: FaultyRepository) -> None:
    """An EIO is never remembered: the next call asks again."""
    script = (
        f"ls {TOP} >/dev/null; echo ready; read line; cat {README}; stat -c %s {TOP}/data/dup1.bin; "
        f"echo failed; read line; cat {README}; stat -c %s {TOP}/data/dup1.bin"
    )
    with repository.launches.start("sh", "-c", script, env=QUICK) as job:
        assert job.line() == "ready"
        repository.server.stop()
        job.say("the server is dead")
        assert job.line() == "failed"
        repository.server.start()
        job.say("it is back")
        assert job.rest() == f"{CONTENT}50000\n"
        assert job.wait() == 0
        assert job.errors().count("Input/output error") == 2


def test_a_launch_soon_after_another_misses_a_dead_server_when_a_path_is_asked_about(one: FaultyRepository) -> None:
    """It gets EIO and a sentence, as ever.  A launch that asks starts nothing."""
    script = f"echo begun; cat {README}"
    assert one.launches.run("cat", README, env=QUICK).stdout == CONTENT
    one.server.stop()
    done = one.launches.run("sh", "-c", script, env=QUICK)
    assert done.stdout == "begun\n"
    assert f"cat: {README}: Input/output error\n" in done.stderr
    assert "cannot fetch data/2c/d145415d97" in done.stderr
    done = one.launches.run("sh", "-c", script, env={**QUICK, "HEPWRAP_MAX_TTL": "0"})
    assert (done.returncode, done.stdout) == (125, "")
    one.server.start()
    assert one.launches.run("cat", README, env=QUICK).stdout == CONTENT


@pytest.mark.parametrize("name", ["503", "hangs up", "sends half", "wrong bytes", "404", "tells too long a length"])
def test_a_fault_that_passes_is_forgotten(one: FaultyRepository, name: str) -> None:
    one.fault(object_of(one.directory, "/README"), FAULTS[name][0])
    script = f"cat {README}; echo failed; read line; cat {README}"
    with one.launches.start("sh", "-c", script, env=QUICK) as job:
        assert job.line() == "failed"
        one.server.heal()
        job.say("healed")
        assert job.rest() == CONTENT
        assert job.wait() == 0


def test_a_fault_of_one_request_is_not_seen_at_all(one: FaultyRepository) -> None:
    """Wrong bytes are asked for once more, past all caches; a broken connection is tried again."""
    for path, fault in (("/README", Body(b"wrong")), ("/sw/v1/bin/run.sh", HangUp())):
        one.server.fault(object_of(one.directory, path), fault, times=1)
    launches = with_account(one.launches)
    done = launches.run(
        "sh", "-c", f"cat {README}; cat {TOP}/sw/v1/bin/run.sh", env={**QUICK, "CVMFS_MAX_RETRIES": "1"}
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(CONTENT + "#!/bin/sh")
    fetch = account_of(launches)["fetch"]
    assert fetch["corrupt"] == 1
    assert fetch["failures"] == 0
    again = [r for r in one.server.requests if r.name == object_of(one.directory, "/README")]
    assert len(again) == 2
    assert "no-cache" in again[1].headers.get("Cache-Control", "") + again[1].headers.get("Pragma", "")


def test_a_second_server_takes_over_unseen(one: FaultyRepository) -> None:
    one.server.fault("data/*", Status(503))
    with FaultyServer(one.directory, prefix="/cvmfs/test.hep.example") as second:
        first = one.server.url
        options = tuple(f"{word};{second.url}" if word.endswith(first) else word for word in one.launches.options)
        done = dataclasses.replace(one.launches, options=options).run("cat", README, env=QUICK)
        assert (done.returncode, done.stdout, done.stderr) == (0, CONTENT, "")
        assert second.count("data/*") >= 2


def test_one_missing_chunk_is_eio_for_the_whole_open(repository: FaultyRepository) -> None:
    """A file is opened whole or not at all: no reader gets half of it and then an error."""
    repository.fault(objects_of(repository.directory, "/data/chunked.root")[3], Status(503))
    done = repository.launches.run(
        "sh", "-c", f"wc -c <{TOP}/data/chunked.root; sha256sum {TOP}/data/dup1.bin", env=QUICK
    )
    assert "chunked.root: Input/output error" in done.stderr or "cannot open" in done.stderr
    assert done.stdout.startswith("bf95b4fd0026f692")


def test_simultaneous_askers_of_a_failing_object_all_get_eio(repository: FaultyRepository) -> None:
    repository.fault(object_of(repository.directory, "/README"), Status(503))
    script = f"for n in 1 2 3 4 5 6 7 8; do sh -c 'cat {README} 2>/dev/null || echo failed' & done; wait"
    assert repository.launches.run("sh", "-c", script, env=QUICK).stdout == "failed\n" * 8
