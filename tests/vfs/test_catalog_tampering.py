"""A catalogue that breaks the format, or an object that is not what the catalogue names: EIO there, and only there.

Each edit is rightly signed, since the point is what hepwrap makes of it: a sentence that names catalogue and row.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from hepwrap.errors import (
    CorruptObject,
    HepwrapError,
    InvalidOperation,
    MissingObject,
    NotADirectory,
    NotFound,
    Unsupported,
)
from hepwrap.records import replace
from hepwrap.vfs.entry import BIND_MOUNT, DIRECTORY, HIDDEN
from hepwrap.vfs.entry_row import path_key
from hepwrap.vfs.repository import Repository
from tests.helpers.workshop import Workshop, object_name

SW = "17c86a02bbb659ad279192514ff0bb0ed0ff6209"


def where(path: str) -> str:
    first, second = path_key(path.encode())
    return f"WHERE md5path_1 = {first} AND md5path_2 = {second}"


def update(path: str, assignment: str) -> Callable[[sqlite3.Connection], object]:
    return lambda db: db.execute(f"UPDATE catalog SET {assignment} {where(path)}")


#: What is wrong with the row of /README, and the sentence.
BAD_ROWS = {
    "mode = 0": "mode says file type 0o0, which does not exist",
    "mode = 16877": "mode says file type 0o40000, flags 0x4 say another",
    "mode = 41471": "mode says file type 0o120000, flags 0x4 say another",
    "mode = 'text'": r"mode is b'text', not a number from 0 to 65535",
    "mode = 4294967296": "mode is 4294967296, not a number",
    "flags = 5": "flags 0x5 say directory, mode says file type 0o100000",
    "flags = 12": "flags 0xc say symbolic link",
    "flags = 4 + 0x700": "hash algorithm 7, which does not exist",
    "flags = -1": "flags is -1, not a number",
    "size = -1": "size is -1, not a number from 0",
    "size = NULL": "size is None, not a number",
    "mtimens = 1000000000": "mtimens is 1000000000, not a number",
    "mtime = 'soon'": "mtime is b'soon', not a number",
    "uid = -1": "uid is -1, not a number",
    "gid = 4294967296": "gid is 4294967296, not a number",
    "hardlinks = 'x'": "hardlinks is b'x', not a number",
    "hash = x'0011'": r"its hash is b'\\x00\\x11', not 20 bytes",
    "hash = NULL": "a file with content has no hash",
    "name = 'OTHER'": "its name b'OTHER' is not the last component",
    "name = NULL": "None, not a text",
    "parent_1 = 1": "its parent pointer is not the MD5 of its directory",
}


@pytest.mark.parametrize("assignment", BAD_ROWS)
def test_a_row_that_breaks_a_rule_is_refused_and_named(assignment: str, tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    workshop.edit_catalog("", update("/README", assignment))
    repository = workshop.open()
    sentence = rf"^root catalogue {repository.root_hash} of test.hep.example, row /README: .*{BAD_ROWS[assignment]}"
    with pytest.raises(CorruptObject, match=sentence):
        repository.lookup(b"/README")
    assert repository.lookup(b"/sw") is not None


@pytest.mark.parametrize("name", [b"a/b", b"..", b".", b"", b"n\0l", b"x" * 256])
def test_a_listing_with_a_name_that_is_no_component_is_refused(name: bytes, tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    workshop.edit_catalog("", lambda db: db.execute(f"UPDATE catalog SET name = ? {where('/README')}", (name,)))
    with pytest.raises(CorruptObject, match=r"row /: one of its names is b.*, which is no name of one component"):
        workshop.open().listdir(b"")


def test_a_row_under_the_key_of_another_path_is_refused_in_listings(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    workshop.edit_catalog("", update("/README", "name = 'EVIL'"))
    with pytest.raises(CorruptObject, match="row /EVIL: its key is not the MD5 of its path"):
        workshop.open().listdir(b"")


@pytest.mark.parametrize("target", [b"", b"a\0b", b"x" * 4096])
def test_a_link_target_that_no_link_can_have_is_refused(target: bytes, tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    edit = f"UPDATE catalog SET symlink = ? {where('/links/self')}"
    workshop.edit_catalog("", lambda db: db.execute(edit, (target,)))
    with pytest.raises(CorruptObject, match="row /links/self: its link target is"):
        workshop.open().lookup(b"/links/self")


def test_a_directory_in_a_hard_link_group_is_refused(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    workshop.edit_catalog("", update("/emptydir", "hardlinks = (1 << 32) + 2"))
    with pytest.raises(CorruptObject, match="row /emptydir: a directory stands in a hard link group"):
        workshop.open().lookup(b"/emptydir")


# Extended attributes.


@pytest.mark.parametrize(
    ("blob", "sentence"),
    [
        (b"\x02\x00", "not of version 1"),
        (b"\x01", "not of version 1"),
        (b"\x01\x01\x05", "cut short"),
        (b"\x01\x01\x05\x05ab", "cut short"),
        (b"\x01\x01\x00\x00", "is empty, repeated or holds a NUL"),
        (b"\x01\x02\x01\x00a\x01\x00a", "is empty, repeated or holds a NUL"),
        (b"\x01\x00more", "4 bytes follow the extended attributes"),
    ],
)
def test_attributes_that_break_the_format_are_refused(blob: bytes, sentence: str, tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    workshop.edit_catalog("", lambda db: db.execute(f"UPDATE catalog SET xattr = ? {where('/README')}", (blob,)))
    repository = workshop.open()
    entry = found(repository, b"/README")
    with pytest.raises(CorruptObject, match=f"row /README: .*{sentence}"):
        repository.xattrs(entry)


# Chunks.


def chunked(workshop: Workshop) -> str:
    """Path of the chunked file in the root catalogue."""
    root = workshop.open()
    pending = [b""]
    while pending:
        for entry in root.listdir(pending.pop()):
            if entry.is_chunked:
                return entry.path.decode()
            if entry.is_dir and not entry.is_nested_mount:
                pending.append(entry.path)
    raise AssertionError("no chunked file")


CHUNK_EDITS = {
    "DELETE FROM chunks {where} AND offset = 0": "a chunk starts at",
    "DELETE FROM chunks {where}": "its chunks hold 0 bytes, the file has 500000",
    "DELETE FROM chunks {where} AND offset > 0": "bytes, the file has 500000",
    "UPDATE chunks SET offset = offset + 1 {where} AND offset > 0": "a chunk starts at",
    "UPDATE chunks SET size = 0 {where} AND offset = 0": "a chunk has 0 bytes, the file 500000",
    "UPDATE chunks SET size = 500001 {where} AND offset = 0": "a chunk has 500001 bytes, the file 500000",
    "UPDATE chunks SET hash = x'00' {where} AND offset = 0": "the chunk at 0 has no hash of 20 bytes",
}


@pytest.mark.parametrize("edit", CHUNK_EDITS)
def test_chunks_that_do_not_cover_the_file_once_are_refused(edit: str, tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    path = chunked(workshop)
    workshop.edit_catalog("", lambda db: db.execute(edit.format(where=where(path))))
    repository = workshop.open()
    with pytest.raises(CorruptObject, match=f"row {path}: .*{CHUNK_EDITS[edit]}"):
        repository.parts(found(repository, path.encode()))


# Nested catalogues: what is wrong stays below them.


def flip(data: bytes) -> bytes:
    return data[:100] + bytes((data[100] ^ 1,)) + data[101:]


def check_only_below_sw(repository: Repository, error: type[HepwrapError], sentence: str) -> None:
    """All of /sw fails with `sentence`, and nothing is "not there"; the rest is served, /sw itself too."""
    for ask in (
        lambda: repository.lookup(b"/sw/abs"),
        lambda: repository.listdir(b"/sw"),
        lambda: repository.lookup(b"/sw/v1/x"),
    ):
        with pytest.raises(error, match=sentence):
            ask()
    assert found(repository, b"/sw").is_dir
    assert len(repository.listdir(b"/data")) == 8
    assert b"sw" in [entry.name for entry in repository.listdir(b"")]


def test_a_flipped_nested_catalogue_is_an_error_only_below_it(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    workshop.change(object_name(SW, "C"), flip)
    check_only_below_sw(workshop.open(), CorruptObject, f"catalogue {SW} of test.hep.example .for /sw.: .*digest")


def test_a_truncated_nested_catalogue_is_an_error_only_below_it(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    workshop.change(object_name(SW, "C"), lambda data: data[:100])
    check_only_below_sw(workshop.open(), CorruptObject, f"catalogue {SW} .* the 100 bytes received")


def test_a_missing_nested_catalogue_is_missing_and_not_absent(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    workshop.remove(object_name(SW, "C"))
    check_only_below_sw(
        workshop.open(), MissingObject, f"catalogue {SW} of test.hep.example .for /sw.: no server has it"
    )


NESTED_EDITS = {
    "UPDATE nested_catalogs SET sha1 = 'xyz' WHERE path = '/sw'": "row /sw: nested catalogue: 'xyz' is not a",
    "UPDATE nested_catalogs SET sha1 = NULL WHERE path = '/sw'": "row /sw: nested catalogue: '' is not a",
    "UPDATE nested_catalogs SET size = -1 WHERE path = '/sw'": "row /sw: nested catalogue: its size is not a number",
    "UPDATE nested_catalogs SET size = size - 1 WHERE path = '/sw'": "unpacks to more than the 57343 bytes",
    "UPDATE nested_catalogs SET size = 1 << 50 WHERE path = '/sw'": "hepwrap takes catalogues up to",
    "UPDATE nested_catalogs SET size = 0, sha1 = '2cd145415d97cba6f605ae35dd46ac927bf6a4fc' WHERE path = '/sw'": (
        "says that it is for '', but it is used for '/sw'"
    ),
    "UPDATE nested_catalogs SET size = 0, sha1 = '132eca1420fea0570e2169f5e7f09e778db3c463' WHERE path = '/sw'": (
        "says that it is for '/data', but it is used for '/sw'"
    ),
}


@pytest.mark.parametrize("edit", NESTED_EDITS)
def test_a_nested_catalogue_that_does_not_fit_is_an_error_only_below_it(edit: str, tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    workshop.edit_catalog("", lambda db: db.execute(edit))
    check_only_below_sw(workshop.open(), CorruptObject, NESTED_EDITS[edit])


def test_a_nested_catalogue_without_a_root_row_is_refused(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    workshop.edit_catalog("/data/many", lambda db: db.execute(f"DELETE FROM catalog {where('/data/many')}"))
    with pytest.raises(CorruptObject, match=r"\(for /data/many\) has no row for its own root /data/many"):
        workshop.open().listdir(b"/data/many")


def test_a_nested_catalogue_whose_root_is_not_marked_is_refused(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    workshop.edit_catalog("/data/many", update("/data/many", "flags = 1"))
    with pytest.raises(CorruptObject, match="row /data/many: it is the catalogue's root but not marked as one"):
        workshop.open().listdir(b"/data/many")


def test_a_mount_point_without_a_catalogue_is_refused(tmp_path: Path) -> None:
    """Else everything below it would look as if it did not exist."""
    workshop = Workshop(tmp_path)
    workshop.edit_catalog("", lambda db: db.execute("DELETE FROM nested_catalogs WHERE path = '/sw'"))
    repository = workshop.open()
    with pytest.raises(CorruptObject, match="row /sw: it is marked as a nested catalogue, but none is listed"):
        repository.lookup(b"/sw")


def test_a_nested_catalogue_without_a_mount_point_is_refused(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    workshop.edit_catalog("", update("/sw", "flags = 1"))
    with pytest.raises(CorruptObject, match="lists a nested catalogue at /sw, where it has no mount point"):
        workshop.open().lookup(b"/sw/abs")


@pytest.mark.parametrize("path", ["", "/", "sw", "/sw/", "/sw//x", "/sw/../etc", "/a/./b"])
def test_a_nested_catalogue_at_an_impossible_place_is_refused(path: str, tmp_path: Path) -> None:
    """The root itself is among them: a chain of catalogues that never gets further down would be endless."""
    workshop = Workshop(tmp_path)
    workshop.edit_catalog("", lambda db: db.execute("UPDATE nested_catalogs SET path = ? WHERE path = '/sw'", (path,)))
    with pytest.raises(HepwrapError, match=r"lists a nested catalogue at .*, not below itself"):
        workshop.open()


# Schemas and hostile databases.


@pytest.mark.parametrize(
    ("statements", "sentence"),
    [
        ("CREATE VIEW evil AS SELECT 1", "contains view evil, which no publisher writes"),
        ("CREATE TRIGGER evil AFTER DELETE ON chunks BEGIN SELECT 1; END", "contains trigger evil, which no publisher"),
        ("CREATE VIRTUAL TABLE evil USING fts5(x)", "contains table evil, which no publisher writes"),
        ("DROP TABLE catalog", "has no column .* in a table catalog"),
        ("ALTER TABLE catalog DROP COLUMN uid", "has no column uid in a table catalog"),
        ("DELETE FROM properties WHERE key = 'schema'", "does not say which schema it has"),
        ("DROP TABLE properties", "does not say which schema it has"),
    ],
)
def test_a_database_that_is_no_catalogue_is_refused(statements: str, sentence: str, tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    workshop.edit_catalog("", lambda db: db.execute(statements))
    with pytest.raises(HepwrapError, match=f"root catalogue .* of test.hep.example {sentence}"):
        workshop.open()


def test_a_table_replaced_by_a_view_that_never_ends_is_refused(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i AS md5path_1 FROM n"
    workshop.edit_catalog("", lambda db: db.executescript(f"DROP TABLE chunks; CREATE VIEW chunks AS {endless};"))
    with pytest.raises(HepwrapError, match="contains view chunks"):
        workshop.open()


@pytest.mark.parametrize("schema", ["1.9", "3.0"])
def test_a_schema_of_another_age_is_unsupported_in_one_sentence(schema: str, tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    workshop.edit_catalog("", lambda db: db.execute("UPDATE properties SET value = ? WHERE key = 'schema'", (schema,)))
    with pytest.raises(Unsupported, match=f"has schema {schema}; hepwrap reads catalogue schemas 2.x"):
        workshop.open()


def test_old_schemas_without_the_later_columns_are_read(tmp_path: Path) -> None:
    def age(db: sqlite3.Connection) -> None:
        db.executescript(
            "ALTER TABLE catalog DROP COLUMN mtimens; ALTER TABLE catalog DROP COLUMN xattr;"
            "ALTER TABLE nested_catalogs DROP COLUMN size; DROP TABLE bind_mountpoints; DROP TABLE statistics;"
            "UPDATE properties SET value = '2.4' WHERE key = 'schema';"
        )

    workshop = Workshop(tmp_path)
    fresh = workshop.open()
    wanted = replace(found(fresh, b"/README"), mtime_ns=0)
    workshop.edit_catalog("", age)
    repository = workshop.open()
    assert found(repository, b"/README") == wanted
    assert repository.xattrs(found(repository, b"/xattr/with")) == {}
    assert len(repository.listdir(b"/data/many")) == 2001
    assert repository.statistics() == {}


def test_a_catalogue_cannot_be_written_to_nor_functions_called(tmp_path: Path) -> None:
    image = Workshop(tmp_path).open().tree.root.image
    for query in ("DELETE FROM catalog", "SELECT load_extension('x')", "ATTACH 'x' AS y", "PRAGMA query_only=OFF"):
        with pytest.raises(CorruptObject, match="not authorized"):
            image.rows(query)


def test_a_query_cannot_run_longer_than_its_file_is_large(tmp_path: Path) -> None:
    image = Workshop(tmp_path).open().tree.root.image
    with pytest.raises(CorruptObject, match="interrupted"):
        image.rows(
            "SELECT 1 FROM catalog a, catalog b, catalog c, catalog d WHERE a.size + b.size + c.size + d.size < 0"
        )


# What is in the catalogue but cannot be served.


def test_an_unknown_compression_code_is_one_precise_sentence(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    workshop.edit_catalog("", update("/README", "flags = 4 + (3 << 11)"))
    repository = workshop.open()
    entry = found(repository, b"/README")
    assert entry.compression == "code 3"
    with pytest.raises(Unsupported, match=r"test.hep.example:/README has unknown compression code 3"):
        repository.parts(entry)


def test_external_data_is_one_precise_sentence(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    workshop.edit_catalog("", update("/README", "flags = 4 + 128"))
    repository = workshop.open()
    with pytest.raises(Unsupported, match=r"test.hep.example:/README is stored outside its repository"):
        repository.parts(found(repository, b"/README"))


def test_parts_of_what_is_not_a_file_are_refused(tmp_path: Path) -> None:
    repository = Workshop(tmp_path).open()
    for path in (b"", b"/links/self", b"/special_fifo"):
        with pytest.raises(InvalidOperation, match="is not a regular file"):
            repository.parts(found(repository, path))


def test_listing_what_is_no_directory_says_which_of_the_two(tmp_path: Path) -> None:
    repository = Workshop(tmp_path).open()
    with pytest.raises(NotFound, match=r"test.hep.example:/nope does not exist"):
        repository.listdir(b"/nope")
    with pytest.raises(NotADirectory, match=r"test.hep.example:/README is not a directory"):
        repository.listdir(b"/README")


# Hidden entries and bind mounts.


def test_a_hidden_entry_is_found_but_not_listed(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    workshop.edit_catalog("", update("/README", f"flags = flags | {HIDDEN}"))
    repository = workshop.open()
    assert found(repository, b"/README").is_hidden
    assert b"README" not in [entry.name for entry in repository.listdir(b"")]


def test_a_bound_catalogue_of_another_revision_answers_below_its_mount_point(tmp_path: Path) -> None:
    """As below /.cvmfs/snapshots: paths inside it are relative to its own root, also through its nested ones."""
    old = Workshop(tmp_path / "old").open(tag="v1.0")
    workshop = Workshop(tmp_path / "new")

    def bind(db: sqlite3.Connection) -> None:
        db.execute(f"UPDATE catalog SET flags = {DIRECTORY | BIND_MOUNT} {where('/emptydir')}")
        db.execute("INSERT INTO bind_mountpoints VALUES ('/emptydir', ?, 0)", (str(old.root_hash),))

    workshop.edit_catalog("", bind)
    repository = workshop.open()
    assert found(repository, b"/emptydir").is_nested_mount
    for path in (b"/README", b"/sw/v1", b"/sw/v1/lib/libhep.so", b"/data/many"):
        there, here = found(repository, b"/emptydir" + path), found(old, path)
        assert (there.path, there.name) == (b"/emptydir" + path, here.name)
        assert (there.digest, there.mode, there.mtime, there.symlink) == (
            here.digest,
            here.mode,
            here.mtime,
            here.symlink,
        )
    assert repository.lookup(b"/emptydir/nope") is None
    assert [e.name for e in repository.listdir(b"/emptydir")] == [e.name for e in old.listdir(b"")]
    linked = {found(repository, prefix + b"/hard/a").link_group for prefix in (b"", b"/emptydir")}
    assert len(linked) == 2


def found(repository: Repository, path: bytes):  # type: ignore[no-untyped-def]
    entry = repository.lookup(path)
    assert entry is not None, path
    return entry
