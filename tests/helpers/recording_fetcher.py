"""A fetcher that remembers what was asked of it."""

from __future__ import annotations

from collections.abc import Mapping

from hepwrap.fetchers.directory import DirectoryFetcher
from hepwrap.fetchers.fetcher import Check, FetchCounters, Fetcher
from tests.helpers.workshop import Workshop


class RecordingFetcher:
    """Asks `behind`, and keeps the names in order."""

    def __init__(self, behind: Fetcher) -> None:
        self._behind = behind
        self.names: list[str] = []

    @classmethod
    def of(cls, workshop: Workshop) -> RecordingFetcher:
        return cls(DirectoryFetcher(workshop.settings().fetch, fqrn=workshop.name))

    @property
    def counters(self) -> FetchCounters:
        return self._behind.counters

    def fetch(self, name: str, *, limit: int, check: Check | None = None, fresh: bool = False) -> bytes:
        self.names.append(name)
        return self._behind.fetch(name, limit=limit, check=check, fresh=fresh)

    def describe(self) -> Mapping[str, str]:
        return self._behind.describe()

    def close(self) -> None:
        self._behind.close()
