"""Fixtures that many files make alike: a tree that is published once, and its pair of the repository and the disk.

published = publishes("java.hep.example", build)   # a Published, for the session
java = pairs()                                     # a Pair for an ordinary user, patched and not
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.launches import Launches
from tests.helpers.programs import Pair
from tests.helpers.publishing import Published, published_once
from tests.helpers.unprivileged import Unprivileged


def publishes(name: str, build: Callable[[Path], object]) -> Any:
    """A fixture: the tree that `build(tree)` makes, which all workers share and none changes, as repository `name`."""

    @pytest.fixture(scope="session")
    def published(tester: Launches) -> Iterator[Published]:
        with published_once(tester, name, build) as found:
            yield found

    return published


def pairs(published: str = "published") -> Any:
    """A fixture: what the fixture of that name has published, beside the tree that it is made of."""

    @pytest.fixture
    def pair(request: pytest.FixtureRequest, unprivileged: Unprivileged, patching: list[str]) -> Pair:
        found: Published = request.getfixturevalue(published)
        return Pair(Launches.of(unprivileged, [*found.flags, *patching]), found, found.tree)

    return pair
