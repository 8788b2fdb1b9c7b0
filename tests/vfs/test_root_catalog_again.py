"""The root catalogue of a revision that was loaded on this machine before is read when something is first asked."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from hepwrap.errors import CorruptObject, HepwrapError, MissingObject
from hepwrap.vfs.state import StateDirectory
from tests.helpers.recording_fetcher import RecordingFetcher
from tests.helpers.workshop import Workshop, object_name


@pytest.fixture
def state(tmp_path: Path) -> StateDirectory:
    return StateDirectory(tmp_path / "state")


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


def root_of(workshop: Workshop) -> str:
    return object_name(workshop.manifest["C"], "C")


def test_a_new_revision_is_loaded_before_it_is_opened_and_a_known_one_by_the_first_question(
    workshop: Workshop, state: StateDirectory
) -> None:
    first, again = RecordingFetcher.of(workshop), RecordingFetcher.of(workshop)
    workshop.open(state=state, fetcher=first)
    repository = workshop.open(state=state, fetcher=again)
    root = root_of(workshop)
    assert (first.names.count(root), again.names.count(root)) == (1, 0)
    assert repository.revision == 2
    assert repository.lookup(b"/README") is not None
    assert repository.lookup(b"/nothing") is None
    assert again.names.count(root) == 1


def test_a_revision_after_the_one_that_is_known_is_loaded_before_it_is_opened(
    workshop: Workshop, state: StateDirectory
) -> None:
    workshop.open(state=state)
    workshop.manifest["S"] = "3"
    workshop.edit_catalog("", lambda db: db.execute("DELETE FROM statistics"))
    fetcher = RecordingFetcher.of(workshop)
    workshop.open(state=state, fetcher=fetcher)
    assert fetcher.names.count(root_of(workshop)) == 1


@pytest.mark.parametrize("asked", [{}, {"tag": "v2.0"}, {"root_hash": "2cd145415d97cba6f605ae35dd46ac927bf6a4fc"}])
def test_without_state_or_where_a_revision_is_asked_for_it_is_always_loaded(
    asked: dict[str, str], workshop: Workshop, state: StateDirectory
) -> None:
    workshop.open(state=state)
    fetcher = RecordingFetcher.of(workshop)
    workshop.open(state=state if asked else None, fetcher=fetcher, **asked)
    assert fetcher.names.count(root_of(workshop)) == 1


def test_a_root_catalogue_that_has_gone_since_is_an_error_and_never_a_missing_file(
    workshop: Workshop, state: StateDirectory
) -> None:
    workshop.open(state=state)
    root = workshop.read(root_of(workshop))
    workshop.remove(root_of(workshop))
    repository = workshop.open(state=state)
    for _ in range(2):
        with pytest.raises(MissingObject, match=r"root catalogue 2cd14541.* the servers are incomplete"):
            repository.lookup(b"/README")
    workshop.write(root_of(workshop), root)
    assert repository.lookup(b"/README") is not None, "asked for again"


def test_what_the_state_says_does_not_stand_for_a_digest(workshop: Workshop, state: StateDirectory) -> None:
    """Whoever writes to it can put a check off, and no more."""
    workshop.open(state=state)
    workshop.manifest["S"] = "3"
    workshop.edit_catalog("", lambda db: db.execute("DELETE FROM statistics"))
    place = state.file_of(workshop.name)
    told = json.loads(place.read_text())
    for record in told["seen"].values():
        record |= {"revision": 3, "root_hash": workshop.manifest["C"]}
    place.write_text(json.dumps(told))
    workshop.change(root_of(workshop), lambda data: data[:-1] + bytes([data[-1] ^ 1]))
    repository = workshop.open(state=state)
    with pytest.raises(HepwrapError, match="have the digest"):
        repository.lookup(b"/README")


def test_many_first_questions_fetch_it_once(workshop: Workshop, state: StateDirectory) -> None:
    workshop.open(state=state)
    fetcher = RecordingFetcher.of(workshop)
    repository = workshop.open(state=state, fetcher=fetcher)
    together = threading.Barrier(8)
    found: list[bool] = []

    def ask() -> None:
        together.wait()
        found.append(repository.lookup(b"/README") is not None)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 8
    assert fetcher.names.count(root_of(workshop)) == 1


def test_a_repository_that_was_closed_before_anybody_looked_stays_closed(
    workshop: Workshop, state: StateDirectory
) -> None:
    workshop.open(state=state)
    repository = workshop.open(state=state)
    repository.close()
    with pytest.raises(CorruptObject, match="closed"):
        repository.lookup(b"/README")
