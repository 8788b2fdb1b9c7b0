"""The work directory and a whole run: what is made once, what is told of it, and by whom it can be run."""

from __future__ import annotations

import datetime
import errno
import json
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from hepwrap.errors import HepwrapError
from hepwrap.perf import work
from hepwrap.perf.columns import mounted_peer, parse_peer
from hepwrap.perf.execute import Done, Processes, TookTooLong
from hepwrap.perf.macros import ROWS
from hepwrap.perf.making import Making, Part, Unavailable, write
from hepwrap.perf.results import Results, as_json, from_json
from hepwrap.perf.rows import chosen
from hepwrap.perf.runner import Plan
from hepwrap.perf.session import Clock, Session, hepwrap_command
from hepwrap.perf.work import Made, Work
from tests.helpers.small_tree import SMALL
from tests.helpers.unprivileged import Unprivileged

ONCE = Plan(rounds=2, loop_seconds=1e-6, command_seconds=1e-6)


@dataclass
class Recorder:
    """Runs programs and remembers which."""

    commands: list[list[str]] = field(default_factory=list)

    def run(self, command: Sequence[str], environment: Mapping[str, str], directory: Path, limit: float) -> Done:
        self.commands.append(list(command))
        return Processes().run(command, environment, directory, limit)

    def published(self) -> int:
        return sum("publish" in command for command in self.commands)


def one_file(name: str) -> Part:
    return Part(name, name, lambda making: write(making.tree / name, b"x"))


def impossible(_making: Making) -> None:
    raise Unavailable("there is no moon here")


def prepare(place: Path, parts: Sequence[Part], executor: Recorder, *, stacks: bool = False) -> Made:
    with work.locked(Work(place)):
        return work.prepare(
            Work(place), parts, SMALL, stacks=stacks, executor=executor, hepwrap=hepwrap_command(), say=lambda _: None
        )


def test_a_second_run_makes_and_publishes_nothing(tmp_path: Path) -> None:
    first, second = Recorder(), Recorder()
    made = prepare(tmp_path, [one_file("a"), one_file("b")], first)
    assert made.parts == made.published == ["a", "b"]
    assert first.published() == 1
    assert prepare(tmp_path, [one_file("a"), one_file("b")], second) == made
    assert second.commands == []


def test_a_part_that_comes_later_is_added_to_what_is_there(tmp_path: Path) -> None:
    executor = Recorder()
    prepare(tmp_path, [one_file("a")], executor)
    before = (tmp_path / "tree/a").stat().st_mtime_ns
    made = prepare(tmp_path, [one_file("a"), one_file("b")], executor)
    assert made.published == ["a", "b"]
    assert executor.published() == 2
    assert (tmp_path / "tree/a").stat().st_mtime_ns == before


def test_a_part_that_cannot_be_made_is_a_reason_and_no_error(tmp_path: Path) -> None:
    made = prepare(tmp_path, [one_file("a"), Part("moon", "the moon", impossible)], Recorder())
    assert made.why_not(["a"]) == ""
    assert made.why_not(["a", "moon"]) == "there is no moon here"
    assert made.why_not(["sun"]) == "sun has not been made"


def test_a_stack_is_made_only_where_it_is_asked_for(tmp_path: Path) -> None:
    stack = replace(one_file("big"), is_stack=True)
    assert "--prepare --stacks" in prepare(tmp_path, [one_file("a"), stack], Recorder()).why_not(["big"])
    assert prepare(tmp_path, [one_file("a"), stack], Recorder(), stacks=True).why_not(["big"]) == ""


def test_a_tree_of_another_recipe_is_made_again(tmp_path: Path) -> None:
    prepare(tmp_path, [one_file("a")], Recorder())
    for text in ("", "[]", json.dumps({"recipe": work.RECIPE + 1}), '{"sizes": {"unknown": 1}}'):
        (tmp_path / "made.json").write_text(text)
        (tmp_path / "tree/left-over").touch()
        assert prepare(tmp_path, [one_file("a")], Recorder()).parts == ["a"]
        assert not (tmp_path / "tree/left-over").exists()


