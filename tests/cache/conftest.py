"""What the tests of memory files share: they run in both places of opened files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from hepwrap.cache.budget import Budget, FixedBudget
from hepwrap.cache.memory import MemoryFile, MemoryFiles, Part
from hepwrap.cache.objects import Objects
from hepwrap.cache.place import Place
from tests.helpers.memory_fetcher import MemoryFetcher
from tests.helpers.stores import STORES, Kept, a_place

LIMIT = 1 << 30


class Store:
    """MemoryFiles over a MemoryFetcher, with short ways to ask and an account of what was evicted."""

    def __init__(self, budget: Budget, **more: Any) -> None:
        self.fetcher = MemoryFetcher()
        self.objects = Objects()
        self.evicted: list[MemoryFile] = []
        more.setdefault("on_evict", self.evicted.append)
        self.files = MemoryFiles(self.objects, budget=budget, name=str, **more)
        self.parts: dict[str, list[Part]] = {}
        self.sizes: dict[str, int] = {}

    def put(self, key: str, content: bytes, sizes: list[int] | None = None) -> None:
        self.parts[key] = self.fetcher.put_parts(content, sizes or ([len(content)] if content else []))
        self.sizes[key] = len(content)

    def open(self, key: str, **more: Any) -> MemoryFile:
        return self.files.open(
            key, size=self.sizes[key], parts=self.parts[key], fetcher=self.fetcher, limit=LIMIT, **more
        )

    def fetches(self, key: str) -> int:
        return sum(self.fetcher.asked[part.ref.name] for part in self.parts[key])

    def held(self) -> set[str]:
        return {key for key in self.sizes if self.files.peek(key) is not None}


@pytest.fixture(params=STORES)
def kept(request: pytest.FixtureRequest) -> Iterator[Kept]:
    """A store of the kind, with nothing in it."""
    with STORES[request.param]() as made:
        yield made


@pytest.fixture
def place() -> Iterator[Place]:
    """A place for files, which nobody else sees."""
    with a_place() as made:
        yield made


@pytest.fixture(params=STORES)
def backing(request: pytest.FixtureRequest) -> str:
    """Which of the two stores memory files use."""
    return str(request.param)


@pytest.fixture
def make_store(backing: str) -> Iterator[Callable[..., Store]]:
    """Makes stores with `bytes` and `descriptors` as limits (or a `budget`), and closes them at the end."""
    with ExitStack() as stack:

        def make(bytes: int = 1 << 30, descriptors: int = 1000, *, budget: Budget | None = None, **more: Any) -> Store:
            if "store" not in more:
                more["store"] = stack.enter_context(STORES[backing]()).store
            made = Store(budget or FixedBudget(bytes, descriptors), **more)
            stack.callback(made.files.close)
            return made

        yield make
