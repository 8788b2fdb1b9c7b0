"""Variant symbolic links, by the rules of the format notes (7.7) and by what the real client showed."""

from __future__ import annotations

import os

import pytest

from hepwrap.vfs.variants import expand, variables
from tests.helpers.shared import shared_path


def rows(name: str) -> dict[str, bytes]:
    lines = shared_path(f"data/test.hep.example/{name}").read_bytes().splitlines()
    pairs = (line.split(b"\t", 1) for line in lines if not line.startswith(b"#"))
    return {path.decode(): target for path, target in pairs}


def test_every_link_of_the_real_repository_expands_as_the_real_client_showed() -> None:
    raw, shown = rows("symlinks_raw.tsv"), rows("symlinks_env.tsv")
    environ = {b"HEPVER": b"v2", b"HEP_A": b"/alt", b"HEP_REL": b"22.3.0"}
    values = variables(environ, fqrn="test.hep.example", exported={})
    assert len(raw) == len(shown) == 19
    assert {path: expand(target, values) for path, target in raw.items()} == shown


def test_every_link_expands_as_the_listing_shows_where_nothing_is_set() -> None:
    listing = shared_path("data/test.hep.example/listing.tsv").read_bytes().splitlines()
    links = [fields for fields in (line.split(b"\t") for line in listing) if fields[1] == b"l"]
    raw = rows("symlinks_raw.tsv")
    values = variables({}, fqrn="test.hep.example", exported={})
    expanded = {path: expand(target, values) for path, target in raw.items()}
    assert len(links) == 19
    assert {fields[0].decode(): int(fields[5]) for fields in links} == {p: len(t) for p, t in expanded.items()}
    assert {fields[0].decode(): fields[11] for fields in links} == {p: t or b"-" for p, t in expanded.items()}


@pytest.mark.parametrize(
    ("target", "expanded"),
    [
        (b"$(SET)", b"value"),
        (b"a/$(SET)/b", b"a/value/b"),
        (b"$(UNSET)", b""),
        (b"$(UNSET:-default)", b"default"),
        (b"$(SET:-default)", b"value"),
        (b"$(EMPTY:-default)", b""),
        (b"$(UNSET:-a:-b)", b"a:-b"),
        (b"$(UNSET:-a(b)c)", b"a(bc)"),
        (b"$(UNSET:-)tail", b"tail"),
        (b"$()", b""),
        (b"$SET", b"$SET"),
        (b"$", b"$"),
        (b"x$y(z)$(", b"x$y(z)$("),
        (b"$(SET", b"$(SET"),
        (b"$$(SET)", b"$value"),
        (b"$(NESTED)", b"$(SET)"),
        (b"$($(SET))", b")"),
        (b"\xff$(BYTES)", b"\xff\xfe\n"),
        (b"$(MULTI\nLINE:-x)", b"x"),
    ],
)
def test_reference_expands_once_and_only_where_it_is_whole(target: bytes, expanded: bytes) -> None:
    values = {b"SET": b"value", b"EMPTY": b"", b"NESTED": b"$(SET)", b"BYTES": b"\xfe\n"}
    assert expand(target, values) == expanded


def test_exported_parameters_replace_the_environment() -> None:
    values = variables({b"A": b"environment", b"B": b"kept"}, fqrn="x.y", exported={"A": "configured"})
    assert expand(b"$(A) $(B)", values) == b"configured kept"


def test_architecture_and_name_are_the_clients_whatever_the_environment_says() -> None:
    environ = {b"CVMFS_ARCH": b"vax", b"CVMFS_FQRN": b"other.example"}
    values = variables(environ, fqrn="test.hep.example", exported={})
    assert expand(b"$(CVMFS_FQRN)/$(CVMFS_ARCH)", values) == b"test.hep.example/" + os.uname().machine.encode()
