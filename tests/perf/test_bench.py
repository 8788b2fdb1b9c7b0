"""The C program by itself: what it prints, what it notices, how it fails."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from hepwrap.errors import HepwrapError
from hepwrap.perf.execute import Processes
from hepwrap.perf.program import bench, compiler

LINE = re.compile(r"^ns=(\d+) first=(\d+) checksum=([0-9a-f]{16}) changed=(\d+)\n$")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bench(Processes(), tmp_path_factory.mktemp("programs"))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "small").mkdir()
    (tmp_path / "small/4k").write_bytes(b"x" * 4096)
    for number in range(200):
        path = tmp_path / f"files/{number // 100:03}/{number % 100:02}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def run(program: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program, *words], capture_output=True, text=True, check=False, timeout=60)


def checksum(program: Path, *words: str | Path) -> str:
    done = run(program, *words)
    match = LINE.match(done.stdout)
    assert match, done
    assert match[4] == "0"
    return match[3]


def test_the_checksum_does_not_depend_on_iterations_or_processes(program: Path, tree: Path) -> None:
    seen = {checksum(program, *options, tree, tree, "stat") for options in (["-n", "1"], ["-n", "99"], ["-j", "3"])}
    assert len(seen) == 1


def test_the_checksum_tells_contents_apart(program: Path, tree: Path) -> None:
    before = checksum(program, tree, tree, "read-4k")
    (tree / "small/4k").write_bytes(b"x" * 4095 + b"y")
    assert checksum(program, tree, tree, "read-4k") != before


def test_the_checksum_tells_a_missing_file_from_another(program: Path, tree: Path) -> None:
    before = checksum(program, "-f", "200", tree, tree, "stat-missing")
    (tree / "files/001/50.missing").touch()
    assert checksum(program, "-f", "200", tree, tree, "stat-missing") != before


def test_two_copies_of_a_tree_have_one_checksum(program: Path, tree: Path, tmp_path_factory: object) -> None:
    copy = tmp_path_factory.mktemp("copy") / "tree"  # type: ignore[attr-defined]
    subprocess.run(["cp", "-a", tree, copy], check=True)
    for row in ("stat", "stat-many", "read-4k", "open-close", "stat-relative", "stat-directory", "pass-4k"):
        words = ["-f", "200", "-n", "1"]
        assert checksum(program, *words, tree, tree, row) == checksum(program, *words, copy, copy, row)


def test_host_rows_read_the_hosts_tree(program: Path, tree: Path) -> None:
    assert checksum(program, "/nonexistent", tree, "stat-host") == checksum(program, tree, tree, "stat")


def test_answers_that_change_are_counted(program: Path, tree: Path, tmp_path: Path) -> None:
    script = tmp_path / "counts"
    script.write_text(f'#!/bin/sh\necho x >> "{tmp_path}/log"\nwc -l < "{tmp_path}/log"\n')
    script.chmod(0o755)
    done = run(program, "-n", "3", tree, tree, "spawn", tmp_path / "save", script)
    match = LINE.match(done.stdout)
    assert match
    assert match[4] == "3"


def test_a_command_has_its_variables_directory_and_output(program: Path, tree: Path, tmp_path: Path) -> None:
    save = tmp_path / "save"
    words = ["-n", "1", "-e", "ONE=1", "-e", "TWO=2", "-d", str(tree / "small")]
    done = run(program, *words, tree, tree, "spawn", save, "sh", "-c", "echo $ONE $TWO; ls; echo oops >&2")
    assert LINE.match(done.stdout)
    assert save.read_text() == "1 2\n4k\n"
    assert (tmp_path / "save.err").read_text() == "oops\n"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["stat"], 1, "bench: stat TREE/small/4k: No such file or directory"),
        (["-j", "2", "stat"], 1, "bench: stat TREE/small/4k: No such file or directory"),
        (["nothing-like-it"], 2, "bench: there is no row nothing-like-it"),
        (["spawn", "TREE/save", "false"], 1, "bench: false ended with 1 in run 1"),
        (["spawn", "TREE/save", "no-such-command"], 1, "bench: no-such-command ended with 127 in run 1"),
        (["spawn", "TREE/save", "sh", "-c", "kill -TERM $$"], 1, "bench: sh was killed by signal 15 in run 1"),
    ],
)
def test_what_fails_says_so(program: Path, tmp_path: Path, words: list[str], code: int, said: str) -> None:
    options = words[: words.index("2") + 1] if "-j" in words else []
    rest = [word.replace("TREE", str(tmp_path)) for word in words[len(options) :]]
    done = run(program, *options, tmp_path, tmp_path, *rest)
    assert done.returncode == code
    assert said.replace("TREE", str(tmp_path)) in done.stderr.splitlines()
    assert done.stdout == ""


def test_it_is_compiled_once(program: Path) -> None:
    before = program.stat().st_mtime_ns
    assert bench(Processes(), program.parent) == program
    assert program.stat().st_mtime_ns == before


def test_without_a_compiler_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(HepwrapError, match="install gcc, or name a compiler by CC"):
        compiler(path=str(tmp_path))
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(HepwrapError, match="no-such-compiler is missing"):
        compiler()


def test_a_compiler_that_fails_is_quoted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CC", "false")
    with pytest.raises(HepwrapError, match=r"compiling files\.c ended with 1"):
        bench(Processes(), tmp_path)
    assert list(tmp_path.glob("bench-*")) == []


def test_warnings_of_the_program_are_errors_here(tmp_path: Path) -> None:
    from hepwrap.perf.program import SOURCES, compile_c

    sources = sorted(SOURCES.glob("*.c"))
    compile_c(Processes(), sources, tmp_path / "bench", "-Werror", "-Wshadow", "-Wformat=2", "-Wmissing-prototypes")
    assert os.access(tmp_path / "bench", os.X_OK)
