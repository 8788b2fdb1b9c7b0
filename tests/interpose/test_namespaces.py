"""Maps of user namespaces, as the kernel shows them to us."""

from __future__ import annotations

import os

import pytest

from hepwrap.interpose import namespaces
from hepwrap.interpose.namespaces import Mapping, mapping_of

EVERYBODY = ((0, 0, 4294967295),)


@pytest.fixture
def maps(monkeypatch: pytest.MonkeyPatch) -> dict[int | str, tuple[tuple[int, int, int], ...]]:
    """What /proc says, by task."""
    said: dict[int | str, tuple[tuple[int, int, int], ...]] = {"self": EVERYBODY}
    monkeypatch.setattr(namespaces, "_read", lambda task, kind: said.get(task))
    return said


def test_a_task_of_our_own_namespace_knows_what_we_know(
    maps: dict[int | str, tuple[tuple[int, int, int], ...]],
) -> None:
    """The second column is our parent's, and says nothing here."""
    maps["self"] = maps[1] = ((0, 1000, 1), (1, 100000, 65536))
    assert (mapping_of(1, "uid").outside(), mapping_of(1, "uid").root()) == ((range(1), range(1, 65537)), 0)


def test_a_task_of_another_namespace_knows_what_is_mapped_there(
    maps: dict[int | str, tuple[tuple[int, int, int], ...]],
) -> None:
    maps[1] = ((7, 1000, 2), (0, 5, 1))
    assert (mapping_of(1, "uid").outside(), mapping_of(1, "uid").root()) == ((range(1000, 1002), range(5, 6)), 5)


def test_what_is_not_mapped_here_is_nobodys(maps: dict[int | str, tuple[tuple[int, int, int], ...]]) -> None:
    maps[1] = ((0, 4294967295, 1),)
    assert (mapping_of(1, "uid").outside(), mapping_of(1, "uid").root()) == ((), None)


def test_a_task_that_is_gone_knows_nobody(maps: dict[int | str, tuple[tuple[int, int, int], ...]]) -> None:
    assert mapping_of(1, "uid") == Mapping(())


def test_without_user_namespaces_everybody_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(namespaces, "_read", lambda task, kind: None)
    assert mapping_of(1, "uid").root() == 0
    assert 4294967294 in mapping_of(1, "uid").outside()[0]


def test_we_know_ourselves() -> None:
    assert any(os.getuid() in each for each in mapping_of(os.getpid(), "uid").outside())
    assert any(os.getgid() in each for each in mapping_of(os.getpid(), "gid").outside())
