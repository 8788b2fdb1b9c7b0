"""From place to place until somebody has the right bytes: what all fetchers with several servers have in common.

Owns the order of events of one fetch.  Must not know any protocol: a subclass of `ServersFetcher` brings `get`.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from random import Random

from hepwrap.errors import FetchFailed, Untrusted
from hepwrap.fetchers.blame import Blame, Fault
from hepwrap.fetchers.failover import Failover
from hepwrap.fetchers.fetcher import Check, FetchCounters
from hepwrap.fetchers.names import safe_name, without_password
from hepwrap.fetchers.tally import Tally
from hepwrap.fetchers.verdicts import Verdicts
from hepwrap.settings import FetchSettings

#: When no proxy can reach one server, another server is given a chance, once (format notes, section 12).
_SERVERS_WITHOUT_PROXY = 2


def silent(_text: str) -> None:
    """The log of nobody."""


class ServersFetcher(ABC):
    """A Fetcher over `settings.servers`, in order of preference, with failover.  A subclass brings `get`.

    Every subclass is constructed as `Class(settings, fqrn=..., log=...)`; clock (seconds, monotonic) and randomness are
    arguments so that tests need not wait nor guess.
    """

    def __init__(
        self,
        settings: FetchSettings,
        *,
        fqrn: str,
        log: Callable[[str], None] = silent,
        clock: Callable[[], float] = time.monotonic,
        random: Random | None = None,
    ) -> None:
        self.settings = settings
        self.fqrn = fqrn
        self.log = log
        self.clock = clock
        self.random = random or Random()
        self.tally = Tally()
        self.closed = threading.Event()
        self.servers = Failover(
            [(server,) for server in settings.servers],
            reset_after=settings.host_reset_after,
            clock=clock,
            random=self.random,
        )

    @abstractmethod
    def get(self, server: str, name: str, *, limit: int, fresh: bool) -> bytes:
        """The bytes of `name` at one server; raises Fault, and nothing else, where there are none.

        Must not wait for ever, must not read more than `limit` bytes, and may be called by many threads at once.
        """

    def prepare(self) -> None:  # noqa: B027 - empty on purpose: most protocols have nothing to do here
        """Called at the start of each fetch, before the order of servers is looked at."""

    @property
    def counters(self) -> FetchCounters:
        """See Fetcher."""
        return self.tally.counters

    def fetch(self, name: str, *, limit: int, check: Check | None = None, fresh: bool = False) -> bytes:
        """See Fetcher."""
        safe_name(name)
        self._refuse_if_closed(name)
        self.prepare()
        verdicts = Verdicts(self.fqrn, name)
        for server in self.servers.round():
            try:
                return self._checked(server, name, limit, check, fresh)
            except (Fault, Untrusted) as problem:
                self._refuse_if_closed(name)
                self._note(server, name, problem)
                verdicts.add(without_password(server), problem)
            if self.servers.failed(server):
                self.tally.add(failovers=1)
            if verdicts.proxies_exhausted >= _SERVERS_WITHOUT_PROXY:
                break
        raise verdicts.error()

    def _checked(self, server: str, name: str, limit: int, check: Check | None, fresh: bool) -> bytes:
        """Bytes that pass `check`, if need be past all caches; raises Fault or the last Untrusted."""
        body = self.get(server, name, limit=limit, fresh=fresh)
        if check is None:
            return body
        try:
            check(body)
            return body
        except Untrusted as first:
            self.tally.add(corrupt=1, retries=1)
            corrupt = first
        try:
            body = self.get(server, name, limit=limit, fresh=True)
        except Fault as fault:
            # The place did answer, and wrongly; that it is also unreachable now must not hide it.
            raise corrupt from fault
        try:
            check(body)
        except Untrusted:
            self.tally.add(corrupt=1)
            raise
        return body

    def _note(self, server: str, name: str, problem: Fault | Untrusted) -> None:
        if isinstance(problem, Fault) and problem.blame is Blame.MISSING:
            return
        self.tally.add(failures=1)
        text = problem.text if isinstance(problem, Fault) else f"sent wrong bytes: {problem}"
        self.log(f"fetch: {name} of {self.fqrn}: {without_password(server)} {text}")

    def _refuse_if_closed(self, name: str) -> None:
        if self.closed.is_set():
            raise FetchFailed(f"cannot fetch {name} of {self.fqrn}: its fetcher was closed, the launch is ending")

    def describe(self) -> Mapping[str, str]:
        """See Fetcher."""
        return {
            "host": without_password(self.servers.current),
            "host_list": ";".join(map(without_password, self.servers.members())),
            "proxy": "DIRECT",
            "proxy_list": "DIRECT",
            "timeout": f"{self.settings.timeout:g}",
            "timeout_direct": f"{self.settings.timeout_direct:g}",
        }

    def close(self) -> None:
        """See Fetcher."""
        self.closed.set()
