"""Much at once: many askers, many opens, little memory, few descriptors, little address space."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.helpers.faulty_repository import ENGINES, TOP, FaultyRepository, parametrised
from tests.helpers.faulty_server import Gather
from tests.helpers.guests import Guests
from tests.helpers.launches import PYTHON, Launches
from tests.helpers.object_names import object_of, objects_of
from tests.helpers.shared import shared_path
from tests.helpers.unprivileged import Unprivileged

README = f"{TOP}/README"
CONTENT = "synthetic test repository\n"
MANY = f"{TOP}/data/many"


@pytest.fixture(params=ENGINES)
def repository(request: pytest.FixtureRequest, unprivileged: Unprivileged) -> Iterator[FaultyRepository]:
    yield from parametrised(unprivileged, request.param)


def truth() -> dict[str, tuple[int, str]]:
    """Sizes and SHA-256 sums of all regular files, from the real client."""
    rows = [
        line.split("\t")
        for line in shared_path("data/test.hep.example/listing.tsv").read_text().splitlines()
        if not line.startswith("#")
    ]
    return {row[0]: (int(row[5]), row[12]) for row in rows if row[1] == "f"}


def with_account(launches: Launches) -> Launches:
    return launches.having(f"--stats={launches.home}/stats.json")


def account_of(launches: Launches) -> dict[str, Any]:
    return dict(json.loads((launches.home / "stats.json").read_text()))


def distinct(repository: FaultyRepository, count: int) -> list[int]:
    """Numbers of files in /data/many whose objects all differ, and are nothing else's."""
    seen: dict[str, int] = {}
    for number in range(count * 2):
        seen.setdefault(object_of(repository.directory, f"/data/many/f{number:05}.dat"), number)
    return list(seen.values())[:count]


# At once.


