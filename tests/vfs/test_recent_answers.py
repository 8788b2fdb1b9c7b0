"""What servers said to the launch before is gone by for as long as the publisher allows, and by every rule."""

from __future__ import annotations

import json
import math
import os
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hepwrap.errors import FetchFailed, HepwrapError, UntrustedManifest
from hepwrap.records import replace
from hepwrap.vfs.repository import Repository
from hepwrap.vfs.state import StateDirectory
from tests.helpers.recording_fetcher import RecordingFetcher
from tests.helpers.workshop import NOW, Workshop, object_name, other_key, public_pem

#: What the manifest of the shared repository says (field D), seconds.
TTL = 240
MANIFEST, WHITELIST = ".cvmfspublished", ".cvmfswhitelist"


class Place:
    """A repository, and one user's launches of it, whose names of what was asked are kept."""

    def __init__(self, tmp_path: Path) -> None:
        self.workshop = Workshop(tmp_path)
        self.state = StateDirectory(tmp_path / "state")

    @property
    def signed(self) -> list[str]:
        """What a launch asks that knows nothing but the root catalogue."""
        return [MANIFEST, object_name(self.workshop.manifest["X"], "X"), WHITELIST]

    def open(self, later: float = 0.0, *, ttl: float = math.inf, **more: Any) -> Repository:
        return self.opened(later, ttl=ttl, **more)[0]

    def asked(self, later: float = 0.0, *, ttl: float = math.inf, **more: Any) -> list[str]:
        return self.opened(later, ttl=ttl, **more)[1]

    def opened(self, later: float, *, ttl: float, **more: Any) -> tuple[Repository, list[str]]:
        """A launch so many seconds after NOW: the repository, and what was asked of the server."""
        fetcher = RecordingFetcher.of(self.workshop)
        repository = self.workshop.open(state=self.state, fetcher=fetcher, clock=lambda: NOW + later, ttl=ttl, **more)
        return repository, fetcher.names

    def edit_record(self, edit: Callable[[dict[str, Any]], object]) -> None:
        path = self.state.file_of(self.workshop.name)
        told = json.loads(path.read_text())
        edit(told)
        path.write_text(json.dumps(told))

    def publish(self, revision: str) -> None:
        self.workshop.manifest["S"] = revision
        self.workshop.sign_manifest()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_a_launch_soon_after_another_asks_nobody_and_reads_when_it_is_asked(place: Place) -> None:
    root = object_name(place.workshop.manifest["C"], "C")
    assert sorted(place.asked()) == sorted([*place.signed, root])
    repository, asked = place.opened(TTL - 1, ttl=math.inf)
    assert asked == []
    assert repository.revision == 2
    assert repository.lookup(b"/README") is not None
    assert asked == [root]


@pytest.mark.parametrize(("later", "ttl"), [(TTL, math.inf), (-1, math.inf), (10, 10), (0, 0)])
def test_a_launch_asks_after_the_time_that_the_publisher_or_the_user_allows(
    later: float, ttl: float, place: Place
) -> None:
    place.open()
    assert place.asked(later, ttl=ttl) == place.signed


def test_the_time_counts_from_when_a_server_was_asked(place: Place) -> None:
    for later in (0, TTL - 1):
        place.open(later)
    assert place.asked(TTL) == place.signed
    assert place.asked(2 * TTL - 1) == []


def test_a_publisher_can_have_every_launch_ask(place: Place) -> None:
    place.workshop.manifest["D"] = "0"
    place.workshop.sign_manifest()
    place.open()
    assert place.asked() == place.signed


def test_a_new_revision_is_seen_after_that_time_and_no_sooner(place: Place) -> None:
    place.open()
    place.publish("3")
    assert [place.open(later).revision for later in (TTL - 1, TTL, TTL + 1)] == [2, 3, 3]


def test_who_does_not_launch_sees_it_at_once_and_so_do_launches_from_then_on(place: Place) -> None:
    """For the user has seen it, and must not be taken back."""
    place.open()
    place.publish("3")
    assert place.open(1, ttl=0).revision == 3
    assert place.open(2).revision == 3


@pytest.mark.parametrize("asked", [{"tag": "v2.0"}, {"root_hash": "2cd145415d97cba6f605ae35dd46ac927bf6a4fc"}])
def test_for_a_revision_that_was_asked_for_servers_are_asked(asked: dict[str, str], place: Place) -> None:
    place.open()
    assert set(place.signed) <= set(place.asked(**asked))


@pytest.mark.parametrize("change", [{"servers": ("http://other.example/test",)}, {"proxy": "http://p.example:3128"}])
def test_what_others_said_or_said_through_others_counts_for_nothing(change: dict[str, Any], place: Place) -> None:
    place.open()
    elsewhere = replace(place.workshop.settings().fetch, **change)
    assert place.asked(fetch=elsewhere) == place.signed


