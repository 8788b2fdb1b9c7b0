"""Results as a table of text, for terminals and for the README."""

from __future__ import annotations

from collections.abc import Sequence

from hepwrap.perf.columns import HEPWRAP, NATIVE
from hepwrap.perf.counters import FETCHES, STOPS, UPCALLS
from hepwrap.perf.figures import Summary
from hepwrap.perf.goals import Goal, Promise
from hepwrap.perf.results import FIRST, Cell, Results, RowResult

_TIMES = ((1e9, "s"), (1e6, "ms"), (1e3, "us"), (1.0, "ns"))
_SIZES = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, "B"))
_FEWER = "*"
#: Load for each core above which somebody else must have worked too.
_BUSY = 0.5
_COUNTED = ((STOPS, "stops"), (UPCALLS, "upcalls"), (FETCHES, "fetches"))


def quantity(value: float, unit: str) -> str:
    """Three digits and a unit people read: 1.23 us, 45.6 MiB."""
    scales: Sequence[tuple[float, str]] = _TIMES if unit == "ns" else _SIZES
    size, name = next((row for row in scales if value >= row[0]), scales[-1])
    return f"{digits(value / size)} {name}"


def digits(value: float) -> str:
    """Three digits, but no more than three after the point, and no exponents."""
    for least, places in ((99.95, 0), (9.995, 1), (0.9995, 2)):
        if value >= least:
            return f"{value:.{places}f}"
    return f"{value:.3f}"


def time_text(cell: Cell, unit: str) -> str:
    """`1.23 us ±2%`; a star where there were fewer iterations."""
    found = cell.summary
    if found is None:
        return "failed" if cell.error else "-"
    return f"{quantity(found.median, unit)}{_FEWER if cell.is_scaled else ''} {spread_text(found)}"


def spread_text(found: Summary) -> str:
    """`±2%`; one sample has no spread that could be known."""
    return f"±{100 * found.relative:.0f}%" if found.count > 1 else "±?"


def cell_text(row: RowResult, column: str) -> str:
    """Ratio first, then the time, then stops of the tracer for each operation."""
    cell = row.cells.get(column)
    if cell is None:
        return "-"
    ratio = row.speed(column)
    parts = [] if ratio is None or column == NATIVE else [f"{digits(ratio.median)}x"]
    parts.append(time_text(cell, row.unit))
    if cell.summary is not None and cell.counters:
        parts.append(counters_text(cell))
    return "  ".join(parts)


def counters_text(cell: Cell) -> str:
    """Stops of the tracer for each operation; upcalls and fetches where there were any."""
    counted = [(cell.per_operation(name) or 0.0, word) for name, word in _COUNTED]
    said = [f"{digits(value) if value else '0'} {word}" for value, word in counted if value or word == "stops"]
    return ", ".join(said)


def goal_text(results: Results, row: RowResult, column: str) -> str:
    """The goal and whether it is reached."""
    if row.goal is None:
        return ""
    verdict = {None: "", True: " ok", False: " missed"}[results.is_goal_reached(row, column)]
    return f"{promised(row.goal, row.unit)}{verdict}"


def promised(goal: Goal, unit: str) -> str:
    """What is promised, in a few letters."""
    if goal.promise is Promise.SAME:
        return "as one"
    if goal.promise is Promise.SPEED:
        return f"{digits(goal.value)}x{f' of {goal.base}' if goal.base else ''}"
    return f"<= {'+' if goal.promise is Promise.ABOVE else ''}{quantity(goal.value, unit)}"


def notes(results: Results) -> list[str]:
    """Everything that is no figure: rows and columns that are missing, errors, fewer iterations."""
    lines = [f"column {column.name}: {column.missing}" for column in results.columns if column.missing]
    told = [row for row in results.rows if not row.name.endswith(FIRST)]
    lines += [f"{row.name}: {row.missing}" for row in told if row.missing]
    errors: dict[tuple[str, str], list[str]] = {}  # What several rows have in common is said once.
    for row in told:
        for name, cell in row.cells.items():
            if cell.error and not row.missing:
                errors.setdefault((name, cell.error), []).append(row.name)
    lines += [f"{', '.join(rows)} in column {name}: {error}" for (name, error), rows in errors.items()]
    if results.load > _BUSY * results.machine.cores:
        lines.append("the machine was busy: look at counters rather than at times, and measure again when it is not")
    if any(cell.is_scaled for row in results.rows for cell in row.cells.values()):
        lines.append(f"{_FEWER} fewer iterations than natively, because it would have taken too long")
    return lines


def machine_lines(results: Results) -> list[str]:
    """Machine and versions."""
    machine = results.machine
    return [
        f"{results.date}, hepwrap {results.hepwrap}, Python {machine.python}, {machine.libc}, {results.rounds} rounds"
        f"{', --quick' if results.is_quick else ''}, load {results.load:.2f} at the start",
        f"{machine.processor}{' (virtual machine)' if machine.is_virtual else ''}, {machine.cores} cores, "
        f"{quantity(machine.memory, 'B')} of memory, Linux {machine.kernel} {machine.architecture}, "
        f"native tree on {machine.file_system}",
    ]


def cells_of(results: Results) -> tuple[list[str], list[tuple[str, list[list[str]]]]]:
    """The heading, and for each group its lines of cells: what every table consists of."""
    names = [column.name for column in results.columns if not column.missing]
    wrapped = next((column.name for column in results.columns if column.kind == HEPWRAP), "")
    groups: dict[str, list[list[str]]] = {}
    for row in results.rows:
        cells = ["not measured" if row.missing else cell_text(row, name) for name in names]
        groups.setdefault(row.group, []).append([row.title, *cells, goal_text(results, row, wrapped)])
    return ["", *names, "goal"], list(groups.items())


def aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    """Lines of cells as lines of text, each cell as wide as the widest of its column."""
    widths = [max(len(line[at]) for line in lines) for at in range(len(lines[0]))]
    return ["  ".join(f"{text:<{width}}" for text, width in zip(line, widths, strict=True)).rstrip() for line in lines]


def as_text(results: Results) -> str:
    """The table for a terminal; what could not be measured stands below it."""
    heading, groups = cells_of(results)
    tables = ["\n".join(aligned([[group, *heading[1:]], *rows])) for group, rows in groups]
    return "\n\n".join(["\n".join(machine_lines(results)), *tables, "\n".join(notes(results))]).rstrip() + "\n"
