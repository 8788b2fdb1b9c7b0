"""Large trees and progress."""

from __future__ import annotations

import itertools

from hepwrap.vfs.publish import checker
from hepwrap.vfs.publish.publisher import publish
from hepwrap.vfs.publish.report import Progress
from tests.vfs_publish.conftest import NAME, Place


def test_a_directory_of_twenty_thousand_files(place: Place) -> None:
    """Objects are counted: as many as there are different contents, and none the second time."""
    directory = place.tree / "many"
    directory.mkdir()
    for number in range(20_000):
        (directory / f"file {number}").write_bytes(b"%d" % (number % 500))
    first = place.publish()
    assert (first.entries, first.files, first.new_objects, first.reused_objects) == (20_001, 20_000, 500, 19_500)
    assert len(list(place.base.glob("data/*/*"))) == 500 + 4
    second = place.publish()
    assert (second.new_objects, second.files_read) == (0, 0)
    assert len(place.read().entries) == 20_002
    assert checker.check(place.base) == []


def test_a_deep_tree_needs_no_recursion(place: Place) -> None:
    place.write("/".join("d" * 1) + "/x" * 900 + "/file", b"deep")
    report = place.publish()
    assert report.entries == 902
    assert place.read().entries[b"/d" + b"/x" * 900 + b"/file"].content == b"deep"


def test_progress_goes_forward_to_the_end(place: Place) -> None:
    for number in range(30):
        place.write(f"f{number}", b"x" * 100)
    place.write("large", bytes(100_000))
    place.write("d/.cvmfscatalog")
    seen: list[Progress] = []
    publish(
        place.tree, name=NAME, store=place.store, keys=place.keys, progress=seen.append, jobs=2, options=place.options
    )
    phases = [progress.phase for progress in seen]
    assert list(dict.fromkeys(phases)) == ["scan", "files", "catalogs", "commit"]
    files = [progress for progress in seen if progress.phase == "files"]
    assert all(a.done <= b.done for a, b in itertools.pairwise(files))
    assert (files[-1].done, files[-1].bytes_done) == (files[-1].total, files[-1].bytes_total) == (32, 103_000)
    catalogs = [progress for progress in seen if progress.phase == "catalogs"]
    assert (catalogs[-1].done, catalogs[-1].total) == (2, 2)
