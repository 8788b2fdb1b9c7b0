"""What a program opens can be read, mapped and executed, and changed by nobody."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hepwrap.cache import sealed

CONTENT = b"#!/bin/sh\necho sealed and run\n"


@pytest.fixture
def file() -> Iterator[sealed.MemoryFile]:
    fd = sealed.create("a file")
    sealed.write_all(fd, CONTENT, 0)
    file = sealed.seal(fd, "key")
    yield file
    os.close(file.fd)


@pytest.fixture
def writable(file: sealed.MemoryFile) -> Iterator[int]:
    """What a hostile process gets that owns the file: a descriptor open for writing."""
    os.chmod(f"/proc/self/fd/{file.fd}", 0o777)
    fd = os.open(f"/proc/self/fd/{file.fd}", os.O_RDWR)
    yield fd
    os.close(fd)


def test_it_tells_what_it_is(file: sealed.MemoryFile) -> None:
    status = os.fstat(file.fd)
    assert (file.key, file.size) == ("key", len(CONTENT))
    assert (file.device, file.inode) == (status.st_dev, status.st_ino)
    assert stat.S_ISREG(status.st_mode)
    assert stat.S_IMODE(status.st_mode) == 0o555


def test_all_seals_are_set(file: sealed.MemoryFile) -> None:
    seals = fcntl.fcntl(file.fd, fcntl.F_GET_SEALS)
    expected = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
    assert seals & expected == expected


def test_our_descriptor_is_read_only_and_closes_on_exec(file: sealed.MemoryFile) -> None:
    assert fcntl.fcntl(file.fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY
    assert not os.get_inheritable(file.fd)


@pytest.mark.parametrize("size", [0, 5, len(CONTENT) + 5])
def test_nobody_can_truncate(writable: int, size: int) -> None:
    with pytest.raises(PermissionError):
        os.ftruncate(writable, size)


@pytest.mark.parametrize("offset", [0, len(CONTENT)])
def test_nobody_can_write(writable: int, offset: int) -> None:
    with pytest.raises(PermissionError):
        os.pwrite(writable, b"x", offset)


def test_nobody_can_map_it_shared_and_writable(writable: int) -> None:
    with pytest.raises(PermissionError):
        mmap.mmap(writable, len(CONTENT), flags=mmap.MAP_SHARED, prot=mmap.PROT_READ | mmap.PROT_WRITE)


def test_nobody_can_punch_or_append(writable: int) -> None:
    with pytest.raises(OSError, match="Operation not permitted"):
        os.posix_fallocate(writable, 0, 2 * len(CONTENT))
    with pytest.raises(PermissionError):
        os.sendfile(writable, writable, 0, 1)


def test_no_seal_can_be_added(writable: int) -> None:
    with pytest.raises(PermissionError):
        fcntl.fcntl(writable, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)


def test_truncating_on_open_is_refused(file: sealed.MemoryFile) -> None:
    os.chmod(f"/proc/self/fd/{file.fd}", 0o777)
    with pytest.raises(PermissionError):
        os.open(f"/proc/self/fd/{file.fd}", os.O_WRONLY | os.O_TRUNC)
    assert os.pread(file.fd, 100, 0) == CONTENT


def test_a_private_mapping_may_be_written_and_changes_nothing(file: sealed.MemoryFile) -> None:
    with mmap.mmap(file.fd, len(CONTENT), flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE) as view:
        view[0:1] = b"X"
        assert os.pread(file.fd, 1, 0) == b"#"


def test_another_process_reads_it_with_an_offset_of_its_own(file: sealed.MemoryFile) -> None:
    path = f"/proc/{os.getpid()}/fd/{file.fd}"
    for _ in range(2):
        assert subprocess.run(["cat", path], capture_output=True, check=True).stdout == CONTENT


def test_another_process_executes_it(file: sealed.MemoryFile, tmp_path: Path) -> None:
    true = Path("/bin/true").read_bytes()
    fd = sealed.create("true")
    sealed.write_all(fd, true, 0)
    program = sealed.seal(fd, "true")
    try:
        done = subprocess.run([f"/proc/{os.getpid()}/fd/{program.fd}"], check=False)
    finally:
        os.close(program.fd)
    assert done.returncode == 0


def test_its_name_shows_in_proc_and_may_be_anything(file: sealed.MemoryFile) -> None:
    fd = sealed.create("/cvmfs/\udcff\0" + "long" * 100)
    try:
        name = os.readlink(os.fsencode(f"/proc/self/fd/{fd}"))
    finally:
        os.close(fd)
    assert name.startswith(b"/memfd:/cvmfs/\xff?longlong")


def test_a_kernel_that_does_not_know_the_exec_flag_is_asked_without(monkeypatch: pytest.MonkeyPatch) -> None:
    real, asked = os.memfd_create, []

    def old_kernel(name: str, flags: int) -> int:
        asked.append(flags)
        if flags & sealed.MFD_EXEC:
            raise OSError(errno.EINVAL, "Invalid argument")
        return real(name, flags)

    monkeypatch.setattr(os, "memfd_create", old_kernel)
    os.close(sealed.create("name"))
    assert [bool(flags & sealed.MFD_EXEC) for flags in asked] == [True, False]


def test_the_exec_flag_is_used_where_the_kernel_knows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def new_kernel(_name: str, flags: int) -> int:
        asked.append(flags)
        return -1

    monkeypatch.setattr(os, "memfd_create", new_kernel)
    sealed.create("name")
    assert asked == [os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING | 0x10]


def test_a_seal_that_fails_leaves_no_descriptor() -> None:
    before = os.listdir("/proc/self/fd")
    fd = sealed.create("name")
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SEAL)
    with pytest.raises(PermissionError):
        sealed.seal(fd, "key")
    assert os.listdir("/proc/self/fd") == before


# What can be seen of use.


def in_another_process(file: sealed.MemoryFile, code: str) -> None:
    head = f"import mmap, os; path = '/proc/{os.getpid()}/fd/{file.fd}'; fd = os.open(path, os.O_RDONLY);"
    subprocess.run([sys.executable, "-S", "-c", head + code], check=True)


@pytest.mark.parametrize(
    "use",
    [
        "os.read(fd, 1)",
        "os.pread(fd, 1, 5)",
        "mmap.mmap(fd, 10, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ)",
        "mmap.mmap(fd, 10, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ | mmap.PROT_EXEC)",
        "os.sendfile(os.open('/dev/null', os.O_WRONLY), fd, 0, 1)",
        "os.spawnv(os.P_WAIT, path, ['x'])",
    ],
    ids=["read", "pread", "private mapping", "shared mapping", "sendfile", "exec"],
)
def test_use_by_another_process_moves_the_time_of_last_read(file: sealed.MemoryFile, use: str) -> None:
    os.utime(file.fd, ns=(1, 1))
    for _ in range(2):  # strictly: not only the first time, as "relatime" would
        in_another_process(file, use)
        first = sealed.last_read(file)
        assert first > 1
        os.utime(file.fd, ns=(2, 1))
    in_another_process(file, use)
    assert sealed.last_read(file) > 2


@pytest.mark.parametrize(
    "use", ["pass", "os.read(os.open(path, os.O_RDONLY | os.O_NOATIME), 1)"], ids=["open", "noatime"]
)
def test_opening_alone_and_shy_reading_do_not_move_it(file: sealed.MemoryFile, use: str) -> None:
    os.utime(file.fd, ns=(1, 1))
    in_another_process(file, use)
    assert sealed.last_read(file) == 1


def test_touching_what_is_mapped_does_not_move_it(file: sealed.MemoryFile) -> None:
    with mmap.mmap(file.fd, 10, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ) as view:
        os.utime(file.fd, ns=(1, 1))
        assert view[:2] == b"#!"
    assert sealed.last_read(file) == 1


def test_a_file_nobody_has_is_not_open_elsewhere(file: sealed.MemoryFile) -> None:
    assert not sealed.is_open_elsewhere(file)
    assert not sealed.is_open_elsewhere(file)


def test_a_file_that_is_open_is_seen(file: sealed.MemoryFile) -> None:
    other = os.open(f"/proc/self/fd/{file.fd}", os.O_RDONLY)
    assert sealed.is_open_elsewhere(file)
    os.close(other)
    assert not sealed.is_open_elsewhere(file)


def test_a_file_that_is_only_mapped_is_seen(file: sealed.MemoryFile) -> None:
    other = os.open(f"/proc/self/fd/{file.fd}", os.O_RDONLY)
    view = mmap.mmap(other, 10, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ)
    os.close(other)
    assert sealed.is_open_elsewhere(file)
    view.close()
    assert not sealed.is_open_elsewhere(file)


def test_looking_never_kills_us_nor_fails_those_who_open(file: sealed.MemoryFile) -> None:
    code = f"""
