"""What each way of failing on the wire becomes.  Nothing here waits for a clock longer than a time-out of a moment."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import pytest

from hepwrap.errors import CorruptObject, FetchFailed, MissingObject
from hepwrap.fetchers.http import HttpFetcher
from hepwrap.settings import FetchSettings
from tests.contracts.fetcher_contract import BAD, GOOD, LIMIT, NAME, must_be_good, put
from tests.fetchers.clock import Clock
from tests.helpers import faulty_server as faults
from tests.helpers.faulty_server import FaultyServer

#: Seconds that count as a stall here.
MOMENT = 0.4


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FaultyServer]:
    with FaultyServer(put(tmp_path / "one", GOOD)) as one:
        yield one


@pytest.fixture
def second(tmp_path: Path) -> Iterator[FaultyServer]:
    with FaultyServer(put(tmp_path / "two", GOOD)) as two:
        yield two


@pytest.fixture
def open_http() -> Iterator[Callable[..., HttpFetcher]]:
    """`open_http(server, server, ..., setting=value)`; pauses are not waited for but noted in `fetcher.pauses`."""
    made: list[HttpFetcher] = []

    def make(*servers: FaultyServer, clock: Callable[[], float] | None = None, **changes: object) -> HttpFetcher:
        values = {"proxy": "DIRECT", "retries": 0, "timeout_direct": 30.0, **changes}
        settings = FetchSettings(servers=tuple(each.url for each in servers), **values)  # type: ignore[arg-type]
        pauses: list[float] = []

        def sleep(seconds: float) -> bool:
            pauses.append(seconds)
            return False

        clocks = {"clock": clock} if clock else {}
        fetcher = HttpFetcher(settings, fqrn="test.hep.example", random=Random(1), sleep=sleep, **clocks)
        fetcher.pauses = pauses  # type: ignore[attr-defined]
        made.append(fetcher)
        return fetcher

    yield make
    for fetcher in made:
        fetcher.close()


def fails(fetcher: HttpFetcher, match: str, **options: object) -> FetchFailed:
    """FetchFailed with that text, and never MissingObject."""
    with pytest.raises(FetchFailed, match=match) as caught:
        fetcher.fetch(NAME, limit=LIMIT, **options)  # type: ignore[arg-type]
    assert not isinstance(caught.value, MissingObject)
    return caught.value


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
LINES = b"x: y\r\n" * 1000

WAYS: list[tuple[str, faults.Fault, str]] = [
    ("a stall before the headers", faults.Stall(), "sent nothing for 0.4 s"),
    ("a stall in the body", faults.StallBody(after=10), "stalled: under 1024 bytes a second"),
    ("a body that drips", faults.Drip(), "stalled: under 1024 bytes a second"),
    ("headers that drip", faults.Drip(head=True), "stalled: under 1024 bytes a second"),
    ("half a body", faults.CloseEarly(), "ended its answer too early"),
    ("no answer", faults.HangUp(), "closed the connection without an answer"),
    ("a length told too long", faults.Length(by=10), "ended its answer too early"),
    ("a length over the limit", faults.Length(text=str(LIMIT + 1)), "would send 1048577 bytes, 1048576 are allowed"),
    ("a negative length", faults.Length(text="-5"), "nonsensical length"),
    ("a length that is a word", faults.Length(text="lots"), "nonsensical length"),
    ("a length of a hundred digits", faults.Length(text="9" * 100), "nonsensical length"),
    ("bytes without end", faults.Endless(), "more than the 1048576 bytes that are allowed"),
    ("chunks without end", faults.Endless(chunked=True), "more than the 1048576 bytes that are allowed"),
    ("headers without end", faults.Raw(b"HTTP/1.1 200 OK\r\n", repeat=LINES), "not HTTP"),
    ("continuations without end", faults.Raw(b"", repeat=b"HTTP/1.1 100 Go on\r\n\r\n"), "more than it should"),
    ("a trailer without end", faults.Raw(CHUNKED + b"0\r\n", repeat=LINES), "more than it should"),
    ("no HTTP at all", faults.Raw(b"220 mail.example ESMTP\r\n"), "not HTTP"),
    ("a broken chunk", faults.Raw(CHUNKED + b"zz\r\n"), "too early"),
    ("a redirect", faults.Redirect("/elsewhere"), r"redirects elsewhere \(HTTP 302\)"),
    ("status 500", faults.Status(500), "HTTP 500"),
    ("status 503", faults.Status(503), "HTTP 503"),
    ("status 400", faults.Status(400), "HTTP 400"),
    ("status 403", faults.Status(403), "HTTP 403"),
    ("status 429", faults.Status(429), "HTTP 429"),
]


@pytest.mark.parametrize(("fault", "text"), [row[1:] for row in WAYS], ids=[row[0] for row in WAYS])
def test_a_fault_is_failed_and_says_so(server, open_http, fault, text: str) -> None:
    server.fault("data/*", fault)
    fetcher = open_http(server, timeout_direct=MOMENT)
    fails(fetcher, text)
    assert fetcher.counters.failures == 1


@pytest.mark.parametrize("fault", [row[1] for row in WAYS], ids=[row[0] for row in WAYS])
def test_after_a_fault_the_next_server_is_asked(server, second, open_http, fault) -> None:
    server.fault("data/*", fault)
    assert open_http(server, second, timeout_direct=MOMENT).fetch(NAME, limit=LIMIT) == GOOD


@pytest.mark.parametrize("fault", [row[1] for row in WAYS], ids=[row[0] for row in WAYS])
def test_after_a_fault_the_same_server_can_be_asked_again(server, open_http, fault) -> None:
    server.fault("data/*", fault, times=1)
    fetcher = open_http(server, timeout_direct=MOMENT)
    fails(fetcher, "cannot fetch")
    assert fetcher.fetch(NAME, limit=LIMIT) == GOOD


def test_a_length_told_too_short_is_caught_by_the_check_and_spoils_no_later_answer(server, open_http) -> None:
    server.fault("data/*", faults.Length(by=-10), times=2)
    fetcher = open_http(server)
    with pytest.raises(CorruptObject):
        fetcher.fetch(NAME, limit=LIMIT, check=must_be_good)
    assert fetcher.fetch(NAME, limit=LIMIT, check=must_be_good) == GOOD


def test_bytes_left_over_from_one_answer_are_never_taken_for_the_next(server, open_http) -> None:
    smuggled = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
    server.fault(
        "data/*", lambda exchange: exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" + smuggled), times=1
    )
    fetcher = open_http(server)
    assert fetcher.fetch(NAME, limit=LIMIT) == b"ok"
    assert fetcher.fetch(NAME, limit=LIMIT) == GOOD


def test_content_encoding_is_not_decoded(server, open_http) -> None:
    import gzip

    packed = gzip.compress(GOOD)
    server.fault("data/*", faults.Body(packed, {"Content-Encoding": "gzip"}))
    assert open_http(server).fetch(NAME, limit=LIMIT) == packed


def test_a_slow_but_steady_server_is_waited_for(server, open_http) -> None:
    """More than the low speed limit, though the whole takes longer than the time-out."""
    server.fault("data/*", faults.Drip(pause=0.001))
    assert open_http(server, low_speed_limit=10, timeout_direct=1.0).fetch(NAME, limit=LIMIT) == GOOD


def test_chunks_are_put_together(server, open_http) -> None:
    body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (GOOD[:7], GOOD[7:])) + b"0\r\n\r\n"
    server.fault("data/*", faults.Raw(CHUNKED + body))
    assert open_http(server).fetch(NAME, limit=len(GOOD)) == GOOD


# Redirects.


def test_a_redirect_is_followed_where_that_is_allowed(server, second, open_http) -> None:
    server.fault("data/*", faults.Redirect(f"{second.url}/{NAME}"))
    assert open_http(server, follow_redirects=True).fetch(NAME, limit=LIMIT) == GOOD
    assert second.names() == [NAME]


def test_redirects_in_a_circle_end(server, open_http) -> None:
    server.fault("data/*", faults.Redirect(f"/{NAME}"))
    fails(open_http(server, follow_redirects=True), "redirects elsewhere")
    assert server.count("data/*") == 5


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://x/"])
def test_a_redirect_out_of_http_is_refused(server, open_http, target: str) -> None:
    server.fault("data/*", faults.Redirect(target))
    fails(open_http(server, follow_redirects=True), "not allowed")


# Asking again: the same URL, past caches, elsewhere.


def test_a_stall_is_tried_again_after_a_random_pause(server, open_http) -> None:
    server.fault("data/*", faults.HangUp(), times=2)
    fetcher = open_http(server, retries=2, backoff_init=2.0, backoff_max=10.0)
    assert fetcher.fetch(NAME, limit=LIMIT) == GOOD
    first, then = fetcher.pauses
    assert 0 <= first <= 2
    assert 0 <= then <= 4
    assert fetcher.counters.retries == 2


def test_429_is_tried_again_and_500_is_not(server, open_http) -> None:
    fetcher = open_http(server, retries=1)
    for status, requests in ((429, 2), (500, 1)):
        before = server.count("data/*")
        server.fault("data/*", faults.Status(status))
        fails(fetcher, f"HTTP {status}")
        assert server.count("data/*") - before == requests


def test_wrong_bytes_are_asked_for_again_past_caches_and_then_elsewhere(server, second, open_http) -> None:
    server.fault("data/*", faults.Body(BAD))
    fetcher = open_http(server, second)
    assert fetcher.fetch(NAME, limit=LIMIT, check=must_be_good) == GOOD
    first, again = server.requests
    assert "Cache-Control" not in first.headers
    assert (again.headers["Cache-Control"], again.headers["Pragma"]) == ("no-cache", "no-cache")
    assert "Cache-Control" not in second.requests[0].headers
    assert (fetcher.counters.corrupt, fetcher.counters.failovers) == (2, 1)


def test_wrong_bytes_followed_by_a_dead_server_stay_untrusted(server, open_http) -> None:
    server.fault("data/*", faults.HangUp())
    server.fault("data/*", faults.Body(BAD), times=1)
    with pytest.raises(CorruptObject):
        open_http(server).fetch(NAME, limit=LIMIT, check=must_be_good)


def test_404_then_500_is_failed_and_404_everywhere_is_missing(server, second, open_http) -> None:
    server.fault("data/*", faults.Status(404))
    second.fault("data/*", faults.Status(500), times=1)
    second.fault("data/*", faults.Status(404), after=1)
    fetcher = open_http(server, second)
    fails(fetcher, "HTTP 500")
    with pytest.raises(MissingObject):
        fetcher.fetch(NAME, limit=LIMIT)


def test_a_dead_server_is_left_and_asked_again_when_its_time_has_come(server, second, open_http) -> None:
    clock = Clock()
    fetcher = open_http(server, second, clock=clock, host_reset_after=1800.0)
    server.stop()
    for _ in range(3):
        assert fetcher.fetch(NAME, limit=LIMIT) == GOOD
    assert second.count("data/*") == 3
    assert fetcher.counters.failures == 1
    server.start()
    clock.now += 1799
    fetcher.fetch(NAME, limit=LIMIT)
    assert server.count("data/*") == 0
    clock.now += 1
    fetcher.fetch(NAME, limit=LIMIT)
    assert (server.count("data/*"), second.count("data/*")) == (1, 4)


def test_a_server_that_comes_back_is_used_although_it_was_the_only_one(server, open_http) -> None:
    fetcher = open_http(server)
    assert fetcher.fetch(NAME, limit=LIMIT) == GOOD
    server.stop()
    fails(fetcher, "Connection refused")
    server.start()
    assert fetcher.fetch(NAME, limit=LIMIT) == GOOD


def test_a_connection_that_was_closed_while_idle_is_no_fault(server, open_http) -> None:
    fetcher = open_http(server)
    fetcher.fetch(NAME, limit=LIMIT)
    server.stop()
    server.start()
    assert fetcher.fetch(NAME, limit=LIMIT) == GOOD
    assert fetcher.counters.failures == 0


def test_a_kept_connection_that_closes_under_our_request_is_no_fault(tmp_path, open_http) -> None:
    """As where the server closes an idle one while our request is on its way: asked again at once, on another."""
    with FaultyServer(put(tmp_path, GOOD)) as server, ThreadPoolExecutor(16) as pool:
        server.fault("data/*", faults.Gather(16))
        fetcher = open_http(server)
        list(pool.map(lambda _: fetcher.fetch(NAME, limit=LIMIT), range(16)))
        known = {request.client for request in server.requests}
        assert len(known) == 16

        def close_old_ones(exchange: faults.Exchange) -> None:
            (exchange.hang_up if exchange.request.client in known else exchange.honest)()

        server.fault("data/*", close_old_ones)
        assert fetcher.fetch(NAME, limit=LIMIT) == GOOD
    assert 16 + 2 <= server.count("data/*") <= 16 + 17
    assert (fetcher.counters.failures, fetcher.counters.retries, fetcher.pauses) == (0, 0, [])


# Headers and connections.


def test_headers_are_those_of_the_real_client(server, open_http, monkeypatch, tmp_path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login user password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    open_http(server).fetch(NAME, limit=LIMIT)
    headers = server.requests[0].headers
    assert headers["User-Agent"].startswith("cvmfs hepwrap ")
    assert headers["Accept-Encoding"] == "identity"
    assert not {"Pragma", "Cache-Control", "Authorization", "Cookie", "cvmfs-info"} & set(headers)


def test_fresh_asks_caches_to_revalidate(server, open_http) -> None:
    open_http(server).fetch(NAME, limit=LIMIT, fresh=True)
    assert server.requests[0].headers["Cache-Control"] == "no-cache"


def test_the_info_header_is_sent_where_it_is_wanted(server, open_http) -> None:
    open_http(server, send_info_header=True).fetch(NAME, limit=LIMIT)
    assert server.requests[0].headers["cvmfs-info"] == NAME


def test_cookies_are_never_sent_back(server, open_http) -> None:
    server.fault("data/*", faults.Body(GOOD, {"Set_Cookie": "who=me"}))
    fetcher = open_http(server)
    for _ in range(2):
        fetcher.fetch(NAME, limit=LIMIT)
    assert "Cookie" not in server.requests[1].headers


def test_one_connection_is_kept_for_objects_and_for_404s(server, open_http) -> None:
    fetcher = open_http(server)
    for name in (NAME, "data/00/nothing", NAME):
        try:
            fetcher.fetch(name, limit=LIMIT)
        except MissingObject:
            continue
    assert len({request.client for request in server.requests}) == 1


def test_64_fetches_are_in_flight_at_once(tmp_path: Path, open_http) -> None:
    names = [f"data/00/{number}" for number in range(64)]
    for name in names:
        put(tmp_path / "many", name.encode(), name)
    gather = faults.Gather(64)
    with FaultyServer(tmp_path / "many") as server, ThreadPoolExecutor(64) as pool:
        server.fault("data/*", gather)
        fetcher = open_http(server)
        bodies = list(pool.map(lambda name: fetcher.fetch(name, limit=LIMIT), names))
    assert gather.met
    assert bodies == [name.encode() for name in names]
    assert fetcher.counters.requests == 64


def test_a_stalled_fetch_keeps_no_other_waiting(server, open_http) -> None:
    server.fault(NAME, faults.Stall())
    put(server.directory, b"other", "data/00/other")
    fetcher = open_http(server)
    with ThreadPoolExecutor(1) as pool:
        stalled = pool.submit(fetcher.fetch, NAME, limit=LIMIT)
        assert server.stalled.acquire(timeout=30)
        assert fetcher.fetch("data/00/other", limit=LIMIT) == b"other"
        assert not stalled.done()
        server.release.set()
        assert stalled.result(30) == GOOD


# Closing.


@pytest.mark.parametrize("fault", [faults.Stall(), faults.StallBody()], ids=["before headers", "in the body"])
def test_close_ends_what_is_pending(server, open_http, fault) -> None:
    """The time-out is far beyond the test's own: only close can end the wait."""
    server.fault("data/*", fault)
    fetcher = open_http(server, timeout_direct=3600.0, retries=5)
    with ThreadPoolExecutor(8) as pool:
        pending = [pool.submit(fetcher.fetch, NAME, limit=LIMIT) for _ in range(8)]
        for _ in pending:
            assert server.stalled.acquire(timeout=30)
        fetcher.close()
        for each in pending:
            with pytest.raises(FetchFailed, match="closed"):
                each.result(30)
    assert server.count("data/*") == 8


