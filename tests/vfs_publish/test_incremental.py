"""Publishing again: what is the same is neither read, nor compressed, nor written again; nothing old is lost."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from hepwrap.errors import CorruptObject, UsageError
from tests.vfs_publish import odd_tree
from tests.vfs_publish.conftest import Place

LONG_AGO = 10**18


def fill(place: Place) -> None:
    for number in range(20):
        place.write(f"d{number % 4}/f{number}", b"content %d" % number)
    place.write("d1/.cvmfscatalog")
    place.write("large", os.urandom(100_000))


def all_files(base: Path) -> dict[str, tuple[int, int]]:
    """Objects with their inode and mtime: what was rewritten shows."""
    return {str(path): (path.stat().st_ino, path.stat().st_mtime_ns) for path in base.glob("data/*/*")}


def test_an_unchanged_tree_writes_no_object_and_reads_no_file(place: Place) -> None:
    fill(place)
    first = place.publish()
    before = all_files(place.base)
    second = place.publish()
    assert (second.revision, second.new_objects, second.files_read) == (2, 0, 0)
    assert second.reused_objects == first.new_objects + first.reused_objects
    assert (second.catalogs, second.new_catalogs) == (2, 1)
    after = all_files(place.base)
    assert {name: after[name] for name in before} == before
    # The root catalogue and the history: they carry the revision.
    assert sorted(name[-1] for name in set(after) - set(before)) == ["C", "H"]


def test_one_changed_file_is_one_object_and_the_catalogues_above_it(place: Place) -> None:
    fill(place)
    place.publish()
    place.write("d1/f5", b"changed")
    report = place.publish()
    assert (report.new_objects, report.files_read, report.new_catalogs) == (1, 1, 2)
    place.write("d2/f6", b"changed")
    report = place.publish()
    assert report.new_objects == 0, "that content is in the store already"
    assert (report.files_read, report.new_catalogs) == (1, 1)
    assert place.read().entries[b"/d2/f6"].content == b"changed"


def test_a_change_that_keeps_size_and_mtime_is_seen(place: Place) -> None:
    path = place.write("file", b"before")
    os.utime(path, ns=(LONG_AGO, LONG_AGO))
    place.publish()
    path.write_bytes(b"after!")
    os.utime(path, ns=(LONG_AGO, LONG_AGO))
    assert place.publish().files_read == 1
    assert place.read().entries[b"/file"].content == b"after!"


def test_a_file_changed_just_now_is_read_again(place: Place) -> None:
    """Two changes within one tick of the file system's clock leave the same ctime."""
    place.write("file", b"x")
    place.clock = lambda: (place.tree / "file").stat().st_ctime
    place.publish()
    report = place.publish()
    assert (report.files_read, report.new_objects) == (1, 0)


def test_checksum_reads_everything_and_writes_nothing(place: Place) -> None:
    fill(place)
    place.publish()
    report = place.publish(checksum=True)
    assert report.files_read == report.files
    assert report.new_objects == 0


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b"garbage" * 100)])
def test_without_what_was_remembered_objects_are_found_in_the_store(place: Place, damage) -> None:  # type: ignore[no-untyped-def]
    fill(place)
    place.publish()
    before = all_files(place.base)
    damage(place.base / ".publisher" / "seen.sqlite")
    report = place.publish()
    assert (report.files_read, report.new_objects) == (report.files, 0)
    after = all_files(place.base)
    assert {name: after[name] for name in before} == before


def test_another_zlib_level_reuses_what_another_wrote(place: Place) -> None:
    """What zlib makes of the same content differs between levels and versions; the store keeps what it has."""
    place.write("file", b"abc" * 5000)
    place.publish()
    shutil.copy2(place.tree / "file", place.tree / "copy")
    report = place.publish(level=1, checksum=True)
    assert (report.files_read, report.new_objects, report.reused_objects) == (2, 0, 2)


def test_a_missing_object_is_written_again(place: Place) -> None:
    fill(place)
    place.publish()
    row = place.read().entries[b"/d0/f0"].row
    text = row["hash"].hex()
    (place.base / "data" / text[:2] / text[2:]).unlink()
    assert place.publish().new_objects == 1
    place.read()


