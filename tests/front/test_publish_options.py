"""Options of `hepwrap publish`, by what they do to the store; an independent reader looks."""

from __future__ import annotations

import calendar
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from hepwrap.digest import Digest
from hepwrap.vfs.publish import keys as publish_keys
from hepwrap.vfs.publish.node import Content
from hepwrap.vfs.publish.notebook import Notebook
from hepwrap.vfs.publish.scan import Scanner
from tests.helpers.front import Cli, one_line
from tests.vfs_publish.store_reader import Store

NAME = "stack.example.org"
DAY = 86400
Publish = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture(scope="module")
def key_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made once: RSA keys take long."""
    directory = tmp_path_factory.mktemp("keys") / "keys"
    publish_keys.generate(NAME, directory)
    return directory


@pytest.fixture
def keys(tmp_path: Path, key_set: Path) -> Path:
    """Keys of this test, which it may take away."""
    return Path(shutil.copytree(key_set, tmp_path / "keys"))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree of one file."""
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/file").write_text("one\n")
    return tmp_path / "tree"


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """Where the store is."""
    return tmp_path / "store" / NAME


@pytest.fixture
def publish(cli: Cli, tree: Path, keys: Path, base: Path) -> Publish:
    """Publishes the tree with the options given."""

    def run(*options: str | Path) -> subprocess.CompletedProcess[bytes]:
        return cli("publish", tree, "--repo", NAME, "--to", base.parent, "--keys", keys, *options)

    return run


def fine(result: subprocess.CompletedProcess[bytes]) -> None:
    """It worked, and there was nothing to complain about."""
    assert (result.stderr, result.returncode) == (b"", 0)


def stored(base: Path, item: bytes) -> bytes:
    """The bytes of the object of a file, as they are in the store."""
    digest: str = Store(base).entries[item].row["hash"].hex()
    return (base / "data" / digest[:2] / digest[2:]).read_bytes()


# What is stored, and how.


def test_files_are_packed_unless_compression_is_none(publish: Publish, base: Path) -> None:
    fine(publish())
    assert stored(base, b"/file") != b"one\n"
    fine(publish("--compression", "none"))
    assert stored(base, b"/file") == b"one\n"
    fine(publish("--compression", "zlib"))
    assert stored(base, b"/file") != b"one\n"
    assert Store(base).entries[b"/file"].content == b"one\n"


def test_chunks_are_as_large_as_was_said(publish: Publish, tree: Path, base: Path) -> None:
    (tree / "large").write_bytes(os.urandom(100_000))
    (tree / "average").write_bytes(os.urandom(8192))
    fine(publish("--chunks", "4096:8k:16K"))
    entries = Store(base).entries
    sizes = [size for _, size, _ in entries[b"/large"].chunks]
    assert 6 <= len(sizes) <= 25
    assert all(4096 <= size <= 16384 for size in sizes[:-1])
    assert entries[b"/average"].chunks == []
    fine(publish())
    assert Store(base).entries[b"/large"].chunks == [], "options are not remembered"


def test_a_megabyte_is_a_unit_of_chunks(publish: Publish, tree: Path, base: Path) -> None:
    (tree / "large").write_bytes(bytes(3 << 20))
    fine(publish("--chunks", "1M:1M:2M"))
    assert [size for _, size, _ in Store(base).entries[b"/large"].chunks] == [2 << 20, 1 << 20]


def test_checksum_reads_what_is_remembered_as_unchanged(publish: Publish, tree: Path, base: Path) -> None:
    (tree / "other").write_text("two\n")
    fine(publish())
    for options, content in ((), b"two\n"), (("--checksum",), b"one\n"):
        remember_wrongly(tree, base)
        fine(publish(*options))
        assert Store(base).entries[b"/file"].content == content


def remember_wrongly(tree: Path, base: Path) -> None:
    """The publisher's notebook now says that /file, as it is, has what /other has."""
    root = Scanner(tree, xattrs=True, warn=pytest.fail, tick=lambda: None).scan()
    node = next(child for child in root.children if child.name == b"file")
    other = Store(base).entries[b"/other"].row["hash"].hex()
    shape = "sha1/zlib/4194304/8388608/16777216"
    with closing(Notebook(base / ".publisher/seen.sqlite", options=shape, now_ns=1 << 62)) as notebook:
        notebook.remember_file(node, Content(node.size, Digest.parse(other)))
        notebook.commit()


def test_attributes_are_stored_unless_they_shall_not_be(publish: Publish, tree: Path, base: Path) -> None:
    try:
        os.setxattr(tree / "file", "user.origin", b"here")
    except OSError as error:
        pytest.skip(f"no user attributes in {tree}: {error.strerror}")
    fine(publish())
    assert Store(base).entries[b"/file"].xattrs == {b"user.origin": b"here"}
    fine(publish("--no-xattrs"))
    assert Store(base).entries[b"/file"].xattrs == {}


