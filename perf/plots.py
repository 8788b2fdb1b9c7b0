"""Plots of results as PNG images.  matplotlib is an extra and is imported only here, when something is drawn."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from hepwrap.errors import HepwrapError
from hepwrap.perf.columns import HEPWRAP, NATIVE
from hepwrap.perf.counters import STOPS
from hepwrap.perf.figures import Summary
from hepwrap.perf.results import FIRST, Results, RowResult

MISSING = "matplotlib is not installed and there are no plots; pip install 'hepwrap[perf]'"
#: Of columns, in their order; native is the line at 1.
_COLOURS = ("#1b6ca8", "#8fbcd9", "#d1495b", "#edae49", "#66a182", "#6a4c93", "#555555")
_INCHES, _ROW, _DOTS = 9.0, 0.32, 110
_KEPT = "#2a7f3f"


class NoPlots(HepwrapError):
    """Nothing can be drawn here."""


@dataclass(frozen=True, slots=True)
class Plot:
    """One image."""

    #: Name of its file, without the ending.
    name: str
    title: str
    png: bytes


def plots(results: Results) -> Iterator[Plot]:
    """One plot for each group of rows, one for several processes, one for counters; NoPlots without matplotlib."""
    figure_of = _figures()
    columns = [column.name for column in results.columns if column.name != NATIVE and not column.missing]
    wrapped = next((column.name for column in results.columns if column.kind == HEPWRAP), "")
    groups = list(dict.fromkeys(row.group for row in results.rows))
    for group in groups:
        rows = [row for row in results.rows if row.group == group and any(row.speed(name) for name in columns)]
        if rows:
            title = f"{group}: speed relative to native"
            needed = [results.needed_speed(row, wrapped) for row in rows]
            yield Plot(f"speed-{_slug(group)}", title, _speeds(figure_of, title, rows, columns, needed))
    counted = [row for row in results.rows if any(row.cells[name].counters for name in columns if name in row.cells)]
    counted = [row for row in counted if not row.name.endswith(FIRST)]
    if counted:
        title = "stops of the tracer for each operation"
        yield Plot("stops", title, _stops(figure_of, title, counted, columns))


def _figures() -> Any:
    # What it would say, of fonts and of homes without a cache, is of no use to who reads results.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise NoPlots(MISSING) from None

    def figure_of(rows: int) -> Any:
        figure = Figure(figsize=(_INCHES, 1.6 + _ROW * rows), dpi=_DOTS, layout="constrained")
        FigureCanvasAgg(figure)
        return figure

    return figure_of


def _slug(text: str) -> str:
    return "-".join(text.split())


def _speeds(
    figure_of: Any, title: str, rows: Sequence[RowResult], columns: Sequence[str], needed: Sequence[float | None]
) -> bytes:
    """Horizontal bars on a logarithmic axis, from native's speed at 1, with the spread of the rounds."""
    figure = figure_of(len(rows) * max(2, len(columns)) * 0.7)
    axes = figure.subplots()
    thickness = 0.8 / max(1, len(columns))
    for number, column in enumerate(columns):
        found = [(at, row.speed(column)) for at, row in enumerate(rows)]
        bars = [(at + number * thickness, speed) for at, speed in found if speed is not None and speed.median > 0]
        _bars(axes, bars, thickness, column, _COLOURS[number % len(_COLOURS)])
    middle = thickness * (len(columns) - 1) / 2
    goals = [(at + middle, value) for at, value in enumerate(needed) if value]
    for number, (at, value) in enumerate(goals):
        label = "goal" if number == 0 else None
        axes.plot([value, value], [at - 0.45, at + 0.45], color=_KEPT, linewidth=2.5, linestyle=":", label=label)
    axes.axvline(1.0, color="black", linewidth=1.0)
    axes.set_xscale("log")
    axes.set_xlabel("times as fast as native (right is faster)")
    return _finished(figure, axes, title, [row.title for row in rows], middle)


def _bars(axes: Any, bars: Sequence[tuple[float, Summary]], thickness: float, label: str, colour: str) -> None:
    """Bars that begin at 1 and end at the median."""
    axes.barh(
        [at for at, _ in bars],
        [speed.median - 1.0 for _, speed in bars],
        left=1.0,
        height=thickness * 0.9,
        xerr=[
            [min(speed.spread, 0.999 * speed.median) for _, speed in bars],
            [speed.spread for _, speed in bars],
        ],
        error_kw={"elinewidth": 0.8, "ecolor": "#333333"},
        color=colour,
        label=label,
    )


def _stops(figure_of: Any, title: str, rows: Sequence[RowResult], columns: Sequence[str]) -> bytes:
    """Bars of counters; a row without any bar makes none."""
    figure = figure_of(len(rows))
    axes = figure.subplots()
    counting = [name for name in columns if any(row.cells[name].counters for row in rows if name in row.cells)]
    thickness = 0.8 / max(1, len(counting))
    for number, column in enumerate(counting):
        values = [row.cells[column].per_operation(STOPS) or 0.0 if column in row.cells else 0.0 for row in rows]
        places = [at + number * thickness for at in range(len(rows))]
        axes.barh(places, values, height=thickness * 0.9, color=_COLOURS[number % len(_COLOURS)], label=column)
    axes.set_xscale("symlog", linthresh=0.1)
    axes.set_xlim(left=0)
    axes.set_xlabel("stops (none is best)")
    return _finished(figure, axes, title, [row.title for row in rows], thickness * (len(counting) - 1) / 2)


def _finished(figure: Any, axes: Any, title: str, labels: Sequence[str], middle: float) -> bytes:
    """Labels, legend, and the image."""
    axes.set_yticks([at + middle for at in range(len(labels))], labels, fontsize=8)
    axes.set_ylim(len(labels) - 0.5 + middle, -0.5)
    axes.set_title(title, fontsize=10)
    axes.grid(axis="x", linewidth=0.3)
    axes.xaxis.set_major_formatter(lambda value, _at: f"{value:g}")
    axes.tick_params(axis="x", labelsize=8)
    axes.tick_params(axis="x", which="minor", labelbottom=False)
    # Beside the bars: on them it would hide some.
    figure.legend(fontsize=8, loc="outside lower center", ncols=8)
    out = io.BytesIO()
    # No date and no version in it: equal results give equal images.
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()
