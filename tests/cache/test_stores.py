"""What both places of opened files promise: what is in them can be read, mapped and executed, and changed by nobody."""

from __future__ import annotations

import errno
import mmap
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hepwrap.cache.budget import FixedBudget
from hepwrap.cache.memory import MemoryFiles
from hepwrap.cache.objects import Objects
from hepwrap.cache.place import Place
from hepwrap.cache.private_mount import PrivateMount
from hepwrap.cache.sealed import read_all, write_all
from tests.helpers.stores import MARK, STORES, Kept, a_place, open_files
from tests.helpers.tampering import CONTENT
from tests.helpers.threads import Together
from tests.helpers.unprivileged import UID


def content_of(fd: int) -> bytes:
    try:
        return os.pread(fd, 1 << 20, 0)
    finally:
        os.close(fd)


# What is made.


@pytest.mark.parametrize("size", [0, 1, 4096, 5000, 3 << 20])
def test_it_has_its_content_size_and_attributes(kept: Kept, size: int) -> None:
    content = os.urandom(size)
    file = kept.make("1", content)
    fd = kept.open("1")
    status = os.fstat(fd)
    assert (file.key, file.size, status.st_size) == ("1", size, size)
    assert os.pread(fd, size + 1, 0) == read_all(file) == content
    assert (file.device, file.inode) == (status.st_dev, status.st_ino)
    assert status.st_mode == stat.S_IFREG | 0o555
    assert (int(status.st_mtime), status.st_uid, status.st_gid) == (MARK, os.geteuid(), os.getegid())
    os.close(fd)


def test_a_file_of_the_private_mount_is_of_its_device(place: Place) -> None:
    store = PrivateMount(place, MARK)
    fd = store.create("", 0)
    file = store.finish(fd, "1")
    assert file.device == place.device
    os.close(file.fd)


def test_each_file_is_an_inode_of_its_own_for_ever(kept: Kept) -> None:
    """Identities outlive files: a number must not come again while a launch lasts."""
    seen = set()
    for _ in range(300):
        file = kept.make("1", b"x")
        seen.add((file.device, file.inode))
        kept.remove(file)
    assert len(seen) == 300


def test_each_open_has_an_offset_of_its_own(kept: Kept) -> None:
    kept.make("1", b"content")
    first, second = kept.open("1"), kept.open("1")
    assert (os.read(first, 3), os.read(second, 4)) == (b"con", b"cont")
    os.close(first)
    os.close(second)


def test_our_descriptor_is_read_only_and_closes_on_exec(kept: Kept) -> None:
    file = kept.make("1", b"content")
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.pwrite(file.fd, b"X", 0)
    assert not os.get_inheritable(file.fd)


def test_it_is_executed_and_mapped_to_be(kept: Kept) -> None:
    kept.make("1", Path("/bin/true").read_bytes())
    fd = kept.open("1")
    assert subprocess.run([f"/proc/self/fd/{fd}"], pass_fds=[fd], check=False).returncode == 0
    with mmap.mmap(fd, 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_EXEC) as view:
        assert view[:4] == b"\x7fELF"
    os.close(fd)


def test_a_private_mapping_may_be_written_and_changes_nothing(kept: Kept) -> None:
    kept.make("1", b"content")
    fd = kept.open("1")
    with mmap.mmap(fd, 7, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE) as view:
        view[0:1] = b"X"
        assert content_of(fd) == b"content"


# Who tries to change it.


@pytest.mark.parametrize("user", [None, UID], ids=["as who made it", "as an ordinary user"])
@pytest.mark.parametrize("kind", STORES)
def test_nobody_can_change_it(kind: str, user: int | None) -> None:
    """Made and attacked by the same user; the private mount keeps attributes too."""
    if user is not None and os.geteuid() != 0:
        pytest.skip("only root becomes another user; the tests run as an ordinary one already")
    with a_place() if kind == "private" else open(os.devnull):
        pass  # skips where there is none
    command = [sys.executable, "-m", "tests.helpers.tampering", kind, *([str(user)] if user else [])]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert rows.pop() == ["content", "is the same", "True"]
    kinds = {kind: [(way, came) for which, way, came in rows if which == kind] for kind in {row[0] for row in rows}}
    assert set(kinds) == {"file", "server's descriptor", "attributes"} | ({"directory"} if kind == "private" else set())
    changed = {which: [way for way, came in tried if came == "done"] for which, tried in kinds.items()}
    attributes = changed.pop("attributes")
    assert set(map(tuple, changed.values())) == {()}
    if kind == "private":
        assert attributes == []