def test_what_another_master_key_signed_counts_for_nothing(place: Place, tmp_path: Path) -> None:
    place.open()
    mine = tmp_path / "mine.pub"
    mine.write_bytes(public_pem(other_key()))
    with pytest.raises(UntrustedManifest, match="none of the trusted master keys"):
        place.open(public_keys=(mine,))
    place.workshop.sign_whitelist(key=other_key())
    assert place.open(public_keys=(mine,)).revision == 2


def test_a_whitelist_that_has_expired_meanwhile_is_asked_for(place: Place) -> None:
    place.workshop.sign_whitelist(expires="20270115080000")  # as NOW is, to the second
    now = NOW - 60
    place.workshop.open(state=place.state, fetcher=RecordingFetcher.of(place.workshop), clock=lambda: now, ttl=math.inf)
    with pytest.raises(UntrustedManifest, match="it expired on 2027-01-15 08:00 UTC"):
        place.open()
    place.workshop.sign_whitelist()
    assert place.asked() == [WHITELIST]
    assert place.asked(TTL - 61) == []
    assert place.asked(TTL - 59) == place.signed, "the manifest is not younger for that"


def test_a_blacklist_speaks_of_what_was_kept_too(place: Place, tmp_path: Path) -> None:
    place.open()
    refusing = tmp_path / "blacklist"
    refusing.write_text("<test.hep.example 3\n")
    with pytest.raises(UntrustedManifest, match="refuses its revision 2"):
        place.open(blacklists=(refusing,))


@pytest.mark.parametrize("which", range(3))
@pytest.mark.parametrize("at", [5, -5])
def test_what_was_changed_where_it_is_kept_is_asked_for(which: int, at: int, place: Place) -> None:
    place.open()
    name = place.signed[which]

    def spoil(told: dict[str, Any]) -> None:
        data = bytearray(a2b_base64(told["answers"]["files"][name]))
        data[at] ^= 0x10
        told["answers"]["files"][name] = b2a_base64(bytes(data), newline=False).decode()

    place.edit_record(spoil)
    repository, asked = place.opened(1, ttl=math.inf)
    assert name in asked
    assert repository.revision == 2
    assert place.asked(2) == [], "and what came is kept instead"


def forged(place: Place) -> None:
    """Revision 9, rightly hashed and signed by a stranger; the record says that the signature was verified."""
    good = place.workshop.read(MANIFEST)
    place.workshop.manifest["S"] = "9"
    place.workshop.sign_manifest(key=other_key())
    bad = place.workshop.read(MANIFEST)
    place.workshop.manifest["S"] = "2"
    place.workshop.write(MANIFEST, good)
    place.edit_record(lambda told: told["answers"]["files"].update({MANIFEST: b2a_base64(bad, newline=False).decode()}))


def test_what_a_stranger_signed_is_not_believed_for_being_kept(place: Place) -> None:
    place.open()
    forged(place)
    assert place.open(1).revision == 2


@pytest.mark.parametrize("kept", [None, 7, {}, {"at": "soon"}, {"at": NOW, "origin": "x", "files": {"a": "%"}}, []])
def test_a_record_that_makes_no_sense_is_none(kept: object, place: Place) -> None:
    place.open()
    place.edit_record(lambda told: told.update(answers=kept))
    assert place.asked(1) == place.signed


def test_a_record_that_others_can_write_to_saves_nothing(place: Place) -> None:
    place.open()
    path = place.state.file_of(place.workshop.name)
    for mode, asked in ((0o666, place.signed), (0o620, place.signed), (0o600, [])):
        place.open()
        path.chmod(mode)
        assert (place.state.verified(place.workshop.name) == []) == bool(asked)
        assert place.asked(1) == asked
        path.chmod(0o600)


def test_a_record_is_written_for_its_user_alone_whatever_the_umask_says(place: Place) -> None:
    before = os.umask(0)
    try:
        place.open()
    finally:
        os.umask(before)
    assert place.asked(1) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_record_that_another_user_owns_saves_nothing(place: Place) -> None:
    place.open()
    os.chown(place.state.file_of(place.workshop.name), 12345, -1)
    assert place.state.verified(place.workshop.name) == []
    assert place.asked(1) == place.signed


def test_servers_that_have_gone_are_not_missed_before_that_time(place: Place) -> None:
    place.open()
    place.workshop.remove(MANIFEST)
    assert place.open(1).revision == 2
    with pytest.raises(HepwrapError, match="no server has it"):
        place.open(TTL)


def test_too_much_is_not_kept(place: Place) -> None:
    place.workshop.manifest["Z"] = "x" * 300_000
    place.workshop.sign_manifest()
    place.open()
    assert place.asked(1) == place.signed


def test_a_fetcher_that_is_asked_for_something_fresh_is_asked(place: Place) -> None:
    """A pair of manifest and whitelist that does not fit is asked for past all that was kept."""
    place.open()
    place.workshop.sign_whitelist(lines=["00:" * 19 + "00"])
    place.edit_record(lambda told: told["answers"]["files"].pop(WHITELIST))
    with pytest.raises((UntrustedManifest, FetchFailed), match="is not in the whitelist"):
        place.open(1)
