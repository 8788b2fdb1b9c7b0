"""What only directories can do wrong."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from hepwrap.errors import FetchFailed, MissingObject
from hepwrap.fetchers.directory import DirectoryFetcher
from hepwrap.settings import FetchSettings
from tests.contracts.fetcher_contract import GOOD, LIMIT, NAME, put


def open_(directory: Path) -> DirectoryFetcher:
    return DirectoryFetcher(FetchSettings(servers=(str(directory),)), fqrn="test.hep.example")


def test_a_pipe_by_that_name_does_not_keep_anyone_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".cvmfspublished")
    with pytest.raises(FetchFailed, match="something else than a file"):
        open_(tmp_path).fetch(".cvmfspublished", limit=LIMIT)


def test_a_file_in_the_place_of_a_directory_is_missing(tmp_path: Path) -> None:
    put(tmp_path, b"a file", "data")
    with pytest.raises(MissingObject):
        open_(tmp_path).fetch(NAME, limit=LIMIT)


def test_a_base_that_is_a_file_is_failed(tmp_path: Path) -> None:
    put(tmp_path, b"a file", "base")
    with pytest.raises(FetchFailed, match="is not a directory") as caught:
        open_(tmp_path / "base").fetch(NAME, limit=LIMIT)
    assert not isinstance(caught.value, MissingObject)


def test_a_file_that_may_not_be_read_is_failed_and_not_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: object, *_: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied", path)

    put(tmp_path, GOOD)
    monkeypatch.setattr(os, "open", refuse)  # root, who may run the tests, may read everything
    with pytest.raises(FetchFailed, match="Permission denied") as caught:
        open_(tmp_path).fetch(NAME, limit=LIMIT)
    assert not isinstance(caught.value, MissingObject)


def test_a_link_in_a_circle_is_failed_and_not_missing(tmp_path: Path) -> None:
    (tmp_path / ".cvmfspublished").symlink_to(".cvmfspublished")
    with pytest.raises(FetchFailed, match="Too many levels") as caught:
        open_(tmp_path).fetch(".cvmfspublished", limit=LIMIT)
    assert not isinstance(caught.value, MissingObject)


def test_a_store_may_be_spread_by_links(tmp_path: Path) -> None:
    put(tmp_path / "disk", GOOD, "ab/cdef0123456789")
    (tmp_path / "repo").mkdir()
    (tmp_path / "repo" / "data").symlink_to(tmp_path / "disk")
    assert open_(tmp_path / "repo").fetch(NAME, limit=LIMIT) == GOOD
