"""Executing what is in a repository: what a program is told, and which errno stands where nothing can be executed.

The kernel's own word: the same command on the same tree on disk, as the same ordinary user.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.guests import Guests
from tests.helpers.programs import LENGTHS, Pair, assert_equal, fill, script, told

PROGRAMS = [
    "bin/told", "bin/told-static", "bin/told-static-pie", "bin/told-by-own-loader", "bin/told-by-host-loader",
    "bin/told-by-origin", "links/origin", "links/relative", "links/absolute", "links/script",
]  # fmt: skip
SCRIPTS = [
    "shell", "virtual", "static", "own-loader", "argument", "blanks", "tabs", "no-newline", "no-newline-argument",
    "carriage-return", "zero-byte", "env", "env-S", "busybox", "not-utf8",
]  # fmt: skip
ODD_SPELLINGS = ["bin//told", "bin/./told", "links/../bin/told", "./bin/told"]
FAILURES = [
    "not/empty", "not/garbage", "not/text", "not/no-interpreter", "not/just-the-mark", "not/only-blanks",
    "not/missing-interpreter",
    "not/missing-host-interpreter", "not/directory-interpreter", "not/closed-interpreter", "not/file-interpreter",
    "not/itself", "not/closed", "not/closed-script", "not/cut-off", "not/other-machine", "not", "missing",
    "missing/below", "bin/told/below", "bin/told/", "links/dangling", "links/loop", "scripts/relative",
]  # fmt: skip
#: Every way to execute, in one guest.
WAYS = 12


LONG = [
    kind.format(length)
    for kind in ("scripts/long-name-{}", "scripts/long-argument-{}", "scripts/long-name-{}-argument")
    for length in LENGTHS
]


def in_every_way(pair: Pair, guests: Guests, names: list[str]) -> dict[str, bytes]:
    """What each of these shows, executed in every way; all in one launch, and equal to what the kernel does."""
    loop = 'guest=$1; shift; for name; do echo "== $name"; "$guest" "{top}/$name" one "" "two words"; done 2>&1'
    text = pair.assert_same(["sh", "-c", loop, "sh", str(guests.path("exec_variants")), *names])
    blocks = text.split(b"== ")[1:]
    shown = {block.partition(b"\n")[0].decode(): block for block in blocks}
    assert list(shown) == names
    assert all(block.count(b": begins\n") == WAYS for block in blocks)
    return shown


def test_a_program_is_told_what_the_kernel_would_tell_it(pair: Pair, guests: Guests) -> None:
    for name, text in in_every_way(pair, guests, PROGRAMS).items():
        assert b"exit 0" in text, name
        assert b"argv[2]=|" in text or name.endswith("script"), name


def test_a_program_that_was_executed_before_is_told_the_same_without_a_question(pair: Pair) -> None:
    """By its own name or by a link's; a name that is spelled in another way is asked about."""
    told, questions = [], []
    for rounds in ("1", "1 2 3"):
        report = pair.launcher.home / "questions.json"
        loop = f'for round in {rounds}; do for name; do "{{top}}/$name" one; done; done'
        command = ["sh", "-c", loop, "sh", *PROGRAMS[:-1]]
        told.append(pair.assert_same(command))
        pair.launcher.having(f"--stats={report}").ok(*fill(command, pair.top))
        questions.append(json.loads(report.read_text())["questions"]["execve"])
    assert told[1] == told[0] * 3
    assert questions[1] - questions[0] == 0
    pair.assert_same(["sh", "-c", 'for name; do "{top}/$name" one; done', "sh", *ODD_SPELLINGS * 2])


def test_a_script_reaches_its_interpreter_in_every_way(pair: Pair, guests: Guests) -> None:
    shown = in_every_way(pair, guests, [f"scripts/{name}" for name in SCRIPTS])
    for name in ("virtual", "static", "own-loader", "argument", "blanks", "not-utf8"):
        assert shown[f"scripts/{name}"].count(b": exit 0\n") == WAYS - 2, name


