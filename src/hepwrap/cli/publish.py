"""`hepwrap publish`: a directory becomes the next revision of a signed repository."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from hepwrap import assemble
from hepwrap.cli.arguments import Parsed, operands
from hepwrap.cli.commands import Command
from hepwrap.cli.needed import name_of, number, required
from hepwrap.errors import UsageError

if TYPE_CHECKING:
    from hepwrap.vfs.publish.report import Progress, PublishReport

_BAR = 24
_SECONDS_BETWEEN = 0.1


def main(parsed: Parsed, command: Command) -> int:
    """Publish; 0 when the new revision stands."""
    (directory,) = operands(parsed, ["DIRECTORY"])
    name = name_of(required(parsed, command, "repo"))
    store, keys = Path(required(parsed, command, "to")), Path(required(parsed, command, "keys"))
    jobs, ttl = number(parsed, "jobs", 1), number(parsed, "ttl", 0)
    if not Path(directory).is_dir():
        raise UsageError(f"{directory} is no directory; name the one whose content shall be published")
    from hepwrap.vfs.publish.publisher import publish

    report = publish(
        Path(directory),
        name=name,
        store=store,
        keys=keys,
        algorithm=parsed.last("algorithm") or None,
        jobs=jobs,
        tag=parsed.last("tag") or None,
        progress=_progress(parsed),
        warn=assemble.say,
        ttl=240 if ttl is None else ttl,
    )
    if not parsed.has("quiet"):
        print(summary(report, store))
    return 0


def summary(report: PublishReport, store: Path) -> str:
    """What was done, in one line."""
    return (
        f"{report.name} revision {report.revision} in {store / report.name}: {report.entries} entries, "
        f"{report.files} files, {report.catalogs} catalogues; {report.new_objects} new objects, "
        f"{report.reused_objects} reused, {report.new_bytes} bytes written; root {report.root_hash}"
    )


def _progress(parsed: Parsed) -> Callable[[Progress], None] | None:
    """A bar on stderr where that is a terminal."""
    if parsed.has("quiet") or not sys.stderr.isatty():
        return None
    last = 0.0

    def draw(progress: Progress) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _SECONDS_BETWEEN or progress.phase == "commit":
            last = now
            print(
                f"\r\x1b[K{bar(progress)}",
                end="\r\x1b[K" if progress.phase == "commit" else "",
                file=sys.stderr,
                flush=True,
            )

    return draw


def bar(progress: Progress) -> str:
    """One line: how far a publishing is."""
    if not progress.total:
        return f"{progress.phase}: {progress.done}" if progress.done else f"{progress.phase}..."
    done, total = progress.done, progress.total
    if progress.bytes_total:
        done, total = progress.bytes_done, progress.bytes_total
    filled = _BAR * min(done, total) // total
    return f"{progress.phase} [{'#' * filled}{'.' * (_BAR - filled)}] {progress.done}/{progress.total}"
