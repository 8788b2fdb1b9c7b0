"""The guests themselves: each compiles without a warning, and says natively what it will be compared with."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.guests import SOURCES, Guests

NAMES = sorted(path.stem for path in SOURCES.glob("*.c"))
RunGuest = Callable[..., str]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small tree with one of each."""
    root = tmp_path / "tree"
    (root / "sub" / "deep").mkdir(parents=True)
    (root / "file").write_bytes(bytes(range(256)) * 300)
    (root / "empty").touch()
    (root / "sub" / "other").write_text("other\n")
    (root / "link").symlink_to("file")
    (root / "dangling").symlink_to("nowhere")
    os.mkfifo(root / "fifo")
    (root / "script").write_text('#!/bin/sh\necho script "$@"\nexit 7\n')
    (root / "script").chmod(0o755)
    (root / "not-executable").write_text("#!/bin/sh\n")
    (root / "not-executable").chmod(0o644)
    for path in [*root.rglob("*"), root]:
        os.utime(path, (1_000_000_000, 1_000_000_000), follow_symlinks=False)
    return root


@pytest.mark.parametrize("name", NAMES)
def test_a_guest_compiles_without_warnings(name: str, guests: Guests) -> None:
    assert os.access(guests.path(name), os.X_OK)


def test_a_guest_can_be_linked_statically(guests: Guests) -> None:
    path = guests.path("stat_family", static=True)
    assert b"INTERP" not in subprocess.run(["readelf", "-lW", str(path)], capture_output=True, check=True).stdout


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("stat_family", "{t}/file {t}/link {t}/dangling {t}/sub {t}/fifo {t}/missing {t}/file/below"),
        ("open_flags", "{t}/missing/below"),
        ("access_matrix", "{t}/file {t}/sub {t}/link {t}/dangling {t}/missing {t}/file/below"),
        ("readlink_variants", "{t}/link {t}/dangling {t}/file {t}/sub {t}/missing"),
        ("names_shown", "{t}/file {t}/sub"),
        ("directory_reading", "{t}"),
        ("working_directory", "{t}"),
        ("statfs_dump", "{t}/file {t}/sub {t}/missing"),
        ("xattr_reading", "user.a,user.b {t}/file {t}/sub {t}/missing"),
        ("exec_variants", "/bin/echo one two"),
        ("exec_variants", "{t}/script three"),
        ("exec_variants", "{t}/missing"),
        ("exec_variants", "{t}/sub"),
        ("threads", "3 {t}/file {t}/empty {t}/missing {t}/sub/other"),
        ("bad_pointers", "{t}/file {t}/sub {t}/link"),
        ("fault_states", "{t}/file open alone all"),
        ("fault_corners", "{t}/file"),
        ("bare_static", "{t}/sub/other"),
        ("small_stack", "0 {t}/file {t}/sub"),
        ("keeps_registers", "{t}/file {t}/missing"),
        ("map_file", "{t}/file"),
        ("pass_descriptor", "{t}/file {t}/sub {t}/missing"),
    ],
)
def test_a_guest_prints_the_same_text_twice(name: str, arguments: str, guests: Guests, tree: Path) -> None:
    words = arguments.format(t=tree).split()
    first = guests.run(name, *words)
    assert first
    assert guests.run(name, *words) == first


def test_write_calls_meet_a_read_only_answer_everywhere(guests: Guests, tmp_path: Path) -> None:
    """On /proc, which takes no writes whoever asks, no call of the list may succeed."""
    text = guests.run("write_calls", "/proc/self/fdinfo", "/proc/self/limits", tmp_path)
    assert "mkdir new: -1" in text
    assert "rename file to outside: -1 EXDEV" in text
    assert not list(tmp_path.iterdir())


def test_write_calls_really_write_where_they_may(guests: Guests, tree: Path, tmp_path: Path) -> None:
    text = guests.run("write_calls", tree / "sub", tree / "sub" / "other", tmp_path)
    assert "mkdir new: 0" in text
    assert "rename new to file: 0" in text


def test_bad_pointers_are_efault_for_every_call(guests: Guests, tree: Path) -> None:
    text = guests.run("bad_pointers", tree / "file", tree / "sub", tree / "link")
    block = text.split("path after the page\n")[1].split("path in")[0].splitlines()
    assert len(block) > 20
    assert all(line.endswith("-1 EFAULT") for line in block), block
    assert "path up to the last byte: 0" in text
    assert "path one byte over the end: -1 EFAULT" in text
    assert "SIGSEGV is still blocked: 1, still ignored: 1" in text


@pytest.mark.parametrize("size", [0, 1, 128, 384, 4096])
def test_a_syscall_needs_no_stack_of_the_program(size: int, guests: Guests, tree: Path) -> None:
    text = guests.run("small_stack", str(size), tree / "file", tree / "sub")
    assert text.count("red zone kept: yes, bytes changed above: 0\n") == text.count("\n") > 25


def test_the_kernel_keeps_every_register_but_three(guests: Guests, tree: Path) -> None:
    text = guests.run("keeps_registers", tree / "file")
    assert text.count("0 registers changed") == text.count("\n") == 8


@pytest.mark.parametrize(("how", "last"), [("restart", "left by the handler"), ("interrupt", "returned -1 EINTR")])
def test_an_alarm_during_a_blocking_open_follows_sa_restart(how: str, last: str, guests: Guests, tree: Path) -> None:
    lines = guests.run("signal_while_blocked", how, "open", tree / "fifo", "3").splitlines()
    assert lines == ["before", *["alarm"] * (3 if how == "restart" else 1), last]


def test_another_thread_runs_on_while_one_is_blocked(guests: Guests, tree: Path, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    command = [guests.path("other_threads"), tree / "fifo", mark]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as guest:
        assert guest.stdout is not None
        assert guest.stdout.readline() == "the other thread did 1000 rounds\n"
        with open(tree / "fifo", "w"):
            assert guest.stdout.readline() == "open returned\n"
    assert mark.exists()


def test_exec_variants_reach_a_script_but_through_descriptors_that_close(guests: Guests, tree: Path) -> None:
    """execveat(2): the interpreter is given /dev/fd/N, which is gone where N was closed on exec: ENOENT."""
    text = guests.run("exec_variants", tree / "script", "three")
    assert text.count("script three\n") == text.count("exit 7\n") == 10
    assert text.count("-1 ENOENT\n") == 2
    text = guests.run("exec_variants", tree / "not-executable")
    assert text.count("-1 EACCES") == 12
