"""Opening against servers and time: pairs that do not fit, blacklists, keys, expiry during a job, many threads."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from hepwrap.cache.objects import Objects
from hepwrap.errors import ConfigurationError, FetchFailed, UntrustedManifest
from hepwrap.fetchers.directory import DirectoryFetcher
from hepwrap.fetchers.fetcher import Check, FetchCounters
from hepwrap.settings import FetchSettings
from hepwrap.vfs.repository import open_repository
from tests.helpers.workshop import NOW, Workshop, object_name, public_pem

NAME = "test.hep.example"


class Scripted:
    """A fetcher that hands out other bytes for a name in its first turns, and remembers what was asked."""

    def __init__(self, workshop: Workshop, script: dict[str, list[bytes]]) -> None:
        self.behind = DirectoryFetcher(workshop.settings().fetch, fqrn=NAME)
        self.counters = FetchCounters()
        self.script = script
        self.asked: list[tuple[str, bool]] = []

    def fetch(self, name: str, *, limit: int, check: Check | None = None, fresh: bool = False) -> bytes:
        self.asked.append((name, fresh))
        if self.script.get(name):
            data = self.script[name].pop(0)
            if check is not None:
                check(data)
            return data
        return self.behind.fetch(name, limit=limit, check=check, fresh=fresh)

    def describe(self) -> Mapping[str, str]:
        return {}

    def close(self) -> None:
        """Nothing to do."""


def rotated(tmp_path: Path) -> tuple[Workshop, bytes, bytes]:
    """A repository that has just changed its certificate, with the manifest and whitelist of before."""
    workshop = Workshop(tmp_path)
    old_manifest, old_whitelist = workshop.read(".cvmfspublished"), workshop.read(".cvmfswhitelist")
    shake = Workshop(tmp_path / "shake", "shake128.hep.example", "shake.hep.example")
    workshop.manifest["X"] = workshop.add_object((shake.shared / "keys/shake.hep.example.crt").read_bytes(), "X")
    workshop.sign_manifest(key=shake.key)
    lines = shake.read(".cvmfswhitelist").split(b"\n")[3:4]
    workshop.sign_whitelist(lines=[line.decode() for line in lines])
    return workshop, old_manifest, old_whitelist


def test_a_new_manifest_with_a_stale_whitelist_is_asked_for_again_past_caches(tmp_path: Path) -> None:
    workshop, _, whitelist = rotated(tmp_path)
    fetcher = Scripted(workshop, {".cvmfswhitelist": [whitelist]})
    assert workshop.open(fetcher=fetcher).revision == 2
    assert [name for name in fetcher.asked if name[0].startswith(".")] == [
        (".cvmfspublished", False),
        (".cvmfswhitelist", False),
        (".cvmfspublished", True),
        (".cvmfswhitelist", True),
    ]


def test_a_stale_manifest_with_a_new_whitelist_is_asked_for_again_past_caches(tmp_path: Path) -> None:
    workshop, manifest, _ = rotated(tmp_path)
    fetcher = Scripted(workshop, {".cvmfspublished": [manifest]})
    assert workshop.open(fetcher=fetcher).revision == 2
    assert (".cvmfspublished", True) in fetcher.asked


def test_a_pair_that_never_fits_is_asked_for_twice_and_no_more(tmp_path: Path) -> None:
    workshop, _, whitelist = rotated(tmp_path)
    fetcher = Scripted(workshop, {".cvmfswhitelist": [whitelist] * 9})
    with pytest.raises(UntrustedManifest, match="is not in the whitelist"):
        workshop.open(fetcher=fetcher)
    assert len([name for name, _ in fetcher.asked if name == ".cvmfswhitelist"]) == 2


@pytest.mark.parametrize("name", [".cvmfspublished", ".cvmfswhitelist"])
def test_a_first_server_that_forges_is_passed_over_for_the_next(name: str, tmp_path: Path) -> None:
    good, bad = Workshop(tmp_path / "good"), Workshop(tmp_path / "bad")
    bad.change(name, lambda data: data[:-5] + bytes(5))
    servers = FetchSettings(servers=(str(bad.root), str(good.root)))
    assert good.open(fetcher=DirectoryFetcher(servers, fqrn=NAME)).revision == 2


def test_a_network_that_fails_is_not_called_untrusted_and_not_asked_again(tmp_path: Path) -> None:
    class Dead(Scripted):
        def fetch(self, name: str, *, limit: int, check: Check | None = None, fresh: bool = False) -> bytes:
            self.asked.append((name, fresh))
            raise FetchFailed("no route to host")

    workshop = Workshop(tmp_path)
    fetcher = Dead(workshop, {})
    with pytest.raises(FetchFailed, match="no route to host"):
        workshop.open(fetcher=fetcher)
    assert fetcher.asked == [(".cvmfspublished", False)]


def test_alternative_names_are_asked_first_where_the_manifest_says_so(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    for field, letter in (("C", "C"), ("X", "X")):
        digest = workshop.manifest[field]
        workshop.write(f".cvmfsalt-{digest}{letter}", workshop.read(object_name(digest, letter)))
        workshop.remove(object_name(digest, letter))
    workshop.manifest["A"] = "yes"
    workshop.sign_manifest()
    assert workshop.open().lookup(b"/README") is not None


def test_alternative_names_that_are_not_there_fall_back_to_the_usual_ones(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    workshop.manifest["A"] = "yes"
    workshop.sign_manifest()
    assert workshop.open().lookup(b"/README") is not None


# What the user got wrong.


def test_no_key_at_all_says_how_to_give_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no master public key is known for test.hep.example; .*--key FILE"):
        Workshop(tmp_path).open(public_keys=())


def test_a_missing_key_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"gone\.pub: the master public key cannot be read \(No such file"):
        Workshop(tmp_path).open(public_keys=(tmp_path / "gone.pub",))


@pytest.mark.parametrize("content", [b"", b"hello", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"])
def test_a_key_file_that_holds_no_key_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "bad.pub").write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"bad\.pub: not a readable public key .*BEGIN PUBLIC KEY"):
        Workshop(tmp_path).open(public_keys=(tmp_path / "bad.pub",))


def test_a_key_of_another_kind_than_rsa_is_named(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

    (tmp_path / "ec.pub").write_bytes(public_pem(generate_private_key(SECP256R1())))  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=r"ec\.pub: a key of another kind \(1\.2\.840\.10045\.2\.1\) than RSA"):
        Workshop(tmp_path).open(public_keys=(tmp_path / "ec.pub",))


@pytest.mark.parametrize("name", ["", "..", "a/b", "../../etc", "a b", ".hidden", "x" * 300, "a\nb"])
def test_a_name_that_no_repository_can_have_is_refused_before_anything_is_asked(name: str, tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    fetcher = Scripted(workshop, {})
    with pytest.raises(ConfigurationError, match="is no name of a repository"):
        workshop.open(name=name, fetcher=fetcher)
    assert fetcher.asked == []


# Blacklists.


def test_a_blacklisted_fingerprint_is_refused_though_whitelisted(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    fingerprint = workshop.read(".cvmfswhitelist").split(b"\n")[3]
    blacklist = tmp_path / "blacklist"
    blacklist.write_bytes(b"# stolen\n" + fingerprint.lower() + b"  # key stolen in May\n")
    with pytest.raises(
        UntrustedManifest, match=r"certificate of test.hep.example: a blacklist refuses its fingerprint 4A:A1"
    ):
        workshop.open(blacklists=(blacklist,))


def test_a_blacklisted_revision_is_refused(tmp_path: Path) -> None:
    blacklist = tmp_path / "blacklist"
    blacklist.write_text("<test.hep.example 3\n<test.hep.example 1\n")
    with pytest.raises(UntrustedManifest, match="a blacklist refuses its revision 2 and all others below 3"):
        Workshop(tmp_path).open(blacklists=(blacklist,))


def test_a_blacklist_that_cannot_be_understood_is_named_with_its_line(tmp_path: Path) -> None:
    blacklist = tmp_path / "blacklist"
    blacklist.write_text("# fine\n\nrubbish here\n")
    with pytest.raises(ConfigurationError, match="blacklist:3: neither a fingerprint nor"):
        Workshop(tmp_path).open(blacklists=(blacklist,))


def test_a_blacklist_that_is_not_there_refuses_nothing(tmp_path: Path) -> None:
    assert Workshop(tmp_path).open(blacklists=(tmp_path / "gone",)).revision == 2


def test_a_blacklist_that_cannot_be_read_stops_us(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="the blacklist cannot be read"):
        Workshop(tmp_path).open(blacklists=(tmp_path,))


# Time.


def test_a_whitelist_that_expires_during_a_job_warns_once_and_the_job_runs_on(tmp_path: Path) -> None:
    now = [NOW]
    workshop = Workshop(tmp_path)
    repository = workshop.open(clock=lambda: now[0])
    repository.check_expiry()
    assert workshop.warnings == []
    now[0] = repository.expires
    repository.check_expiry()
    assert len(repository.listdir(b"/data/many")) == 2001
    repository.check_expiry()
    (warning,) = workshop.warnings
    assert warning.startswith("the whitelist of test.hep.example expired on 2036-11-18 02:00 UTC; this job goes on")


def test_reading_alone_notices_the_expiry(tmp_path: Path) -> None:
    """Nobody has to remember to call check_expiry: the next catalogue that is loaded does."""
    now = [NOW]
    workshop = Workshop(tmp_path)
    repository = workshop.open(clock=lambda: now[0])
    now[0] = repository.expires + 1
    repository.listdir(b"/data/many")
    assert len(workshop.warnings) == 1


# Threads.


def test_many_threads_that_miss_one_catalogue_fetch_it_once(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    fetcher = Scripted(workshop, {})
    repository = workshop.open(fetcher=fetcher)
    start = threading.Barrier(16)
    lengths: list[int] = []

    def ask() -> None:
        start.wait()
        lengths.append(len(repository.listdir(b"/data/many")))

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lengths == [2001] * 16
    assert repository.tree.loads == 2
    names = [name for name, _ in fetcher.asked if name.startswith("data/")]
    assert sorted(names) == sorted(set(names))


def test_a_stalled_catalogue_holds_up_nobody_who_does_not_need_it(tmp_path: Path) -> None:
    arrived, release = threading.Event(), threading.Event()

    class Stalling(Scripted):
        def fetch(self, name: str, *, limit: int, check: Check | None = None, fresh: bool = False) -> bytes:
            if name == object_name("132eca1420fea0570e2169f5e7f09e778db3c463", "C"):
                arrived.set()
                assert release.wait(60)
            return super().fetch(name, limit=limit, check=check, fresh=fresh)

    workshop = Workshop(tmp_path)
    repository = workshop.open(fetcher=Stalling(workshop, {}))
    results: list[int] = []
    waiting = threading.Thread(target=lambda: results.append(len(repository.listdir(b"/data"))))
    waiting.start()
    assert arrived.wait(60)
    # Order of events, not time: all of this happens while the other thread is held.
    assert repository.lookup(b"/sw/v1/nope") is None
    assert repository.lookup(b"/data") is not None
    assert results == []
    release.set()
    waiting.join()
    assert results == [8]


def test_a_catalogue_that_failed_is_asked_for_again(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    repository = workshop.open()
    name = object_name("132eca1420fea0570e2169f5e7f09e778db3c463", "C")
    stored = workshop.read(name)
    workshop.remove(name)
    with pytest.raises(FetchFailed):
        repository.listdir(b"/data")
    workshop.write(name, stored)
    assert len(repository.listdir(b"/data")) == 8


def test_opening_twice_shares_nothing_but_the_objects(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    objects = Objects(workers=2)
    fetcher = DirectoryFetcher(workshop.settings().fetch, fqrn=NAME)
    first, second = (
        open_repository(workshop.settings(), fetcher, objects, state=None, clock=lambda: NOW) for _ in range(2)
    )
    first.close()
    assert second.lookup(b"/README") is not None
