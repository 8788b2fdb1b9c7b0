"""Writes the newest results into a README: between two marks; what stands outside of them is kept."""

from __future__ import annotations

from pathlib import Path

from hepwrap.errors import HepwrapError
from hepwrap.perf.outputs import write_whole
from hepwrap.perf.results import Results
from hepwrap.perf.table import cells_of, machine_lines, notes

BEGIN = "<!-- results: from here to the end mark, written by hepwrap perf --write-readme -->"
END = "<!-- end of the results -->"


def updated(text: str, results: Results, name: str) -> str:
    """`text` with new results between the marks; HepwrapError where it (called `name`) has not both of them, once."""
    before, after = _outside(text, name)
    return f"{before}{BEGIN}\n{as_markdown(results)}{END}{after}"


def check(path: Path) -> None:
    """HepwrapError where results could not be written into this file."""
    _outside(_text(path), str(path))


def write_readme(path: Path, results: Results) -> None:
    """Update a file; HepwrapError where it cannot be read, has no marks, or cannot be written."""
    text = updated(_text(path), results, str(path))
    try:
        write_whole(path.resolve(), text.encode())
    except OSError as error:
        raise HepwrapError(f"--write-readme: {path}: {error.strerror}") from None


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise HepwrapError(f"--write-readme: {path}: {reason}") from None


def _outside(text: str, name: str) -> tuple[str, str]:
    """What stands before the first mark, and after the second."""
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise HepwrapError(f"{name} has no place for results: put these two lines into it: {BEGIN} {END}")
    before, _, rest = text.partition(BEGIN)
    return before, rest.partition(END)[2]


def as_markdown(results: Results) -> str:
    """Machine and versions, one table for each group, and what could not be measured."""
    heading, groups = cells_of(results)
    lines = ["", *(f"- {text}" for text in machine_lines(results))]
    for group, rows in groups:
        lines += ["", f"### {group}", _line(heading), "|" + "---|" * len(heading), *map(_line, rows)]
    return "\n".join([*lines, "", *(f"- {_plain(note)}" for note in notes(results)), ""])


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(_plain(cell) for cell in cells) + " |"


def _plain(text: str) -> str:
    """Without anything that Markdown would take for itself."""
    return "".join("\\" + letter if letter in "\\|*_<>`[]" else letter for letter in text)
