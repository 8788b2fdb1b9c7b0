"""Everything that is written of one run: JSON, plots, the page."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

from hepwrap.errors import HepwrapError
from hepwrap.perf.page import as_html
from hepwrap.perf.plots import NoPlots, Plot, plots
from hepwrap.perf.results import Results, as_json


def write_all(results: Results, place: Path, say: Callable[[str], None]) -> list[Path]:
    """Write all files into the directory; their paths.  `say` gets what could not be made."""
    images: list[Plot] = []
    remark = ""
    try:
        images = list(plots(results))
    except NoPlots as error:
        remark = str(error)
        say(remark)
    files = {"results.json": as_json(results).encode(), "results.html": as_html(results, images, remark).encode()}
    files |= {f"{plot.name}.png": plot.png for plot in images}
    try:
        place.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            write_whole(place / name, content)
    except OSError as error:
        raise HepwrapError(f"--output: {error.filename or place}: {error.strerror}") from None
    return [place / name for name in files]


def check_place(place: Path) -> None:
    """HepwrapError where nothing can be written into this directory, which is made."""
    try:
        place.mkdir(parents=True, exist_ok=True)
        write_whole(place / ".try", b"")
        (place / ".try").unlink()
    except OSError as error:
        raise HepwrapError(f"--output: {place}: {error.strerror}") from None


def write_whole(path: Path, content: bytes) -> None:
    """Whole or not at all."""
    unfinished = path.with_name(path.name + ".new")
    try:
        unfinished.write_bytes(content)
        unfinished.rename(path)
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink()