def test_what_cannot_be_executed_fails_as_the_kernel_says(pair: Pair, guests: Guests) -> None:
    for name, text in in_every_way(pair, guests, FAILURES).items():
        assert b"-1 E" in text, name
        assert b"argv" not in text, name


def test_a_fifo_is_no_program(pair: Pair) -> None:
    """Not in every way: opening it for fexecve would wait for a writer, here as there."""
    assert b"Permission denied" in pair.assert_same(["sh", "-c", "exec {top}/not/fifo"])


def test_interpreters_of_interpreters_nest_as_deep_as_in_the_kernel(pair: Pair, guests: Guests) -> None:
    shown = in_every_way(pair, guests, [f"scripts/nested{depth}" for depth in range(1, 8)])
    assert [b"ELOOP" in text for text in shown.values()] == [False] * 5 + [True] * 2


def test_a_long_first_line_is_cut_where_the_kernel_cuts_it(pair: Pair, guests: Guests) -> None:
    shown = in_every_way(pair, guests, LONG)
    assert {b"ENOEXEC" in text for text in shown.values()} == {False, True}


def test_a_relative_interpreter_begins_at_the_working_directory(pair: Pair) -> None:
    text = pair.assert_same(["sh", "-c", "cd {top} && scripts/relative one"])
    assert text.startswith(b"argv[0]=bin/told|\nargv[1]=relative|\nargv[2]=scripts/relative|\n")
    pair.assert_same(["sh", "-c", "cd {top}/bin && ../scripts/relative one"])


def test_argv0_is_the_callers_own_choice(pair: Pair) -> None:
    loop = "for name in other '' -sh /a/b; do (exec -a \"$name\" {top}/bin/told x); done"
    text = pair.assert_same(["bash", "-c", loop])
    assert [line for line in text.splitlines() if line.startswith(b"argv[0]=")] == [
        b"argv[0]=other|", b"argv[0]=|", b"argv[0]=-sh|", b"argv[0]=/a/b|",
    ]  # fmt: skip


def test_an_empty_argv_is_filled_up_as_the_kernel_does(pair: Pair, guests: Guests) -> None:
    loop = (
        'guest=$1; for name in bin/told bin/told-static scripts/argument scripts/shell; do "$guest" {top}/$name; done'
    )
    pair.assert_same(["sh", "-c", loop, "sh", str(guests.path("exec_empty_argv"))])


def test_twenty_thousand_arguments_arrive(pair: Pair) -> None:
    loop = "for name in bin/told scripts/argument bin/told-by-own-loader; do {top}/$name $(seq 1 20000); done"
    text = pair.assert_same(["sh", "-c", loop], env={"COUNT": "1"})
    counts = [int(line.split()[0]) for line in text.splitlines() if b" arguments of " in line]
    assert counts == [20001, 20003, 20001]


def test_too_many_bytes_of_arguments_are_e2big(pair: Pair) -> None:
    command = "exec {top}/bin/told $(head -c 200000 /dev/zero | tr '\\0' x)"
    assert b"Argument list too long" in pair.assert_same(["bash", "-c", command])


def test_a_name_longer_than_comm_is_cut(pair: Pair) -> None:
    text = pair.assert_same(["{top}/bin/told-by-own-loader"])
    assert b"comm=told-by-own-loa|" in text


def test_a_shell_runs_a_file_without_a_first_line_itself(pair: Pair) -> None:
    for shell in ("sh", "bash"):
        text = pair.assert_same([shell, "-c", "{top}/not/text one two"])
        assert text == b"no first line: TOP/not/text one two\n"


def test_the_command_itself_may_be_a_file_without_a_first_line(pair: Pair) -> None:
    """execvp(3) gives it to the shell; so does a launch."""
    done = pair.wrapped(["{top}/not/text", "one"])
    assert (done.returncode, done.stdout, done.stderr) == (0, b"no first line: TOP/not/text one\n", b"")


