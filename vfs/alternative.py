"""Repositories whose data/ is access protected keep root catalogue and certificate under other names too (section 4).

A decorator: the same fetcher with those names tried first.  Must not know what the objects are.
"""

from __future__ import annotations

from collections.abc import Mapping

from hepwrap.errors import MissingObject
from hepwrap.fetchers.fetcher import Check, FetchCounters, Fetcher

_PREFIX = "data/"


class AlternativeNames:
    """Asks for `.cvmfsalt-<hash><letter>`, and for `data/..` where that does not exist."""

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher
        self.counters: FetchCounters = fetcher.counters

    def fetch(self, name: str, *, limit: int, check: Check | None = None, fresh: bool = False) -> bytes:
        """See Fetcher."""
        if name.startswith(_PREFIX):
            alternative = ".cvmfsalt-" + name.removeprefix(_PREFIX).replace("/", "", 1)
            try:
                return self._fetcher.fetch(alternative, limit=limit, check=check, fresh=fresh)
            except MissingObject:
                pass
        return self._fetcher.fetch(name, limit=limit, check=check, fresh=fresh)

    def describe(self) -> Mapping[str, str]:
        """Those of the fetcher behind."""
        return self._fetcher.describe()

    def close(self) -> None:
        """Nothing of its own; the fetcher behind belongs to somebody else."""
