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
        ("test %edi, %edi\njz 1f\nmov $4, %eax\nsyscall\n1: cmp $-4095, %rax\nret\n", "into what is moved"),
        ("mov $4, %eax\nsyscall\n1: cmp $-4095, %rax\njz 1b\nret\n", "into what is moved"),
        ("lea 1f(%rip), %rsi\nmov $4, %eax\nsyscall\n1: cmp $-4095, %rax\nret\n", "into what is moved"),
        ("mov $4, %eax\nsyscall\nmov %eax, %edx\n1: mov %eax, %ecx\njz 1b\nret\n", "into what is moved"),
        ("test %edi, %edi\njz 1f\nmov $4, %eax\n1: syscall\ncmp $-4095, %rax\nret\n", "past its number"),
    ],
)
def test_what_leads_to_moved_bytes_or_past_the_number_is_seen(tmp_path: Path, text: str, sentence: str) -> None:
    found = assembled(tmp_path, text)
    assert [one.number for one in found.sites] == [STAT]
    assert [line for line in found.violations if sentence in line] == found.violations != []


def test_what_leads_to_the_number_or_behind_what_is_moved_is_none_of_our_business(tmp_path: Path) -> None:
    found = assembled(tmp_path, "1: mov $4, %eax\nsyscall\ncmp $-4095, %rax\n2: jz 1b\njs 2b\nret\n")
    assert found.violations == []
    assert [one.way for one in found.sites] == [Way.ALWAYS]


def test_the_survey_counts_what_the_engine_catches() -> None:
    assert {"open", "openat", "stat", "execve", "rename"} <= set(CAUGHT.values())
    assert not {"io_uring_setup", "clone", "getppid", "read"} & set(CAUGHT.values())
    assert set(CAUGHT) <= {number for _, number, *_ in _core.rows()}
