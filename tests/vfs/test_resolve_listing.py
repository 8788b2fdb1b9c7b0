"""Every entry of a repository written by the real publisher, resolved and shown as the real client showed it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hepwrap.cache.objects import Objects
from hepwrap.fetchers.registry import open_fetcher
from hepwrap.settings import FetchSettings, RepositorySettings
from hepwrap.vfs.mounts import MountTable
from hepwrap.vfs.repository import open_repository
from hepwrap.vfs.resolve import Node, OsHost, Resolver
from tests.helpers.shared import shared_path

NAME = "test.hep.example"
TOP = b"/cvmfs/test.hep.example"


@pytest.fixture(scope="module")
def resolver() -> Iterator[Resolver]:
    base = shared_path(f"data/{NAME}")
    fetch = FetchSettings(servers=(f"file://{base}/repo",))
    settings = RepositorySettings(
        NAME, fetch, public_keys=(base / "keys" / f"{NAME}.pub",), claim_ownership=False, check_permissions=True
    )
    repository = open_repository(settings, open_fetcher(fetch, fqrn=NAME), Objects(), state=None)
    table = MountTable(b"/cvmfs", {NAME.encode(): repository}.get, [NAME.encode()], environ={})
    yield Resolver(table, OsHost())
    repository.close()


def listing() -> list[list[bytes]]:
    """Fields of every row; escaped names as the bytes they are."""
    rows = shared_path(f"data/{NAME}/listing.tsv").read_bytes().splitlines()
    fields = [row.split(b"\t") for row in rows if not row.startswith(b"#")]
    for row in fields:
        row[0] = row[0].decode().encode("latin-1", "backslashreplace").decode("unicode_escape").encode("latin-1")
    return fields


def test_every_path_of_the_listing_resolves_to_what_it_shows(resolver: Resolver) -> None:
    rows = listing()
    shown = []
    for row in rows:
        path = row[0].rstrip(b"/")
        target = resolver.resolve(TOP + row[0], follow=False).target
        assert isinstance(target, Node)
        assert target.path == TOP + path
        seen = target.mount.attributes(target.entry)
        link = target.mount.target_of(target.entry) if target.entry.is_symlink else b""
        numbers = [b"%04o" % (seen.mode & 0o7777), *(b"%d" % n for n in (seen.uid, seen.gid, seen.size))]
        shown.append([row[0], *numbers, link or b"-"])
    assert len(rows) == 2279
    assert shown == [[row[0], *row[2:6], row[11]] for row in rows]


@pytest.mark.parametrize(
    ("path", "leads_to"),
    [
        (b"/sw/current/lib/libhep.so", b"/sw/v2/lib/libhep.so.1.2.3"),
        (b"/sw/abs/lib", b"/sw/v1/lib"),
        (b"/sw/dotdot", b"/sw/v1/bin"),
        (b"/links/var_mid", b"/sw/v1/lib"),
        (b"/links/var_two/v1", b"/sw/v1"),
        (b"/data/many/../../sw/../README", b"/README"),
    ],
)
def test_links_of_the_real_repository_lead_through_nested_catalogues(
    resolver: Resolver, path: bytes, leads_to: bytes
) -> None:
    target = resolver.resolve(TOP + path).target
    assert isinstance(target, Node)
    assert target.path == TOP + leads_to
