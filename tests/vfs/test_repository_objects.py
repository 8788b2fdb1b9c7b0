"""An object that is not what its catalogue names: an error on that file, never other bytes and never "not there"."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from hepwrap.errnos import errno_of
from hepwrap.errors import CorruptObject, HepwrapError, MissingObject
from hepwrap.vfs.entry import Entry
from hepwrap.vfs.repository import Repository
from tests.helpers.workshop import Workshop, object_name

#: Edits of a stored object, what is raised, and what is said; all of them under the name of the right object.
EDITS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "flipped": (lambda stored: stored[:9] + bytes((stored[9] ^ 1,)) + stored[10:], "have the digest"),
    "truncated": (lambda stored: stored[:-1], "bytes received have the digest"),
    "with bytes after the end": (lambda stored: stored + b"x", "have the digest|are allowed"),
    "other valid zlib data": (lambda _stored: zlib.compress(b"other content"), "have the digest"),
    "an empty file": (lambda _stored: b"", "the 0 bytes received have the digest"),
}


def file_at(repository: Repository, path: bytes) -> Entry:
    entry = repository.lookup(path)
    assert entry is not None
    return entry


def stored_name(repository: Repository, entry: Entry, part: int = 0) -> str:
    reference = repository.parts(entry)[part].ref
    return object_name(str(reference.digest), reference.letter)


@pytest.mark.parametrize("edit", EDITS)
def test_a_damaged_object_is_eio_on_its_file_and_nowhere_else(edit: str, tmp_path: Path) -> None:
    change, sentence = EDITS[edit]
    workshop = Workshop(tmp_path)
    repository = workshop.open()
    entry = file_at(repository, b"/README")
    workshop.change(stored_name(repository, entry), change)
    with pytest.raises(
        HepwrapError, match=f"{entry.digest.raw.hex()[2:] if entry.digest else ''}.*({sentence})"
    ) as caught:
        b"".join(repository.read(entry))
    assert errno_of(caught.value) == 5
    assert b"".join(repository.read(file_at(repository, b"/hard/a")))


def test_a_missing_object_is_eio_not_enoent(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    repository = workshop.open()
    entry = file_at(repository, b"/README")
    workshop.remove(stored_name(repository, entry))
    with pytest.raises(MissingObject) as caught:
        b"".join(repository.read(entry))
    assert errno_of(caught.value) == 5
    assert repository.lookup(b"/README") == entry


@pytest.mark.parametrize("edit", EDITS)
def test_a_damaged_chunk_is_eio_after_the_chunks_before_it(edit: str, tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    repository = workshop.open()
    pending = [b""]
    chunked = None
    while pending and chunked is None:
        for entry in repository.listdir(pending.pop()):
            if entry.is_chunked and entry.compression == "zlib":
                chunked = entry
            pending += [entry.path] if entry.is_dir else []
    assert chunked is not None
    workshop.change(stored_name(repository, chunked, 1), EDITS[edit][0])
    pieces = repository.read(chunked)
    assert len(next(pieces)) == repository.parts(chunked)[0].size
    with pytest.raises(HepwrapError, match=EDITS[edit][1]):
        next(pieces)


@pytest.mark.parametrize(
    ("size", "sentence"), [(25, "unpacks to more than the 25 bytes"), (27, "26 bytes where its cat")]
)
def test_an_object_of_another_size_than_the_catalogue_promises_is_refused(
    size: int, sentence: str, tmp_path: Path
) -> None:
    workshop = Workshop(tmp_path)
    workshop.edit_catalog("", lambda db: db.execute("UPDATE catalog SET size = ? WHERE name = 'README'", (size,)))
    repository = workshop.open()
    with pytest.raises(CorruptObject, match=sentence):
        b"".join(repository.read(file_at(repository, b"/README")))


def test_an_object_that_is_stored_as_it_is_but_marked_as_zlib_is_refused(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    digest = workshop.add_object(b"not a zlib stream at all..", compress=False)
    workshop.edit_catalog(
        "", lambda db: db.execute("UPDATE catalog SET hash = ? WHERE name = 'README'", (bytes.fromhex(digest),))
    )
    repository = workshop.open()
    with pytest.raises(CorruptObject, match="is not a zlib stream"):
        b"".join(repository.read(file_at(repository, b"/README")))


def test_a_file_larger_than_what_is_allowed_is_refused_before_it_is_fetched(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    repository = workshop.open(max_object_bytes=25)
    before = repository.fetcher.counters.requests
    with pytest.raises(HepwrapError, match="26 bytes, more than the 25 that are allowed"):
        b"".join(repository.read(file_at(repository, b"/README")))
    assert repository.fetcher.counters.requests == before