import os
for _ in range(3000):
    os.close(os.open("/proc/{os.getpid()}/fd/{file.fd}", os.O_RDONLY))
"""
    looks = 0
    opener = subprocess.Popen([sys.executable, "-S", "-c", code])
    while opener.poll() is None:
        sealed.is_open_elsewhere(file)
        looks += 1
    assert opener.returncode == 0
    assert looks > 0


def test_who_opens_again_without_waiting_is_not_refused_while_another_thread_looks(file: sealed.MemoryFile) -> None:
    opened: list[int] = []
    opener = threading.Thread(target=lambda: opened.append(sealed.open_again(file.fd, os.O_RDONLY | os.O_NONBLOCK)))
    fcntl.fcntl(file.fd, sealed.F_SETSIG, signal.SIGURG)
    fcntl.fcntl(file.fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    opener.start()
    while fcntl.fcntl(file.fd, fcntl.F_GETLEASE) == fcntl.F_WRLCK:  # nobody has asked for it
        time.sleep(0.001)
    fcntl.fcntl(file.fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    opener.join()
    assert fcntl.fcntl(opened[0], fcntl.F_GETFL) & (os.O_ACCMODE | os.O_NONBLOCK) == os.O_RDONLY | os.O_NONBLOCK
    assert not os.get_inheritable(opened[0])
    assert os.pread(opened[0], 100, 0) == CONTENT
    os.close(opened[0])


def test_a_kernel_without_leases_counts_as_not_open(file: sealed.MemoryFile, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> int:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(fcntl, "fcntl", refuse)
    assert not sealed.is_open_elsewhere(file)
