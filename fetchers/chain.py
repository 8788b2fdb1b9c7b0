"""Several fetchers as one: a server list that mixes protocols, `/a/directory;http://server/...`.

Owns only the order between them.  Each does its own failover over its own servers first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields

from hepwrap.errors import FetchFailed, MissingObject, Untrusted
from hepwrap.fetchers.fetcher import Check, FetchCounters, Fetcher


class ChainFetcher:
    """Asks each fetcher in turn, always beginning with the first."""

    def __init__(self, fetchers: Sequence[Fetcher]) -> None:
        self._fetchers = tuple(fetchers)

    @property
    def counters(self) -> FetchCounters:
        """The sums over all fetchers, as they are now."""
        rows = [fetcher.counters for fetcher in self._fetchers]
        names = [each.name for each in fields(FetchCounters)]
        return FetchCounters(**{name: sum(getattr(row, name) for row in rows) for name in names})

    def fetch(self, name: str, *, limit: int, check: Check | None = None, fresh: bool = False) -> bytes:
        """See Fetcher."""
        problems: list[FetchFailed | Untrusted] = []
        for fetcher in self._fetchers:
            try:
                return fetcher.fetch(name, limit=limit, check=check, fresh=fresh)
            except (FetchFailed, Untrusted) as problem:
                problems.append(problem)
        raise _gravest(problems)

    def describe(self) -> Mapping[str, str]:
        """See Fetcher: of the first fetcher, with all servers in host_list."""
        texts = [fetcher.describe() for fetcher in self._fetchers]
        return {**texts[0], "host_list": ";".join(text["host_list"] for text in texts)}

    def close(self) -> None:
        """See Fetcher."""
        for fetcher in self._fetchers:
            fetcher.close()


def _gravest(problems: Sequence[FetchFailed | Untrusted]) -> FetchFailed | Untrusted:
    """The last Untrusted; else a failure; MissingObject only where nothing else happened."""
    untrusted = [problem for problem in problems if isinstance(problem, Untrusted)]
    failed = [problem for problem in problems if not isinstance(problem, MissingObject)]
    if untrusted:
        return untrusted[-1]
    if not failed:
        return problems[-1]
    return failed[0] if len(problems) == 1 else FetchFailed("; ".join(str(problem) for problem in problems))
