"""Jobs that open far more than fits into memory, in all ways in which hepwrap answers and keeps what is opened."""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Iterator

import pytest

from tests.helpers.faulty_repository import TOP, FaultyRepository, faulty_repository
from tests.helpers.jobs import marked, until
from tests.helpers.launches import PYTHON, Done, Launches
from tests.helpers.leftovers import belongings
from tests.helpers.object_names import object_of
from tests.helpers.shared import shared_path
from tests.helpers.unprivileged import Unprivileged

WAYS = [
    [*patch, *store] for patch, store in itertools.product(([], ["--no-patch"]), ([], ["--sealed"]))
]  # fmt: skip
#: Sizes of the files that are opened, and how many.
SMALLEST, LARGEST, COUNT = 500, 4000, 100

READ = """
import hashlib, json, os, random, sys
names, sums = json.load(sys.stdin)
chance = random.Random(int(sys.argv[1]))
held = []
for turn in range(400):
    name = chance.choice(names)
    fd = os.open(name, os.O_RDONLY)
    half = os.read(fd, chance.randrange(2000))
    if chance.random() < 0.1:
        held.append((fd, name, half))
        if len(held) < 10:
            continue
        fd, name, half = held.pop(0)
    with open(fd, "rb") as file:
        if hashlib.sha256(half + file.read()).hexdigest() != sums[name]:
            print("wrong", name)
print("end")
"""


@functools.cache
def listing() -> dict[str, tuple[str, int]]:
    """SHA-256 and size of all regular files, from the real client."""
    rows = [line.split("\t") for line in shared_path("data/test.hep.example/listing.tsv").read_text().splitlines()]
    return {row[0]: (row[12], int(row[5])) for row in rows if row[1:2] == ["f"]}


@functools.cache
def files() -> dict[str, tuple[str, int]]:
    """Small ones of these, with objects of their own."""
    fit = {name: (digest, size) for name, (digest, size) in listing().items() if SMALLEST <= size <= LARGEST}
    of_their_own = {digest: name for name, (digest, _) in reversed(fit.items())}
    chosen = sorted(of_their_own.values())[:COUNT]
    assert len(chosen) == COUNT
    return {name: fit[name] for name in chosen}


@pytest.fixture(params=WAYS, ids=lambda way: " ".join(way) or "as ever")
def repository(request: pytest.FixtureRequest, unprivileged: Unprivileged) -> Iterator[FaultyRepository]:
    with faulty_repository(unprivileged, request.param) as served:
        yield served


def limited(served: FaultyRepository, size: int) -> Launches:
    return served.launches.having(f"--cache-size={size}", f"--stats={served.launches.home}/stats.json")


def cache_of(launches: Launches) -> dict[str, int]:
    account = json.loads((launches.home / "stats.json").read_text())
    assert account["answers"]["failures"] == 0
    return dict(account["cache"])


def ended_well(done: Done) -> list[str]:
    assert (done.returncode, done.stderr) == (0, "")
    return str(done.stdout).splitlines()


def test_contents_are_right_and_so_are_the_sums(repository: FaultyRepository) -> None:
    """Four processes, a sixth of the files in memory; some read on in what has been evicted."""
    sizes = [size for _, size in files().values()]
    room = sum(sizes) // 6
    launches = limited(repository, room)
    about = json.dumps(
        [[TOP + name for name in files()], {TOP + name: digest for name, (digest, _) in files().items()}]
    )
    (launches.home / "files.json").write_text(about)
    script = f'for n in 1 2 3 4; do {PYTHON} -c "$0" $n <files.json & done; wait'
    assert ended_well(launches.run("sh", "-c", script, READ)) == ["end"] * 4
    cache = cache_of(launches)
    assert cache["made"] - cache["evicted"] == cache["files_held"]
    assert cache["evicted"] > COUNT
    assert cache["failed"] == 0
    assert cache["bytes_held"] <= cache["most_bytes_held"] <= room


def test_what_is_opened_again_and_again_is_fetched_once(repository: FaultyRepository) -> None:
    """Eight files that programs open between any two others: they never ask, and it is seen all the same."""
    names = list(files())
    hot, others = names[:8], names[8:]
    room = 3 * sum(files()[name][1] for name in hot)
    launches = limited(repository, room)
    program = (
        "import sys\n"
        f"hot, others = {hot!r}, {others!r}\n"
        "for turn in range(2):\n"
        "    for name in others:\n"
        f"        for each in [*hot, name]: open('{TOP}' + each, 'rb').read()\n"
        "        import time; time.sleep(0.005)  # times of access are kept by the tick\n"
    )
    assert ended_well(launches.run(PYTHON, "-c", program)) == []
    asked = [repository.server.count(object_of(repository.directory, name)) for name in names]
    assert asked[:8] == [1] * 8
    assert set(asked[8:]) <= {1, 2}
    assert sum(asked[8:]) > 1.5 * len(others)
    cache = cache_of(launches)
    assert cache["made"] - cache["revived"] == sum(asked)


def test_files_that_leave_for_want_of_a_descriptor_come_back_without_being_fetched(
    repository: FaultyRepository,
) -> None:
    """Half of the descriptors that there are for files; whatever leaves in between, contents are right."""
    listed = listing()
    names = [name for name in listed if name.startswith("/data/many/")][:450]
    launches = limited(repository, 1 << 30).inside("sh", "-c", 'ulimit -n 300 && exec "$@"', "sh")
    program = (
        "import hashlib\n"
        "for turn in range(3):\n"
        f"    for name in {names!r}: print(hashlib.sha256(open('{TOP}' + name, 'rb').read()).hexdigest())\n"
    )
    assert ended_well(launches.run(PYTHON, "-c", program)) == [listed[name][0] for name in names] * 3
    cache = cache_of(launches)
    assert cache["files_held"] < 300
    assert cache["evicted"] > 450
    assert cache["revived"] > 450
    assert cache["made"] - cache["revived"] == len(names)


def test_nothing_remains(repository: FaultyRepository) -> None:
    """While the job lasts it holds what it has open, evicted or not; after it there is no process to hold anything."""
    some = [TOP + name for name in list(files())[:60]]
    program = (
        "import os, sys\n"
        f"fds = [os.open(name, os.O_RDONLY) for name in {some!r}]\n"
        "print(len(fds), flush=True); sys.stdin.readline()\n"
        f"print(all(os.pread(fd, 5000, 0) == open(name, 'rb').read() for fd, name in zip(fds, {some!r})), flush=True)\n"
        "sys.stdin.readline()\n"
    )
    launches = limited(repository, 20_000)
    with launches.start(PYTHON, "-c", program) as job:
        assert job.line() == "60"
        had = belongings(job)
        job.say("compare")
        assert job.line() == "True"
        job.say("end")
        assert job.wait() == 0
        had.wait_until_gone()
        until(lambda: not marked(job.mark), "all processes have ended")
    assert cache_of(launches)["evicted"] > 60
