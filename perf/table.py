"""Results as a table of text, for terminals and for the README."""

from __future__ import annotations

from collections.abc import Sequence

from hepwrap.perf.columns import NATIVE
from hepwrap.perf.counters import STOPS
from hepwrap.perf.results import Cell, Results, RowResult

_TIMES = ((1e9, "s"), (1e6, "ms"), (1e3, "us"), (1.0, "ns"))
_SIZES = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, "B"))
_FEWER = "*"


def quantity(value: float, unit: str) -> str:
    """Three digits and a unit people read: 1.23 us, 45.6 MiB."""
    scales: Sequence[tuple[float, str]] = _TIMES if unit == "ns" else _SIZES
    size, name = next((row for row in scales if value >= row[0]), scales[-1])
    return f"{digits(value / size)} {name}"


def digits(value: float) -> str:
    """Three digits that count; no exponents."""
    if value >= 99.95:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 9.995 else f"{value:.2f}" if value >= 0.0995 else f"{value:.3f}"


def time_text(cell: Cell, unit: str) -> str:
    """`1.23 us ±2%`; a star where there were fewer iterations."""
    found = cell.summary
    if found is None:
        return "failed" if cell.error else "-"
    return f"{quantity(found.median, unit)}{_FEWER if cell.is_scaled else ''} ±{100 * found.relative:.0f}%"


def cell_text(row: RowResult, column: str) -> str:
    """Ratio first, then the time, then stops of the tracer for each operation."""
    cell = row.cells.get(column)
    if cell is None:
        return "-"
    ratio = row.speed(column)
    parts = [] if ratio is None or column == NATIVE else [f"{digits(ratio.median)}x"]
    parts.append(time_text(cell, row.unit))
    stops = cell.per_operation(STOPS)
    if stops is not None and cell.summary is not None:
        parts.append("0 stops" if stops == 0 else f"{digits(stops)} stops")
    return "  ".join(parts)


def goal_text(row: RowResult, column: str) -> str:
    """The goal and whether it is reached."""
    if row.goal is None:
        return ""
    ratio = row.speed(column)
    verdict = "" if ratio is None else " ok" if ratio.median >= row.goal else " missed"
    return f"{digits(row.goal)}x{verdict}"


def notes(results: Results) -> list[str]:
    """Everything that is no figure: rows and columns that are missing, errors, fewer iterations."""
    lines = [f"column {column.name}: {column.missing}" for column in results.columns if column.missing]
    lines += [f"{row.name}: {row.missing}" for row in results.rows if row.missing]
    for row in results.rows:
        errors = [(name, cell.error) for name, cell in row.cells.items() if cell.error and not row.missing]
        lines += [f"{row.name} in column {name}: {error}" for name, error in errors]
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
    wrapped = next((column.name for column in results.columns if column.kind == "hepwrap"), "")
    heading = ["", *names, "goal"]
    groups: dict[str, list[list[str]]] = {}
    for row in results.rows:
        line = [row.title, *(cell_text(row, name) for name in names), goal_text(row, wrapped)]
        groups.setdefault(row.group, []).append(
            [row.title, f"not measured: {row.missing}", *[""] * len(names)] if row.missing else line
        )
    return heading, list(groups.items())


def as_text(results: Results) -> str:
    """The table for a terminal."""
    heading, groups = cells_of(results)
    lines = [heading, *(line for _, rows in groups for line in rows if not line[1].startswith("not measured"))]
    widths = [max(len(line[at]) for line in lines) for at in range(len(heading))]

    def line_of(cells: Sequence[str]) -> str:
        return "  ".join(f"{text:<{width}}" for text, width in zip(cells, widths, strict=True)).rstrip()

    text = [*machine_lines(results), "", line_of(heading)]
    for group, rows in groups:
        text += ["", group, *(line_of(row) for row in rows)]
    return "\n".join([*text, "", *notes(results)]).rstrip() + "\n"
