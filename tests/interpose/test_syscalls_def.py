"""syscalls.def is complete and right: held against the system's headers, strace and the reference tracer."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import needs, syscall_page
from tests.helpers.guests import Guests
from tests.helpers.syscall_rows import DEFINITIONS, Row, header_numbers, read_rows

KINDS = frozenset(
    [
        "DIRFD",
        "PATH",
        "FD",
        "FLAGS",
        "MODE",
        "BUF",
        "SIZE",
        "PTR",
        "INT",
        "ARGV",
        "ENVP",
        "STRING",
        "SOURCE",
        "SOURCEFD",
        "_",
    ]
)
#: Treatments of calls that the kernel, the filter or the tracer answers.
NEVER_IN_RUNTIME = frozenset(
    ["pass", "enosys", "keep", "wander", "unshare", "clone", "rt_sigaction", "ptrace", "seccomp"]
)
#: Named after names of queues and keys, which are no files.
NOT_FILES = frozenset({"mq_open", "mq_unlink"})


@pytest.fixture(scope="module")
def rows() -> dict[str, Row]:
    return read_rows()


def test_every_line_is_a_row_with_known_argument_kinds(rows: dict[str, Row]) -> None:
    assert len(rows) > 100
    assert {kind for row in rows.values() for kind in row.kinds} <= KINDS


def test_used_arguments_stand_before_unused_ones(rows: dict[str, Row]) -> None:
    for row in rows.values():
        used = [kind != "_" for kind in row.kinds]
        assert used == sorted(used, reverse=True), row


def test_a_row_that_is_not_served_says_why(rows: dict[str, Row]) -> None:
    for row in rows.values():
        assert row.is_served == (row.treatment not in NEVER_IN_RUNTIME), row


def test_a_directory_descriptor_stands_directly_before_its_path(rows: dict[str, Row]) -> None:
    for row in rows.values():
        for kind, following in zip(row.kinds, [*row.kinds[1:], "_"], strict=True):
            assert kind != "DIRFD" or following == "PATH", row


def test_treatments_agree_with_the_number_of_paths(rows: dict[str, Row]) -> None:
    paths = {
        "entry": 1,
        "write1": 1,
        "write2": 2,
        "fwrite": 0,
        "standin": 1,
        "execve": 1,
        "open": 1,
        "getcwd": 0,
        "fchdir": 0,
    }
    for row in rows.values():
        if row.treatment in paths:
            assert row.kinds.count("PATH") == paths[row.treatment], row


def test_no_number_is_given_twice(rows: dict[str, Row]) -> None:
    for numbers in ([r.x86_64 for r in rows.values()], [r.aarch64 for r in rows.values()]):
        given = [number for number in numbers if number is not None]
        assert len(given) == len(set(given))


@pytest.mark.parametrize(
    ("column", "header", "definitions"),
    [
        ("x86_64", "asm/unistd_64.h", ()),
        ("aarch64", "asm-generic/unistd.h", ("__ARCH_WANT_RENAMEAT", "__ARCH_WANT_NEW_STAT", "__ARCH_WANT_SYS_CLONE3")),
    ],
)
def test_numbers_are_those_of_the_headers(
    rows: dict[str, Row], column: str, header: str, definitions: tuple[str, ...]
) -> None:
    known = header_numbers(header, *definitions)
    assert len(known) > 250
    newest = max(known.values())
    for row in rows.values():
        number = getattr(row, column)
        if number is None:
            assert row.name not in known, row
        elif number <= newest:
            assert known.get(row.name) == number, row


def test_calls_newer_than_the_headers_have_one_number_everywhere(rows: dict[str, Row]) -> None:
    """Since Linux 5.1 a new call has the same number on every architecture."""
    for row in rows.values():
        if (row.x86_64 or 0) >= 424:
            assert row.x86_64 == row.aarch64, row


def test_the_file_is_what_a_compiler_reads(tmp_path: Path, rows: dict[str, Row]) -> None:
    """The C side includes the same text: count the rows by an X-macro."""
    source = tmp_path / "count.c"
    definitions = Path(__file__).resolve().parents[2] / "interpose" / "syscalls.def"
    include = f'\n#include "{definitions}"\n'
    source.write_text(
        "#define ROW(name, x, a, treatment, k1, k2, k3, k4, k5, k6, note) + (sizeof(note) > 0)\n"
        f'_Static_assert(0{include} == {len(rows)}, "rows");\n'
    )
    subprocess.run(["gcc", "-fsyntax-only", str(source)], check=True, timeout=60)


def test_every_file_name_in_the_prototypes_of_python_ptrace_has_a_row(rows: dict[str, Row]) -> None:
    code = (
        "from hepwrap.interpose.reference import load_decoder\n"
        "d = load_decoder()\n"
        "print(*(n for n in set(d.names.values()) if d.paths(n)))"
    )
    text = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout
    named = set(text.split()) & set(header_numbers("asm/unistd_64.h"))
    assert {"open", "execve", "getxattr", "swapon"} <= named
    assert named - NOT_FILES - set(rows) == set()


def names_in(trace: str) -> set[str]:
    """Names of the calls in a trace of strace or of the reference tracer."""
    return set(re.findall(r"^(?:\[?\d+\]? +)?(\w+)\(", trace, flags=re.MULTILINE))


def test_every_call_of_the_file_class_of_strace_has_a_row(guests: Guests, rows: dict[str, Row], tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [needs.program("strace", "strace"), "-e", "trace=%file", "-o", str(out), str(guests.path("every_number"))]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    seen = {name for name in names_in(out.read_text()) if not name.startswith("syscall_")}  # numbers without a name
    assert {"open", "execve", "mount", "utimensat", "quotactl"} <= seen
    assert seen - set(rows) == set()


PROGRAMS = {
    "shell": "cd /tmp && pwd -P && ls -l /usr/bin/env | wc -l && readlink /proc/self/exe && test -x /bin/sh",
    "coreutils": (
        "d=$(mktemp -d); cd $d; mkdir a; touch a/b; ln -s b a/c; ln a/b a/d; cp -a a e; mv e f; chmod 600 f/b;"
        " truncate -s 5 f/b; stat -f .; df . >/dev/null; find . -ls >/dev/null; rm -r a f; cd /; rmdir $d"
    ),
    "python": f'{sys.executable} -c \'import os, subprocess, threading; subprocess.run(["true"]); os.listdir("/")\'',
    "compiler": "d=$(mktemp -d); printf 'int main(void){return 0;}' | gcc -x c - -o $d/x && $d/x; rm -r $d",
}


@pytest.mark.parametrize("program", sorted(PROGRAMS))
def test_no_path_call_that_the_reference_tracer_sees_is_missing(
    program: str, rows: dict[str, Row], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "hepwrap.interpose.reference", "-o", str(out), "--", "sh", "-c", PROGRAMS[program]]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    seen = names_in(out.read_text())
    assert "execve" in seen
    assert seen - set(rows) == set()


def test_the_page_of_the_documentation_is_up_to_date(rows: dict[str, Row]) -> None:
    text = (DEFINITIONS.parents[1] / "docs" / "syscalls.md").read_text()
    assert text == syscall_page.page(), "python -m tests.helpers.syscall_page > docs/syscalls.md"
    assert text.count("\n| `") == len(rows) + len(syscall_page.DIFFERENCES)


def test_what_differs_is_told_of_calls_that_there_are(rows: dict[str, Row]) -> None:
    for difference in syscall_page.DIFFERENCES:
        assert set(difference.calls.split()) <= set(rows), difference


def test_every_treatment_has_words_of_its_own_or_of_its_family(rows: dict[str, Row]) -> None:
    attributes = {row.name for row in rows.values() if syscall_page.words_of(row) == syscall_page.WORDS["fstat"]}
    assert attributes == {"stat", "lstat", "fstat", "newfstatat", "statx"}
    assert set(syscall_page.WORDS.values()) == {syscall_page.words_of(row) for row in rows.values()}