def test_two_runs_cannot_use_one_directory_at_a_time(tmp_path: Path) -> None:
    here = Work(tmp_path)
    with work.locked(here), pytest.raises(HepwrapError, match="in use by another hepwrap perf"), work.locked(here):
        pass
    with work.locked(Work(tmp_path)):
        pass


def test_a_directory_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(HepwrapError, match="name another place by --work"), work.locked(Work(tmp_path / "file")):
        pass


def measured(prepared: tuple[Session, Made], *names: str, peers: Sequence[str] = (), plan: Plan = ONCE) -> Results:
    session, _ = prepared
    now = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    session = replace(session, clock=Clock(now=lambda: now))
    columns = session.columns([parse_peer(text) for text in peers], only_named=True)
    return session.measure(chosen(ROWS, names), columns, plan, lambda _text, _share: None)


def test_a_whole_run_tells_machine_date_versions_and_nothing_of_places(prepared: tuple[Session, Made]) -> None:
    results = measured(prepared, "stat", "pythia", peers=["bound=env {tree}", "gone=/no/such/place"])
    assert results.date == "2026-01-02T03:04:05+00:00"
    assert results.machine.cores == len(os.sched_getaffinity(0))
    assert results.machine.libc.startswith("glibc")
    assert [column.name for column in results.columns] == ["native", "hepwrap", "no-patch", "bound", "gone"]
    stat, pythia = results.rows
    assert {name: len(cell.samples) for name, cell in stat.cells.items()} == dict.fromkeys(
        ("native", "hepwrap", "no-patch", "bound"), 2
    )
    assert "pythia8_events.py is not in" in pythia.missing
    text = as_json(results)
    assert from_json(text, "x") == results
    assert str(prepared[0].work.root) not in text


