"""`hepwrap perf` from the first word to the last file, on a small tree."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from hepwrap import cli
from hepwrap.errors import HepwrapError
from hepwrap.perf.execute import Processes
from hepwrap.perf.readme import BEGIN, END
from hepwrap.perf.results import read
from hepwrap.perf.runner import QUICK, Plan
from hepwrap.perf.session import Session
from hepwrap.perf.work import Made
from tests.helpers.jobs import until


@pytest.fixture
def small(prepared: tuple[Session, Made], monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """The command, with the work directory of the tests; what it does about signals is undone."""
    before = {told: signal.getsignal(told) for told in (signal.SIGTERM, signal.SIGHUP)}
    session = replace(prepared[0], executor=Processes())
    monkeypatch.setattr("hepwrap.cli.perf._session", lambda _parsed: session)
    # Nothing is prepared here: other workers measure in the same directory.
    monkeypatch.setattr(Session, "prepare", lambda _self, _say, stacks: prepared[1])
    yield session
    for told, action in before.items():
        signal.signal(told, action)


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


ENDED = """
import sys
from pathlib import Path
import hepwrap.cli.perf
from hepwrap import cli
from hepwrap.perf.session import Session
from hepwrap.perf.work import Work, read_made
from tests.helpers.small_tree import SMALL
session = Session(Work(Path(sys.argv[1]), scratch=sys.argv[2]), SMALL, workloads=Path("/nonexistent"))
Session.prepare = lambda _self, _say, stacks: read_made(session.work)
hepwrap.cli.perf._session = lambda _parsed: session
sys.exit(cli.main(["perf", "--rows", "stat", "--quick", "--quiet", "--peer", sys.argv[3], "--output", sys.argv[4]]))
"""


@pytest.mark.parametrize(("told", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_what_was_started_ends_with_a_run_that_is_told_to(small: Session, tmp_path: Path, told: str, code: int) -> None:
    log = tmp_path / "pid"
    peer = f"hangs=sh -c 'echo $$ > {log}.new; mv {log}.new {log}; exec sleep 250' /x"
    words = [str(small.work.root), small.work.scratch, peer, str(tmp_path / "out")]
    run = subprocess.Popen(
        [sys.executable, "-c", ENDED, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=Path(__file__).resolve().parents[2],
    )
    until(log.exists, "the peer does not start")
    run.send_signal(signal.Signals[told])
    assert run.communicate(timeout=60)[0] == ""
    assert run.returncode == code
    with pytest.raises(ProcessLookupError):
        os.kill(int(log.read_text()), 0)


def test_a_run_in_which_hepwrap_fails_ends_with_1_and_says_where(
    small: Session, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hepwrap.perf.columns.PREFIX", "/cvmfs/other.hep.example")
    words = ["--rows", "stat", "--rounds", "1", "--quick", "--output", str(tmp_path)]
    assert cli.main(["perf", *words]) == 1
    out, errors = capfd.readouterr()
    assert errors == "hepwrap: hepwrap failed, or not all answers were native's, in stat (hepwrap), stat (no-patch)\n"
    assert "stat in column hepwrap: it ended with 1: bench: stat /cvmfs/other.hep.example/small/4k" in out


def test_preparing_says_how_far_it_is_also_where_there_is_no_terminal(
    small: Session, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hepwrap.cli.perf._SECONDS_BETWEEN_LINES", 0.0)
    monkeypatch.setattr(Session, "prepare", lambda _self, say, stacks: say("making the moon"))
    assert cli.main(["perf", "--prepare"]) == 0
    assert capfd.readouterr().err.splitlines()[0] == "hepwrap: making the moon"


def test_what_a_quick_run_prepares_is_part_of_its_minute(small: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, plans = [0.0], []

    def prepare(_self: Session, _say: object, stacks: bool) -> None:
        clock[0] += 30.0

    def measure(_self: Session, _rows: object, _columns: object, plan: Plan, *_: object, **__: object) -> None:
        plans.append(plan)
        raise HepwrapError("enough")

    monkeypatch.setattr("hepwrap.cli.perf.time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(Session, "prepare", prepare)
    monkeypatch.setattr(Session, "measure", measure)
    for words in (["--quick"], []):
        assert cli.main(["perf", "--quiet", *words]) == 1
    assert plans == [QUICK.after(30.0), Plan()]


def test_what_is_missing_is_told_in_the_table(
    small: Session, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["--rows", "root.exe", "--rows", "getppid", "--rounds", "1", "--quick", "--peer", "gone=no-such-program /x"]
    assert cli.main(["perf", *words, "--output", str(tmp_path)]) == 0
    out = capfd.readouterr().out
    assert "column gone: no-such-program is not installed" in out
    assert "root.exe: root 0.1a12 is not installed" in out
    assert read(tmp_path / "results.json").rows[-1].missing.startswith("root 0.1a12")
