"""fio reads virtual files in each of its ways, many times over, and checks every block (`--verify`)."""

from __future__ import annotations

import errno
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import needs, once
from tests.helpers.fixtures import publishes
from tests.helpers.launches import Done, Launches
from tests.helpers.publishing import Published
from tests.helpers.two_worlds import TwoWorlds

#: MiB; the publisher cuts the larger one into chunks.
SIZES = {"small": 1, "chunked": 24}
BLOCK = 4096
#: Offset of a byte that is not as written, in the file `spoilt`: somewhere in a block's data.
SPOILT_AT = 37 * BLOCK + 1234
#: Ways to read, and how: several jobs at once read the larger file.
WAYS = {
    "psync": ["--ioengine=psync"], "mmap": ["--ioengine=mmap"], "pvsync2": ["--ioengine=pvsync2"],
    "libaio": ["--ioengine=libaio", "--iodepth=8"], "posixaio": ["--ioengine=posixaio", "--iodepth=4"],
    "processes": ["--ioengine=psync", "--numjobs=3"], "threads": ["--ioengine=mmap", "--numjobs=3", "--thread"],
}  # fmt: skip


def build(tree: Path) -> None:
    tree.mkdir()
    program = needs.program("fio", "fio")
    for name, size in SIZES.items():
        words = ["--rw=write", f"--size={size}M", "--do_verify=0", f"--filename={tree / name}"]
        subprocess.run([program, *common(), *words], check=True, capture_output=True, cwd=tree.parent, timeout=100)
    content = bytearray((tree / "small").read_bytes())
    content[SPOILT_AT] ^= 0xFF
    (tree / "spoilt").write_bytes(content)
    for name in (*SIZES, "spoilt"):
        (tree / name).chmod(0o644)


def common() -> list[str]:
    return ["--name=job", f"--bs={BLOCK}", "--verify=crc32c", "--verify_state_save=0", "--ioengine=psync"]


def read(launch: Callable[..., Done], top: str, name: str, options: list[str], desk: Path) -> tuple[Any, str]:
    """Of each job error, number of reads and bytes; and what it says."""
    words = [*common(), "--rw=randread", "--readonly", "--output-format=json", "--output=report"]
    command = [needs.program("fio", "fio"), *words, f"--filename={top}/{name}", *options]
    done = launch(*command, cwd=desk)
    report = (desk / "report").read_text()
    at = report.index("{")
    said = f"{report[:at]}{done.stdout}{done.stderr}"
    assert "hepwrap:" not in said, said
    jobs = json.loads(report[at:])["jobs"]
    return [[job["error"], job["read"]["total_ios"], job["read"]["io_bytes"]] for job in jobs], said


files = publishes("fio.hep.example", build)


@pytest.fixture
def worlds(files: Published, user: Launches, patching: list[str]) -> TwoWorlds:
    return TwoWorlds.of(user, files, patching)


@pytest.mark.parametrize("way", WAYS)
def test_every_block_is_as_written(worlds: TwoWorlds, desk: Path, way: str) -> None:
    name = "chunked" if "--numjobs=3" in WAYS[way] else "small"
    native = once.found(f"fio-{way}", lambda: read(worlds.native.native, worlds.top, name, WAYS[way], desk)[0])
    wrapped, said = read(worlds.wrapped.run, worlds.top, name, WAYS[way], desk)
    assert all(error == 0 and size >= SIZES[name] << 20 for error, _, size in native), native
    assert wrapped == native, said


@pytest.mark.parametrize("way", [way for way in WAYS if "--numjobs=3" not in WAYS[way]])
def test_a_byte_that_is_not_as_written_is_found(worlds: TwoWorlds, desk: Path, way: str) -> None:
    """So the other tests can fail."""
    found, said = read(worlds.wrapped.run, worlds.top, "spoilt", WAYS[way], desk)
    assert found[0][0] == errno.EILSEQ, said


def test_a_ring_reads_right_or_is_not_there(worlds: TwoWorlds, desk: Path) -> None:
    """fio does not fall back from io_uring itself: it says that this kernel has none."""
    found, said = read(worlds.wrapped.run, worlds.top, "small", ["--ioengine=io_uring"], desk)
    if found[0][0] == errno.ENOSYS:
        assert "your kernel doesn't support io_uring" in said
    else:
        assert found == [[0, (1 << 20) // BLOCK, 1 << 20]], said
