"""`hepwrap doctor`: can hepwrap work here, and what is to be done where it cannot?

Owns the order and the table, and the checks of configuration and servers; `doctor_machine` has those of the machine.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

from hepwrap import assemble
from hepwrap.cli.arguments import Parsed, operands
from hepwrap.cli.commands import Command
from hepwrap.cli.doctor_machine import CHECKS, FAIL, OK, WARN, Finding, Machine
from hepwrap.cli.overrides import overrides
from hepwrap.config import LoadedSettings
from hepwrap.errors import HepwrapError
from hepwrap.records import replace
from hepwrap.settings import RepositorySettings

_PROXY_VARIABLES = ("http_proxy", "HTTP_PROXY", "https_proxy")


def main(parsed: Parsed, command: Command) -> int:
    """Print the table; 1 where something fails."""
    operands(parsed, [])
    loaded = assemble.configuration(overrides(parsed, command.flags))
    findings = list(examine(loaded))
    for line in table(findings):
        print(assemble.one_line(line))
    return 1 if any(finding.state == FAIL for finding in findings) else 0


def examine(loaded: LoadedSettings, machine: Machine | None = None) -> Iterator[Finding]:
    """All findings, in order."""
    machine = machine or Machine()
    for check in CHECKS:
        yield from check(machine)
    yield from configuration(loaded)


def table(findings: Iterable[Finding]) -> Iterator[str]:
    """A line for each finding, and one that sums them up."""
    counts = dict.fromkeys((OK, WARN, FAIL), 0)
    for finding in findings:
        counts[finding.state] += 1
        advice = f"; {finding.advice}" if finding.advice else ""
        yield f"{finding.state:<5} {finding.what:<16} {finding.found}{advice}"
    yield f"{counts[OK]} ok, {counts[WARN]} to look at, {counts[FAIL]} to mend"


def configuration(loaded: LoadedSettings) -> Iterator[Finding]:
    """Whether it can be read, memory, the state directory, and each repository's servers."""
    try:
        job, names = loaded.job, loaded.names
    except HepwrapError as error:
        yield Finding(FAIL, "configuration", str(error))
        return
    files = ", ".join(str(file.path) for file in loaded.files) or "no hepwrap.toml, which is fine"
    yield Finding(OK, "configuration", files)
    yield from memory(loaded)
    yield from state(loaded)
    variable = next((name for name in _PROXY_VARIABLES if os.environ.get(name)), None)
    if variable is not None:
        yield Finding(WARN, "proxy", f"{variable} is set", "it is not read; say --proxy or CVMFS_HTTP_PROXY")
    if not names:
        yield Finding(OK, "repositories", "none is configured; those of the public domains are known")
    for name in names:
        yield from repository(loaded, name, offline=job.offline)


def memory(loaded: LoadedSettings) -> Iterator[Finding]:
    """What opened files may take now."""
    allowed = assemble.budget(loaded.job.cache).bytes_allowed()
    if allowed < 64 << 20:
        yield Finding(WARN, "memory", f"{allowed >> 20} MiB for opened files", "give the job more, or say --cache-size")
    else:
        yield Finding(OK, "memory", f"{allowed >> 20} MiB for opened files")


def state(loaded: LoadedSettings) -> Iterator[Finding]:
    """Where revisions are remembered."""
    directory = loaded.job.state_directory
    if directory is None:
        yield Finding(WARN, "state directory", "none", "without HOME, going back to old revisions goes unnoticed")
        return
    existing = next(path for path in (directory, *directory.parents) if os.path.exists(path))
    if os.access(existing, os.W_OK | os.X_OK):
        yield Finding(OK, "state directory", str(directory))
    else:
        yield Finding(
            WARN, "state directory", f"{directory} is not writable", "old revisions go unnoticed; set XDG_STATE_HOME"
        )


def repository(loaded: LoadedSettings, fqrn: str, *, offline: bool) -> Iterator[Finding]:
    """Its settings, and each of its servers."""
    try:
        settings = loaded.known(fqrn)
    except HepwrapError as error:
        yield Finding(FAIL, fqrn, str(error))
        return
    if offline:
        yield Finding(OK, fqrn, "configured; servers not asked (--offline)")
        return
    with ThreadPoolExecutor(8) as pool:
        reasons = list(pool.map(lambda server: unreachable(settings, server), settings.fetch.servers))
    good = any(not reason for reason in reasons)
    for server, reason in zip(settings.fetch.servers, reasons, strict=True):
        if reason:
            advice = "the other servers are used" if good else "no server works: is there a network, a proxy (--proxy)?"
            yield Finding(WARN if good else FAIL, fqrn, reason, advice)
        else:
            yield Finding(OK, fqrn, f"{server} answers")


def unreachable(settings: RepositorySettings, server: str) -> str:
    """Why the manifest cannot be had from one server, "" where it can."""
    from hepwrap.fetchers.registry import open_fetcher

    one = replace(settings.fetch, servers=(server,), retries=0, geo_api=False)
    try:
        fetcher = open_fetcher(one, fqrn=settings.name)
        fetcher.fetch(".cvmfspublished", limit=settings.max_signed_bytes, check=lambda _data: None)
    except HepwrapError as error:
        return str(error)
    return ""
