"""Fixtures of the engine's tests."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator

import pytest

from hepwrap.cache.stores import Store
from tests.helpers.guests import Guests
from tests.helpers.launches import PATCHINGS
from tests.helpers.oracle import Host, Oracle, make_oracle
from tests.helpers.stores import STORES, store_of
from tests.helpers.unprivileged import Unprivileged


@pytest.fixture(scope="session")
def made_oracle(guests: Guests, hepwrap_command: list[str], unprivileged: Unprivileged) -> Iterator[Oracle]:
    """One odd tree, mounted for the kernel and published for hepwrap; only root can mount."""
    if os.geteuid() != 0:
        pytest.skip("only root can make the mount that hepwrap is compared with")
    yield from make_oracle(guests, hepwrap_command, unprivileged)


@pytest.fixture(params=PATCHINGS)
def both_ways(request: pytest.FixtureRequest) -> list[str]:
    """The options with which calls come into the runtime from where they are made, or are trapped each time."""
    return PATCHINGS[request.param]


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest) -> Iterator[Callable[[int], Store]]:
    """What makes a store of opened files for a mark: what is tested without programs is tested with both."""
    with store_of(request.param) as make:
        yield make


@pytest.fixture
def oracle(made_oracle: Oracle, both_ways: list[str]) -> Oracle:
    """Whatever is compared with the kernel is compared both ways."""
    return dataclasses.replace(made_oracle, flags=[*made_oracle.flags, *both_ways])


@pytest.fixture(params=["root", "user"])
def user(request: pytest.FixtureRequest) -> bool:
    """Whether an ordinary user runs both, or root."""
    return bool(request.param == "user")


@pytest.fixture(params=["bare", "decoy"])
def host(request: pytest.FixtureRequest) -> Host:
    """Whether the host has a /cvmfs of its own, which must never be seen."""
    return request.param  # type: ignore[no-any-return]
