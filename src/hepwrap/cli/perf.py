"""`hepwrap perf`: compares programs natively, under hepwrap, and under what else the machine has."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from hepwrap.cli.arguments import Parsed, operands
from hepwrap.cli.commands import Command
from hepwrap.cli.needed import number
from hepwrap.cli.progress import ProgressLine
from hepwrap.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from hepwrap.perf.columns import Column
    from hepwrap.perf.results import Results
    from hepwrap.perf.rows import Row
    from hepwrap.perf.runner import Plan
    from hepwrap.perf.session import Session

_BAR = 24
_EXIT_SLOWER = _EXIT_WRONG = 1
#: Options beside --from.
_WITH_FROM = ("from", "output", "write-readme", "quiet")
#: Where stderr is no terminal: a log shall show that it goes on.
_SECONDS_BETWEEN_LINES = 30.0


def main(parsed: Parsed, command: Command) -> int:
    """Measure, prepare, list or compare; 0 when that is done, 1 for a regression, and where a column of ours failed."""
    if parsed.everything[:1] == ["compare"]:
        return _compare(parsed)
    if parsed.everything:
        raise UsageError(f"{parsed.everything[0]!r} is not understood; say hepwrap perf, or perf compare A.json B.json")
    if parsed.has("fail-over"):
        raise UsageError("--fail-over belongs to hepwrap perf compare A.json B.json")
    rows = _rows(parsed)
    if parsed.has("list"):
        for row in rows:
            print(f"{row.name:24} {row.group}: {row.title}")
        return 0
    if parsed.has("from"):
        return _show(parsed)
    session, plan, place, peers = _session(parsed), _plan(parsed), _output(parsed), _peers(parsed)
    _check_places(parsed, place)
    _end_what_was_started()
    begin = time.monotonic()
    with ProgressLine(quiet=parsed.has("quiet")) as line:
        tell = _telling(line, quiet=parsed.has("quiet"))
        session.prepare(lambda text: tell(lambda: text), stacks=parsed.has("stacks"))
        if parsed.has("prepare"):
            line.say(f"{session.work.root} is ready")
            return 0
        columns = session.columns(peers, only_named=parsed.has("quick"))
        start = time.monotonic()
        results = session.measure(
            rows,
            columns,
            plan.after(start - begin),
            lambda text, share: tell(lambda: bar(text, share, time.monotonic() - start)),
            named=parsed.values.get("rows", []),
        )
        line.clear()
        _tell(parsed, results, place or session.work.root / "results", line)
        if failures := results.failures():
            line.say(f"hepwrap failed, or not all answers were native's, in {', '.join(failures)}")
        return _EXIT_WRONG if failures else 0


def _telling(line: ProgressLine, *, quiet: bool) -> Callable[[Callable[[], str]], None]:
    """What tells how far it is: on a terminal always, elsewhere by a line now and then."""
    last = time.monotonic()

    def tell(text: Callable[[], str]) -> None:
        nonlocal last
        now = time.monotonic()
        if not line.draws and not quiet and now - last > _SECONDS_BETWEEN_LINES:
            last = now
            line.say(text())
        line.show(text)

    return tell


def _tell(parsed: Parsed, results: Results, place: Path, line: ProgressLine) -> None:
    """The table on stdout, everything else in files."""
    from hepwrap.perf.outputs import write_all
    from hepwrap.perf.readme import write_readme
    from hepwrap.perf.table import as_text

    sys.stdout.write(as_text(results))
    files = write_all(results, place, line.say)
    if parsed.has("write-readme"):
        write_readme(Path(parsed.last("write-readme")), results)
    print(f"\nwritten to {place}: {', '.join(path.name for path in files)}")


def _show(parsed: Parsed) -> int:
    """What was measured before, in all its forms; files go beside it unless they shall go elsewhere."""
    from hepwrap.perf.results import read

    others = [key for key in parsed.values if key not in _WITH_FROM]
    if others:
        raise UsageError(f"--{others[0]} belongs to a run; --from measures nothing")
    path = Path(parsed.last("from"))
    with ProgressLine(quiet=True) as line:
        _tell(parsed, read(path), _output(parsed) or path.parent, line)
    return 0


def _compare(parsed: Parsed) -> int:
    from hepwrap.perf.compare import compare
    from hepwrap.perf.comparison import as_text
    from hepwrap.perf.results import read

    _, *names = operands(parsed, ["compare", "A.json", "B.json"])
    others = [key for key in parsed.values if key != "fail-over"]
    if others:
        raise UsageError(f"--{others[0]} does not belong to perf compare; it takes --fail-over PERCENT")
    percent = number(parsed, "fail-over", 0)
    before, after = (read(Path(name)) for name in names)
    changes = compare(before, after)
    sys.stdout.write(as_text(before, after, changes))
    if percent is None:
        return 0
    worse = [f"{change.row.name} ({change.column})" for change in changes if change.is_regression(percent)]
    if worse:
        print(f"worse by more than {percent}% and by more than the spread, or lost: {', '.join(worse)}")
    return _EXIT_SLOWER if worse else 0


def _rows(parsed: Parsed) -> tuple[Row, ...]:
    from hepwrap.perf.macros import ROWS
    from hepwrap.perf.rows import chosen

    rows = chosen(ROWS, parsed.values.get("rows", []))
    if parsed.has("quick") and not parsed.has("rows"):
        return tuple(row for row in rows if row.is_quick)
    return rows


def _plan(parsed: Parsed) -> Plan:
    from dataclasses import replace

    from hepwrap.perf.runner import QUICK, Plan

    plan = QUICK if parsed.has("quick") else Plan()
    rounds = number(parsed, "rounds", 1, 1000)
    return replace(plan, rounds=rounds) if rounds else plan


def _peers(parsed: Parsed) -> list[Column]:
    from hepwrap.perf.columns import parse_peer

    peers = [parse_peer(text) for text in parsed.values.get("peer", [])]
    names = [peer.name for peer in peers]
    taken = next((name for name in names if names.count(name) > 1 or name in ("native", "hepwrap", "no-patch")), "")
    if taken:
        raise UsageError(f"--peer: there is a column {taken} already; give this one another name")
    return peers


def _check_places(parsed: Parsed, output: Path | None) -> None:
    """Before a long run rather than after it."""
    from hepwrap.perf.outputs import check_place
    from hepwrap.perf.readme import check

    if parsed.has("write-readme"):
        check(Path(parsed.last("write-readme")))
    if output is not None and not parsed.has("prepare"):
        check_place(output)


def _output(parsed: Parsed) -> Path | None:
    place = Path(parsed.last("output")) if parsed.has("output") else None
    if place is not None and os.path.exists(place) and not os.path.isdir(place):
        raise UsageError(f"--output: {place} is no directory")
    return place


def _session(parsed: Parsed) -> Session:
    from dataclasses import replace

    from hepwrap.perf.session import Session
    from hepwrap.perf.work import Work, default_directory

    place = Path(parsed.last("work")) if parsed.has("work") else default_directory(os.environ)
    if os.path.exists(place) and not os.path.isdir(place):  # False where it cannot be seen; who uses it says why.
        raise UsageError(f"--work: {place} is no directory")
    session = Session(Work(place.absolute()))
    return replace(session, workloads=_workloads(parsed)) if parsed.has("workloads") else session


def _workloads(parsed: Parsed) -> Path:
    place = Path(parsed.last("workloads"))
    if not os.path.isdir(place):
        raise UsageError(f"--workloads: {place} is no directory")
    return place


def _end_what_was_started() -> None:
    """With us, also where we are told to end or the terminal is closed (unless `nohup` wants us to go on)."""
    for told in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(told) is not signal.SIG_IGN:
            signal.signal(told, _end)


def _end(number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + number)


def bar(text: str, share: float, seconds: float) -> str:
    """One line: how far it is, and how long it will still take if it goes on so."""
    filled = int(_BAR * min(1.0, share))
    rest = f"  {seconds / share - seconds:.0f} s to go" if share > 0.02 else ""
    return f"[{'#' * filled}{'.' * (_BAR - filled)}] {text}{rest}"
