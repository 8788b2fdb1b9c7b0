"""The contract of everything that brings bytes from elsewhere.

A fetcher knows names and bytes.  It must not know digests, catalogues or trust: whoever asks hands in `check`,
and the fetcher only knows that bytes which fail it are to be asked for again, elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from hepwrap.records import dataclass

#: Raises `hepwrap.errors.Untrusted` where the bytes are not what was asked for.
Check = Callable[[bytes], None]


@dataclass(slots=True)
class FetchCounters:
    """What was done since the start; written by the fetcher, read by anyone."""

    requests: int = 0
    bytes_received: int = 0
    failures: int = 0
    retries: int = 0
    failovers: int = 0
    corrupt: int = 0
    #: Seconds spent waiting for answers, over all threads.
    seconds: float = 0.0


class Fetcher(Protocol):
    """Bytes by name from one repository's servers.  Safe to call from any number of threads at once.

    Contract (every implementation runs tests/contracts/fetcher_contract.py):

    - `name` is relative, `data/ab/cdef...` or `.cvmfspublished`; a name that leaves the base is refused.
    - Not more than `limit` bytes are ever read; a longer answer is FetchFailed, before its body where a length is told.
    - `check(body)` is called on the whole body.  Where it raises Untrusted, the same place is asked once more past any
      cache, then the next place; when no place is left, the last Untrusted is raised.
    - MissingObject: every place that answered said that it has no such name.  FetchFailed: anything else.
      Nothing but these, Untrusted and ConfigurationError ever comes out.
    - An answer never waits for ever: connect and stall time-outs bound it.
    """

    @property
    def counters(self) -> FetchCounters:
        """The running account; the same object each time, so that it may be kept and read later."""
        ...

    def fetch(self, name: str, *, limit: int, check: Check | None = None, fresh: bool = False) -> bytes:
        """The bytes called `name`, at most `limit` bytes; `fresh` asks caches on the way to revalidate."""
        ...

    def describe(self) -> Mapping[str, str]:
        """Texts for the magic attributes host, host_list, proxy, proxy_list, timeout, timeout_direct."""
        ...

    def close(self) -> None:
        """Give connections back; further calls raise FetchFailed."""
        ...
