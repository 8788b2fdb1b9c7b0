"""Proxies: the syntax, the names in it, and what happens on the wire."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from hepwrap.errors import ConfigurationError, FetchFailed, MissingObject
from hepwrap.fetchers import proxies
from hepwrap.fetchers.http import HttpFetcher
from hepwrap.settings import FetchSettings
from tests.contracts.fetcher_contract import BAD, GOOD, LIMIT, NAME, must_be_good, put
from tests.fetchers.clock import Clock
from tests.helpers import faulty_server as faults
from tests.helpers.faulty_server import FaultyServer
from tests.helpers.forward_proxy import ForwardProxy

SYNTAX = [
    ("DIRECT", "", (("DIRECT",),)),
    ("direct", "", (("DIRECT",),)),
    ("http://p1:3128", "", (("http://p1:3128",),)),
    ("p1:3128", "", (("http://p1:3128",),)),
    (
        "http://p1:3128|http://p2:3128;http://p3:3128;DIRECT",
        "",
        (("http://p1:3128", "http://p2:3128"), ("http://p3:3128",), ("DIRECT",)),
    ),
    (" p1:1 | p2:2 ; DIRECT ", "", (("http://p1:1", "http://p2:2"), ("DIRECT",))),
    ("p1:1||p1:1;;DIRECT;", "", (("http://p1:1",), ("DIRECT",))),
    ("http://p1:1/", "", (("http://p1:1",),)),
    ("http://[::1]:3128", "", (("http://[::1]:3128",),)),
    ("https://p1:1", "", (("https://p1:1",),)),
    ("auto;DIRECT", "", (("auto",), ("DIRECT",))),
    ("p1:1;DIRECT", "f1:1|f2:2;f3:3", (("http://p1:1",), ("http://f1:1", "http://f2:2"), ("http://f3:3",))),
    ("p1:1|DIRECT", "f1:1", (("http://p1:1",), ("http://f1:1",))),
    ("DIRECT", "f1:1", (("http://f1:1",),)),
    ("DIRECT", "f1:1;DIRECT", (("http://f1:1",), ("DIRECT",))),
]


@pytest.mark.parametrize(("text", "fallback", "groups"), SYNTAX)
def test_proxy_lists_read_as_the_real_client_reads_them(text: str, fallback: str, groups: proxies.Groups) -> None:
    assert proxies.parse(text, fallback) == groups


@pytest.mark.parametrize("text", ["", " ", ";", "|", ";|;"])
def test_an_empty_proxy_list_is_an_error_that_says_how_to_ask_directly(text: str) -> None:
    with pytest.raises(ConfigurationError, match="DIRECT"):
        HttpFetcher(FetchSettings(servers=("http://127.0.0.1:9",), proxy=text), fqrn="test.hep.example")


@pytest.mark.parametrize(
    "text", ["ftp://p1:1", "http://", "p1:port", "p1:99999", "p 1:3128", "http://[::1:1", "a\nb", "p1:0", "p1:1/x"]
)
def test_nonsense_in_a_proxy_list_is_an_error(text: str) -> None:
    with pytest.raises(ConfigurationError, match="is not a proxy"):
        proxies.parse(f"DIRECT;{text}")


def test_passwords_are_not_shown() -> None:
    assert proxies.as_text(proxies.parse("http://me:secret@p1:1|p2:2;DIRECT")) == "http://p1:1|http://p2:2;DIRECT"


# Names.


def test_each_address_of_a_name_is_a_proxy_of_its_group() -> None:
    groups = proxies.parse("http://me:pw@pool.example:3128|p2:1;DIRECT")
    table = {"pool.example": ["192.0.2.1", "192.0.2.2"], "p2": ["192.0.2.9"]}
    assert proxies.expand(groups, lambda name: table[name]) == (
        ("http://me:pw@192.0.2.1:3128", "http://me:pw@192.0.2.2:3128", "http://p2:1"),
        ("DIRECT",),
    )


def test_a_new_style_address_gets_brackets() -> None:
    groups = proxies.expand(proxies.parse("pool:1"), lambda _: ["2001:db8::1", "2001:db8::2"])
    assert groups == (("http://[2001:db8::1]:1", "http://[2001:db8::2]:1"),)


def test_addresses_and_https_proxies_are_not_looked_up() -> None:
    groups = proxies.parse("127.0.0.1:1|http://[::1]:1|https://name:1;DIRECT")
    asked: list[str] = []
    assert proxies.expand(groups, lambda name: asked.append(name) or []) == groups  # type: ignore[func-returns-value]
    assert asked == []
    assert not proxies.has_names(groups)


def test_an_unknown_name_stays_so_that_the_error_can_name_it() -> None:
    assert proxies.expand(proxies.parse("nowhere:1"), lambda _: []) == (("http://nowhere:1",),)


def test_a_name_with_a_thousand_addresses_gives_sixteen_proxies() -> None:
    (group,) = proxies.expand(proxies.parse("pool:1"), lambda _: [f"10.0.{n // 256}.{n % 256}" for n in range(1000)])
    assert len(group) == 16


@pytest.fixture
def _no_such_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers for *.invalid without asking the network."""
    import socket

    real = socket.getaddrinfo

    def answer(host, *arguments, **options):
        if str(host).endswith(".invalid"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real(host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", answer)


@pytest.mark.usefixtures("_no_such_name")
def test_the_system_is_asked_for_names() -> None:
    assert proxies.addresses_of("localhost") == ["127.0.0.1"]
    assert proxies.addresses_of("no-such-name.invalid") == []
    assert proxies.addresses_of("x" * 300) == []


# On the wire.


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FaultyServer]:
    with FaultyServer(put(tmp_path / "one", GOOD)) as one:
        yield one


@pytest.fixture
def proxy() -> Iterator[ForwardProxy]:
    with ForwardProxy() as one:
        yield one


@pytest.fixture
def other() -> Iterator[ForwardProxy]:
    with ForwardProxy() as two:
        yield two


@pytest.fixture
def dead() -> str:
    with ForwardProxy() as gone:
        pass
    return gone.url


@pytest.fixture
def open_http() -> Iterator[Callable[..., HttpFetcher]]:
    made: list[HttpFetcher] = []

    def make(servers: list[str], proxy: str, *, seed: int = 1, **changes: object) -> HttpFetcher:
        ours = {name: changes.pop(name) for name in ("clock", "resolve", "log") if name in changes}
        settings = FetchSettings(servers=tuple(servers), proxy=proxy, **{"retries": 0, "timeout": 30.0, **changes})  # type: ignore[arg-type]
        made.append(HttpFetcher(settings, fqrn="test.hep.example", random=Random(seed), **ours))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for fetcher in made:
        fetcher.close()


def test_the_whole_address_is_asked_of_the_proxy(server, proxy, open_http) -> None:
    assert open_http([server.url], proxy.url).fetch(NAME, limit=LIMIT) == GOOD
    ((url, headers),) = proxy.requests
    assert url == f"{server.url}/{NAME}"
    assert headers["User-Agent"].startswith("cvmfs hepwrap")


def test_a_proxy_password_goes_to_the_proxy_and_into_no_text(server, proxy, open_http) -> None:
    fetcher = open_http([server.url], proxy.url.replace("//", "//me:secret@"))
    fetcher.fetch(NAME, limit=LIMIT)
    assert proxy.requests[0][1]["Proxy-Authorization"].startswith("Basic ")
    assert "secret" not in str(fetcher.describe())


def test_a_dead_proxy_is_left_for_the_next_group_and_remembered(server, proxy, dead, open_http) -> None:
    fetcher = open_http([server.url], f"{dead};{proxy.url}")
    for _ in range(3):
        assert fetcher.fetch(NAME, limit=LIMIT) == GOOD
    assert fetcher.counters.requests == 4
    assert fetcher.describe()["proxy"] == proxy.url
    assert fetcher.describe()["proxy_list"] == f"{dead};{proxy.url}"
    assert fetcher.describe()["host"] == server.url


@pytest.mark.usefixtures("_no_such_name")
def test_a_name_without_address_is_left_for_the_next_group(server, open_http) -> None:
    fetcher = open_http([server.url], "http://no-such-name.invalid:3128;DIRECT")
    assert fetcher.fetch(NAME, limit=LIMIT) == GOOD


def test_every_member_of_a_group_is_tried_before_the_next_group(server, proxy, other, open_http) -> None:
    for each in (proxy, other):
        each.answer = 503
    fetcher = open_http([server.url], f"{proxy.url}|{other.url};DIRECT")
    assert fetcher.fetch(NAME, limit=LIMIT) == GOOD
    assert (len(proxy.requests), len(other.requests)) == (1, 1)
    assert fetcher.describe()["proxy"] == "DIRECT"


def test_members_of_a_group_share_the_load(server, proxy, other, open_http) -> None:
    for seed in range(30):
        open_http([server.url], f"{proxy.url}|{other.url}", seed=seed).fetch(NAME, limit=LIMIT)
    assert min(len(proxy.requests), len(other.requests)) > 3


def test_one_fetcher_keeps_to_one_proxy_of_the_group(server, proxy, other, open_http) -> None:
    fetcher = open_http([server.url], f"{proxy.url}|{other.url}")
    for _ in range(10):
        fetcher.fetch(NAME, limit=LIMIT)
    assert {len(proxy.requests), len(other.requests)} == {0, 10}


def test_the_first_group_is_asked_again_when_its_time_has_come(server, proxy, open_http) -> None:
    clock = Clock()
    proxy.answer = 503
    fetcher = open_http([server.url], f"{proxy.url};DIRECT", clock=clock, proxy_reset_after=300.0)
    fetcher.fetch(NAME, limit=LIMIT)
    proxy.answer = 0
    clock.now += 299
    fetcher.fetch(NAME, limit=LIMIT)
    assert len(proxy.requests) == 1
    clock.now += 1
    fetcher.fetch(NAME, limit=LIMIT)
    assert len(proxy.requests) == 2


def test_a_dead_server_behind_a_good_proxy_leads_to_the_next_server(server, proxy, open_http) -> None:
    """The proxy says X-Squid-Error: at first it is taken for its fault, then another server is tried through it."""
    with FaultyServer(server.directory) as gone:
        pass
    fetcher = open_http([gone.url, server.url], proxy.url)
    assert fetcher.fetch(NAME, limit=LIMIT) == GOOD
    assert fetcher.describe()["host"] == server.url
    assert [url.startswith(gone.url) for url, _ in proxy.requests] == [True, False]


def test_when_all_proxies_are_dead_one_more_server_is_tried_and_no_third(dead, server, open_http) -> None:
    servers = [f"{server.url}/{number}" for number in range(5)]
    fetcher = open_http(servers, f"{dead};{dead.replace('127.0.0.1', '127.0.0.2')}")
    with pytest.raises(FetchFailed, match=r"through http://127\.0\.0") as caught:
        fetcher.fetch(NAME, limit=LIMIT)
    assert not isinstance(caught.value, MissingObject)
    assert fetcher.counters.requests == 4
    assert server.requests == []


def test_a_404_through_a_proxy_is_missing_and_one_made_by_the_proxy_is_not(server, proxy, open_http) -> None:
    fetcher = open_http([server.url], proxy.url)
    with pytest.raises(MissingObject):
        fetcher.fetch("data/00/nothing", limit=LIMIT)
    proxy.answer = 404
    with pytest.raises(FetchFailed) as caught:
        fetcher.fetch("data/00/nothing", limit=LIMIT)
    assert not isinstance(caught.value, MissingObject)


def test_a_server_error_is_not_blamed_on_the_proxy(server, proxy, other, open_http) -> None:
    server.fault("data/*", faults.Status(500))
    with pytest.raises(FetchFailed, match="HTTP 500"):
        open_http([server.url], f"{proxy.url};{other.url}").fetch(NAME, limit=LIMIT)
    assert (len(proxy.requests), len(other.requests)) == (1, 0)


def test_wrong_bytes_in_a_proxys_cache_are_asked_for_past_it_through_the_same_proxy(server, proxy, open_http) -> None:
    proxy.poison[f"{server.url}/{NAME}"] = BAD
    fetcher = open_http([server.url], f"{proxy.url};DIRECT")
    assert fetcher.fetch(NAME, limit=LIMIT, check=must_be_good) == GOOD
    assert [headers.get("Cache-Control") for _, headers in proxy.requests] == [None, "no-cache"]
    assert fetcher.counters.corrupt == 1


def test_a_stall_behind_a_proxy_is_the_proxys_fault(server, proxy, open_http) -> None:
    server.fault("data/*", faults.Stall())
    fetcher = open_http([server.url], proxy.url, timeout=0.3)
    with pytest.raises(FetchFailed, match=f"sent nothing for 0.3 s .through {proxy.url}"):
        fetcher.fetch(NAME, limit=LIMIT)


def test_names_of_proxies_are_looked_up_again_after_a_while(server, proxy, open_http) -> None:
    clock = Clock()
    asked: list[str] = []

    def resolve(name: str) -> list[str]:
        asked.append(name)
        return ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.1", "127.0.0.2"]

    fetcher = open_http([server.url], f"http://localhost:{proxy.port}", clock=clock, resolve=resolve)
    for _ in range(3):
        fetcher.fetch(NAME, limit=LIMIT)
    assert asked == ["localhost"]
    clock.now += 300
    fetcher.fetch(NAME, limit=LIMIT)
    assert asked == ["localhost"] * 2
    assert fetcher.describe()["proxy_list"] == f"http://127.0.0.1:{proxy.port}|http://127.0.0.2:{proxy.port}"


def test_proxies_of_the_environment_are_never_asked(server, open_http) -> None:
    """tests/fetchers/conftest.py names dead ones in every variable that is usual."""
    import os

    assert os.environ["http_proxy"]
    assert open_http([server.url], "DIRECT").fetch(NAME, limit=LIMIT) == GOOD


def test_switches_are_logged(server, dead, open_http) -> None:
    lines: list[str] = []
    open_http([server.url], f"{dead};DIRECT", log=lines.append).fetch(NAME, limit=LIMIT)
    assert lines == [f"fetch: proxy {dead} is not reachable: Connection refused"]
