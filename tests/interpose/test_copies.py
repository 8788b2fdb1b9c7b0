"""Copies of programs whose interpreter is virtual: memory like any other, and never older than the program."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hepwrap.cache.stores import Store
from hepwrap.errors import StaleHandle
from hepwrap.interpose import elf
from hepwrap.interpose.copies import UNCERTAIN, Changing
from tests.helpers.staged import SIZE, Stage, program

MakeStore = Callable[[int], Store]
#: What the kernel calls copies, in either store.
NAMES = re.compile(r"/memfd:hepwrap .*|/[0-9a-f]{8}-[1-9][0-9]*")


@pytest.fixture
def stage(tmp_path: Path, store: MakeStore) -> Iterator[Stage]:
    (tmp_path / "place").mkdir()
    stage = Stage(tmp_path / "place", 1 << 20, store)
    yield stage
    stage.files.close()


def descriptors() -> int:
    """Of memory files that are no index."""
    found = 0
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found += NAMES.fullmatch(os.readlink(f"/proc/self/fd/{fd}")) is not None
    return found


def test_a_copy_names_the_loaders_memory_file_and_is_the_same_otherwise(stage: Stage, tmp_path: Path) -> None:
    path = program(tmp_path / "program", b"one")
    content = stage.content(stage.copy(path))
    name = content[SIZE:].rstrip(b"\0")
    assert Path(os.fsdecode(name)).read_bytes() == b"loader"
    assert content[120:SIZE] == path.read_bytes()[120:]
    fd = os.open(path, os.O_RDONLY)
    assert elf.interpreter(fd) == b"/loader"
    os.close(fd)


def test_an_unchanged_program_is_copied_once(stage: Stage, tmp_path: Path) -> None:
    path = program(tmp_path / "program", b"one")
    assert len({stage.copy(path) for _ in range(10)}) == 1
    assert stage.files.counters.made == 2  # and the loader


@pytest.mark.parametrize("times", ["as they come", "restored"])
def test_a_changed_program_is_never_run_from_an_old_copy(stage: Stage, tmp_path: Path, times: str) -> None:
    """The same inode, the same size; where the time of modification is put back, the time of change is not."""
    path = program(tmp_path / "program", b"0")
    for i in range(1, 6):
        stage.copy(path)
        before = path.stat()
        while path.stat().st_ctime_ns == before.st_ctime_ns:  # the tick of the kernel's clock
            program(path, b"%d" % i)
        if times == "restored":
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert stage.content(stage.copy(path))[128:129] == b"%d" % i


def test_a_program_that_has_just_been_written_is_copied_each_time(stage: Stage, tmp_path: Path) -> None:
    """Within one tick of the clock it may be written again without its times telling."""
    path = program(tmp_path / "program", b"one")
    stage.now = path.stat().st_ctime_ns + UNCERTAIN - 1
    first = stage.copy(path)
    status = path.stat()
    with open(path, "r+b") as file:
        file.seek(128)
        file.write(b"two")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert stage.content(stage.copy(path))[128:131] == b"two"
    assert stage.content(first)[128:131] == b"one"


def test_a_program_that_is_written_while_it_is_copied_is_copied_anew(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = program(tmp_path / "program", b"one")
    write, changed = elf.write_with_interpreter, []

    def change_once(source: int, size: int, name: bytes, copy: int) -> None:
        write(source, size, name, copy)
        if not changed:
            changed.append(os.truncate(path, SIZE + 1))

    monkeypatch.setattr(elf, "write_with_interpreter", change_once)
    assert len(stage.content(stage.copy(path))) > SIZE + 1
    assert (len(changed), stage.files.counters.failed) == (1, 1)


def test_a_program_that_never_comes_to_rest_is_busy(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = program(tmp_path / "program", b"one")
    write, before = elf.write_with_interpreter, descriptors()

    def always_change(source: int, size: int, name: bytes, copy: int) -> None:
        write(source, size, name, copy)
        os.truncate(path, size + 1)

    monkeypatch.setattr(elf, "write_with_interpreter", always_change)
    with pytest.raises(Changing):
        stage.copy(path)
    assert descriptors() == before + 1, "the loader's"


def test_a_program_that_is_cut_off_while_it_is_copied_is_not_executed(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = program(tmp_path / "program", b"one")
    create = os.ftruncate

    def cut_off(fd: int, size: int) -> None:
        create(fd, size)
        os.truncate(path, 0)

    monkeypatch.setattr(os, "ftruncate", cut_off)
    with pytest.raises(Changing):
        stage.copy(path)


def test_a_copy_takes_one_descriptor(stage: Stage, tmp_path: Path) -> None:
    stage.copy(program(tmp_path / "first", b"first"))
    before = descriptors()
    for i in range(20):
        stage.copy(program(tmp_path / str(i), b"%d" % i))
    assert descriptors() == before + 20


def test_copies_are_counted_evicted_and_made_again(tmp_path: Path, store: MakeStore) -> None:
    (tmp_path / "place").mkdir()
    stage = Stage(tmp_path / "place", 10 * SIZE, store)
    paths = [program(tmp_path / str(i), b"%02d" % i) for i in range(50)]
    made = [stage.copy(path) for path in paths]
    assert stage.files.counters.most_bytes_held <= 10 * SIZE
    assert len(stage.evicted) > 40
    assert stage.world.book.descriptor_of(made[0]) == -1
    with pytest.raises(StaleHandle):
        stage.world.hold(made[0])
    assert [stage.copy(path) for path in paths] == made
    assert all(stage.content(stage.copy(path))[128:130] == b"%02d" % i for i, path in enumerate(paths))
    stage.files.close()


def test_the_loader_stays_where_the_copies_look_for_it(tmp_path: Path, store: MakeStore) -> None:
    """The kernel opens it by the name that is in the copy, after the copy has been opened."""
    (tmp_path / "place").mkdir()
    stage = Stage(tmp_path / "place", 5 * SIZE, store)
    copy = stage.copy(program(tmp_path / "program", b"one"))
    name = stage.content(copy)[SIZE:].rstrip(b"\0")
    for i in range(20):
        stage.copy(program(tmp_path / str(i), b"%d" % i))
    assert stage.world.book.descriptor_of(copy) == -1, "evicted"
    assert Path(os.fsdecode(name)).read_bytes() == b"loader"
    stage.files.close()


def test_another_loader_makes_another_copy(stage: Stage, tmp_path: Path) -> None:
    path = program(tmp_path / "program", b"one")
    assert stage.copy(path) != stage.copy(path, "other")


def test_many_who_execute_at_once_share_one_copy(stage: Stage, tmp_path: Path) -> None:
    path = program(tmp_path / "program", b"one")
    stage.loader()
    before = descriptors()
    with ThreadPoolExecutor(16) as pool:
        assert len(set(pool.map(lambda _: stage.copy(path), range(64)))) == 1
    assert stage.files.counters.made == 2
    assert descriptors() == before + 1


def test_it_shows_what_the_program_shows(stage: Stage, tmp_path: Path) -> None:
    path = program(tmp_path / "program", b"one")
    assert stage.world.book.path_of(stage.copy(path)) == os.fsencode(path)