@pytest.mark.parametrize(
    ("name", "code", "reason"),
    [
        ("missing", 127, b"No such file or directory"),
        ("links/dangling", 127, b"No such file or directory"),
        ("not/closed", 126, b"Permission denied"),
        ("not", 126, b"Permission denied"),
        ("links/loop", 126, b"Too many levels of symbolic links"),
        ("bin/told/x", 126, b"Not a directory"),
        ("not/missing-interpreter", 127, b"No such file or directory"),
    ],
)
def test_a_command_that_cannot_be_executed_is_one_line_and_126_or_127(
    pair: Pair, name: str, code: int, reason: bytes
) -> None:
    done = pair.wrapped([f"{{top}}/{name}"])
    assert done.returncode == code
    assert done.stdout == b""
    assert done.stderr == b"hepwrap: TOP/" + name.encode() + b": " + reason + b"\n"


def test_commands_are_found_in_a_virtual_path(pair: Pair) -> None:
    text = pair.assert_same(["told", "by PATH"], env={"PATH": f"/no/such:{pair.top}/bin:{pair.tree}/bin:/usr/bin"})
    assert b"AT_EXECFN=TOP/bin/told|" in text


def run_host_file(pair: Pair, words: list[str], make: Callable[[Path, str], None]) -> str:
    """What `words` show with a file of the user's that is made for each of the two tops at the same place."""
    place = pair.launcher.user.home / "host-file"
    shown = []
    for top, launch in ((str(pair.tree), pair.native), (pair.top, pair.wrapped)):
        make(place, top)
        done = launch([*words, str(place), "x"])
        place.unlink()
        shown.append(done)
    assert_equal(*shown)
    return "\n".join(told(shown[1]))


def test_a_host_script_has_a_virtual_interpreter(pair: Pair, guests: Guests) -> None:
    def make(place: Path, top: str) -> None:
        script(place, f"#!{top}/scripts/nested2 from the host\n")

    text = run_host_file(pair, [str(guests.path("exec_variants"))], make)
    assert text.count("exit 0") == WAYS - 2  # by descriptors that close on exec a script is not found


def test_a_host_program_has_a_virtual_loader(pair: Pair, guests: Guests) -> None:
    """EESSI, Gentoo Prefix: built by the user, linked against the repository's own C library."""

    def make(place: Path, top: str) -> None:
        tree = pair.tree if top == str(pair.tree) else pair.published.tree
        shutil.copy2(tree / "bin/told-by-own-loader", place)

    text = run_host_file(pair, [str(guests.path("exec_variants"))], make)
    assert text.count("exit 0") == WAYS


@pytest.mark.parametrize(
    ("name", "place"),
    [("bin/told-by-own-loader", b""), ("bin/told-by-origin", b"bin/../"), ("links/origin", b"bin/../")],
)
def test_the_programs_own_loader_and_libraries_are_the_virtual_ones(pair: Pair, name: str, place: bytes) -> None:
    """Also where they are found by $ORIGIN (ld.so(8)), which is the place of the program, not of a link to it."""
    text = pair.wrapped(["env", "LD_TRACE_LOADED_OBJECTS=1", f"{{top}}/{name}"]).stdout
    assert b"TOP/" + place + b"lib/libc.so.6" in text
    assert b"=> /lib" not in text


def test_a_loader_is_executed_as_a_program(pair: Pair) -> None:
    text = pair.assert_same(["{top}/lib/ld-linux-x86-64.so.2", "--library-path", "{top}/lib", "{top}/bin/told", "x"])
    assert b"argv[1]=x|" in text


def test_set_user_id_bits_mean_nothing_in_a_repository(pair: Pair) -> None:
    """As on a nosuid mount, and as under no_new_privs."""
    text = pair.wrapped(["sh", "-c", "{top}/bin/busybox id -u; id -u"]).stdout.split()
    assert text[0] == text[1]