# Leaving.


def test_what_is_open_stays_and_no_new_open_finds_it(place: Place) -> None:
    store = PrivateMount(place, MARK)
    kept = Kept(store, place)
    file = kept.make("1", CONTENT)
    fd = kept.open("1")
    mapped = mmap.mmap(fd, 0, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ)
    kept.remove(file)
    with pytest.raises(FileNotFoundError):
        kept.open("1")
    assert keys_in(place) == []
    assert content_of(fd) == mapped[:] == CONTENT
    mapped.close()


def keys_in(place: Place) -> list[str]:
    """Of what files there are, besides the one that a place is known by."""
    found = (place.key_of(b"/" + os.fsencode(name)) for name in os.listdir(place.writable))
    return [str(key) for key in found if key is not None]


def test_who_has_a_sealed_one_open_keeps_it() -> None:
    with STORES["sealed"]() as kept:
        file = kept.make("1", CONTENT)
        fd = kept.open("1")
        kept.remove(file)
        assert content_of(fd) == CONTENT


def test_a_key_that_left_comes_again(kept: Kept) -> None:
    first = kept.make("1", b"first")
    kept.remove(first)
    second = kept.make("1", b"second")
    assert content_of(kept.open("1")) == b"second"
    assert first.inode != second.inode


def test_a_key_comes_again_while_its_former_file_is_on_its_way_out(kept: Kept) -> None:
    """The late withdrawal takes nothing from the new one."""
    first = kept.make("1", b"first")
    fd = kept.open("1")
    second = kept.make("1", b"second")
    assert content_of(kept.open("1")) == b"second"
    kept.remove(first)
    assert content_of(kept.open("1")) == b"second"
    assert content_of(fd) == b"first"
    kept.remove(second)


def test_many_threads_make_and_withdraw_one_key(place: Place) -> None:
    """At the end there is what came last, or nothing."""
    store = PrivateMount(place, MARK)

    def make_and_remove() -> None:
        for _ in range(100):
            fd = store.create("", 4)
            write_all(fd, b"same", 0)
            file = store.finish(fd, "1")
            assert read_all(file) == b"same"
            store.withdraw(file)
            os.close(file.fd)

    before = open_files()
    Together([make_and_remove] * 6).results()
    assert keys_in(place) == []
    assert open_files() == before


def test_memory_is_given_back_when_a_file_leaves() -> None:
    """Also of what is watched, and of what was made over a former one."""
    with a_place("size=4m,nr_inodes=0") as place:
        store = PrivateMount(place, MARK)
        kept = Kept(store, place)
        whole = os.statvfs(place.readable).f_bfree
        files = [kept.make(str(number), b"x" * 100_000) for number in range(1, 30)]
        for file in files:
            store.attend(file, soon=True)
            store.look(file, 0)
        kept.use("3")
        files.append(kept.make("4", b"y" * 100_000))
        assert os.statvfs(place.readable).f_bfree < whole - 25 * 29
        for file in files:
            kept.remove(file)
        assert os.statvfs(place.readable).f_bfree == whole
        store.close()


# What fails.


@contextmanager
def failing(monkeypatch: pytest.MonkeyPatch, call: str, after: int = 0) -> Iterator[None]:
    """`os.call` fails, after that many that do not."""
    real, left = getattr(os, call), iter(range(after))

    def fail(*arguments: Any, **more: Any) -> Any:
        if next(left, None) is None:
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
        return real(*arguments, **more)

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        yield


@pytest.mark.parametrize("former", [False, True], ids=["new", "over a former one"])
@pytest.mark.parametrize(
    ("kept", "call", "after"),
    [("sealed", call, 0) for call in ("fchmod", "utime", "open")]
    + [
        ("private", call, after) for call, after in [("fchmod", 0), ("utime", 0), ("open", 0), ("link", 0), ("open", 1)]
    ],
    indirect=["kept"],
)
def test_a_finish_that_fails_leaves_nothing(
    kept: Kept, monkeypatch: pytest.MonkeyPatch, call: str, after: int, former: bool
) -> None:
    """The former one keeps its name until it is the new one's turn to have it."""
    if former:
        kept.make("1", b"former")
    before = open_files()
    fd = kept.store.create("1", 7)
    with failing(monkeypatch, call, after), pytest.raises(OSError, match="Cannot allocate memory"):
        kept.store.finish(fd, "1")
    assert open_files() == before
    if kept.place is not None:
        assert keys_in(kept.place) == (["1"] if former and (call, after) not in [("link", 0), ("open", 1)] else [])
    kept.make("1", b"content")
    assert content_of(kept.open("1")) == b"content"