def test_catalogues_are_split_at_the_limit(publish: Publish, tree: Path, base: Path) -> None:
    for name in ("a", "b"):
        (tree / name).mkdir()
        for number in range(30):
            (tree / name / str(number)).touch()
    fine(publish())
    assert set(Store(base).catalogs) == {b""}
    fine(publish("--catalog-limit", "40"))
    store = Store(base)
    assert len(store.catalogs) == 2
    assert max(store.rows_of.values()) <= 40
    fine(publish())
    assert set(Store(base).catalogs) == {b""}


def test_a_limit_that_no_split_can_keep_is_told(publish: Publish, tree: Path) -> None:
    for number in range(20):
        (tree / str(number)).touch()
    result = publish("--catalog-limit", "10")
    assert re.search(rb"^hepwrap: /: its catalogue has 22 entries, more than 10, and no ", result.stderr)
    assert result.returncode == 0


# What is said about a revision.


def test_a_tag_has_its_description(publish: Publish, base: Path) -> None:
    fine(publish("--tag", "v1", "--tag-description", "first \N{EM DASH} good"))
    store = Store(base)
    rows = store.database(store.fields["H"], "H").execute("SELECT name, description FROM tags").fetchall()
    assert dict(rows)[b"v1"].decode() == "first \N{EM DASH} good"


def test_meta_is_published_and_stays_until_another_comes(publish: Publish, base: Path, tmp_path: Path) -> None:
    file = tmp_path / "meta.json"
    file.write_text(json.dumps({"administrator": "Ann", "recommended-stratum0": "http://example.org"}))
    fine(publish())
    assert json.loads(Store(base).meta) == {}
    for options in (("--meta", file), ()):
        fine(publish(*options))
        assert json.loads(Store(base).meta) == json.loads(file.read_text())
    file.write_text("{}")
    fine(publish("--meta", file))
    assert json.loads(Store(base).meta) == {}


@pytest.mark.parametrize(("options", "field"), [
    ((), "yes"), (("--garbage-collectable", "no"), "no"), (("--garbage-collectable=yes",), "yes")
])  # fmt: skip
def test_the_manifest_says_whether_garbage_may_be_collected(
    publish: Publish, base: Path, options: tuple[str, ...], field: str
) -> None:
    fine(publish(*options))
    assert Store(base).fields["G"] == field


def test_replication_is_allowed_only_where_it_was_said(publish: Publish, base: Path) -> None:
    fine(publish())
    assert not (base / ".cvmfs_master_replica").exists()
    fine(publish("--master-replica"))
    assert (base / ".cvmfs_master_replica").exists()


def test_a_whitelist_is_valid_as_long_as_was_said(publish: Publish, base: Path) -> None:
    fine(publish("--whitelist-days", "77"))
    assert whitelist_days(base) == 77


def test_a_whitelist_is_valid_for_thirty_days_where_nothing_is_said(publish: Publish, base: Path) -> None:
    fine(publish())
    assert whitelist_days(base) == 30


def whitelist_days(base: Path) -> float:
    """Days from the whitelist's beginning to its end."""
    created, expires = (base / ".cvmfswhitelist").read_text("latin-1").splitlines()[:2]
    return (seconds(expires.removeprefix("E")) - seconds(created)) / DAY


def seconds(text: str) -> int:
    return calendar.timegm(time.strptime(text, "%Y%m%d%H%M%S"))


# Mistakes.


@pytest.mark.parametrize(("options", "message"), [
    (("--compression", "lzma"), "'lzma' is not a compression; use zlib or none"),
    (("--chunks", "4M:8M"), "--chunks: '4M:8M' is not MIN:AVG:MAX; write for example 4M:8M:16M"),
    (("--chunks", "4M:x:16M"), "--chunks: 'x' is no size; write bytes, or a number with K, M or G, such as 2G"),
    (("--chunks", "4M:8M:6M"), "chunk sizes 4194304, 8388608, 6291456 must be positive and in this order"),
    (("--chunks", "0:8M:16M"), "chunk sizes 0, 8388608, 16777216 must be positive"),
    (("--catalog-limit", "0"), "--catalog-limit: '0' is no whole number of 1 or more"),
    (("--whitelist-days", "0"), "--whitelist-days: '0' is no whole number of 1 or more"),
    (("--whitelist-days", "36501"), "--whitelist-days: 36501 is more than 36500"),
    (("--garbage-collectable", "maybe"), "--garbage-collectable: 'maybe' is neither yes nor no"),
    (("--tag-description", "x"), "--tag-description is about a tag; name it too, with --tag TAG"),
    (("--meta", "/missing.json"), "--meta: /missing.json cannot be read: No such file or directory"),
    (("--meta", "{file}"), "--meta: {file} is not JSON: "),
    (("--meta", "{list}"), "--meta: {list} must hold a JSON object"),
    (("--meta", "{nan}"), "--meta: {nan} is not JSON: "),
])  # fmt: skip
def test_a_mistake_is_one_line_and_nothing_is_published(
    publish: Publish, base: Path, tmp_path: Path, options: tuple[str, str], message: str
) -> None:
    places = {}
    for name, text in (("file", "administrator: Ann"), ("list", "[1]"), ("nan", '{"x": NaN}')):
        places[name] = tmp_path / f"{name}.json"
        places[name].write_text(text)
    result = publish(options[0], options[1].format(**places))
    assert one_line(result).startswith(message.format(**places))
    assert result.returncode == 2
    assert not base.exists()


