"""Every fetcher of this room under the one contract."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from hepwrap.fetchers.chain import ChainFetcher
from hepwrap.fetchers.directory import DirectoryFetcher
from hepwrap.fetchers.fetcher import Fetcher
from hepwrap.fetchers.http import HttpFetcher
from hepwrap.settings import FetchSettings
from tests.contracts.fetcher_contract import FetcherContract
from tests.helpers.faulty_server import FaultyServer
from tests.helpers.forward_proxy import ForwardProxy

FQRN = "test.hep.example"


class TestDirectoryFetcher(FetcherContract):
    def place(self, directory: Path) -> str:
        return str(directory)

    def dead(self) -> str:
        return "/no/such/directory/at/all"

    def open(self, *servers: str) -> Fetcher:
        return DirectoryFetcher(FetchSettings(servers=servers), fqrn=FQRN)


class TestFileAddress(TestDirectoryFetcher):
    def place(self, directory: Path) -> str:
        return directory.as_uri()

    def dead(self) -> str:
        return "file:///no/such/directory/at/all"


class TestHttpDirect(FetcherContract):
    proxy = "DIRECT"

    @pytest.fixture(autouse=True)
    def _stack(self) -> Iterator[None]:
        with ExitStack() as self.stack:
            yield

    def place(self, directory: Path) -> str:
        return self.stack.enter_context(FaultyServer(directory)).url

    def dead(self) -> str:
        server = FaultyServer(Path("/"))
        server.stop()
        return server.url

    def open(self, *servers: str) -> Fetcher:
        settings = FetchSettings(servers=servers, proxy=self.proxy, retries=0)
        return self.stack.enter_context(_closing(HttpFetcher(settings, fqrn=FQRN)))


class TestHttpThroughProxy(TestHttpDirect):
    @pytest.fixture(autouse=True)
    def _proxied(self, _stack: None) -> Iterator[None]:
        with ForwardProxy() as self.forward:
            self.proxy = self.forward.url
            yield


class TestChainOfKinds(TestHttpDirect):
    """The same laws where each place is of another kind than its neighbour."""

    def place(self, directory: Path) -> str:
        self.placed = getattr(self, "placed", 0) + 1
        return str(directory) if self.placed % 2 else super().place(directory)

    def open(self, *servers: str) -> Fetcher:
        from hepwrap.fetchers.registry import open_fetcher

        settings = FetchSettings(servers=servers, proxy="DIRECT", retries=0)
        return self.stack.enter_context(_closing(open_fetcher(settings, fqrn=FQRN)))


class _closing:
    def __init__(self, fetcher: Fetcher) -> None:
        self.fetcher = fetcher

    def __enter__(self) -> Fetcher:
        return self.fetcher

    def __exit__(self, *_: object) -> None:
        self.fetcher.close()


def test_the_chain_is_what_mixed_kinds_become() -> None:
    from hepwrap.fetchers.registry import open_fetcher

    settings = FetchSettings(servers=("/a", "http://127.0.0.1:9", "/b"), proxy="DIRECT")
    assert isinstance(open_fetcher(settings, fqrn=FQRN), ChainFetcher)
