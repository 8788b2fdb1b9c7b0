"""What the servers of a repository said a moment ago, said once more: for as long as its publisher allows.

A decorator: the same fetcher, which first tries what was kept of manifest, certificate and whitelist.  Every rule that
is applied to bytes from a server is applied to these too, and what does not pass is asked for; so what was kept can
save a question, and never answers one in another way than a server could.

Owns how long that may go on.  Must not know where it is kept (`state`) nor the rules (`trust`).
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from hepwrap.errors import HepwrapError, UntrustedManifest
from hepwrap.fetchers.fetcher import Check, FetchCounters, Fetcher
from hepwrap.records import dataclass
from hepwrap.vfs import manifest as manifests

#: Bytes that are kept of one repository; those that there are have under ten thousand.
MOST_KEPT = 256 * 1024


@dataclass(frozen=True, slots=True)
class Answers:
    """What servers have said: the bytes of each name."""

    #: When the manifest came, seconds since 1970.
    at: float
    #: Who was asked, and how: other servers, and what other proxies lead to, may say something else.
    origin: str
    files: Mapping[str, bytes]

    @property
    def life(self) -> float:
        """Seconds for which the manifest may be taken for the newest, as it says itself; 0 where there is none."""
        data = self.files.get(manifests.NAME, b"")
        with suppress(UntrustedManifest):
            return manifests.parse(data, what="manifest", limit=MOST_KEPT).ttl
        return 0.0


class RecentAnswers:
    """`fetcher`, behind what it said before (`kept`), which counts for at most `ttl` seconds; `now` is since 1970."""

    def __init__(self, fetcher: Fetcher, kept: Answers | None, *, origin: str, now: float, ttl: float) -> None:
        self._fetcher, self._origin = fetcher, origin
        is_recent = kept is not None and kept.origin == origin and 0 <= now - kept.at < min(ttl, kept.life)
        self._kept = kept.files if kept is not None and is_recent else {}
        self._at, self._now = (kept.at if kept is not None and is_recent else now), now
        self._given: dict[str, bytes] = {}
        self.counters: FetchCounters = fetcher.counters

    @property
    def answers(self) -> Answers | None:
        """What to keep: all that was handed out; None where that is too much."""
        if sum(map(len, self._given.values())) > MOST_KEPT:
            return None
        return Answers(self._at, self._origin, dict(self._given))

    def fetch(self, name: str, *, limit: int, check: Check | None = None, fresh: bool = False) -> bytes:
        """See Fetcher."""
        kept = self._kept.get(name)
        if kept is not None and check is not None and not fresh and len(kept) <= limit:
            with suppress(HepwrapError):
                check(kept)
                self._given[name] = kept
                return kept
        data = self._given[name] = self._fetcher.fetch(name, limit=limit, check=check, fresh=fresh)
        if name == manifests.NAME:
            self._at = self._now
        return data

    def describe(self) -> Mapping[str, str]:
        """Those of the fetcher behind."""
        return self._fetcher.describe()

    def close(self) -> None:
        """Nothing of its own; the fetcher behind belongs to somebody else."""
