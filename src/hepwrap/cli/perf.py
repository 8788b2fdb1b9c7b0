"""`hepwrap perf`: compares programs natively, under hepwrap, and under what else the machine has."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from hepwrap.cli.arguments import Parsed, operands
from hepwrap.cli.commands import Command
from hepwrap.cli.needed import number
from hepwrap.cli.progress import ProgressLine
from hepwrap.errors import UsageError

if TYPE_CHECKING:
    from hepwrap.perf.rows import Row
    from hepwrap.perf.runner import Plan
    from hepwrap.perf.session import Session

_BAR = 24


def main(parsed: Parsed, command: Command) -> int:
    """Measure, prepare, or list; 0 when it is done."""
    operands(parsed, [])
    rows = _rows(parsed)
    if parsed.has("list"):
        for row in rows:
            print(f"{row.name:24} {row.group}: {row.title}")
        return 0
    session = _session(parsed)
    with ProgressLine(quiet=parsed.has("quiet")) as line:
        session.prepare(lambda text: line.show(lambda: text))
        if parsed.has("prepare"):
            line.say(f"{session.work.root} is ready")
            return 0
        return _measure(parsed, session, rows, line)


def _measure(parsed: Parsed, session: Session, rows: tuple[Row, ...], line: ProgressLine) -> int:
    from hepwrap.perf.columns import parse_peer
    from hepwrap.perf.results import as_json
    from hepwrap.perf.session import write
    from hepwrap.perf.table import as_text

    peers = [parse_peer(text) for text in parsed.values.get("peer", [])]
    columns = session.columns(peers, only_named=parsed.has("quick"))
    begin = time.monotonic()

    def progress(text: str, share: float) -> None:
        line.show(lambda: bar(text, share, time.monotonic() - begin))

    results = session.measure(rows, columns, _plan(parsed), progress)
    place = Path(parsed.last("output", str(session.work.root / "results")))
    write(place / "results.json", as_json(results))
    line.clear()
    sys.stdout.write(as_text(results))
    print(f"\nwritten: {place / 'results.json'}")
    return 0


def _rows(parsed: Parsed) -> tuple[Row, ...]:
    from hepwrap.perf.rows import LOOPS, chosen

    rows = chosen(LOOPS, parsed.values.get("rows", []))
    if parsed.has("quick") and not parsed.has("rows"):
        return tuple(row for row in rows if row.is_quick)
    return rows


def _plan(parsed: Parsed) -> Plan:
    from dataclasses import replace

    from hepwrap.perf.runner import QUICK, Plan

    plan = QUICK if parsed.has("quick") else Plan()
    rounds = number(parsed, "rounds", 1, 1000)
    return replace(plan, rounds=rounds) if rounds else plan


def _session(parsed: Parsed) -> Session:
    from hepwrap.perf.session import Session
    from hepwrap.perf.work import Work, default_directory

    place = Path(parsed.last("work")) if parsed.has("work") else default_directory(os.environ)
    if place.exists() and not place.is_dir():
        raise UsageError(f"--work: {place} is no directory")
    return Session(Work(place.absolute()))


def bar(text: str, share: float, seconds: float) -> str:
    """One line: how far it is, and how long it will still take if it goes on so."""
    filled = int(_BAR * min(1.0, share))
    rest = f"{seconds / share - seconds:.0f} s to go" if share > 0.02 else ""
    return f"[{'#' * filled}{'.' * (_BAR - filled)}] {text}  {rest}"
