"""The clock of the private mount: who leaves when nobody says when a file was read, counted."""

from __future__ import annotations

import itertools
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from hepwrap.cache import opens, private_mount
from hepwrap.cache.budget import FixedBudget
from hepwrap.cache.eviction import MOST_SPARED
from hepwrap.cache.memory import TIGHT, MemoryFiles
from hepwrap.cache.objects import Objects
from hepwrap.cache.opens import AT_ONCE, LATEST, PART, Opens
from hepwrap.cache.sealed import MemoryFile, write_all
from tests.helpers.stores import STORES, Kept

SIZE = 10
EVENTS = Path("/proc/sys/fs/inotify/max_queued_events")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each function of inotify(7) is called."""
    counted: Counter[str] = Counter()
    real = opens._call

    def call(name: str, *arguments: object) -> int:
        counted[name] += 1
        return real(name, *arguments)

    monkeypatch.setattr(opens, "_call", call)
    return counted


@pytest.fixture
def private() -> Iterator[Kept]:
    with STORES["private"]() as kept:
        yield kept


class Job:
    """Memory files for `room` files of one size, opened as programs do: by name, and who finds none asks."""

    def __init__(self, kept: Kept, room: int, clock: Callable[[], int] | None = None) -> None:
        self.kept = kept
        self.misses = 0
        self.clock = clock or itertools.count(1).__next__
        self.now = 0
        self.looks: list[int] = []
        self.left: list[str] = []
        look = kept.store.look

        def counted(file: MemoryFile, now: int) -> object:
            self.looks[-1] += 1
            return look(file, now)

        kept.store.look = counted  # type: ignore[method-assign, assignment]
        self.files = MemoryFiles(
            Objects(),
            budget=FixedBudget(room * SIZE, 100_000),
            on_evict=self._left,
            store=kept.store,
            clock=lambda: self.now,
        )

    def _left(self, file: MemoryFile) -> None:
        self.left.append(str(file.key))
        self.kept.files.pop(str(file.key), None)

    def use(self, key: str) -> None:
        """Open it once; of a sealed file the kernel notes the time, which is a tick of 4 ms: here it is exact."""
        self.now = self.clock()
        if self.files.peek(key) is None:
            self.misses += 1
            self.looks.append(0)
            content = key.encode().ljust(SIZE, b".")
            self.kept.files[key] = self.files.write(key, size=SIZE, write=lambda fd: write_all(fd, content, 0))
        fd = self.kept.open(key)
        assert os.pread(fd, SIZE, 0) == key.encode().ljust(SIZE, b".")
        if self.kept.place is None:
            os.utime(fd, ns=(self.now, 1))
        os.close(fd)

    def run(self, keys: Iterable[str]) -> int:
        """How many of these were there."""
        before, count = self.misses, 0
        for key in keys:
            self.use(key)
            count += 1
        return count - (self.misses - before)


def k(number: int) -> str:
    return f"k{number}"


# What is known of one file.


class Watched(Opens):
    """All that is attended to is watched at once, and again after each look."""

    def attend(self, file: MemoryFile, soon: bool = True) -> None:
        super().attend(file, soon)
        for inode in list(self._coming):
            self._watch(inode, self._coming.pop(inode))

    def opened(self, file: MemoryFile) -> bool:
        found = super().opened(file)
        self.attend(file)
        return found


def test_of_what_was_not_watched_nothing_is_known(private: Kept) -> None:
    file, known = private.make("1", b"x"), Opens()
    known.attend(file, soon=False)
    private.use("1")
    assert not known.opened(file)
    known.close()


@pytest.mark.parametrize("times", [1, 2, 50])
def test_that_it_was_opened_is_told_once(private: Kept, times: int) -> None:
    file, known = private.make("1", b"x"), Watched()
    known.attend(file)
    for _ in range(5):
        for _ in range(times):
            private.use("1")
        assert [known.opened(file) for _ in range(2)] == [True, False]
    known.close()


@pytest.mark.parametrize(
    "use",
    [
        "os.open(name, os.O_RDONLY, dir_fd=place)",
        "os.open(f'/proc/self/fd/{place}/{name}', os.O_RDONLY | os.O_NOATIME)",
        "os.open(f'/proc/{os.getppid()}/fd/{file}', os.O_RDONLY)",
        "os.spawnv(os.P_WAIT, f'/proc/self/fd/{place}/{name}', ['x'])",
    ],
    ids=["by name", "by path", "by our descriptor", "executed"],
)
def test_a_use_by_another_process_is_seen(private: Kept, use: str) -> None:
    assert private.place is not None
    file, known = private.make("1", Path("/bin/true").read_bytes()), Watched()
    known.attend(file)
    place = private.place.readable
    head = f"import os; place, name, file = {place}, {private.place.name_of('1')!r}, {file.fd};"
    subprocess.run([sys.executable, "-S", "-c", head + use], check=True, pass_fds=[place])
    assert known.opened(file)
    known.close()


def test_the_first_opens_after_the_making_tell_nothing(private: Kept, calls: Counter[str]) -> None:
    """Who asked for it opens it; it is watched when others have come.  The very first are too few for that."""
    known = Opens()
    for number in range(2 * LATEST * PART):
        known.attend(private.make(k(number), b"x"), soon=True)
        private.use(k(number))
    count = 2 * LATEST * PART - LATEST
    assert calls["inotify_add_watch"] == count
    private.use(k(count))
    told = [known.opened(file) for file in private.files.values()]
    assert told == [True] * (PART - 1) + [False] * (len(told) - PART + 1)
    known.close()


def test_where_few_files_fit_they_are_watched_earlier(private: Kept, calls: Counter[str]) -> None:
    known = Opens()
    for number in range(PART):
        known.attend(private.make(k(number), b"x"), soon=True)
    assert calls["inotify_add_watch"] == PART - 1
    known.close()


def test_what_came_while_there_was_room_is_watched_later_some_at_once(private: Kept, calls: Counter[str]) -> None:
    known = Opens()
    for number in range(3 * AT_ONCE):
        known.attend(private.make(k(number), b"x"), soon=False)
    assert calls["inotify_add_watch"] == 0
    counts = []
    for number in range(4):
        known.attend(private.make(k(1000 + number), b"x"), soon=True)
        counts.append(calls["inotify_add_watch"])
    assert counts == [AT_ONCE, 2 * AT_ONCE, 3 * AT_ONCE + 3 - LATEST, 3 * AT_ONCE + 4 - LATEST]
    known.close()


@pytest.mark.parametrize("kind", [Opens, Watched])
def test_what_leaves_takes_all_that_is_known_of_it(private: Kept, kind: type[Opens]) -> None:
    known = kind()
    for turn in range(50):
        for number in range(40):
            file = private.make(k(number), b"x")
            known.attend(file, soon=turn % 5 > 0)
            if (number + turn) % 3 == 0:
                known.opened(file)
            if (number + turn) % 2 == 0:
                private.use(k(number))
        for number in range(40):
            file = private.files.pop(k(number))
            known.forget(file)
            private.remove(file)
        assert (known._coming, known._waiting, known._watched, known._opened) == ({}, {}, {}, set())
    known.close()


def test_an_event_of_one_that_left_says_nothing_of_who_came_after(private: Kept) -> None:
    known = Watched()
    first = private.make("1", b"x")
    known.attend(first)
    private.use("1")
    known.forget(first)
    private.remove(first)
    second = private.make("1", b"x")
    known.attend(second)
    assert [known.opened(second) for _ in range(2)] == [False, False]
    known.close()


def test_the_descriptor_of_one_that_left_is_not_watched_later(private: Kept, calls: Counter[str]) -> None:
    """Its number may be another file's by then."""
    known = Opens()
    gone = private.make("gone", b"x")
    known.attend(gone, soon=False)
    known.forget(gone)
    private.remove(gone)
    known.attend(private.make("1", b"x"), soon=True)
    assert calls["inotify_add_watch"] == 1
    assert list(known._waiting) == [private.files["1"].inode]
    known.close()


