"""The survey behind docs/call-sites.md: it sees what speaks against a patch; in the libraries at hand nothing does."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from hepwrap.interpose import _core
from tests.helpers.call_sites import CAUGHT, Survey, Way, survey

LIBRARIES = {
    "libc": "/lib/x86_64-linux-gnu/libc.so.6",
    "loader": "/lib64/ld-linux-x86-64.so.2",
    "musl": "/lib/ld-musl-x86_64.so.1",
    "busybox": "/bin/busybox",
    "go": "/usr/bin/cgrep",
}
STAT = next(number for number, name in CAUGHT.items() if name == "stat")


@pytest.fixture(scope="module")
def surveys() -> dict[str, Survey]:
    return {name: survey(Path(file).resolve()) for name, file in LIBRARIES.items()}


def assembled(place: Path, text: str) -> Survey:
    """The survey of a few instructions."""
    source, target = place / "code.s", place / "code"
    source.write_text(".globl _start\n_start:\n" + text)
    subprocess.run(["gcc", "-nostdlib", "-static", "-o", str(target), str(source)], check=True, timeout=60)
    return survey(target)


@pytest.mark.parametrize("name", LIBRARIES)
def test_nothing_contradicts_what_patching_takes_for_granted(surveys: dict[str, Survey], name: str) -> None:
    assert surveys[name].sites
    assert surveys[name].violations == []


def test_the_calls_of_the_machines_c_library_are_all_patched(surveys: dict[str, Survey]) -> None:
    for name in ("libc", "loader"):
        left = [(one.function, CAUGHT[one.number]) for one in surveys[name].sites
                if one.number in CAUGHT and one.way is Way.NEVER]  # fmt: skip
        assert left == [], name
    assert {"openat", "newfstatat", "readlink", "getdents64", "execve", "chdir"} <= {
        CAUGHT.get(one.number or 0) for one in surveys["libc"].sites
    }


@pytest.mark.parametrize(
    ("before", "number"),
    [
        ("mov $4, %eax", 4),
        ("mov $4, %eax\nmov %rdi, %rsi\nxor %edx, %edx", 4),
        ("mov $4, %r8d\nnop\nmov %r8d, %eax", 4),
        ("push $4\npop %rax", 4),
        ("xor %eax, %eax", 0),
        ("mov $4, %eax\nmov %rdi, %rax", None),
        ("mov $4, %eax\ncall _start", None),
        ("mov $4, %eax\nmov (%rdi), %eax", None),
        ("mov $4, %eax\njmp 1f\n1: ", None),
        ("mov $4, %eax\ncmp $3, %eax", 4),
        ("mov $4, %eax\nadd %ecx, %eax", None),
    ],
)
def test_the_number_is_what_the_straight_way_to_the_call_leaves(
    tmp_path: Path, before: str, number: int | None
) -> None:
    (site,) = assembled(tmp_path, f"{before}\nsyscall\ncmp $-4095, %rax\nret\n").sites
    assert site.number == number


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("test %edi, %edi\njz 1f+2\n1: mov $4, %eax\nsyscall\ncmp $-4095, %rax\nret\n", "into the jump"),
        ("mov $4, %eax\nnop\nsyscall\n1: cmp $-4095, %rax\njz 1b+1\nret\n", "into the jump"),
        ("lea 1f+2(%rip), %rsi\nmov $4, %eax\nnop\nsyscall\n1: cmp $-4095, %rax\nret\n", "into the jump"),
        ("mov $4, %eax\n1: nop\nsyscall\ntest %rax, %rax\njz 1b+2\nret\n", "into the jump"),
        ("mov $4, %eax\n.byte 0xc7, 5, 0, 0, 0, 0xb8, 4, 0, 0, 0\nsyscall\nret\n", "not one instruction"),
    ],
)
def test_what_leads_into_the_jump_or_is_no_instruction_is_seen(tmp_path: Path, text: str, sentence: str) -> None:
    found = assembled(tmp_path, text)
    assert [line for line in found.violations if sentence in line] == found.violations != []


@pytest.mark.parametrize(
    ("text", "way"),
    [
        ("1: mov $4, %eax\nsyscall\n3: cmp $-4095, %rax\n2: jz 1b\njs 2b\njc 3b\nret\n", Way.FRONT),
        ("test %edi, %edi\njz 1f\nmov $4, %eax\n1: syscall\nret\n", Way.FRONT),
        ("1: mov $4, %eax\n3: nop\nsyscall\ncmp $-4095, %rax\n2: jz 1b\njs 2b\njc 3b\nret\n", Way.BEHIND),
        ("1: mov $4, %eax\n3: nop\nsyscall\ncltq\njz 1b\nret\n", Way.NEVER),
    ],
)
def test_what_leads_to_instructions_that_stay_is_none_of_our_business(tmp_path: Path, text: str, way: Way) -> None:
    found = assembled(tmp_path, text)
    assert found.violations == found.costs == []
    assert [one.way for one in found.sites] == [way]


def test_who_comes_to_the_instruction_behind_the_call_is_a_cost(tmp_path: Path) -> None:
    found = assembled(tmp_path, "mov $4, %eax\nnop\nsyscall\n1: cmp $-4095, %rax\njz 1b\nlea 1b(%rip), %rsi\nret\n")
    assert found.violations == []
    assert len(found.costs) == 2


def test_the_survey_counts_what_the_engine_catches() -> None:
    assert {"open", "openat", "stat", "execve", "rename"} <= set(CAUGHT.values())
    assert not {"io_uring_setup", "clone", "getppid", "read"} & set(CAUGHT.values())
    assert set(CAUGHT) <= {number for _, number, *_ in _core.rows()}
