"""Huge pages behind large memory files: that they are there, and that nobody sees anything else of them."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from hepwrap.cache import huge, sealed
from hepwrap.cache.huge import HUGE

#: The kernel has them (CONFIG_TRANSPARENT_HUGEPAGE, which the switch below shows), and knows the request.
KNOWN = Path("/sys/kernel/mm/transparent_hugepage/shmem_enabled").exists() and [
    int(number) for number in os.uname().release.split(".")[:2]
] >= [6, 1]


@pytest.fixture
def huge_pages() -> None:
    if not KNOWN:
        pytest.skip("this kernel has no MADV_COLLAPSE, or no huge pages")


def shared_huge() -> int:
    """Bytes of huge pages in memory files and the like, of the whole machine (proc_meminfo(5))."""
    rows = Path("/proc/meminfo").read_text().splitlines()
    return next(int(row.split()[1]) * 1024 for row in rows if row.startswith("ShmemHugePages"))


@pytest.mark.usefixtures("huge_pages")
def test_a_large_file_gets_them() -> None:
    size = 4 * HUGE + 12345
    for _ in range(20):  # another one's may go while we look
        before = shared_huge()
        fd = sealed.create("large")
        try:
            os.ftruncate(fd, size)
            given = huge.ask(fd, size)
            more = shared_huge() - before
        finally:
            os.close(fd)
        if given and more >= 4 * HUGE:
            return
    if not given:
        pytest.skip("the kernel had no huge pages to give")
    pytest.fail(f"{more} bytes of huge pages came with {size} bytes")


@pytest.mark.parametrize("size", [0, 1, HUGE - 1, HUGE, HUGE + 1, 2 * HUGE - 1, 2 * HUGE, 3 * HUGE + 4097])
def test_the_file_stays_what_it_is(size: int) -> None:
    """Size, content, blocks, and no mapping is left behind."""
    content = random.Random(size).randbytes(size)
    fd = sealed.create("any")
    try:
        os.ftruncate(fd, size)
        given = huge.ask(fd, size)
        assert not given or size >= HUGE
        assert os.fstat(fd).st_size == size
        assert os.pread(fd, size + 1, 0) == bytes(size)
        sealed.write_all(fd, content, 0)
        file = sealed.seal(fd, "key")  # EBUSY where somebody has it mapped for writing
    except BaseException:
        os.close(fd)
        raise
    try:
        assert str(file.inode) not in {line.split()[4] for line in Path("/proc/self/maps").read_text().splitlines()}
        assert file.size == size
        assert sealed.read_all(file) == content
        assert os.fstat(file.fd).st_blocks * 512 == -(-size // 4096) * 4096
        assert not sealed.is_open_elsewhere(file)
    finally:
        os.close(file.fd)


@pytest.mark.parametrize("name", ["mmap", "madvise"])
def test_without_them_files_are_as_ever(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels before 6.1, the switch at `deny`, a limit of address space: nobody notices."""
    real = huge._call
    monkeypatch.setattr(huge, "_call", lambda called, *rest: -1 if called == name else real(called, *rest))
    maps = len(Path("/proc/self/maps").read_text().splitlines())
    fd = sealed.create("refused")
    try:
        os.ftruncate(fd, 2 * HUGE)
        assert huge.ask(fd, 2 * HUGE) is False
        sealed.write_all(fd, b"x" * 2 * HUGE, 0)
        assert os.pread(fd, 3 * HUGE, 0) == b"x" * 2 * HUGE
    finally:
        os.close(fd)
    assert abs(len(Path("/proc/self/maps").read_text().splitlines()) - maps) <= 2