def test_a_create_that_fails_leaves_nothing(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    before = open_files()
    with failing(monkeypatch, "ftruncate"), pytest.raises(OSError, match="Cannot allocate memory"):
        kept.store.create("1", 7)
    assert open_files() == before


def test_what_has_a_name_can_be_executed(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """At once: nobody has it open for writing any more, which the kernel would refuse (ETXTBSY)."""
    store, real = PrivateMount(place, MARK), os.link
    ended: list[int] = []

    def link(source: str, name: str, **more: Any) -> None:
        real(source, name, **more)
        run = subprocess.run([f"/proc/self/fd/{place.readable}/{name}"], pass_fds=[place.readable], check=False)
        ended.append(run.returncode)

    monkeypatch.setattr(os, "link", link)
    content = Path("/bin/true").read_bytes()
    fd = store.create("", len(content))
    write_all(fd, content, 0)
    os.close(store.finish(fd, "1").fd)
    assert ended == [0]


def test_there_is_no_name_before_it_is_finished(place: Place) -> None:
    store = PrivateMount(place, MARK)
    fd = store.create("1", 7)
    assert keys_in(place) == []
    write_all(fd, b"content", 0)
    assert keys_in(place) == []
    file = store.finish(fd, "1")
    assert keys_in(place) == ["1"]
    os.close(file.fd)


def test_a_withdrawal_that_fails_closes_the_descriptors_of_all(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the error is told."""
    files = MemoryFiles(
        Objects(), budget=FixedBudget(1000, 1000), on_evict=lambda file: None, store=PrivateMount(place, MARK)
    )
    before = open_files()
    for key in range(1, 5):
        files.write(key, size=10, write=lambda fd: write_all(fd, b"0123456789", 0))
    with failing(monkeypatch, "unlink"), pytest.raises(OSError, match="Cannot allocate memory"):
        files.close()
    assert open_files() == before


def test_a_place_that_cannot_be_marked_leaves_no_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    with a_place() as made:
        copies = [os.dup(made.readable) for _ in range(3)]
        before = open_files()
        with failing(monkeypatch, "open"), pytest.raises(OSError, match="Cannot allocate memory"):
            Place(*copies)
        assert len(before - open_files()) == 3


def test_where_no_room_is_left_others_leave() -> None:
    """ENOSPC of the file system itself: as what a machine that promises no more than it has says."""
    with a_place("size=400k,nr_inodes=0") as place:
        evicted: list[object] = []
        files = MemoryFiles(
            Objects(),
            budget=FixedBudget(1 << 30, 1000),
            on_evict=lambda file: evicted.append(file.key),
            store=PrivateMount(place, MARK),
        )
        for key in range(1, 30):
            content = bytes([key]) * 50_000
            file = files.write(key, size=len(content), write=lambda fd, content=content: write_all(fd, content, 0))
            assert read_all(file) == content
        assert len(evicted) >= 20
        assert files.counters.failed == 0
        files.close()


# What names tell.


def test_the_kernel_calls_a_file_by_its_key(place: Place) -> None:
    store = PrivateMount(place, MARK)
    kept = Kept(store, place)
    kept.make("4711", b"content")
    fd = kept.open("4711")
    mapped = mmap.mmap(fd, 0, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ)
    called = store.shown_as(4711, "unused")
    shown = [line.split()[-1] for line in Path("/proc/self/maps").read_bytes().splitlines()]
    assert shown.count(called) == 1
    assert called == os.readlink(os.fsencode(f"/proc/self/fd/{fd}"))
    assert store.name_shown(called, lambda key: b"/cvmfs/%d" % key) == b"/cvmfs/4711"
    mapped.close()
    os.close(fd)


@pytest.mark.parametrize(
    "name", ["", "-", "/", "/{}-0", "/{}", "/{}-", "{}-1", "/{}-x", "/{}-1-2", "/a/{}-1", "/{}-\xff", "/x-1"]
)
def test_other_names_are_not_ours(place: Place, name: str) -> None:
    assert place.key_of(os.fsencode(name.format(place.token))) is None


def test_two_places_are_apart(place: Place) -> None:
    with a_place() as other:
        assert other.device != place.device
        assert other.token != place.token
        with pytest.raises(FileNotFoundError):
            os.open(other.name_of(0), os.O_RDONLY, dir_fd=place.readable)
