"""Files that change or vanish while they are read: a clear word, and never a wrong object."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from hepwrap.errors import PublishFailed
from hepwrap.vfs.publish import contents, scan
from tests.vfs_publish.conftest import Place

IS_ROOT = os.geteuid() == 0


@pytest.fixture
def on_read(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes, Callable[[], None]], None]:
    """Do something right after the first bytes of a file were read."""

    def arrange(name: bytes, act: Callable[[], None]) -> None:
        original = contents._read_some

        def read(descriptor: int, node: contents.Node, size: int) -> bytes:
            data = original(descriptor, node, min(size, 1000))
            if node.name == name and data:
                act()
            return data

        monkeypatch.setattr(contents, "_read_some", read)

    return arrange


def after_scan(monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
    """Do something between the reading of the tree and the reading of contents."""
    original = scan.Scanner.scan

    def scanned(self: scan.Scanner) -> scan.Node:
        root = original(self)
        act()
        return root

    monkeypatch.setattr(scan.Scanner, "scan", scanned)


@pytest.mark.parametrize("size", [3000, 100_000])
def test_a_file_changed_once_while_read_is_read_again(place: Place, on_read, size: int) -> None:  # type: ignore[no-untyped-def]
    path = place.write("file", b"a" * size)
    turns = []

    def change() -> None:
        turns.append(1)
        if len(turns) == 1:
            with path.open("r+b") as file:
                file.write(b"bb")

    on_read(b"file", change)
    place.publish()
    assert place.read().entries[b"/file"].content == path.read_bytes() == b"bb" + b"a" * (size - 2)


def test_a_file_that_grows_beyond_a_chunk_while_read_is_cut(place: Place, on_read) -> None:  # type: ignore[no-untyped-def]
    path = place.write("file", b"a")
    turns = []

    def grow() -> None:
        turns.append(1)
        if len(turns) == 1:
            path.write_bytes(os.urandom(50_000))

    on_read(b"file", grow)
    place.publish()
    item = place.read().entries[b"/file"]
    assert item.content == path.read_bytes()
    assert len(item.chunks) > 1


@pytest.mark.parametrize("size", [3000, 100_000])
def test_a_file_that_always_changes_is_an_error_that_names_it(place: Place, on_read, size: int) -> None:  # type: ignore[no-untyped-def]
    path = place.write("file", b"a" * size)
    place.write("another", b"fine")

    def change() -> None:
        with path.open("ab") as file:
            file.write(b"more")

    on_read(b"file", change)
    with pytest.raises(PublishFailed, match=r"^/file changed each of the 3 times it was read; nothing was published"):
        place.publish()
    assert not (place.base / ".cvmfspublished").exists()


def test_all_that_cannot_be_read_is_counted(place: Place, on_read) -> None:  # type: ignore[no-untyped-def]
    paths = [place.write(name, b"a") for name in ("x1", "x2", "x3")]

    def change_all() -> None:
        for path in paths:
            with path.open("ab") as file:
                file.write(b"more")

    for path in paths:
        on_read(path.name.encode(), change_all)
    with pytest.raises(PublishFailed, match=r"^/x1 changed .* \(and 2 more such files\)$"):
        place.publish()


def test_a_file_that_vanishes_is_left_out_with_a_warning(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    path = place.write("d/gone", b"x")
    place.write("d/stays", b"y")
    after_scan(monkeypatch, path.unlink)
    report = place.publish()
    assert set(place.read().entries) == {b"", b"/d", b"/d/stays"}
    assert report.warnings == ("/d/gone vanished while the tree was being read; it is left out",)


def test_a_directory_that_vanishes_is_left_out_with_a_warning(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.write("d/inner/file", b"x")
    listdir = os.listdir

    def listing(path):  # type: ignore[no-untyped-def]
        names = listdir(path)
        if isinstance(path, bytes) and path.endswith(b"/d"):
            (place.tree / "d/inner/file").unlink()
            (place.tree / "d/inner").rmdir()
        return names

    monkeypatch.setattr(os, "listdir", listing)
    report = place.publish()
    assert set(place.read().entries) == {b"", b"/d"}
    assert "/d/inner vanished while the tree was being read" in report.warnings[0]


def test_one_vanished_name_of_two_leaves_the_other(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    first = place.write("a", b"linked")
    os.link(first, place.tree / "b")
    after_scan(monkeypatch, first.unlink)
    place.publish()
    entries = place.read().entries
    assert set(entries) == {b"", b"/b"}
    assert entries[b"/b"].content == b"linked"
    assert entries[b"/b"].row["hardlinks"] == 1


def test_a_replaced_file_is_published_as_what_it_became(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    path = place.write("file", b"old")

    def replace() -> None:
        place.write("new", b"newer and longer").rename(path)
        path.chmod(0o600)

    after_scan(monkeypatch, replace)
    place.publish()
    item = place.read().entries[b"/file"]
    assert item.content == b"newer and longer"
    assert item.row["mode"] == path.stat().st_mode


@pytest.mark.parametrize("kind", ["fifo", "symlink", "directory"])
def test_a_file_that_became_something_else_is_an_error(
    place: Place, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    path = place.write("file", b"old")

    def replace() -> None:
        path.unlink()
        {"fifo": os.mkfifo, "symlink": lambda p: os.symlink("x", p), "directory": os.mkdir}[kind](path)

    after_scan(monkeypatch, replace)
    with pytest.raises(PublishFailed, match=r"^/file (was replaced|cannot be read)"):
        place.publish()


@pytest.mark.skipif(IS_ROOT, reason="root reads everything; the next test does it with a fake errno")
def test_an_unreadable_file_is_an_error_that_names_it(place: Place) -> None:
    place.write("file", b"x").chmod(0)
    with pytest.raises(PublishFailed, match=r"^/file cannot be read: Permission denied; nothing was published"):
        place.publish()


def test_what_the_kernel_does_not_let_us_read_is_an_error(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.write("d/file", b"x")
    original = os.open

    def refuse(path, *arguments, **named):  # type: ignore[no-untyped-def]
        if isinstance(path, bytes) and path.endswith(b"/d/file"):
            raise PermissionError(13, "Permission denied")
        return original(path, *arguments, **named)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(PublishFailed, match=r"^/d/file cannot be read: Permission denied; nothing was published"):
        place.publish()


def test_a_directory_that_cannot_be_listed_is_an_error(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.write("d/file", b"x")
    original = os.listdir

    def refuse(path):  # type: ignore[no-untyped-def]
        if isinstance(path, bytes) and path.endswith(b"/d"):
            raise PermissionError(13, "Permission denied")
        return original(path)

    monkeypatch.setattr(os, "listdir", refuse)
    with pytest.raises(PublishFailed, match=r"^/d cannot be read: Permission denied"):
        place.publish()
