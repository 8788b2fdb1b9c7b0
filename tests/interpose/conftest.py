"""Fixtures of the engine's tests."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.helpers.guests import Guests
from tests.helpers.oracle import Host, Oracle, make_oracle
from tests.helpers.unprivileged import Unprivileged


@pytest.fixture(scope="session")
def oracle(guests: Guests, hepwrap_command: list[str], unprivileged: Unprivileged) -> Iterator[Oracle]:
    """One odd tree, mounted for the kernel and published for hepwrap; only root can mount."""
    if os.geteuid() != 0:
        pytest.skip("only root can make the mount that hepwrap is compared with")
    yield from make_oracle(guests, hepwrap_command, unprivileged)


@pytest.fixture(params=["root", "user"])
def user(request: pytest.FixtureRequest) -> bool:
    """Whether an ordinary user runs both, or root."""
    return bool(request.param == "user")


@pytest.fixture(params=["bare", "decoy"])
def host(request: pytest.FixtureRequest) -> Host:
    """Whether the host has a /cvmfs of its own, which must never be seen."""
    return request.param  # type: ignore[no-any-return]