# What the kernel refuses.


@pytest.mark.parametrize("call", ["inotify_init1", "inotify_add_watch"])
def test_without_watches_it_is_first_come_first_out(private: Kept, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    """fs.inotify.max_user_instances, max_user_watches: somebody else may have them all."""
    real = opens._call
    monkeypatch.setattr(opens, "_call", lambda name, *rest: -1 if name == call else real(name, *rest))
    job = Job(private, 4)
    job.run("abcd" + "a" * 5 + "efgh")
    assert job.left == list("abcd")
    assert job.looks == [0] * 4 + [1] * 4


def test_who_has_it_open_keeps_it_also_without_watches(private: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opens, "_call", lambda *_: -1)
    job = Job(private, 4)
    job.run("abcd")
    fd = private.open("a")
    job.run("efg")
    os.close(fd)
    assert job.left == list("bcd")


def test_no_library_to_ask_the_kernel_by_is_no_watch(private: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """ctypes is loaded just when descriptors or memory have run out."""

    def refuse(_name: str) -> object:
        raise ImportError("Too many open files")

    monkeypatch.setattr(opens, "_function", refuse)
    job = Job(private, 4)
    job.run("abcdef")
    assert job.left == ["a", "b"]


def test_where_leases_tell_nothing_opens_decide(private: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before Linux 5.2 every file of a file system seems to be open."""
    monkeypatch.setattr(private_mount, "is_open_elsewhere", lambda file: True)
    assert private.place is not None
    assert not private_mount.leases_tell(private.place)
    monkeypatch.undo()
    assert private_mount.leases_tell(private.place)


def test_after_an_overflow_of_the_queue_all_count_as_opened(private: Kept) -> None:
    """Whose events were lost is not known.  2 events each: IN_OPEN, IN_IGNORED."""
    events = int(EVENTS.read_text())
    if events > 40_000:
        pytest.skip(f"{EVENTS} is {events}: to fill it takes too long")
    known = Watched()
    files = [private.make(k(number), b"") for number in range(30)]
    for _ in range(events // 2 // 30 + 1):  # nobody reads, and all are watched again
        for number, file in enumerate(files):
            known.attend(file)
            private.use(k(number))
    for file in files:
        known.attend(file)
    assert [known.opened(file) for file in files] == [True] * 30
    assert [known.opened(file) for file in files] == [False] * 30
    private.use(k(7))
    assert [known.opened(file) for file in files] == [number == 7 for number in range(30)]
    known.close()


def test_no_more_than_a_share_of_the_watches_is_taken(private: Kept, calls: Counter[str]) -> None:
    """The oldest have them; who leaves makes room for the next."""
    known = Opens(most=10)
    files = [private.make(k(number), b"x") for number in range(100)]
    for file in files:
        known.attend(file, soon=True)
    assert calls["inotify_add_watch"] == 10
    for file in files[:4]:
        known.forget(file)
    known.attend(private.make("new", b"x"), soon=True)
    assert calls["inotify_add_watch"] == 14
    assert list(known._waiting) == [file.inode for file in files[4:14]]
    known.close()


def test_the_share_is_of_what_the_machine_allows(tmp_path: Path) -> None:
    limit = tmp_path / "limit"
    assert opens.allowed(str(limit)) == 0
    limit.write_text("8192\n")
    assert opens.allowed(str(limit)) == 8192
    assert opens.allowed() > 0


# Who leaves.


def test_nobody_is_watched_while_everything_fits(private: Kept, calls: Counter[str]) -> None:
    job = Job(private, 200)
    job.run([k(number) for number in range(200 // TIGHT)] * 3)
    assert calls == {}
    assert job.left == []


def test_what_is_opened_again_and_again_stays(private: Kept) -> None:
    """Ten of a hundred, opened by programs alone between two misses; all others come and go."""
    job = Job(private, 100)
    hot = [k(number) for number in range(10)]
    for number in range(10, 1000):
        job.run([*hot, k(number)])
    assert set(job.left).isdisjoint(hot)
    assert len(job.left) == 900


def test_what_is_opened_no_more_leaves(private: Kept) -> None:
    job = Job(private, 100)
    hot = [k(number) for number in range(10)]
    for number in range(10, 300):
        job.run([*hot, k(number)])
    job.run(k(number) for number in range(300, 520))
    assert set(hot) <= set(job.left)


def test_a_miss_is_a_bounded_number_of_looks(private: Kept) -> None:
    """Even where everything was opened since: then one of those leaves."""
    job = Job(private, 1000)
    keys = [k(number) for number in range(1000)]
    job.run(keys)
    for turn in range(20):
        job.run(keys[:0] if turn % 2 else [key for key in keys if job.files.peek(key) is not None])
        job.run([k(2000 + turn)])
    assert len(job.left) == 20
    assert max(job.looks) == MOST_SPARED + 1
    assert sum(job.looks) <= 20 * (MOST_SPARED + 1)


def test_calls_for_each_miss_are_few(private: Kept, calls: Counter[str]) -> None:
    """A scan of what nobody opens twice: one watch is made, and one is taken back."""
    job = Job(private, 100)
    job.run(k(number) for number in range(1000))
    calls.clear()
    job.looks.clear()
    job.run(k(number) for number in range(1000, 2000))
    assert max(calls["inotify_add_watch"], calls["inotify_rm_watch"]) <= 1001
    assert sum(job.looks) == 1000


def traces(count: int, room: int) -> dict[str, list[str]]:
    """Opens as jobs make them, `count` of each; `room` files fit."""
    chance = random.Random(1)
    hot = room // 2
    return {
        "80 % of 20 %": [
            k(chance.randrange(room * 2 // 3) if chance.random() < 0.8 else chance.randrange(room * 10 // 3))
            for _ in range(count)
        ],
        "by rank": [
            k(number)
            for number in chance.choices(range(3 * room), [1 / rank for rank in range(1, 3 * room + 1)], k=count)
        ],
        "half a scan": [k(chance.randrange(hot) if chance.random() < 0.5 else hot + place) for place in range(count)],
        "the same start": [
            k(place % (hot + 10) if place % (hot + 10) < hot else room + place) for place in range(count)
        ],
        "another phase": [k(place * 10 // count * hot + chance.randrange(room * 2 // 3)) for place in range(count)],
        "round and round": [k(place % (room * 6 // 5)) for place in range(count)],
    }


@pytest.mark.parametrize("name", traces(10, 10))
def test_as_many_opens_find_their_file_as_by_time_of_access(name: str) -> None:
    """The sealed store knows exactly what was used last; the clock is at most 3 in 100 opens worse."""
    found = {}
    for kind, make in STORES.items():
        with make() as kept:
            job = Job(kept, 100)
            found[kind] = job.run(traces(6000, 100)[name])
            job.files.close()
    assert found["private"] >= found["sealed"] - 6000 * 3 // 100
