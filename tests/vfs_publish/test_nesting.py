"""Where catalogues begin: markers, dirtab, and the limit of entries."""

from __future__ import annotations

import stat

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hepwrap.errors import UsageError
from hepwrap.vfs.publish import dirtab
from hepwrap.vfs.publish.nesting import Limits
from tests.vfs_publish.conftest import Place


def test_markers_begin_catalogues_on_any_level(place: Place) -> None:
    for name in ("a/.cvmfscatalog", "a/b/c/.cvmfscatalog", "a/b/c/file", "d/file"):
        place.write(name)
    report = place.publish()
    store = place.read()
    assert set(store.catalogs) == {b"", b"/a", b"/a/b/c"}
    assert report.catalogs == report.new_catalogs == 3
    assert store.entries[b"/a/.cvmfscatalog"].content == b"", "the marker stays visible"
    assert store.rows_of == {b"": 4, b"/a": 4, b"/a/b/c": 3}


def test_a_directory_called_like_the_marker_is_none(place: Place) -> None:
    place.write("a/.cvmfscatalog/file")
    place.publish()
    assert set(place.read().catalogs) == {b""}


def test_a_marker_in_the_root_is_an_error(place: Place) -> None:
    place.write(".cvmfscatalog")
    with pytest.raises(UsageError, match=r"/\.cvmfscatalog: the root always has a catalogue"):
        place.publish()
    assert not (place.base / ".cvmfspublished").exists()


def test_an_empty_tree_is_a_repository(place: Place) -> None:
    report = place.publish()
    assert (report.entries, report.files, report.catalogs) == (0, 0, 1)
    assert set(place.read().entries) == {b""}


def test_odd_names_of_mount_points(place: Place) -> None:
    import os

    directory = os.fsencode(place.tree) + b"/caf\xe9 \n"
    os.mkdir(directory)
    for name in (b"/.cvmfscatalog", b"/inner"):
        with open(directory + name, "wb"):
            pass
    place.publish()
    assert set(place.read().catalogs) == {b"", b"/caf\xe9 \n"}


# Dirtab.


def test_dirtab_makes_catalogues_and_shows_their_markers(place: Place) -> None:
    for name in ("sw/v1/bin/x", "sw/v2/bin/x", "sw/old/x", "sw/file", "data/x"):
        place.write(name)
    place.write(".cvmfsdirtab", b"# releases\n/sw/*\n! /sw/old\n\n/data\n")
    place.publish()
    store = place.read()
    assert set(store.catalogs) == {b"", b"/sw/v1", b"/sw/v2", b"/data"}
    marker = store.entries[b"/sw/v1/.cvmfscatalog"]
    assert stat.S_ISREG(marker.row["mode"])
    assert marker.content == b""
    assert b"/sw/v1/.cvmfsautocatalog" not in store.entries
    assert b"/.cvmfsdirtab" in store.entries
    assert place.publish().new_catalogs == 1, "the same tree gives the same nested catalogues"


@pytest.mark.parametrize(
    ("rules", "path", "expected"),
    [
        (b"/usr/*", b"/usr/bin", True),
        (b"/usr/*", b"/usr", False),
        (b"/usr/*", b"/usr/local/bin", False),
        (b"/usr/*/", b"/usr/bin", True),
        (b"//usr//*", b"/usr/bin", True),
        (b"/v?", b"/v1", True),
        (b"/v?", b"/v12", False),
        (b"/a\\*b", b"/a*b", True),
        (b"/a\\*b", b"/axb", False),
        (b"/a.b", b"/axb", False),
        (b"/*", b"/caf\xe9\n", True),
        (b"/usr/*\n! *.exe", b"/usr/a.exe", False),
        (b"/usr/*\n! */include/*.hpp", b"/usr/include", True),
        (b"/r/*/*\n!*/.git", b"/r/a/.git", False),
        (b"/r/*/*\n! /r/*x", b"/r/a/x", False),
        (b"/usr/*\n! /usr/bi?", b"/usr/binary", True),
        (b"  /usr/*  \r\n # no\n", b"/usr/x", True),
        (b"", b"/usr", False),
    ],
)
def test_dirtab_rules(rules: bytes, path: bytes, expected: bool) -> None:
    assert dirtab.parse(rules).matches(path) is expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"# ok\nusr/*\n", r"\.cvmfsdirtab:2: 'usr/\*': a rule begins with /"),
        (b"/usr\n!\n", r"\.cvmfsdirtab:2: '!': a rule begins with /"),
        (b"/us\\r\n", r"\.cvmfsdirtab:1: .*a backslash makes only"),
        (b"/usr\\\n", r"\.cvmfsdirtab:1: .*a backslash makes only"),
        (b"/usr/*\n! /usr/*\n", r"\.cvmfsdirtab:2: .*asked for and excluded"),
    ],
)
def test_a_bad_dirtab_names_file_and_line(place: Place, text: bytes, message: str) -> None:
    place.write(".cvmfsdirtab", text)
    with pytest.raises(UsageError, match=message):
        place.publish()
    assert not (place.base / ".cvmfspublished").exists()


# The limit.


def test_a_catalogue_that_would_grow_too_big_is_split_at_the_heaviest(place: Place) -> None:
    for name, count in (("big", 60), ("middle", 30), ("small", 5)):
        for number in range(count):
            place.write(f"{name}/f{number}", b"x")
    report = place.publish(limits=Limits(maximum=50, minimum=10))
    store = place.read()
    assert set(store.catalogs) == {b"", b"/big"}
    assert {b"/big/.cvmfscatalog", b"/big/.cvmfsautocatalog"} <= set(store.entries)
    assert any("/big: its catalogue has 61 entries" in text for text in report.warnings)
    report = place.publish(limits=Limits(maximum=50, minimum=10))
    assert report.new_catalogs == 1, "what was split before is split the same way again"


def test_nothing_is_split_below_the_limit(place: Place) -> None:
    for number in range(48):
        place.write(f"d{number % 3}/f{number}")
    report = place.publish(limits=Limits(maximum=52, minimum=1))
    assert report.catalogs == 1
    assert not any(b"catalog" in path for path in place.read().entries)


@settings(deadline=None, max_examples=15)
@given(shape=st.recursive(st.integers(0, 12), lambda inner: st.lists(inner, max_size=5), max_leaves=40))
def test_every_catalogue_keeps_the_limit_or_says_why(tmp_path_factory: pytest.TempPathFactory, key_set, shape) -> None:  # type: ignore[no-untyped-def]
    base = tmp_path_factory.mktemp("split")
    place = Place(base / "tree", base / "store", key_set)
    place.tree.mkdir()

    def fill(where: str, what: object) -> None:
        (place.tree / where).mkdir(exist_ok=True)
        if isinstance(what, int):
            for number in range(what):
                place.write(f"{where}/f{number}")
        else:
            for number, inner in enumerate(what):  # type: ignore[arg-type, var-annotated]
                fill(f"{where}/d{number}", inner)

    fill("top", shape)
    report = place.publish(limits=Limits(maximum=20, minimum=5))
    store = place.read()
    for prefix, rows in store.rows_of.items():
        markers = sum(path.rpartition(b"/")[2] in (b".cvmfscatalog", b".cvmfsautocatalog") for path in store.entries)
        assert rows - markers <= 20 or report.warnings, prefix
        if prefix:
            assert rows - 2 >= 5, "nothing smaller than the minimum is split off"


def test_limits_that_make_no_sense_are_refused() -> None:
    with pytest.raises(UsageError, match="make no sense"):
        Limits(maximum=5, minimum=10)
