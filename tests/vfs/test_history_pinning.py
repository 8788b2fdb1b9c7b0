"""Tags, root hashes and dates: which revision a job is pinned to, and what is said where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from hepwrap.errors import (
    ConfigurationError,
    CorruptObject,
    HepwrapError,
    MissingObject,
    Unsupported,
    UntrustedManifest,
)
from tests.helpers.workshop import Workshop, object_name

OLD = "1bdfd6e0042e7e2d4b7b449af6b0ee6d9d74943d"
NEW = "2cd145415d97cba6f605ae35dd46ac927bf6a4fc"


def test_tags_come_newest_first(tmp_path: Path) -> None:
    tags = Workshop(tmp_path).open().tags()
    assert [tag.name for tag in tags[:2]] in (["v2.0", "trunk"], ["trunk", "v2.0"])
    assert {tag.name: (tag.revision, str(tag.root_hash), tag.description) for tag in tags} == {
        "v1.0": (1, OLD, "first content"),
        "v2.0": (2, NEW, "second"),
        "trunk": (2, NEW, "current HEAD"),
        "trunk-previous": (1, OLD, "default undo target"),
    }


@pytest.mark.parametrize(
    ("asked", "revision", "root", "tag"),
    [
        ({}, 2, NEW, ""),
        ({"tag": "v1.0"}, 1, OLD, "v1.0"),
        ({"tag": "trunk-previous"}, 1, OLD, "trunk-previous"),
        ({"root_hash": OLD}, 1, OLD, ""),
        ({"date": "2026-11-21T02:37:26Z"}, 1, OLD, None),
        ({"date": "2030-01-01"}, 2, NEW, None),
        ({"root_hash": NEW, "tag": "v1.0", "date": "2030-01-01"}, 2, NEW, ""),
        ({"tag": "v1.0", "date": "2030-01-01"}, 1, OLD, "v1.0"),
    ],
)
def test_what_is_asked_for_is_what_is_pinned(
    asked: dict[str, str], revision: int, root: str, tag: str | None, tmp_path: Path
) -> None:
    repository = Workshop(tmp_path).open(**asked)
    assert (repository.revision, str(repository.root_hash)) == (revision, root)
    assert tag is None or repository.root.tag == tag
    assert repository.lookup(b"/README") is not None


def test_an_unknown_tag_names_a_few_near_ones(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"^test.hep.example has no tag 'v2'; there are for example v2\.0"):
        Workshop(tmp_path).open(tag="v2")


def test_an_unknown_tag_that_is_near_to_nothing_names_some(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"has no tag 'qqqqqqq'; there are for example"):
        Workshop(tmp_path).open(tag="qqqqqqq")


def test_a_history_without_tags_says_so(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    workshop.edit_history(lambda db: db.execute("DELETE FROM tags"))
    with pytest.raises(ConfigurationError, match=r"has no tag 'v1.0'; it has no tags at all"):
        workshop.open(tag="v1.0")


def test_a_date_before_every_tag_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"test.hep.example has no tag as old as 1999-01-01"):
        Workshop(tmp_path).open(date="1999-01-01")


@pytest.mark.parametrize("date", ["yesterday", "2026-13-01", "0001-01-01T00:00:00+23:59"])
def test_a_date_that_is_none_says_how_to_write_one(date: str, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigurationError, match=r"is no date for test.hep.example; write one like 2026-02-28|no tag as old"
    ):
        Workshop(tmp_path).open(date=date)


def test_a_root_hash_that_is_none_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"root hash of test.hep.example: '../etc' is not a content digest"):
        Workshop(tmp_path).open(root_hash="../etc")


@pytest.mark.parametrize("asked", [{"tag": "v1.0"}, {"root_hash": OLD}, {"date": "2026-11-21T02:37:26Z"}])
def test_a_pinned_root_that_no_server_has_was_garbage_collected(asked: dict[str, str], tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    workshop.remove(object_name(OLD, "C"))
    (value,) = asked.values()
    with pytest.raises(MissingObject, match=f"root catalogue {OLD} of test.hep.example .*{value}.*garbage-collected"):
        workshop.open(**asked)


def test_a_nested_catalogue_of_a_pinned_revision_that_is_gone_was_garbage_collected(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    repository = workshop.open(tag="v1.0")
    workshop.remove(object_name(repository.tree.root.nested[b"/data"].hash_text.decode(), "C"))
    with pytest.raises(
        MissingObject, match=r"\(for /data\): no server has it; this older revision .* was garbage-collected"
    ):
        repository.listdir(b"/data")


def test_a_root_hash_of_a_nested_catalogue_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UntrustedManifest, match="says that it is for '/data', but it is used for ''"):
        Workshop(tmp_path).open(root_hash="132eca1420fea0570e2169f5e7f09e778db3c463")


def test_a_repository_without_history_refuses_a_tag_in_one_sentence(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    del workshop.manifest["H"]
    workshop.sign_manifest()
    assert workshop.open().revision == 2
    with pytest.raises(Unsupported, match=r"test.hep.example publishes no history, .* use --root-hash"):
        workshop.open(tag="v1.0")


HISTORY_EDITS = {
    "UPDATE tags SET hash = 'xyz'": "tag '.*': 'xyz' is not a content digest",
    "UPDATE tags SET hash = NULL": "a tag has no name or no hash",
    "UPDATE tags SET revision = 'x'": "revision or time is not a number",
    "UPDATE tags SET timestamp = NULL": "revision or time is not a number",
    "DROP TABLE tags": "has no column name in a table tags",
    "UPDATE properties SET value = 'evil.cern.ch' WHERE key = 'fqrn'": "it is the history of 'evil.cern.ch'",
    "CREATE VIEW evil AS SELECT 1": "contains view evil",
}


@pytest.mark.parametrize("edit", HISTORY_EDITS)
def test_a_history_that_breaks_the_format_is_refused(edit: str, tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    workshop.edit_history(lambda db: db.execute(edit))
    with pytest.raises(
        CorruptObject, match=f"history {workshop.manifest['H']} of test.hep.example.*{HISTORY_EDITS[edit]}"
    ):
        workshop.open(tag="v1.0")


def test_a_flipped_history_is_refused_where_a_tag_is_asked_and_harmless_else(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    workshop.change(object_name(workshop.manifest["H"], "H"), lambda data: data[:-1])
    assert workshop.open().revision == 2
    with pytest.raises(CorruptObject, match="digest"):
        workshop.open(tag="v1.0")


def test_a_tag_leads_only_to_a_root_that_passes_the_blacklist(tmp_path: Path) -> None:
    blacklist = tmp_path / "blacklist"
    blacklist.write_text("# old ones\n<test.hep.example 2\n<other.cern.ch 99\n")
    workshop = Workshop(tmp_path)
    assert workshop.open(blacklists=(blacklist,)).revision == 2
    for asked in ({"tag": "v1.0"}, {"root_hash": OLD}):
        with pytest.raises(UntrustedManifest, match="a blacklist refuses its revision 1 and all others below 2"):
            workshop.open(blacklists=(blacklist,), **asked)


def test_a_catalogue_without_a_sane_revision_counts_as_zero(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    workshop.edit_catalog("", lambda db: db.execute("UPDATE properties SET value = '²' WHERE key = 'revision'"))
    assert workshop.open(root_hash=workshop.manifest["C"]).revision == 0


def test_pinning_needs_the_whole_chain_of_trust_too(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    workshop.sign_whitelist(expires="20260101000000")
    with pytest.raises(HepwrapError, match="expired"):
        workshop.open(root_hash=OLD)
