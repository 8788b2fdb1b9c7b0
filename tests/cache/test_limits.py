"""Memory files under limits: of bytes, of descriptors, of the kernel's."""

from __future__ import annotations

import errno
import mmap
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from hepwrap.errnos import errno_of
from hepwrap.errors import NoRoom
from tests.helpers.stores import open_files
from tests.helpers.threads import Together

MakeStore = Callable[..., Any]


def fill(store: Any, keys: str, size: int = 10) -> None:
    for key in keys:
        store.put(key, key.encode() * size)
        store.open(key)


def test_the_least_recently_asked_for_leaves_first(make_store: MakeStore) -> None:
    store = make_store(30, clock=iter(range(10**18, 10**18 + 100)).__next__)
    fill(store, "abc")
    store.open("a")
    fill(store, "d")
    assert store.held() == {"c", "a", "d"}
    assert [file.key for file in store.evicted] == ["b"]


def test_a_pin_counts_as_use(make_store: MakeStore) -> None:
    store = make_store(30, clock=iter(range(10**18, 10**18 + 100)).__next__)
    fill(store, "abc")
    store.files.pin("a")
    store.files.unpin("a")
    fill(store, "d")
    assert store.held() == {"c", "a", "d"}


@pytest.mark.parametrize("backing", ["sealed"])
def test_a_read_by_another_process_counts_as_use(make_store: MakeStore) -> None:
    store = make_store(30)
    fill(store, "abc")
    for age, key in enumerate("abc", start=1):
        os.utime(store.files.peek(key).fd, ns=(age, age))
    path = f"/proc/{os.getpid()}/fd/{store.files.peek('a').fd}"
    subprocess.run([sys.executable, "-S", "-c", f"import time; time.sleep(0.01); open({path!r}).read()"], check=True)
    fill(store, "d")
    assert store.held() == {"c", "a", "d"}


def test_a_file_that_is_mapped_leaves_after_those_that_are_not(make_store: MakeStore, backing: str) -> None:
    store = make_store(30)
    fill(store, "abc")
    with open(f"/proc/self/fd/{store.files.peek('a').fd}", "rb") as opened:
        view = mmap.mmap(opened.fileno(), 10, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ)
    if backing == "sealed":
        os.utime(store.files.peek("a").fd, ns=(1, 1))
    fill(store, "de")
    assert store.held() == {"a", "d", "e"}
    assert view[:] == b"a" * 10
    view.close()


def test_files_in_use_leave_where_nothing_else_can(make_store: MakeStore) -> None:
    store = make_store(30)
    fill(store, "abc")
    with ExitStack() as stack:
        paths = [f"/proc/self/fd/{store.files.peek(key).fd}" for key in "abc"]
        opened = [stack.enter_context(open(path, "rb")) for path in paths]
        fill(store, "d")
        assert len(store.held()) == 3
        assert "d" in store.held()
        assert [file.read() for file in opened] == [b"a" * 10, b"b" * 10, b"c" * 10]


@pytest.mark.parametrize("backing", ["sealed"])
def test_a_time_of_access_in_the_future_does_not_keep_a_file_for_ever(make_store: MakeStore) -> None:
    store = make_store(20)
    fill(store, "ab")
    os.utime(store.files.peek("a").fd, ns=(1 << 62, 1))
    fill(store, "cde")
    assert "a" not in store.held()


def test_a_file_larger_than_the_limit_works_and_everything_else_leaves(make_store: MakeStore) -> None:
    store = make_store(30)
    fill(store, "abc")
    fill(store, "L", 100)
    assert store.held() == {"L"}
    assert os.pread(store.files.peek("L").fd, 200, 0) == b"L" * 100
    fill(store, "d")
    assert store.held() == {"d"}


def test_two_files_larger_than_the_limit_take_turns(make_store: MakeStore) -> None:
    store = make_store(10)
    store.put("x", b"x" * 100)
    store.put("y", b"y" * 100)
    assert [os.pread(store.open(key).fd, 200, 0) for key in "xyxy"] == [b"x" * 100, b"y" * 100] * 2
    assert store.files.counters.most_bytes_held == 100


def test_a_limit_of_nothing_still_serves_one_file_at_a_time(make_store: MakeStore) -> None:
    store = make_store(0, 0)
    fill(store, "abc")
    assert store.held() == {"c"}


def test_files_being_made_count_and_the_one_too_many_waits(make_store: MakeStore) -> None:
    store = make_store(30)
    for key in "abcd":
        store.put(key, key.encode() * 10)
    store.fetcher.hold()
    askers = Together([lambda key=key: store.open(key) for key in "abcd"])
    store.fetcher.wait_in_flight(3)
    assert store.fetcher.in_flight == 3
    store.fetcher.release()
    askers.results()
    assert store.fetcher.most_in_flight <= 3
    assert store.files.counters.most_bytes_held <= 30


