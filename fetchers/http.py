"""A repository on HTTP servers, through the proxies of a site (format notes, section 12).

Owns which URL is asked through which proxy, and the headers.  The order of servers is `walk`'s, the order of proxies
`failover`'s, pauses `retry`'s, sockets `wire`'s.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from random import Random
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

import hepwrap
from hepwrap.errors import HepwrapError
from hepwrap.fetchers import geo, pac, proxies
from hepwrap.fetchers.blame import REDIRECTS, Blame, Fault, fault_of_answer
from hepwrap.fetchers.directory import directory_of, read_below
from hepwrap.fetchers.failover import Failover
from hepwrap.fetchers.names import without_password
from hepwrap.fetchers.proxies import DIRECT
from hepwrap.fetchers.retry import Backoff, retrying
from hepwrap.fetchers.walk import ServersFetcher, silent
from hepwrap.settings import FetchSettings

if TYPE_CHECKING:
    from hepwrap.fetchers.wire import Answer, Wire

#: Some sites let only clients pass that call themselves cvmfs.
USER_AGENT = f"cvmfs hepwrap {hepwrap.__version__}"
_PLAIN_HEADERS = {"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity"}
_PAST_CACHES = {"Pragma": "no-cache", "Cache-Control": "no-cache"}

MAX_REDIRECTS = 4
#: Seconds between look-ups of the proxies' names, at least.
MIN_NAME_LIFE = 60.0
#: Seconds for which failing to find any proxy is believed.
FAILURE_LIFE = 10.0


class HttpFetcher(ServersFetcher):
    """See Fetcher.  `sleep(seconds)` is True where it was broken off; the default ends with `close`."""

    def __init__(
        self,
        settings: FetchSettings,
        *,
        fqrn: str,
        log: Callable[[str], None] = silent,
        clock: Callable[[], float] = time.monotonic,
        random: Random | None = None,
        sleep: Callable[[float], bool] | None = None,
        resolve: proxies.Resolve = proxies.addresses_of,
        evaluate: pac.Evaluate | None = None,
    ) -> None:
        super().__init__(settings, fqrn=fqrn, log=log, clock=clock, random=random)
        self._listed = proxies.parse(settings.proxy, settings.fallback_proxy)
        if pac.wanted(self._listed) and evaluate is None:
            pac.require_interpreter()
        self._evaluate = evaluate or pac.run_in_child
        self._backoff = Backoff(settings.retries, settings.backoff_init, settings.backoff_max)
        self._sleep = sleep or self.closed.wait
        self._resolve = resolve
        self._lock = threading.Lock()
        self._wire_lock = threading.Lock()
        self._wire: Wire | None = None
        self._prepared_at: float | None = None
        self._failure: tuple[float, HepwrapError] | None = None
        self.proxies = Failover(
            self._listed, reset_after=settings.proxy_reset_after, clock=self.clock, random=self.random
        )

    # What happens before the first fetch, and to names of proxies now and then.

    def prepare(self) -> None:
        """Finds proxies and the order of servers, once; looks names of proxies up again after a while."""
        if not self._stale():
            return
        # At first everybody has to wait for it; later those who come meanwhile use what there is.
        if not self._lock.acquire(blocking=self._prepared_at is None):
            return
        try:
            if self._prepared_at is None:
                self._prepare_first_or_fail()
            elif self._stale():
                self._look_up()
            self._prepared_at = self.clock()
        finally:
            self._lock.release()

    def _prepare_first_or_fail(self) -> None:
        """Sixty threads that wait for a dead PAC server are told together, not one time-out after the other."""
        if self._failure is not None and self.clock() - self._failure[0] < FAILURE_LIFE:
            raise self._failure[1]
        try:
            self._prepare_first()
        except HepwrapError as error:
            self._failure = (self.clock(), error)
            raise

    def _prepare_first(self) -> None:
        if pac.wanted(self._listed):
            self._listed = self._auto()
        self._look_up()
        if self.settings.geo_api and len(self.settings.servers) > 1:
            self.servers.replace([(server,) for server in self._by_distance()])

    def _stale(self) -> bool:
        life = max(MIN_NAME_LIFE, self.settings.proxy_reset_after)
        return self._prepared_at is None or self.clock() - self._prepared_at >= life

    def _look_up(self) -> None:
        groups = proxies.expand(self._listed, self._resolve)
        if groups != self.proxies.groups():
            self.proxies.replace(groups)

    def _auto(self) -> proxies.Groups:
        return pac.replace_auto(
            self._listed,
            pac_urls=self.settings.pac_urls,
            servers=self.settings.servers,
            load=self._load_pac,
            evaluate=self._evaluate,
            log=self.log,
        )

    def _load_pac(self, location: str) -> bytes:
        if urlsplit(location).scheme in ("http", "https"):
            return self._once(location, DIRECT, pac.SIZE_LIMIT, _PLAIN_HEADERS)
        path = directory_of(location)
        return read_below(path.parent, path.name, pac.SIZE_LIMIT)

    def _by_distance(self) -> list[str]:
        def ask(server: str) -> bytes:
            def through(proxy: str) -> bytes:
                token = geo.token(self.settings.proxy_template, proxy)
                url = geo.url(server, token, self.settings.servers)
                return self._once(url, proxy, geo.ANSWER_LIMIT, _PLAIN_HEADERS)

            return self._by_any_proxy(through)

        return geo.ordered(self.settings.servers, ask, random=self.random, log=self.log)

    # One fetch.

    def get(self, server: str, name: str, *, limit: int, fresh: bool) -> bytes:
        """See ServersFetcher: through one proxy after another, each asked again after a pause where that may help."""
        url = f"{server.rstrip('/')}/{name}"
        headers = self._headers(name, fresh)

        def through(proxy: str) -> bytes:
            return retrying(
                lambda: self._once(url, proxy, limit, headers),
                self._backoff,
                random=self.random,
                sleep=self._sleep,
                note=lambda: self.tally.add(retries=1),
            )

        return self._by_any_proxy(through)

    def _by_any_proxy(self, ask: Callable[[str], bytes]) -> bytes:
        """What `ask(proxy)` returns for the first proxy that is not itself at fault."""
        last = Fault("cannot be asked: there is no proxy", Blame.PROXY)
        for proxy in self.proxies.round():
            try:
                return ask(proxy)
            except Fault as fault:
                if fault.blame is not Blame.PROXY or self.closed.is_set():
                    raise
                last = Fault(f"{fault.text} (through {without_password(proxy)})", Blame.PROXY)
                self.log(f"fetch: proxy {without_password(proxy)} {fault.text}")
                if self.proxies.failed(proxy):
                    self.tally.add(failovers=1)
        raise last

    def _once(self, url: str, proxy: str, limit: int, headers: Mapping[str, str]) -> bytes:
        """The body at `url`, redirects followed where that is allowed; Fault where there is none."""
        for _ in range(MAX_REDIRECTS + 1):
            answer = self._exchange(url, proxy, limit, headers)
            if answer.status not in REDIRECTS or not self.settings.follow_redirects:
                break
            url = _redirected(url, answer.headers.get("Location", ""))
        fault = fault_of_answer(answer.status, answer.headers, via_proxy=proxy != DIRECT)
        if fault is not None:
            raise fault
        return answer.body

    def _exchange(self, url: str, proxy: str, limit: int, headers: Mapping[str, str]) -> Answer:
        from hepwrap.fetchers.wire import Terms

        timeout = self.settings.timeout_direct if proxy == DIRECT else self.settings.timeout
        terms = Terms(proxy=proxy, timeout=timeout, low_speed=self.settings.low_speed_limit, limit=limit)
        started = time.monotonic()
        self.tally.add(requests=1)
        try:
            answer = self._connect().get(url, headers, terms)
        finally:
            self.tally.add(seconds=time.monotonic() - started)
        self.tally.add(bytes_received=len(answer.body))
        return answer

    def _headers(self, name: str, fresh: bool) -> dict[str, str]:
        headers = dict(_PLAIN_HEADERS)
        if fresh:
            headers |= _PAST_CACHES
        if self.settings.send_info_header:
            headers["cvmfs-info"] = name
        return headers

    def _connect(self) -> Wire:
        """The one Wire of this fetcher, made (and requests imported) when something is first asked."""
        with self._wire_lock:
            if self.closed.is_set():
                raise Fault("was to be asked after the fetcher was closed")
            if self._wire is None:
                from hepwrap.fetchers.wire import Wire

                self._wire = Wire(connections=self.settings.connections, tls=self._may_need_tls())
            return self._wire

    def _may_need_tls(self) -> bool:
        if self.settings.follow_redirects or self.settings.pac_urls:
            return True
        return any("https://" in url.lower() for url in (*self.settings.servers, *self.proxies.members()))

    def describe(self) -> Mapping[str, str]:
        """See Fetcher."""
        shown = {"proxy": without_password(self.proxies.current), "proxy_list": proxies.as_text(self.proxies.groups())}
        return {**super().describe(), **shown}

    def close(self) -> None:
        """See Fetcher; calls that wait for an answer end at once."""
        super().close()
        with self._wire_lock:
            if self._wire is not None:
                self._wire.close()


def _redirected(url: str, location: str) -> str:
    """Where a redirect leads; Fault where that is nowhere, or out of https."""
    target = urljoin(url, location)
    scheme = urlsplit(target).scheme
    if not location or scheme not in ("http", "https") or (url.startswith("https:") and scheme != "https"):
        raise Fault("redirects to an address that is not allowed")
    return target