def test_64_processes_that_miss_64_different_objects_are_fetched_at_once(repository: FaultyRepository) -> None:
    """The server answers none of them before all 64 requests are there."""
    gather = Gather(64)
    numbers = distinct(repository, 64)
    for number in numbers:
        repository.fault(object_of(repository.directory, f"/data/many/f{number:05}.dat"), gather)
    names = " ".join(f"f{number:05}.dat" for number in numbers)
    done = repository.launches.run(
        "sh", "-c", f"cd {MANY}; for n in {names}; do cat $n >/dev/null || echo $n & done; wait"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert gather.met


def test_64_threads_that_miss_64_different_objects_are_fetched_at_once(
    repository: FaultyRepository, guests: Guests
) -> None:
    numbers = distinct(repository, 64)
    if numbers != list(range(64)):
        pytest.skip("the first 64 files have equal objects")
    gather = Gather(64)
    for number in numbers:
        repository.fault(object_of(repository.directory, f"/data/many/f{number:05}.dat"), gather)
    done = repository.launches.run(guests.path("many_opens"), f"{MANY}/f%05d.dat", "64")
    sizes = truth()
    total = sum(sizes[f"/data/many/f{number:05}.dat"][0] for number in range(64))
    assert done.stdout.startswith(f"opened 64, bytes {total}, "), done.stdout + done.stderr
    assert gather.met


def test_64_askers_of_one_object_are_one_request(repository: FaultyRepository) -> None:
    """All wait for the same stalled fetch: the server is asked once."""
    name = repository.stall_content("/README")
    script = f"echo; for n in $(seq 64); do cat {README} & done; wait"
    with repository.launches.start("sh", "-c", script) as job:
        assert job.line() == ""
        repository.wait_for_stalls()
        repository.server.release.set()
        assert job.rest() == CONTENT * 64
        assert job.wait() == 0
    assert repository.server.count(name) == 1


def test_64_threads_that_ask_for_one_object_are_one_request(repository: FaultyRepository, guests: Guests) -> None:
    done = repository.launches.run(guests.path("many_opens"), README, "64")
    assert done.stdout.startswith(f"opened 64, bytes {64 * len(CONTENT)}, ")
    assert repository.server.count(object_of(repository.directory, "/README")) == 1


def test_the_chunks_of_a_file_are_fetched_at_once(repository: FaultyRepository) -> None:
    chunks = objects_of(repository.directory, "/data/chunked.root")
    gather = Gather(4)
    for name in chunks[:4]:
        repository.fault(name, gather)
    done = repository.launches.run("sha256sum", f"{TOP}/data/chunked.root")
    assert done.stdout.split()[0] == truth()["/data/chunked.root"][1]
    assert gather.met


def test_many_interrupted_askers_do_not_use_up_the_server(repository: FaultyRepository) -> None:
    """600 opens of one stalled object, each given up by a signal; others are served meanwhile."""
    repository.stall_content("/README")
    program = (
        "import os, signal\n"
        "class Enough(Exception): pass\n"
        "given_up = 0\n"
        "def on_alarm(*_):\n"
        "    global given_up\n"
        "    given_up += 1\n"
        "    if given_up == 600: raise Enough\n"
        "signal.signal(signal.SIGALRM, on_alarm)\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.003, 0.003)\n"
        f"try: os.open('{README}', os.O_RDONLY)\n"  # Python makes the call again after each EINTR
        "except Enough: pass\n"
        "signal.setitimer(signal.ITIMER_REAL, 0)\n"
        "print(given_up >= 600, flush=True)\n"
        f"print(open('{TOP}/sw/v1/bin/run.sh').readline(), end='')\n"
    )
    patient = {"CVMFS_TIMEOUT_DIRECT": "600"}  # or the stall would end by itself, and the test could not fail
    with repository.launches.start(PYTHON, "-c", program, env=patient) as job:
        repository.wait_for_stalls()
        assert job.line() == "True"
        assert job.line().startswith("#!/bin/sh")
        assert repository.is_stalling
        assert job.wait() == 0


def test_thousands_of_opens_give_the_right_bytes(repository: FaultyRepository) -> None:
    """All 2000 files, twice, against the listing of the real client."""
    program = (
        "import hashlib, os\n"
        f"for _ in range(2):\n"
        f"    for name in sorted(os.listdir('{MANY}')):\n"
        f"        data = open('{MANY}/' + name, 'rb').read()\n"
        "        print(name, len(data), hashlib.sha256(data).hexdigest())\n"
    )
    launches = with_account(repository.launches)
    done = launches.run(PYTHON, "-c", program)
    expected = [
        f"{path.rpartition('/')[2]} {size} {digest}"
        for path, (size, digest) in sorted(truth().items())
        if path.startswith("/data/many/")
    ]
    assert done.stdout.splitlines() == expected * 2, done.stderr
    assert account_of(launches)["questions"]["openat"] < 2.2 * len(expected)


# Little memory.

FILES = (
    "data/chunked.root",
    "data/chunked_zero.bin",
    "data/exact_128k.bin",
    "data/justbelow.bin",
    "data/dup1.bin",
    "data/dup2.bin",
    "raw/chunked_raw.bin",
    "raw/noise.bin",
    "sw/v1/lib/libhep.so.1.2.3",
    "sw/v2/lib/libhep.so.1.2.3",
)


def test_eviction_while_eight_processes_read_changes_no_byte(repository: FaultyRepository) -> None:
    """Far more is read than fits; each reader starts elsewhere, and reads on after its file was evicted."""
    program = (
        "import hashlib, os, sys\n"
        f"files = {FILES!r}\n"
        "me = int(sys.argv[1])\n"
        "for turn in range(6):\n"
        "    name = files[(me + turn * 3) % len(files)]\n"
        f"    first = open('{TOP}/' + name, 'rb'); start = first.read(1000)\n"
        f"    for other in files[me % 3::3]: open('{TOP}/' + other, 'rb').read(10)\n"
        "    print(name, hashlib.sha256(start + first.read()).hexdigest())\n"
    )
    launches = with_account(repository.launches).having("--cache-size", "1M")
    script = f'for n in 0 1 2 3 4 5 6 7; do {PYTHON} -c "$1" $n >out.$n & done; wait; cat out.*'
    done = launches.run("sh", "-c", script, "sh", program)
    lines = done.stdout.splitlines()
    sums = truth()
    assert len(lines) == 48, done.stderr
    assert {line for line in lines if sums["/" + line.split()[0]][1] != line.split()[1]} == set()
    assert done.stderr == ""
    account = account_of(launches)
    assert account["cache"]["evicted"] > 0
    assert account["answers"]["failures"] == 0


def test_the_limit_holds_for_what_is_not_in_use(repository: FaultyRepository) -> None:
    launches = with_account(repository.launches).having("--cache-size", "300K")
    names = " ".join(f"{TOP}/{name}" for name in FILES[2:])
    done = launches.run("sh", "-c", f"for f in {names} {names}; do cat $f >/dev/null; done; sleep 0.1")
    assert (done.returncode, done.stderr) == (0, "")
    account = account_of(launches)
    assert account["cache"]["evicted"] > 0
    assert account["cache"]["bytes_held"] <= 300 * 1024 + 500_000


def test_an_object_larger_than_the_limit_is_read_whole(repository: FaultyRepository) -> None:
    launches = repository.launches.having("--cache-size", "100K")
    done = launches.run("sha256sum", f"{TOP}/data/chunked.root", f"{TOP}/raw/chunked_raw.bin")
    sums = truth()
    assert [line.split()[0] for line in done.stdout.splitlines()] == [
        sums["/data/chunked.root"][1],
        sums["/raw/chunked_raw.bin"][1],
    ], done.stderr


def test_a_mapping_outlives_the_eviction_of_its_file(repository: FaultyRepository) -> None:
    program = (
        "import hashlib, mmap\n"
        f"f = open('{TOP}/data/exact_128k.bin', 'rb'); m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ); f.close()\n"
        f"for name in {FILES!r}: open('{TOP}/' + name, 'rb').read()\n"
        "print(hashlib.sha256(m[:]).hexdigest())\n"
    )
    done = repository.launches.having("--cache-size", "200K").run(PYTHON, "-c", program)
    assert done.stdout.strip() == truth()["/data/exact_128k.bin"][1], done.stderr


def test_a_file_is_the_same_after_its_eviction(repository: FaultyRepository) -> None:
    """Device, inode and all else, of the path and of what is opened anew."""
    program = (
        "import os\n"
        f"path = '{TOP}/data/exact_128k.bin'\n"
        "def seen(): fd = os.open(path, os.O_RDONLY); got = os.fstat(fd), os.stat(path); os.close(fd); return got\n"
        "before = seen()\n"
        f"for _ in 'ab':\n for name in {FILES!r}: open('{TOP}/' + name, 'rb').read()\n"
        "print(before == seen(), before[0] == before[1])\n"
    )
    launches = with_account(repository.launches).having("--cache-size", "200K")
    done = launches.run(PYTHON, "-c", program)
    assert (done.stdout, done.stderr) == ("True True\n", "")
    assert account_of(launches)["cache"]["evicted"] > 0


# Few descriptors, little address space.


def test_64_descriptors_are_enough(repository: FaultyRepository) -> None:
    """`ulimit -n 64` before hepwrap, soft and hard: the helper holds fewer files, the job sees no difference."""
    limited = repository.launches.inside("sh", "-c", 'ulimit -n 64 && exec "$@"', "sh")
    names = " ".join(f"{MANY}/f{number:05}.dat" for number in range(0, 300, 3))
    done = limited.run("sh", "-c", f"cat {names} | sha256sum; ulimit -n")
    assert done.returncode == 0, done.stderr
    plain = repository.launches.run("sh", "-c", f"cat {names} | sha256sum")
    assert done.stdout == f"{plain.stdout}64\n", done.stderr
    assert done.stderr == ""


def test_more_files_than_descriptors_are_fetched_once(repository: FaultyRepository) -> None:
    """Each leaves memory before it is opened again, by a job that reads all in turn; its content does not."""
    names = " ".join(f"{MANY}/f{number:05}.dat" for number in distinct(repository, 150))
    limited = with_account(repository.launches.inside("sh", "-c", 'ulimit -n 64 && exec "$@"', "sh"))
    limited.run("true")  # from now on nobody asks what is new
    requests = []
    for times in (1, 3):
        done = limited.run("sh", "-c", "; ".join([f"cat {names} | sha256sum"] * times))
        assert len(set(done.stdout.splitlines())) == 1, done.stderr
        account = account_of(limited)
        requests.append(account["fetch"]["requests"])
    assert account["cache"]["evicted"] > 3 * 100
    assert account["cache"]["revived"] >= 2 * 150 - 64
    assert requests[0] == requests[1]


def test_a_job_that_runs_out_of_descriptors_gets_emfile(repository: FaultyRepository) -> None:
    program = (
        "import errno, os\n"
        "held = []\n"
        "try:\n"
        f"    while True: held.append(os.open('{README}', os.O_RDONLY))\n"
        "except OSError as error: print(errno.errorcode[error.errno], len(held) + 3)\n"
        "os.close(held.pop())\n"
        f"print(os.read(os.open('{README}', os.O_RDONLY), 9))\n"
    )
    limited = repository.launches.inside("sh", "-c", 'ulimit -n 64 && exec "$@"', "sh")
    done = limited.run(PYTHON, "-c", program)
    assert done.stdout == "EMFILE 64\nb'synthetic'\n", done.stderr


def test_little_address_space_is_served_or_refused_in_one_sentence(repository: FaultyRepository) -> None:
    """`ulimit -v` counts the window of the index, too: below it nothing can start, above it everything works."""
    outcomes = {}
    for mebibytes in (256, 1024, 4096):
        limited = repository.launches.inside("sh", "-c", f'ulimit -v {mebibytes * 1024} && exec "$@"', "sh")
        done = limited.run("cat", README)
        outcomes[mebibytes] = done.returncode
        if done.returncode == 0:
            assert (done.stdout, done.stderr) == (CONTENT, "")
        else:
            assert done.returncode == 125, done.stderr
            assert done.stdout == ""
            assert len(done.stderr.splitlines()) == 1, done.stderr
            assert done.stderr.startswith("hepwrap: ")
    assert outcomes[4096] == 0


def test_a_child_that_limits_its_address_space_is_served_or_refused_in_one_sentence(
    repository: FaultyRepository,
) -> None:
    """A new program has to map the index: where its limit forbids that, the kernel's word reaches the user."""
    done = repository.launches.run("sh", "-c", f"ulimit -v 4194304; cat {README}")
    assert (done.stdout, done.stderr) == (CONTENT, "")
    done = repository.launches.run("sh", "-c", f"(ulimit -v 200000; cat {README}); echo still {README}")
    if CONTENT not in done.stdout:
        assert "cannot be served" in done.stderr
    assert done.stdout.endswith(f"still {README}\n")


def test_hashes_agree_with_python(repository: FaultyRepository) -> None:
    """The sums of this file are of the right thing."""
    data = repository.launches.run("cat", README).stdout.encode()
    assert hashlib.sha256(data).hexdigest() == truth()["/README"][1]
