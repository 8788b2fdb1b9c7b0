"""Several fetchers as one: a server list that mixes protocols, `/a/directory;http://server/...`.

Owns only the order between them.  Each does its own failover over its own servers first.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from random import Random

from hepwrap.errors import FetchFailed, MissingObject, Untrusted
from hepwrap.fetchers.failover import Failover
from hepwrap.fetchers.fetcher import Check, FetchCounters, Fetcher
from hepwrap.fetchers.tally import Tally
from hepwrap.records import as_mapping


class ChainFetcher:
    """Asks each fetcher in turn, first the one that worked last; after `reset_after` seconds the first one again."""

    def __init__(
        self, fetchers: Sequence[Fetcher], *, reset_after: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._fetchers = {str(index): fetcher for index, fetcher in enumerate(fetchers)}
        groups = [(index,) for index in self._fetchers]
        self._order = Failover(groups, reset_after=reset_after, clock=clock, random=Random())
        self._tally = Tally()

    @property
    def counters(self) -> FetchCounters:
        """The sums over all fetchers, as they are now."""
        rows = [self._tally.counters, *(fetcher.counters for fetcher in self._fetchers.values())]
        names = as_mapping(self._tally.counters)
        return FetchCounters(**{name: sum(getattr(row, name) for row in rows) for name in names})

    def fetch(self, name: str, *, limit: int, check: Check | None = None, fresh: bool = False) -> bytes:
        """See Fetcher."""
        problems: list[FetchFailed | Untrusted] = []
        for index in self._order.round():
            try:
                return self._fetchers[index].fetch(name, limit=limit, check=check, fresh=fresh)
            except (FetchFailed, Untrusted) as problem:
                problems.append(problem)
            if self._order.failed(index):
                self._tally.add(failovers=1)
        raise _gravest(problems)

    def describe(self) -> Mapping[str, str]:
        """See Fetcher: of the fetcher that is asked first now, with the servers of all in host_list."""
        texts = {index: fetcher.describe() for index, fetcher in self._fetchers.items()}
        return {**texts[self._order.current], "host_list": ";".join(text["host_list"] for text in texts.values())}

    def close(self) -> None:
        """See Fetcher."""
        for fetcher in self._fetchers.values():
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
