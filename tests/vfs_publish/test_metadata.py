"""What stands around the catalogues: manifest, history, reflog, meta information."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from hepwrap.errors import PublishFailed, UsageError
from hepwrap.vfs.publish import checker
from hepwrap.vfs.publish.layout import Layout
from hepwrap.vfs.publish.lock import publisher_lock
from tests.helpers.shared import shared_path
from tests.vfs_publish.conftest import NAME, Place
from tests.vfs_publish.store_reader import Store, open_bytes


def test_the_manifest_has_the_fields_in_the_order_of_the_real_publisher(place: Place) -> None:
    place.write("file", b"x")
    report = place.publish()
    store = place.read()
    assert store.letters == Store(shared_path("data/test.hep.example/repo")).letters == "CBRDSGANXHTMY"
    fields = store.fields
    assert (fields["S"], fields["D"], fields["G"], fields["A"], fields["N"]) == ("1", "240", "yes", "no", NAME)
    assert fields["C"] == str(report.root_hash)
    assert store.certificate == (place.keys / f"{NAME}.crt").read_bytes()


def _schema(database: sqlite3.Connection) -> dict[str, object]:
    """Tables with their columns, types and primary keys, and indices with theirs: whatever the text of the SQL is."""
    found: dict[str, object] = {}
    for kind, name in database.execute("SELECT type, name FROM sqlite_master").fetchall():
        pragma = "table_info" if kind == b"table" else "index_info"
        found[name.decode()] = database.execute(f"PRAGMA {pragma}({name.decode()})").fetchall()
    return found


@pytest.mark.parametrize("kind", ["root catalogue", "nested catalogue", "history", "reflog"])
def test_databases_have_tables_indices_and_properties_of_the_real_publisher(place: Place, kind: str) -> None:
    place.write("sub/.cvmfscatalog")
    place.publish()
    databases = []
    for store, nested in (
        (place.read(), b"/sub"),
        (Store(shared_path("data/test.hep.example/repo")), b"/sw/v1"),
    ):
        if kind == "reflog":
            databases.append(open_bytes((store.base / ".cvmfsreflog").read_bytes()))
        elif kind == "history":
            databases.append(store.database(store.fields["H"], "H"))
        else:
            databases.append(store.database(store.catalogs[b"" if kind == "root catalogue" else nested], "C"))
    ours, theirs = databases
    assert _schema(ours) == _schema(theirs)
    for query in (
        "SELECT key FROM properties ORDER BY key",
        "SELECT key, value FROM properties WHERE key LIKE 'schema%' ORDER BY key",
        "PRAGMA page_size",
        "PRAGMA encoding",
        "PRAGMA journal_mode",
    ):
        assert ours.execute(query).fetchall() == theirs.execute(query).fetchall()
    if "catalogue" in kind:
        names = "SELECT counter FROM statistics ORDER BY counter"
        assert ours.execute(names).fetchall() == theirs.execute(names).fetchall()


def test_trunk_moves_and_names_stay(place: Place) -> None:
    roots = []
    for number, tag in enumerate(("v1.0", None, "v3/final")):
        place.write("file", b"%d" % number)
        roots.append(str(place.publish(tag=tag).root_hash))
        assert place.read().tags()["trunk"] == (roots[-1], number + 1)
    assert place.read().tags() == {
        "trunk": (roots[2], 3),
        "trunk-previous": (roots[1], 2),
        "v1.0": (roots[0], 1),
        "v3/final": (roots[2], 3),
    }


def test_the_first_revision_has_no_trunk_previous(place: Place) -> None:
    place.publish()
    assert set(place.read().tags()) == {"trunk"}


def test_a_tag_is_never_moved(place: Place) -> None:
    place.publish(tag="v1")
    with pytest.raises(UsageError, match="the tag 'v1' names an earlier revision already and is never moved"):
        place.publish(tag="v1")
    assert place.read().fields["S"] == "1"


@pytest.mark.parametrize("tag", ["trunk", "trunk-previous", "", "a b", "x;y", "caf\u00e9"])
def test_a_bad_tag_is_refused_before_anything_is_done(place: Place, tag: str) -> None:
    with pytest.raises(UsageError, match="tag"):
        place.publish(tag=tag)
    assert not place.store.exists()


def test_the_reflog_names_every_root_object_that_ever_was(place: Place) -> None:
    named = set()
    for number in range(3):
        place.write("file", b"%d" % number)
        place.publish(meta={"description": str(number)})
        store = place.read()
        store.verify_reflog()
        named |= {(store.fields[letter], kind) for kind, letter in enumerate("CXHM")}
    with closing(open_bytes((place.base / ".cvmfsreflog").read_bytes())) as log:
        rows = log.execute("SELECT hash, type FROM refs").fetchall()
    assert {(text.decode(), kind) for text, kind in rows} == named
    assert (place.base / ".publisher" / "reflog.chksum").read_text() == place.read().fields["Y"]


def test_a_publisher_killed_between_reflog_and_manifest_loses_no_reference(place: Place) -> None:
    place.publish()
    place.publish()
    manifest = (place.base / ".cvmfspublished").read_bytes()
    place.publish()
    (place.base / ".cvmfspublished").write_bytes(manifest)  # as if it had never been replaced
    assert any("publishing again repairs it" in problem for problem in checker.check(place.base))
    report = place.publish()
    assert report.warnings == ()
    assert report.revision == 3
    place.read().verify_reflog()
    assert checker.check(place.base, objects=True) == []
    with closing(open_bytes((place.base / ".cvmfsreflog").read_bytes())) as log:
        assert log.execute("SELECT count(*) FROM refs WHERE type = 0").fetchone()[0] == 3


def test_a_foreign_reflog_is_begun_anew_with_a_warning(place: Place) -> None:
    place.publish()
    (place.base / ".cvmfsreflog").write_bytes(b"garbage")
    report = place.publish()
    assert "is not the one that the manifest names" in report.warnings[0]
    place.read().verify_reflog()


def test_meta_information_is_kept_until_it_is_changed(place: Place) -> None:
    place.publish(meta={"administrator": "me", "email": "me@example.org"})
    place.publish()
    assert json.loads(place.read().meta) == {"administrator": "me", "email": "me@example.org"}
    place.publish(meta={"administrator": "you"})
    assert json.loads(place.read().meta) == {"administrator": "you"}


def test_a_second_publisher_is_refused_in_one_sentence(place: Place) -> None:
    place.publish()
    with publisher_lock(Layout(place.base).lock, name=NAME), pytest.raises(PublishFailed) as caught:
        place.publish()
    assert f"is publishing {NAME} into this store" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert place.read().fields["S"] == "1"
    assert place.publish().revision == 2, "the lock goes with its holder"


def test_the_checker_finds_the_real_repositories_right() -> None:
    for name in ("test.hep.example", "shake128.hep.example"):
        assert checker.check(shared_path(f"data/{name}/repo"), objects=True) == []


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("UPDATE statistics SET value = value + 1 WHERE counter = 'self_regular'", "self statistics say"),
        ("UPDATE statistics SET value = value + 1 WHERE counter = 'subtree_dir'", "subtree statistics say"),
        ("UPDATE catalog SET hardlinks = 3 | (1 << 32) WHERE name = 'a'", "link group 1 has 1 members, 3 are recorded"),
        ("UPDATE catalog SET parent_1 = 5 WHERE name = 'a'", "1 entries have no parent directory"),
        ("UPDATE chunks SET size = size + 1 WHERE offset = 0", "the chunks of 1 files do not add up"),
    ],
)
def test_the_checker_finds_what_does_not_add_up(
    place: Place, monkeypatch: pytest.MonkeyPatch, statement: str, problem: str
) -> None:
    from hepwrap.vfs.publish import catalog_writer

    finish = catalog_writer.finish

    def spoil(database: sqlite3.Connection) -> None:
        if database.execute("SELECT count(*) FROM sqlite_master WHERE name = 'catalog'").fetchone()[0]:
            database.execute(statement)
        finish(database)

    monkeypatch.setattr(catalog_writer, "finish", spoil)
    place.write("a", b"1")
    place.write("chunked", b"ab" * 50_000)
    place.publish()
    problems = checker.check(place.base, objects=True)
    assert len(problems) == 1, problems
    assert problem in problems[0]


def test_the_checker_finds_a_missing_and_a_damaged_object(place: Place) -> None:
    place.write("a", b"1")
    place.write("b", b"2")
    place.publish()
    entries = place.read().entries
    paths: list[Path] = []
    for name in (b"/a", b"/b"):
        text = entries[name].row["hash"].hex()
        paths.append(place.base / "data" / text[:2] / text[2:])
    paths[0].unlink()
    paths[1].write_bytes(b"other")
    assert sorted(checker.check(place.base, objects=True)) == sorted(
        [f"{paths[0]} is missing from the store", f"{paths[1]} does not have the digest in its name"]
    )
    assert checker.check(place.base) == []
