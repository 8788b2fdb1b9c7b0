"""The Geo-API: what is asked, and what is believed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hepwrap.fetchers import geo
from hepwrap.fetchers.blame import Fault
from hepwrap.fetchers.http import HttpFetcher
from hepwrap.settings import FetchSettings
from tests.contracts.fetcher_contract import GOOD, LIMIT, NAME, put
from tests.helpers import faulty_server as faults
from tests.helpers.faulty_server import FaultyServer
from tests.helpers.forward_proxy import ForwardProxy

GARBAGE = [b"", b"\n", b"1", b"1,2", b"1,2,2", b"0,1,2", b"1,2,4", b"1,2,3,4", b"a,b,c", b"1,,3", b"-1,2,3", b"1 2 3",
           b"<html>", b"1,2,3;", b"\xff\xfe", b"9" * 5000, b"1,2,99999999999999999999"]  # fmt: skip


@pytest.mark.parametrize("answer", GARBAGE)
def test_garbage_is_no_order(answer: bytes) -> None:
    assert geo.parse(answer, 3) is None


@given(st.permutations(range(6)))
def test_an_order_of_everybody_is_taken(order: list[int]) -> None:
    assert geo.parse(",".join(str(index + 1) for index in order).encode() + b"\n", 6) == order


@given(st.binary(max_size=30), st.integers(1, 5))
def test_whatever_comes_is_a_permutation_or_nothing(answer: bytes, count: int) -> None:
    order = geo.parse(answer, count)
    assert order is None or sorted(order) == list(range(count))


def test_the_question_names_hosts_without_ports() -> None:
    servers = ["http://a.example:8000/cvmfs/x", "http://b.example/cvmfs/x"]
    assert geo.url(servers[0], "site", servers) == (
        "http://a.example:8000/cvmfs/x/api/v1.0/geo/site/a.example,b.example"
    )


def test_who_asks_is_the_template_or_the_proxys_host_or_anybody() -> None:
    assert geo.token("my-site", "http://p1:3128") == "my-site"
    assert geo.token("", "http://p1:3128") == "p1"
    assert len(geo.token("", "DIRECT")) == 36
    assert geo.token("", "DIRECT") != geo.token("", "DIRECT")


@given(st.integers(0, 8), st.integers(0, 1000))
def test_at_most_three_servers_are_asked_and_failing_keeps_the_order(count: int, seed: int) -> None:
    servers = [f"http://server{number}" for number in range(count)]
    asked: list[str] = []

    def ask(server: str) -> bytes:
        asked.append(server)
        raise Fault("is dead")

    assert geo.ordered(servers, ask, random=Random(seed), log=lambda _: None) == servers
    assert len(asked) == len(set(asked)) == min(3, count)


# On the wire.


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[list[FaultyServer]]:
    directory = put(tmp_path / "repo", GOOD)
    with FaultyServer(directory) as one, FaultyServer(directory) as two, FaultyServer(directory) as three:
        yield [one, two, three]


def answer_everywhere(servers: list[FaultyServer], fault: faults.Fault) -> None:
    for server in servers:
        server.fault("api/*", fault)


@pytest.fixture
def open_http(servers: list[FaultyServer]) -> Iterator[Callable[..., HttpFetcher]]:
    made: list[HttpFetcher] = []

    def make(**changes: object) -> HttpFetcher:
        values = {"proxy": "DIRECT", "retries": 0, "geo_api": True, "timeout": 30.0, "timeout_direct": 30.0, **changes}
        settings = FetchSettings(servers=tuple(server.url for server in servers), **values)  # type: ignore[arg-type]
        made.append(HttpFetcher(settings, fqrn="test.hep.example", random=Random(3)))
        return made[-1]

    yield make
    for fetcher in made:
        fetcher.close()


def asked_for_objects(servers: list[FaultyServer]) -> list[int]:
    return [server.count("data/*") for server in servers]


def test_the_nearest_server_is_asked_first_and_the_question_is_put_once(servers, open_http) -> None:
    answer_everywhere(servers, faults.Body(b"3,1,2\n"))
    fetcher = open_http()
    for _ in range(2):
        assert fetcher.fetch(NAME, limit=LIMIT) == GOOD
    assert asked_for_objects(servers) == [0, 0, 2]
    assert sum(server.count("api/*") for server in servers) == 1
    assert fetcher.describe()["host_list"] == ";".join(servers[index].url for index in (2, 0, 1))


@pytest.mark.parametrize(
    "fault",
    [faults.Body(b"4,1,2"), faults.Body(b"x" * 100_000), faults.Status(500), faults.Status(404), faults.HangUp()],
    ids=["a server too many", "much too long", "500", "404", "nothing"],
)
def test_a_useless_answer_keeps_the_order_and_asks_three(servers, open_http, fault) -> None:
    answer_everywhere(servers, fault)
    assert open_http().fetch(NAME, limit=LIMIT) == GOOD
    assert asked_for_objects(servers) == [1, 0, 0]
    assert [server.count("api/*") for server in servers] == [1, 1, 1]


def test_a_server_without_the_service_leaves_it_to_the_others(servers, open_http) -> None:
    answer_everywhere(servers, faults.Status(404))
    servers[1].fault("api/*", faults.Body(b"2,3,1"))
    open_http().fetch(NAME, limit=LIMIT)
    assert asked_for_objects(servers) == [0, 1, 0]


def test_nobody_is_asked_where_it_is_not_wanted_or_there_is_no_choice(servers, open_http) -> None:
    open_http(geo_api=False).fetch(NAME, limit=LIMIT)
    del servers[1:]
    open_http().fetch(NAME, limit=LIMIT)
    assert servers[0].count("api/*") == 0


def test_the_template_stands_for_the_site(servers, open_http) -> None:
    answer_everywhere(servers, faults.Body(b"1,2,3"))
    open_http(proxy_template="my site/1").fetch(NAME, limit=LIMIT)
    (name,) = [name for server in servers for name in server.names() if name.startswith("api/")]
    assert name == "api/v1.0/geo/my site/1/127.0.0.1,127.0.0.1,127.0.0.1"


def test_the_question_goes_through_the_proxies(servers, open_http) -> None:
    answer_everywhere(servers, faults.Body(b"2,1,3"))
    with ForwardProxy() as dead:
        pass
    with ForwardProxy() as proxy:
        open_http(proxy=f"{dead.url};{proxy.url}").fetch(NAME, limit=LIMIT)
        assert "/api/v1.0/geo/127.0.0.1/" in proxy.requests[0][0]
    assert asked_for_objects(servers) == [0, 1, 0]
