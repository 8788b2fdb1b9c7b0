"""A comparison as text."""

from __future__ import annotations

from collections.abc import Sequence

from hepwrap.perf.columns import NATIVE
from hepwrap.perf.compare import Change, Verdict
from hepwrap.perf.figures import Summary
from hepwrap.perf.results import FIRST, Results
from hepwrap.perf.table import aligned, digits, machine_lines, quantity, spread_text

#: Letters of a reason: it shall stay a line.
_REASON = 60
_MARKS = {
    Verdict.SAME: "",
    Verdict.UNKNOWN: "one sample",
    Verdict.FASTER: "faster",
    Verdict.SLOWER: "SLOWER",
    Verdict.LOST: "LOST",
    Verdict.NEW: "new",
}


def as_text(before: Results, after: Results, changes: Sequence[Change]) -> str:
    """A line for each row and column, marked where it changed by more than the spread."""
    lines = [["row", "column", "A", "B", "A to native", "B to native", "gain", ""]]
    lines += [_line(change) for change in changes]
    marked = sum(change.verdict in (Verdict.FASTER, Verdict.SLOWER) for change in changes)
    alone = sum(change.verdict in (Verdict.LOST, Verdict.NEW) for change in changes)
    compared = {change.row.name for change in changes}
    names = dict.fromkeys(row.name for results in (after, before) for row in results.rows)
    neither = [name for name in names if name not in compared and not name.endswith(FIRST)]
    heads = [f"{name}: {text}" for name, results in (("A", before), ("B", after)) for text in machine_lines(results)]
    warnings = [] if before.machine == after.machine else ["A and B are of different machines"]
    last = [f"{marked} of {len(changes)} differ by more than twice both spreads"]
    last += [f"{alone} have a figure on one side only"] if alone else []
    last += [f"without a figure in either: {', '.join(neither)}"] if neither else []
    return "\n".join([*heads, *warnings, "", *aligned(lines), "", *last]) + "\n"


def _line(change: Change) -> list[str]:
    unit = change.row.unit
    speeds = [_speed(None if change.column == NATIVE else s) for s in (change.speed_before, change.speed_after)]
    both = change.before is not None and change.after is not None
    counters = [f"{name.partition('.')[2]} {digits(one)} -> {digits(two)}" for name, one, two in change.counters]
    return [
        change.row.name,
        change.column,
        _value(change.before, unit),
        _value(change.after, unit),
        *speeds,
        f"{100 * change.gain:+.0f}%" if both else "",
        "  ".join(filter(None, [_MARKS[change.verdict], change.reason[:_REASON], *counters])),
    ]


def _value(summary: Summary | None, unit: str) -> str:
    return "-" if summary is None else f"{quantity(summary.median, unit)} {spread_text(summary)}"


def _speed(summary: Summary | None) -> str:
    return "-" if summary is None else f"{digits(summary.median)}x"
