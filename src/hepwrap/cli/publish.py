"""`hepwrap publish`: a directory becomes the next revision of a signed repository."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hepwrap.cli.arguments import Parsed, operands
from hepwrap.cli.commands import Command
from hepwrap.cli.needed import name_of, number, required
from hepwrap.cli.progress import ProgressLine
from hepwrap.cli.publish_options import publish_options
from hepwrap.errors import UsageError

if TYPE_CHECKING:
    from hepwrap.vfs.publish.report import Progress, PublishReport

_BAR = 24


def main(parsed: Parsed, command: Command) -> int:
    """Publish; 0 when the new revision stands."""
    (directory,) = operands(parsed, ["DIRECTORY"])
    name = name_of(required(parsed, command, "repo"))
    store, keys = Path(required(parsed, command, "to")), Path(required(parsed, command, "keys"))
    jobs, ttl = number(parsed, "jobs", 1), number(parsed, "ttl", 0)
    if not Path(directory).is_dir():
        raise UsageError(f"{directory} is no directory; name the one whose content shall be published")
    options = publish_options(parsed)
    from hepwrap.vfs.publish.publisher import publish

    with ProgressLine(quiet=parsed.has("quiet")) as line:
        report = publish(
            Path(directory),
            name=name,
            store=store,
            keys=keys,
            algorithm=parsed.last("algorithm") or None,
            jobs=jobs,
            tag=parsed.last("tag") or None,
            progress=lambda progress: line.show(lambda: bar(progress)),
            warn=line.say,
            ttl=240 if ttl is None else ttl,
            options=options,
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


def bar(progress: Progress) -> str:
    """One line: how far a publishing is."""
    if not progress.total:
        return f"{progress.phase}: {progress.done}" if progress.done else f"{progress.phase}..."
    done, total = progress.done, progress.total
    if progress.bytes_total:
        done, total = progress.bytes_done, progress.bytes_total
    filled = _BAR * min(done, total) // total
    return f"{progress.phase} [{'#' * filled}{'.' * (_BAR - filled)}] {progress.done}/{progress.total}"
