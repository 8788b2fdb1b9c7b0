"""test.hep.example through `hepwrap ls`, `cat`, `stat`, `find`: the same truth without tracing anything."""

from __future__ import annotations

import hashlib
import os

import pytest

from tests.helpers import truth
from tests.helpers.launches import Launches, quiet
from tests.helpers.repositories import ServedRepository
from tests.helpers.shared import shared_path
from tests.helpers.truth import ROOT
from tests.helpers.unprivileged import Unprivileged

NAME = "test.hep.example"


@pytest.fixture
def look(unprivileged: Unprivileged, test_flags: list[str]) -> Launches:
    return Launches.of(unprivileged, test_flags)


def inside(path: bytes) -> bytes:
    """The path as the subcommands take and print it."""
    return path.removeprefix(b"/cvmfs/")


def test_stat_prints_the_listing_itself(look: Launches) -> None:
    done = look.look("stat", "--tsv", "-R", f"{NAME}/", env={"CVMFS_CLAIM_OWNERSHIP": "no"})
    assert quiet(done) == shared_path(f"{truth.FOLDER}/listing.tsv").read_bytes()


def test_stat_expands_links_in_the_environment_it_is_given(look: Launches) -> None:
    done = look.look("stat", "--tsv", "-R", f"{NAME}/", env={"HEPVER": "v2", "HEP_A": "/alt", "HEP_REL": "22.3.0"})
    rows = [line.split("\t") for line in quiet(done).decode("latin-1").splitlines()[1:]]
    shown = {truth.absolute(row[0]): truth.unescape(row[11]) for row in rows if row[1] == "l"}
    assert shown == truth.symlinks("symlinks_env.tsv")


def test_find_prints_every_path_once(look: Launches) -> None:
    paths = quiet(look.look("find", f"{NAME}/", "-print0")).split(b"\0")
    assert paths.pop() == b""
    assert sorted(path.rstrip(b"/") for path in paths) == sorted(inside(row.path) for row in truth.listing())


@pytest.mark.parametrize("kind", ["f", "d", "l", "p", "c"])
def test_find_tells_the_types_apart(look: Launches, kind: str) -> None:
    paths = quiet(look.look("find", f"{NAME}/", "-type", kind, "-print0")).split(b"\0")[:-1]
    wanted = [inside(row.path) for row in truth.listing() if row.kind == kind]
    assert wanted
    assert sorted(path.rstrip(b"/") for path in paths) == sorted(wanted)


def test_ls_lists_every_name_below_its_directory(look: Launches) -> None:
    """Names with a newline would take two lines, so that directory is looked at by find alone."""
    text = quiet(look.look("ls", "-a", "-R", f"{NAME}/"))
    listed: dict[bytes, list[bytes]] = {}
    for block in text.rstrip(b"\n").split(b"\n\n"):
        head, *names = block.split(b"\n")
        listed[head.rstrip(b":").rstrip(b"/")] = [name for name in names if name not in (b".", b"..")]
    wanted: dict[bytes, list[bytes]] = {inside(row.path): [] for row in truth.listing() if row.kind == "d"}
    for row in truth.listing():
        if row.path != ROOT:
            wanted[os.path.dirname(inside(row.path))].append(os.path.basename(row.path))
    odd = NAME.encode() + b"/odd"
    assert {k: sorted(v) for k, v in listed.items() if k != odd} == {
        k: sorted(v) for k, v in wanted.items() if k != odd
    }
    assert b"\n".join(listed[odd]).count(b"\n") == len(wanted[odd])


def test_cat_writes_out_every_file(look: Launches) -> None:
    """All files in one go: their sizes say where each begins."""
    files = [row for row in truth.listing() if row.sha256]
    text = quiet(look.look("cat", *(os.fsdecode(inside(row.path)) for row in files)))
    assert len(text) == sum(row.size for row in files)
    at = 0
    for row in files:
        assert hashlib.sha256(text[at : at + row.size]).hexdigest() == row.sha256, row.path
        at += row.size


def test_verify_finds_nothing_wrong(look: Launches) -> None:
    done = look.look("verify", f"{NAME}/")
    assert done.returncode == 0, done.stderr


def test_looking_writes_nothing_to_stdout_when_it_fails(look: Launches) -> None:
    for words in (["cat", f"{NAME}/nope"], ["stat", f"{NAME}/nope"], ["ls", f"{NAME}/README/x"]):
        done = look.look(*words)
        assert done.returncode == 1
        assert done.stdout == b""
        assert done.stderr.startswith(b"hepwrap: ")
        assert done.stderr.count(b"\n") == 1


def test_a_manifest_is_asked_for_by_each_subcommand(look: Launches, test_repository: ServedRepository) -> None:
    """They really read over HTTP, and only what they need: one file is one object beside the catalogue on its way."""
    begin = len(test_repository.requests)
    quiet(look.look("cat", f"{NAME}/README"))
    asked = test_repository.requests[begin:]
    assert [name for name in asked if name.startswith(".")] == [".cvmfspublished", ".cvmfswhitelist"]
    letters = sorted(name[-1] for name in asked if name.startswith("data/") and name[-1].isupper())
    assert letters == ["C", "X"]
    assert len(asked) == 5, asked