def test_peers_that_are_installed_are_columns_but_for_a_quick_run(
    prepared: tuple[Session, Made], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("proot", "parrot_run"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    usual = ["native", "hepwrap", "no-patch"]
    columns = prepared[0].columns
    assert [column.name for column in columns([])] == [*usual, "proot", "parrot_run"]
    assert [column.name for column in columns([], only_named=True)] == usual
    own = parse_peer("proot=/")
    assert [column for column in columns([own]) if column.name == "proot"] == [own]


def test_a_mounted_client_is_a_column_where_it_shows_our_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hepwrap.perf.columns.PREFIX", str(tmp_path))
    assert mounted_peer() is None
    (tmp_path / "small").mkdir()
    peer = mounted_peer()
    assert peer is not None
    assert (peer.name, peer.before, peer.prefix) == ("cvmfs", (), str(tmp_path))


def test_peers_are_measured_by_a_command_and_by_a_place(prepared: tuple[Session, Made]) -> None:
    tree = prepared[0].work.tree
    results = measured(prepared, "stat", "exec-dynamic", peers=["bound=env {tree}", f"mounted={tree}"])
    for row in results.rows:
        for name in ("bound", "mounted"):
            assert row.cells[name].error == ""
            assert row.speed(name)
            assert row.cells[name].checksum == row.cells["native"].checksum


def test_a_peer_whose_tree_is_another_is_an_error_and_no_figure(prepared: tuple[Session, Made], tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    (tmp_path / "small/4k").write_bytes(b"short")
    results = measured(prepared, "stat", "open-read-4k", peers=[f"other={tmp_path}"])
    by_name = {row.name: row.cells["other"] for row in results.rows}
    assert "answers differ" in by_name["stat"].error
    assert "too short" in by_name["open-read-4k"].error
    assert all(cell.summary is None for cell in by_name.values())
    assert all(row.speed("hepwrap") for row in results.rows)


def test_a_peer_that_reads_over_http_gets_an_address(prepared: tuple[Session, Made], tmp_path: Path) -> None:
    peer = tmp_path / "peer"
    peer.write_text(
        "#!/bin/sh\n"
        f"""{os.sys.executable} -c 'import sys, urllib.request as r; r.urlopen(sys.argv[1])' "$1/.cvmfspublished" """  # type: ignore[attr-defined]
        '|| exit 9\nshift\nexec "$@"\n'
    )
    peer.chmod(0o755)
    results = measured(prepared, "stat", peers=[f"http={peer} {{url}} {{tree}}"])
    assert results.rows[0].cells["http"].error == ""


def test_environment_of_programs_has_nothing_of_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEPWRAP_VERBOSE", "2")
    monkeypatch.setenv("LD_PRELOAD", "/nothing.so")
    environment = work.environment(Work(tmp_path))
    assert not {"HEPWRAP_VERBOSE", "LD_PRELOAD"} & environment.keys()
    assert all(environment[name].startswith(str(tmp_path)) for name in ("HOME", "XDG_STATE_HOME", "TMPDIR"))


SCRIPT = """
import sys
from pathlib import Path
from hepwrap.perf.macros import ROWS
from hepwrap.perf.making import Sizes
from hepwrap.perf.parts import PARTS
from hepwrap.perf.results import as_json
from hepwrap.perf.rows import chosen
from hepwrap.perf.runner import Plan
from hepwrap.perf import session, work
session.PARTS = [part for part in PARTS if part.name in ("files", "program")]
run = session.Session(work.Work(Path(sys.argv[1])), Sizes(200, 100, 5, 5, 4096, 2, 1))
run.prepare(lambda text: None)
rows = chosen(ROWS, ["stat", "open-read-4k", "exec-dynamic", "launch", "memory"])
columns = run.columns([], only_named=True)
print(as_json(run.measure(rows, columns, Plan(1, 1e-6, 1e-6), lambda text, share: None)))
"""


def test_an_ordinary_user_measures_all_columns(unprivileged: Unprivileged) -> None:
    done = unprivileged.run([unprivileged.python, "-c", SCRIPT, unprivileged.home / "work"])
    assert done.returncode == 0, done.stderr
    results = from_json(done.stdout, "x")
    for row in results.rows:
        assert row.missing == ""
        assert [cell.error for cell in row.cells.values()] == [""] * len(row.cells)


def test_a_program_that_takes_too_long_is_ended_with_its_children(tmp_path: Path) -> None:
    log = tmp_path / "pids"
    with pytest.raises(HepwrapError, match="sh took more than 1 s and was ended"):
        Processes().run(["sh", "-c", f"sleep 100 & echo $! > {log}; wait"], os.environ, tmp_path, 1.0)
    assert not Path(f"/proc/{log.read_text().strip()}/fd").exists() or _is_ending(int(log.read_text()))


def test_who_keeps_the_pipes_of_a_program_that_was_ended_is_not_waited_for(tmp_path: Path) -> None:
    log = tmp_path / "pid"
    escapes = f"setsid sh -c 'echo $$ > {log}; exec sleep 250' & wait"
    with pytest.raises(TookTooLong):
        Processes().run(["sh", "-c", escapes], os.environ, tmp_path, 1.0)
    os.kill(int(log.read_text()), signal.SIGKILL)  # ProcessLookupError where it has been waited for


def test_a_peer_that_hangs_is_given_up_and_the_others_are_measured(prepared: tuple[Session, Made]) -> None:
    results = measured(
        prepared, "stat", "open-close", peers=["hangs=sh -c 'exec sleep 250' /x"], plan=replace(ONCE, limit=10.0)
    )
    stat, opened = results.rows
    assert stat.cells["hangs"].error == "sh took more than 10 s and was ended"
    assert opened.cells["hangs"].error == "given up: in stat sh took more than 10 s and was ended"
    assert all(row.speed("hepwrap") and row.speed("no-patch") for row in results.rows)
    assert results.failures() == []


def test_a_full_disk_is_one_line_that_names_the_place(tmp_path: Path) -> None:
    def full(_making: Making) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # As of a write: it names no file.

    with pytest.raises(HepwrapError, match=f"^{tmp_path}: No space left on device; name another place by --work$"):
        prepare(tmp_path, [Part("large", "large", full)], Recorder())


def _is_ending(pid: int) -> bool:
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return state.strip()[:1] in ("", "Z")


def test_a_program_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(HepwrapError, match="no-such cannot be started: No such file or directory"):
        Processes().run(["no-such"], os.environ, tmp_path, 1.0)
