"""Results as one HTML page that needs nothing else: images are in it, and no script, font or style is fetched."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

from hepwrap.perf.columns import HEPWRAP
from hepwrap.perf.plots import Plot
from hepwrap.perf.results import Results, RowResult
from hepwrap.perf.table import cell_text, goal_text, machine_lines, notes

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
table { border-collapse: collapse; font-size: 13px; width: 100%; }
th, td { text-align: left; padding: .25rem .6rem; border-bottom: 1px solid #ddd; vertical-align: top; }
thead th { border-bottom: 2px solid #888; } tbody th { font-weight: 500; }
tr.group th { background: #f2f4f6; font-weight: 700; }
td.ok { color: #2a7f3f; } td.missed { color: #b3261e; } td.none { color: #888; }
figure { margin: 1.5rem 0; } img { max-width: 100%; height: auto; } figcaption, .notes { color: #555; font-size: 13px; }
"""


def as_html(results: Results, images: Sequence[Plot], remark: str = "") -> str:
    """The whole page; `remark` says why there are no images where there are none."""
    title = f"hepwrap {results.hepwrap}: measured {results.date}"
    machine = "<br>\n".join(map(escape, machine_lines(results)))
    pictures = "\n".join(_figure(plot) for plot in images) or f"<p>{escape(remark)}</p>"
    said = "\n".join(f"<li>{escape(note)}</li>" for note in notes(results))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{escape(title)}</h1>
<p>{machine}</p>
<h2>Results</h2>
<p>For each column: how many times as fast as native, the median time of one operation with the median absolute
deviation, and what was counted for one operation.</p>
{_table(results)}
<ul class="notes">
{said}
</ul>
<h2>Columns</h2>
{_columns(results)}
<h2>Plots</h2>
{pictures}
</body>
</html>
"""


def _figure(plot: Plot) -> str:
    data = base64.b64encode(plot.png).decode("ascii")
    title = escape(plot.title, quote=True)
    return f'<figure><img alt="{title}" src="data:image/png;base64,{data}"><figcaption>{title}</figcaption></figure>'


def _table(results: Results) -> str:
    names = [column.name for column in results.columns if not column.missing]
    wrapped = next((column.name for column in results.columns if column.kind == HEPWRAP), "")
    lines = []
    group = None
    for row in results.rows:
        if row.group != group:
            group = row.group
            lines.append(f'<tr class="group"><th colspan="{len(names) + 2}">{escape(group)}</th></tr>')
        lines.append(_row(results, row, names, wrapped))
    heading = "".join(f"<th>{escape(name)}</th>" for name in ["", *names, "goal"])
    return f"<table>\n<thead><tr>{heading}</tr></thead>\n<tbody>\n" + "\n".join(lines) + "\n</tbody>\n</table>"


def _row(results: Results, row: RowResult, names: Sequence[str], wrapped: str) -> str:
    head = f"<tr><th>{escape(row.title)}</th>"
    if row.missing:
        return f'{head}<td class="none" colspan="{len(names) + 1}">not measured: {escape(row.missing)}</td></tr>'
    cells = "".join(f"<td>{escape(cell_text(row, name))}</td>" for name in names)
    look = {None: "", True: "ok", False: "missed"}[results.is_goal_reached(row, wrapped)]
    return f'{head}{cells}<td class="{look}">{escape(goal_text(results, row, wrapped))}</td></tr>'


def _columns(results: Results) -> str:
    lines = [
        f"<tr><th>{escape(column.name)}</th><td>{escape(column.missing or column.command or 'nothing before it')}</td>"
        f"<td>{escape(column.prefix)}</td></tr>"
        for column in results.columns
    ]
    head = "<thead><tr><th></th><th>command before the program</th><th>the tree is at</th></tr></thead>"
    return f"<table>\n{head}\n<tbody>\n" + "\n".join(lines) + "\n</tbody>\n</table>"
