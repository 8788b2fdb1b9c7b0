"""Opening and reading over HTTP: the checks of the chain fetch other things while a fetch is being checked."""

from __future__ import annotations

import pytest

from hepwrap.cache.objects import Objects
from hepwrap.fetchers.registry import open_fetcher
from hepwrap.settings import FetchSettings, RepositorySettings
from hepwrap.vfs.repository import open_repository
from tests.helpers.repositories import ServedRepository
from tests.helpers.workshop import NOW


@pytest.mark.parametrize("connections", [1, 64])
def test_a_repository_opens_and_reads_over_http_with_any_number_of_connections(
    connections: int, test_repository: ServedRepository
) -> None:
    fetch = FetchSettings(servers=(test_repository.url,), proxy="DIRECT", connections=connections)
    settings = RepositorySettings(name=test_repository.name, fetch=fetch, public_keys=(test_repository.key,))
    fetcher = open_fetcher(fetch, fqrn=settings.name)
    try:
        repository = open_repository(settings, fetcher, Objects(workers=1), state=None, clock=lambda: NOW)
        entry = repository.lookup(b"/README")
        assert entry is not None
        assert sum(len(piece) for piece in repository.read(entry)) == 26
        assert len(repository.listdir(b"/data/many")) == 2001
    finally:
        fetcher.close()


def test_opening_asks_for_four_things_and_no_more(test_repository: ServedRepository) -> None:
    """Manifest, certificate, whitelist and root catalogue; a catalogue below is asked for when it is needed."""
    before = len(test_repository.requests)
    fetch = FetchSettings(servers=(test_repository.url,), proxy="DIRECT")
    settings = RepositorySettings(name=test_repository.name, fetch=fetch, public_keys=(test_repository.key,))
    fetcher = open_fetcher(fetch, fqrn=settings.name)
    open_repository(settings, fetcher, Objects(), state=None, clock=lambda: NOW)
    fetcher.close()
    assert test_repository.requests[before:] == [
        ".cvmfspublished",
        "data/1d/e42d2ac7708ae06bf5113a34638087ffef4775X",
        ".cvmfswhitelist",
        "data/2c/d145415d97cba6f605ae35dd46ac927bf6a4fcC",
    ]