# Renewing.


def test_a_whitelist_is_renewed_without_a_publishing(cli: Cli, publish: Publish, base: Path, keys: Path) -> None:
    fine(publish())
    manifest, objects = (base / ".cvmfspublished").read_bytes(), set(base.glob("data/*/*"))
    result = cli("renew", NAME, "--keys", keys, "--to", base.parent, "--whitelist-days", "60")
    fine(result)
    assert re.fullmatch(
        rf"{base}: the whitelist is valid until [-0-9]+ [:0-9]+ UTC; certificates in it: 1\n", result.stdout.decode()
    )
    assert whitelist_days(base) == 60
    assert (base / ".cvmfspublished").read_bytes() == manifest
    assert set(base.glob("data/*/*")) == objects
    flags = ["--repo", f"{NAME}=file://{base}", "--key", str(keys / f"{NAME}.pub")]
    assert cli("cat", *flags, f"{NAME}/file").stdout == b"one\n"


def test_a_renewed_whitelist_keeps_the_hash_of_the_repository(
    cli: Cli, publish: Publish, base: Path, keys: Path
) -> None:
    fine(publish("--algorithm", "shake128"))
    fine(cli("renew", NAME, "--keys", keys, "--to", base.parent))
    assert b"-SHAKE128\n--\n" in (base / ".cvmfswhitelist").read_bytes()
    assert whitelist_days(base) == 30


def test_without_the_master_key_nothing_is_renewed(cli: Cli, publish: Publish, base: Path, keys: Path) -> None:
    fine(publish())
    (keys / f"{NAME}.masterkey").unlink()
    before = (base / ".cvmfswhitelist").read_bytes()
    result = cli("renew", NAME, "--keys", keys, "--to", base.parent)
    message = f"there is no {keys}/{NAME}.masterkey, which alone can sign the whitelist of {NAME}; put the master key"
    assert one_line(result).startswith(message)
    assert result.returncode == 1
    assert (base / ".cvmfswhitelist").read_bytes() == before


def test_the_master_key_of_somebody_else_renews_nothing(
    cli: Cli, publish: Publish, base: Path, keys: Path, tmp_path: Path
) -> None:
    fine(publish())
    publish_keys.generate(NAME, tmp_path / "other")
    shutil.copy(tmp_path / f"other/{NAME}.masterkey", keys)
    before = (base / ".cvmfswhitelist").read_bytes()
    result = cli("renew", NAME, "--keys", keys, "--to", base.parent)
    assert "does not belong to" in one_line(result)
    assert result.returncode == 1
    assert (base / ".cvmfswhitelist").read_bytes() == before


def test_the_first_whitelist_can_be_made_where_the_master_key_is(
    cli: Cli, publish: Publish, base: Path, keys: Path, tmp_path: Path
) -> None:
    """And carried to where the publisher is, who never has that key."""
    (tmp_path / "safe").mkdir()
    fine(cli("renew", NAME, "--keys", keys, "--to", tmp_path / "safe"))
    (keys / f"{NAME}.masterkey").unlink()
    base.mkdir(parents=True)
    shutil.copy(tmp_path / "safe" / NAME / ".cvmfswhitelist", base)
    fine(publish())
    assert Store(base).fields["S"] == "1"


def test_a_store_that_is_not_there_is_not_made_by_renewing(cli: Cli, keys: Path, tmp_path: Path) -> None:
    result = cli("renew", NAME, "--keys", keys, "--to", tmp_path / "typo")
    assert one_line(result) == f"{tmp_path}/typo is no directory; name the one that {NAME} was published to"
    assert result.returncode == 2
    assert not (tmp_path / "typo").exists()
