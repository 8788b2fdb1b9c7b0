"""Proxy auto-configuration: the refusal without an interpreter, and everything around one."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from hepwrap.errors import ConfigurationError, FetchFailed
from hepwrap.fetchers import pac
from hepwrap.fetchers.blame import Fault
from hepwrap.fetchers.http import HttpFetcher
from hepwrap.settings import FetchSettings
from tests.contracts.fetcher_contract import GOOD, LIMIT, NAME, put
from tests.fetchers.clock import Clock
from tests.helpers import faulty_server as faults
from tests.helpers import needs
from tests.helpers.faulty_server import FaultyServer
from tests.helpers.forward_proxy import ForwardProxy
from tests.helpers.unprivileged import Unprivileged

ANSWERS = [
    ("DIRECT", (("DIRECT",),)),
    ("PROXY p1:3128; PROXY p2:3128; DIRECT", (("http://p1:3128",), ("http://p2:3128",), ("DIRECT",))),
    ("proxy p1:3128 ;direct", (("http://p1:3128",), ("DIRECT",))),
    ("HTTPS p1:443;HTTP p2:80", (("https://p1:443",), ("http://p2:80",))),
    ("SOCKS p1:1080; PROXY p2:1", (("http://p2:1",),)),
    ("", ()),
    ("PROXY", ()),
    ("undefined", ()),
]


@pytest.mark.parametrize(("answer", "groups"), ANSWERS)
def test_answers_of_pac_files_become_groups_in_order(answer: str, groups: tuple[tuple[str, ...], ...]) -> None:
    assert pac.to_groups(answer) == groups


def test_the_well_known_place_is_asked_where_none_is_named() -> None:
    assert pac.locations("") == ["http://wpad/wpad.dat"]
    assert pac.locations("http://a/p.pac; auto ;") == ["http://a/p.pac", "http://wpad/wpad.dat"]


def test_auto_without_an_interpreter_is_refused_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError) as caught:
        HttpFetcher(FetchSettings(servers=("http://127.0.0.1:9",), proxy="auto;DIRECT"), fqrn="test.hep.example")
    text = str(caught.value)
    assert "JavaScript" in text
    assert "pypac" in text
    assert "\n" not in text


@pytest.mark.parametrize("way", ["directory", "file", "http"])
def test_what_a_pac_file_says_stands_in_the_place_of_auto(tmp_path: Path, way: str) -> None:
    put(tmp_path, GOOD)
    put(tmp_path, b"function FindProxyForURL...", "proxy.pac")
    asked: list[tuple[str, str, str]] = []
    with FaultyServer(tmp_path) as server, ForwardProxy() as proxy:

        def evaluate(script: str, url: str, host: str) -> str:
            asked.append((script, url, host))
            return f"PROXY 127.0.0.1:{proxy.port}"

        path = tmp_path / "proxy.pac"
        location = {"directory": str(path), "file": path.as_uri(), "http": f"{server.url}/proxy.pac"}[way]
        settings = FetchSettings(servers=(server.url,), proxy="auto;DIRECT", pac_urls=location)
        fetcher = HttpFetcher(settings, fqrn="test.hep.example", evaluate=evaluate)
        for _ in range(2):
            assert fetcher.fetch(NAME, limit=LIMIT) == GOOD
        assert fetcher.describe()["proxy_list"] == f"{proxy.url};DIRECT"
        assert len(proxy.requests) == 2
        fetcher.close()
    assert asked == [("function FindProxyForURL...", server.url, "127.0.0.1")]


def replace(
    proxy: str, answers: dict[str, str], *, servers: tuple[str, ...] = ("http://s1",)
) -> tuple[object, list[str]]:
    """`auto` in `proxy`, with PAC files a and b that answer so; "" cannot be loaded, "!" is broken."""
    lines: list[str] = []

    def load(location: str) -> bytes:
        if not answers[location]:
            raise Fault("answered HTTP 500")
        return answers[location].encode()

    def evaluate(script: str, url: str, host: str) -> str:
        if script == "!":
            raise Fault("is broken")
        return script if host == "s2" or "only s2" not in script else ""

    from hepwrap.fetchers import proxies

    groups = pac.replace_auto(
        proxies.parse(proxy), pac_urls="a;b", servers=servers, load=load, evaluate=evaluate, log=lines.append
    )
    return groups, lines


@pytest.mark.parametrize("first", ["", "!", "nothing useful", "PROXY x y z:1"])
def test_a_pac_file_that_is_of_no_use_leaves_it_to_the_next(first: str) -> None:
    groups, lines = replace("p0:1;auto", {"a": first, "b": "PROXY p1:1"})
    assert groups == (("http://p0:1",), ("http://p1:1",))
    assert len(lines) == (first != "nothing useful")


def test_the_first_server_that_has_an_answer_decides() -> None:
    groups, _ = replace("auto", {"a": "PROXY only s2:1", "b": "PROXY p1:1"}, servers=("http://s1", "http://s2"))
    assert groups == (("http://p1:1",),)


def test_no_useful_pac_file_leaves_the_rest_of_the_list() -> None:
    groups, _ = replace("auto;DIRECT", {"a": "", "b": ""})
    assert groups == (("DIRECT",),)


def test_no_useful_pac_file_and_nothing_else_is_failed_and_says_where_it_looked() -> None:
    with pytest.raises(FetchFailed, match="at a or b names a proxy"):
        replace("auto", {"a": "", "b": "!"})


def test_finding_no_proxy_is_believed_for_ten_seconds(tmp_path: Path) -> None:
    clock = Clock()
    with FaultyServer(put(put(tmp_path, GOOD), b"x", "proxy.pac")) as server:
        server.fault("proxy.pac", faults.Status(500), times=1)
        settings = FetchSettings(servers=(server.url,), proxy="auto", pac_urls=f"{server.url}/proxy.pac")
        fetcher = HttpFetcher(settings, fqrn="test.hep.example", evaluate=lambda *_: "DIRECT", clock=clock)
        for _ in range(3):
            with pytest.raises(FetchFailed, match="auto-configuration"):
                fetcher.fetch(NAME, limit=LIMIT)
        assert server.count("proxy.pac") == 1
        clock.now += 10
        assert fetcher.fetch(NAME, limit=LIMIT) == GOOD
        fetcher.close()


# The process that runs the script.


class Done:
    def __init__(self, stdout: bytes, returncode: int = 0) -> None:
        self.stdout, self.returncode = stdout, returncode


@pytest.mark.parametrize("done", [Done(b"PROXY x:1", 1), Done(b"\x1b[31m"), Done(b"x" * 5000)])
def test_a_script_that_breaks_its_process_or_says_too_much_is_a_fault(
    monkeypatch: pytest.MonkeyPatch, done: Done
) -> None:
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)
    with pytest.raises(Fault, match="not a working"):
        pac.run_in_child("script", "http://x/", "x")


def test_a_script_that_does_not_end_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: object, timeout: float, **__: object) -> None:
        raise subprocess.TimeoutExpired("script", timeout)

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(Fault, match="did not end within 10 s"):
        pac.run_in_child("script", "http://x/", "x")


def test_without_an_interpreter_the_child_fails_and_says_nothing(
    unprivileged: Unprivileged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(unprivileged.python))  # has what hepwrap needs, and no extras
    with pytest.raises(Fault):
        pac.run_in_child("function FindProxyForURL(url, host) { return 'DIRECT' }", "http://x/", "x")


@pytest.fixture
def interpreter() -> None:
    """That of the extra `pac`."""
    if importlib.util.find_spec("pypac") is None:
        needs.lacking("pypac is missing: pip install 'hepwrap[pac]'")


@pytest.mark.usefixtures("interpreter")
def test_a_real_script_is_run() -> None:
    script = "function FindProxyForURL(url, host) { return dnsDomainIs(host, '.cern.ch') ? 'PROXY p1:1' : 'DIRECT'; }"
    assert pac.run_in_child(script, "http://a.cern.ch/x", "a.cern.ch") == "PROXY p1:1"
    assert pac.run_in_child(script, "http://a.example/x", "a.example") == "DIRECT"


@pytest.mark.usefixtures("interpreter")
@pytest.mark.parametrize(
    "script", ["", "function FindProxyForURL(", "while (true) {}", "var a=[];while(1)a.push(a.slice())"]
)
def test_a_broken_or_greedy_script_is_a_fault(script: str) -> None:
    with pytest.raises(Fault):
        pac.run_in_child(script, "http://x/", "x", cpu_seconds=1)
