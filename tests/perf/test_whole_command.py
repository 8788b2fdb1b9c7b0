"""`hepwrap perf` from the first word to the last file, on a small tree."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hepwrap import cli
from hepwrap.perf.execute import Processes
from hepwrap.perf.readme import BEGIN, END
from hepwrap.perf.results import read
from hepwrap.perf.session import Session
from hepwrap.perf.work import Made


@pytest.fixture
def small(prepared: tuple[Session, Made], monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """The command, with the work directory of the tests; what it does about signals is undone."""
    before = signal.getsignal(signal.SIGTERM)
    session = replace(prepared[0], executor=Processes())
    monkeypatch.setattr("hepwrap.cli.perf._session", lambda _parsed: session)
    # Nothing is prepared here: other workers measure in the same directory.
    monkeypatch.setattr(Session, "prepare", lambda _self, _say, stacks: prepared[1])
    yield session
    signal.signal(signal.SIGTERM, before)


def test_a_run_prints_a_table_and_writes_json_page_plots_and_readme(
    small: Session, tmp_path: Path, capfd: pytest.CaptureFixture[str], needs_matplotlib: None
) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"# kept\n{BEGIN}\n{END}\n")
    words = ["--rows", "stat", "--rows", "exec-static", "--rounds", "2", "--quick", "--output", str(tmp_path / "out")]
    assert cli.main(["perf", *words, "--write-readme", str(readme)]) == 0
    out, errors = capfd.readouterr()
    assert errors == ""
    results = read(tmp_path / "out/results.json")
    assert [row.name for row in results.rows] == ["stat", "exec-static"]
    assert (results.rounds, results.is_quick) == (2, True)
    for place in (out, (tmp_path / "out/results.html").read_text(), readme.read_text()):
        assert "stat of a file" in place
        assert results.machine.processor in place
    assert readme.read_text().startswith("# kept\n")
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written == {"results.json", "results.html", "speed-names.png", "speed-processes.png", "stops.png"}
    assert all(name in out.splitlines()[-1] for name in written)


def test_a_run_compared_with_itself_has_changed_nothing(
    small: Session, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["perf", "--rows", "stat", "--rounds", "2", "--quick", "--output", str(tmp_path)]) == 0
    path = str(tmp_path / "results.json")
    capfd.readouterr()
    assert cli.main(["perf", "compare", path, path, "--fail-over", "0"]) == 0
    assert capfd.readouterr().out.splitlines()[-1] == "0 of 3 differ by more than twice both spreads"


@pytest.mark.parametrize("quiet", [False, True])
def test_a_long_run_says_how_far_it_is_also_where_there_is_no_terminal(
    small: Session, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, quiet: bool
) -> None:
    monkeypatch.setattr("hepwrap.cli.perf._SECONDS_BETWEEN_LINES", 0.0)
    words = ["--rows", "stat", "--rounds", "2", "--quick", "--output", str(tmp_path), *["--quiet"] * quiet]
    assert cli.main(["perf", *words]) == 0
    said = capfd.readouterr().err.splitlines()
    steps = ("calibrating stat", "round 1 of 2: stat", "round 2 of 2: stat")
    assert [next((step for step in steps if step in line), line) for line in said] == ([] if quiet else [*steps])


def test_what_is_missing_is_told_in_the_table(
    small: Session, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["--rows", "root.exe", "--rows", "getppid", "--rounds", "1", "--quick", "--peer", "gone=no-such-program /x"]
    assert cli.main(["perf", *words, "--output", str(tmp_path)]) == 0
    out = capfd.readouterr().out
    assert "column gone: no-such-program is not installed" in out
    assert "root.exe: root 0.1a12 is not installed" in out
    assert read(tmp_path / "results.json").rows[-1].missing.startswith("root 0.1a12")
