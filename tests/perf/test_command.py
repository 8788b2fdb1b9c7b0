"""`hepwrap perf` as it is typed: each mistake is one line and an exit code, before anything is made."""

from __future__ import annotations

from pathlib import Path

import pytest

from hepwrap.perf.macros import ROWS
from hepwrap.perf.results import VERSION, as_json
from tests.helpers.front import Cli, one_line
from tests.helpers.measured import results, row

FINE = results(row("stat", {"native": [100.0] * 3, "hepwrap": [10.0] * 3}))
WORSE = results(row("stat", {"native": [100.0] * 3, "hepwrap": [20.0] * 3}))


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "a.json").write_text(as_json(FINE))
    (tmp_path / "b.json").write_text(as_json(WORSE))
    return tmp_path


def test_rows_are_listed(cli: Cli) -> None:
    done = cli("perf", "--list")
    assert done.returncode == 0
    assert [line.split()[0] for line in done.stdout.decode().splitlines()] == [row.name for row in ROWS]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--rows", "statt"], "no row is called 'statt'"),
        (["--rounds", "0"], "--rounds"),
        (["--rounds", "x"], "--rounds"),
        (["measure"], "'measure' is not understood"),
        (["--work", "/etc/passwd"], "--work: /etc/passwd is no directory"),
        (["--output", "/etc/passwd"], "--output: /etc/passwd is no directory"),
        (["--workloads", "/no/such"], "--workloads: /no/such is no directory"),
        (["--peer", "nonsense"], "--peer"),
        (["--peer", "native=/"], "there is a column native already"),
        (["--peer", "a=/", "--peer", "a=/"], "there is a column a already"),
        (["--from", "a.json", "--quick"], "--quick belongs to a run"),
        (["--from", "a.json", "--peer", "a=/"], "--peer belongs to a run"),
        (["--fail-over", "5"], "belongs to hepwrap perf compare"),
        (["compare", "a.json"], "B.json is missing"),
        (["compare", "a.json", "b.json", "c.json"], "one operand too many"),
        (["compare", "a.json", "b.json", "--quick"], "--quick does not belong to perf compare"),
        (["compare", "a.json", "b.json", "--fail-over", "-1"], "--fail-over"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_made(cli: Cli, words: list[str], said: str, tmp_path: Path) -> None:
    done = cli("perf", *words)
    assert said in one_line(done)
    assert done.returncode == 2
    assert not list((tmp_path / "cli-home").iterdir())


def test_an_output_that_cannot_be_written_is_said_before_anything_is_made(cli: Cli, tmp_path: Path) -> None:
    done = cli("perf", "--output", "/proc/nowhere")
    assert one_line(done) == "--output: /proc/nowhere: No such file or directory"
    assert done.returncode == 1
    assert not list((tmp_path / "cli-home").iterdir())


def test_a_work_directory_that_cannot_be_written_is_one_line(cli: Cli) -> None:
    done = cli("perf", "--quick", "--work", "/proc/nowhere")
    assert "name another place by --work" in one_line(done)
    assert done.returncode == 1


def test_without_a_compiler_nothing_is_made(cli: Cli, tmp_path: Path) -> None:
    done = cli("perf", "--quick", environ={"CC": "no-such-compiler"})
    assert "no-such-compiler is missing" in one_line(done)
    assert done.returncode == 1
    assert not list((tmp_path / "cli-home").iterdir())


def test_a_readme_that_takes_no_results_is_refused_before_anything_is_made(cli: Cli, tmp_path: Path) -> None:
    for path, said in ((tmp_path / "missing.md", "No such file"), (Path("/etc/passwd"), "has no place for results")):
        done = cli("perf", "--write-readme", path)
        assert said in one_line(done)
        assert done.returncode == 1
    assert not list((tmp_path / "cli-home").iterdir())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is not JSON"),
        ("{}", "is not a result of hepwrap perf"),
        ('{"schema": "hepwrap-perf", "version": 99}', "has version 99"),
        (f'{{"schema": "hepwrap-perf", "version": {VERSION}}}', "is damaged"),
    ],
)
def test_a_file_that_is_no_result_is_one_line(cli: Cli, files: Path, content: str, said: str) -> None:
    (files / "bad.json").write_text(content)
    for pair in (["bad.json", "a.json"], ["a.json", "bad.json"]):
        done = cli("perf", "compare", *(files / name for name in pair))
        assert said in one_line(done)
        assert "bad.json" in one_line(done)
        assert done.returncode == 1


def test_compare_shows_both_and_marks_what_changed(cli: Cli, files: Path) -> None:
    done = cli("perf", "compare", files / "a.json", files / "b.json")
    assert done.returncode == 0
    line = next(line for line in done.stdout.decode().splitlines() if line.startswith("stat  hepwrap"))
    assert line.split() == [
        "stat",
        "hepwrap",
        "10.0",
        "ns",
        "±0%",
        "20.0",
        "ns",
        "±0%",
        "10.0x",
        "5.00x",
        "-50%",
        "SLOWER",
    ]


@pytest.mark.parametrize(("percent", "code"), [("0", 1), ("49", 1), ("51", 0)])
def test_a_regression_of_more_than_was_allowed_fails(cli: Cli, files: Path, percent: str, code: int) -> None:
    done = cli("perf", "compare", files / "a.json", files / "b.json", "--fail-over", percent)
    assert done.returncode == code
    assert ("stat (hepwrap)" in done.stdout.decode()) == bool(code)


def test_what_got_faster_never_fails(cli: Cli, files: Path) -> None:
    assert cli("perf", "compare", files / "b.json", files / "a.json", "--fail-over", "0").returncode == 0


def test_results_of_before_are_shown_and_written_again(cli: Cli, files: Path) -> None:
    done = cli("perf", "--from", files / "a.json", "--output", files / "out")
    assert done.returncode == 0
    assert "title of stat" in done.stdout.decode()
    assert (files / "out/results.json").read_text() == as_json(FINE)
    assert "No such file" in one_line(cli("perf", "--from", files / "nothing.json"))