def test_a_damaged_object_is_written_anew_with_a_warning(place: Place) -> None:
    """As a power cut before the commit leaves them: a name without its bytes, for which nobody vouches."""
    place.write("file", b"content")
    place.publish()
    text = place.read().entries[b"/file"].row["hash"].hex()
    (place.base / "data" / text[:2] / text[2:]).write_bytes(b"")
    (place.base / ".publisher" / "seen.sqlite").unlink()
    report = place.publish()
    assert report.new_objects == 1
    assert "was damaged; it is written anew" in report.warnings[0]
    place.read()


def test_the_old_root_stays_readable(place: Place) -> None:
    fill(place)
    place.publish()
    old = place.read()
    names = set(old.object_names)
    shutil.rmtree(place.tree / "d0")
    place.publish()
    assert b"/d0" not in place.read().entries
    assert all((place.base / name).exists() for name in names)
    assert place.read().properties[b""]["previous_revision"] == old.fields["C"]


def test_a_nested_catalogue_keeps_its_own_revisions(place: Place) -> None:
    fill(place)
    place.publish()
    first = place.read()
    place.publish()
    assert place.read().catalogs[b"/d1"] == first.catalogs[b"/d1"]
    place.write("d1/f5", b"changed")
    place.publish()
    third = place.read().properties
    assert (third[b""]["revision"], third[b"/d1"]["revision"]) == ("3", "2")
    assert third[b"/d1"]["previous_revision"] == first.catalogs[b"/d1"]
    assert third[b"/d1"]["root_prefix"] == "/d1"
    assert "TTL" not in third[b"/d1"]
    assert first.properties[b"/d1"]["previous_revision"] == "0" * 40


def test_the_same_tree_gives_the_same_catalogue_in_every_store(place: Place) -> None:
    """Nothing of the run (threads, order of reading) shows in what is published."""
    odd_tree.make(place.tree, privileged=False)
    moment = place.clock()
    place.clock = lambda: moment
    first = place.publish()
    shutil.rmtree(place.store)
    assert place.publish().root_hash == first.root_hash


def test_changing_the_hash_algorithm_keeps_the_repository_readable(place: Place) -> None:
    fill(place)
    place.publish()
    place.publish(algorithm="shake128")
    assert place.read().fields["C"].endswith("-shake128")
    report = place.publish()
    assert str(report.root_hash).endswith("-shake128"), "the algorithm of the last revision is kept"
    assert report.new_objects == 0


def test_a_torn_manifest_is_an_error_that_names_it(place: Place) -> None:
    fill(place)
    place.publish()
    manifest = place.base / ".cvmfspublished"
    manifest.write_bytes(manifest.read_bytes().replace(b"\nS1\n", b"\nS7\n"))
    with pytest.raises(CorruptObject, match=r"\.cvmfspublished is damaged: its hash line does not fit"):
        place.publish()


def test_the_manifest_of_another_repository_is_not_replaced(place: Place) -> None:
    fill(place)
    place.publish()
    data = (place.base / ".cvmfspublished").read_bytes().replace(b"Nsw.hep", b"Nxx.hep")
    import hashlib

    body, rest = data.split(b"--\n", 1)
    (place.base / ".cvmfspublished").write_bytes(body + b"--\n" + hashlib.sha1(body).hexdigest().encode() + rest[40:])
    with pytest.raises(CorruptObject, match=r"is of the repository xx\.hep\.example, not of sw\.hep\.example"):
        place.publish()


def test_the_time_of_a_revision_never_goes_back(place: Place) -> None:
    fill(place)
    place.publish()
    first = int(place.read().fields["T"])
    place.clock = lambda: first - 5000
    place.publish()
    assert int(place.read().fields["T"]) == first


def test_a_lost_nested_catalogue_is_written_again(place: Place) -> None:
    fill(place)
    place.publish()
    text = place.read().catalogs[b"/d1"]
    (place.base / "data" / text[:2] / (text[2:] + "C")).unlink()
    report = place.publish()
    assert report.new_catalogs == 2
    assert any("is missing from the store" in warning for warning in report.warnings)
    place.read()


@pytest.mark.parametrize("inside", ["store", "keys"])
def test_neither_store_nor_keys_may_lie_in_the_tree(place: Place, inside: str) -> None:
    shutil.copytree(place.keys, place.tree / "keys")
    setattr(place, inside, place.tree / inside)
    with pytest.raises(UsageError, match=f"the {inside}.* lies inside .*, which shall be published"):
        place.publish()