def test_close_ends_a_pause(server) -> None:
    server.fault("data/*", faults.HangUp())
    settings = FetchSettings(servers=(server.url,), proxy="DIRECT", retries=1, backoff_init=3600.0, backoff_max=3600.0)
    paused = threading.Event()

    class Slow(Random):
        def uniform(self, a: float, b: float) -> float:
            paused.set()
            return b

    fetcher = HttpFetcher(settings, fqrn="test.hep.example", random=Slow())
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(fetcher.fetch, NAME, limit=LIMIT)
        assert paused.wait(30)
        fetcher.close()
        with pytest.raises(FetchFailed, match="closed"):
            pending.result(30)


def test_close_ends_a_connection_that_is_being_made(open_http) -> None:
    """A listener with a full backlog: the kernel keeps the client waiting."""
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        settings = FetchSettings(
            servers=(f"http://127.0.0.1:{listener.getsockname()[1]}",), proxy="DIRECT", timeout_direct=3600.0, retries=0
        )
        fetcher = HttpFetcher(settings, fqrn="test.hep.example")
        with ThreadPoolExecutor(1) as pool:
            pending = pool.submit(fetcher.fetch, NAME, limit=LIMIT)
            while fetcher.counters.requests == 0 or not fetcher._wire or not len(fetcher._wire._open):
                threading.Event().wait(0.01)
            fetcher.close()
            with pytest.raises(FetchFailed, match="closed"):
                pending.result(30)
        for filler in fillers:
            filler.close()
