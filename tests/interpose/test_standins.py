"""Stand-ins: nobody else's name is taken or swept, nothing remains, and each is known by its mark."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from hepwrap.errors import LaunchError
from hepwrap.interpose import standins
from hepwrap.interpose.standins import LEAST_AGE, StandIns, sweep

LEFT = ".hepwrap-0123456789abcdef"
KINDS = [stat.S_IFDIR, stat.S_IFLNK, stat.S_IFIFO, stat.S_IFREG, stat.S_IFSOCK, stat.S_IFCHR, stat.S_IFBLK]


@contextlib.contextmanager
def opened(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def swept(place: Path, age: int = LEAST_AGE) -> set[str]:
    """What is left after a sweep, at a time when all that is there now has this age at least."""
    now = max((path.lstat().st_ctime_ns for path in place.iterdir()), default=0) + age
    with opened(place) as fd:
        sweep(fd, now)
    return set(os.listdir(place))


@pytest.mark.parametrize("kind", KINDS)
def test_an_object_of_every_kind_has_no_name_and_gets_the_mark(tmp_path: Path, kind: int) -> None:
    made = StandIns([str(tmp_path)])
    fd = made.make(kind | 0o555, b"target")
    assert os.listdir(tmp_path) == []
    assert not made.has_mark(os.fstat(fd))
    made.give_mark(fd)
    status = os.fstat(fd)
    assert made.has_mark(status)
    assert status.st_dev == made.device
    assert stat.S_IFMT(status.st_mode) == (kind if kind in KINDS[:3] else stat.S_IFREG)
    assert not StandIns([str(tmp_path)]).has_mark(status), "another launch's"
    os.close(fd)


def test_a_file_with_a_name_is_no_stand_in_whatever_its_times(tmp_path: Path) -> None:
    made = StandIns([str(tmp_path)])
    (tmp_path / "file").touch()
    os.utime(tmp_path / "file", (made.mark, made.mark))
    assert not made.has_mark(os.stat(tmp_path / "file"))


def test_programs_may_lock_what_stands_in_for_a_directory(tmp_path: Path) -> None:
    """flock(2) works on a directory of a read-only mount."""
    fd = StandIns([str(tmp_path)]).make(stat.S_IFDIR | 0o555)
    theirs = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY)
    fcntl.flock(theirs, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(theirs)
    os.close(fd)


def test_a_name_that_is_taken_is_left_alone_and_another_one_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / LEFT).mkdir()
    drawn = [LEFT.removeprefix(".hepwrap-")] * 3 + [f"{i:016x}" for i in range(8)]
    made = StandIns([str(tmp_path)])
    monkeypatch.setattr(standins.os, "urandom", lambda _count: bytes.fromhex(drawn.pop(0)))
    os.close(made.make(stat.S_IFDIR | 0o555))
    assert (os.listdir(tmp_path), len(drawn)) == ([LEFT], 7)


def test_who_is_swept_before_the_lock_is_there_takes_another_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, mkdir, swept_away = StandIns([str(tmp_path)]), os.mkdir, []

    def make_and_sweep(name: str, mode: int, *, dir_fd: int) -> None:
        mkdir(name, mode, dir_fd=dir_fd)
        if len(swept_away) < 3:
            swept_away.append(name)
            os.rmdir(name, dir_fd=dir_fd)

    monkeypatch.setattr(standins.os, "mkdir", make_and_sweep)
    fd = made.make(stat.S_IFDIR | 0o555)
    assert (stat.S_ISDIR(os.fstat(fd).st_mode), len(swept_away), os.listdir(tmp_path)) == (True, 3, [])
    os.close(fd)


def test_who_meets_a_sweeper_at_its_lock_takes_another_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, flock, refused = StandIns([str(tmp_path)]), fcntl.flock, []

    def refuse_twice(fd: int, how: int) -> None:
        if len(refused) < 2 and how & fcntl.LOCK_EX:
            refused.append(os.fstat(fd).st_ino)
            raise BlockingIOError
        flock(fd, how)

    monkeypatch.setattr(standins.fcntl, "flock", refuse_twice)
    os.close(made.make(stat.S_IFDIR | 0o555))
    assert len(refused) == 2


def test_what_a_killed_launch_left_is_swept(tmp_path: Path) -> None:
    (tmp_path / LEFT).mkdir()
    (tmp_path / LEFT.replace("0", "a")).mkdir()
    (tmp_path / LEFT.replace("0", "a") / "x").symlink_to("/etc")
    assert swept(tmp_path) == set()


def test_what_is_young_is_not_swept(tmp_path: Path) -> None:
    """Whoever made it may not have come to its lock."""
    (tmp_path / LEFT).mkdir()
    assert swept(tmp_path, LEAST_AGE - 1) == {LEFT}


def test_what_a_living_launch_holds_is_not_swept_however_old(tmp_path: Path) -> None:
    (tmp_path / LEFT).mkdir()
    with opened(tmp_path / LEFT) as fd:
        fcntl.flock(fd, fcntl.LOCK_EX)
        assert swept(tmp_path, 1000 * LEAST_AGE) == {LEFT}
    assert swept(tmp_path) == set()


def test_a_sweep_follows_no_link_and_takes_nothing_that_is_not_ours(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    (precious / "x").mkdir(parents=True)
    place = tmp_path / "place"
    place.mkdir()
    (place / LEFT).symlink_to(precious)
    (place / LEFT.replace("0", "a")).touch()
    (place / LEFT.replace("0", "b")).mkdir()
    (place / LEFT.replace("0", "b") / "data").touch()
    (place / LEFT.replace("0", "g")).mkdir()
    (place / (LEFT + "0")).mkdir()
    (place / ".hepwrap-1-1").mkdir()
    before = set(os.listdir(place))
    assert swept(place) == before
    assert (precious / "x").is_dir()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make what is another user's")
def test_another_users_leftover_is_not_swept(tmp_path: Path) -> None:
    (tmp_path / LEFT).mkdir()
    os.chown(tmp_path / LEFT, 54321, 54321)
    assert swept(tmp_path) == {LEFT}


def test_a_directory_that_keeps_no_times_is_not_worked_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standins.os, "utime", lambda _path, ns: None)
    with pytest.raises(LaunchError, match="does not keep times"):
        StandIns([str(tmp_path)])