def test_a_huge_file_in_flight_does_not_stop_small_ones(make_store: MakeStore) -> None:
    store = make_store(30)
    store.put("L", b"L" * 100)
    store.fetcher.hold()
    huge = Together([lambda: store.open("L")])
    store.fetcher.wait_in_flight(1)
    for key in "ab":
        store.put(key, key.encode() * 10)
    small = Together([lambda key=key: store.open(key) for key in "ab"])
    store.fetcher.wait_in_flight(3)
    store.fetcher.release()
    huge.results()
    small.results()


def test_many_threads_never_hold_more_than_the_limit(make_store: MakeStore) -> None:
    store = make_store(500, 20)
    keys = [f"{number:02}" for number in range(60)]
    for number, key in enumerate(keys):
        store.put(key, key.encode() * (1 + number % 50))

    def work(start: int) -> None:
        for step in range(60):
            key = keys[(start + step * 7) % 60]
            file = store.open(key, pinned=True)
            assert os.pread(file.fd, 2, 0) == key.encode()
            store.files.unpin(key)

    Together([lambda start=start: work(start) for start in range(8)]).results()
    assert store.files.counters.most_bytes_held <= 500
    assert store.files.counters.files_held <= 20
    assert sum(file.size for file in map(store.files.peek, store.held()) if file) == store.files.counters.bytes_held


def test_no_more_descriptors_than_allowed(make_store: MakeStore) -> None:
    store = make_store(descriptors=3)
    before = len(open_files())
    fill(store, "abcdefgh")
    assert len(open_files()) == before + 3
    assert len(store.held()) == 3


def test_the_budget_may_shrink_and_trim_follows(make_store: MakeStore) -> None:
    class Shrinking:
        bytes = 50

        def bytes_allowed(self) -> int:
            return self.bytes

        def descriptors_allowed(self) -> int:
            return 100

    budget = Shrinking()
    store = make_store(budget=budget)
    fill(store, "abcde")
    assert store.files.trim() == 0
    budget.bytes = 25
    assert store.files.trim() == 3
    assert store.held() == {"d", "e"}
    budget.bytes = 0
    store.files.trim()
    assert store.held() == {"e"}  # a file larger than the limit would else leave as soon as it has come


# What the kernel refuses.


@contextmanager
def refusing(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, number: int, times: int) -> Iterator[list[int]]:
    """Let `module.name` fail with errno `number` the next `times` times; yields what is left of them."""
    real, left = getattr(module, name), [times]

    def refuse(*arguments: Any, **more: Any) -> Any:
        if left[0]:
            left[0] -= 1
            raise OSError(number, os.strerror(number))
        return real(*arguments, **more)

    with monkeypatch.context() as patch:
        patch.setattr(module, name, refuse)
        yield left


#: What makes a new file.
CREATING = {"sealed": "memfd_create", "private": "open"}


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC])
@pytest.mark.parametrize("call", ["create", "ftruncate", "pwrite", "fchmod", "utime"])
def test_others_leave_where_the_kernel_lacks_something(
    make_store: MakeStore, monkeypatch: pytest.MonkeyPatch, backing: str, call: str, number: int
) -> None:
    store, call = make_store(), CREATING[backing] if call == "create" else call
    fill(store, "abcdefgh")
    store.put("i", b"content")
    with refusing(monkeypatch, os, call, number, times=2) as left:
        file = store.open("i")
    assert left == [0]
    assert os.pread(file.fd, 10, 0) == b"content"
    assert len(store.held()) == 8 - 2 - 1 + 1


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.EMFILE, "ulimit -n"),
        (errno.ENFILE, "fs.file-max"),
        (errno.ENOMEM, "--cache-size"),
        (errno.ENOSPC, "--cache-size"),
    ],
)
def test_a_clear_error_where_nothing_is_left_to_leave(
    make_store: MakeStore, monkeypatch: pytest.MonkeyPatch, backing: str, number: int, advice: str
) -> None:
    store = make_store()
    fill(store, "abcd")
    before = len(open_files())
    store.put("e", b"content")
    with (
        refusing(monkeypatch, os, CREATING[backing], number, times=10**6),
        pytest.raises(NoRoom, match=f"^e can not be put into memory: .*{advice}") as caught,
    ):
        store.open("e")
    assert errno_of(caught.value) == errno.ENOMEM
    assert not store.held()
    assert len(open_files()) == before - 4
    assert os.pread(store.open("e").fd, 10, 0) == b"content"


def test_the_file_size_limit_is_named_and_nothing_leaves_for_it(make_store: MakeStore) -> None:
    store = make_store()
    fill(store, "a")
    store.put("big", b"x" * 200_000)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(NoRoom, match="ulimit -f"):
            store.open("big")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert store.held() == {"a"}


def test_the_real_descriptor_limit_is_survived(make_store: MakeStore) -> None:
    store = make_store(descriptors=10**6)
    keys = [chr(0x4E00 + number) for number in range(60)]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = set(map(int, os.listdir("/proc/self/fd")))
    free = [number for number in range(hard) if number not in taken]
    resource.setrlimit(resource.RLIMIT_NOFILE, (free[20], hard))
    try:
        fill(store, "".join(keys))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert store.files.counters.made == 60
    assert store.files.counters.evicted > 0
