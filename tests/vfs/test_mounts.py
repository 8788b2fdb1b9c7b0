"""Mounts: opened on first use, once for all who ask, and shown as the settings say."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest

from hepwrap.errors import ConfigurationError, FetchFailed, UsageError
from hepwrap.settings import RepositorySettings
from hepwrap.vfs.mounts import RETRY_SECONDS, Mount, MountTable
from hepwrap.vfs.shown import IdMap, read_id_map
from tests.helpers.tree import Directory, File, Link, MemoryRepository, tree


class Opener:
    """Opens what it holds, counts how often, and fails while `failure` is set."""

    def __init__(self, *names: str) -> None:
        self.asked: list[bytes] = []
        self.failure: Exception | None = None
        self.known = {name.encode(): MemoryRepository(name, tree(file=File())) for name in names}

    def __call__(self, fqrn: bytes) -> MemoryRepository | None:
        self.asked.append(fqrn)
        if self.failure:
            raise self.failure
        return self.known.get(fqrn)


def table_of(opener: Opener, *names: bytes, **options: object) -> MountTable:
    return MountTable(b"/cvmfs", opener, names, environ={}, launched=1234.9, **options)  # type: ignore[arg-type]


def mount_of(root: Directory, environ: dict[bytes, bytes] | None = None, **settings: object) -> Mount:
    repository = MemoryRepository("r.example", root, RepositorySettings("r.example", **settings))  # type: ignore[arg-type]
    mount = MountTable(b"/cvmfs", lambda _: repository, [], owner=(1000, 100), environ=environ or {}).get(b"r.example")
    assert mount is not None
    return mount


def test_repository_is_opened_on_first_use_and_only_then() -> None:
    opener = Opener("a.example", "b.example")
    table = table_of(opener, b"a.example", b"b.example")
    assert opener.asked == []
    first = table.get(b"b.example")
    assert first is not None
    assert table.get(b"b.example") is first
    assert opener.asked == [b"b.example"]
    assert (first.prefix, first.index, first.repository is None) == (b"/cvmfs/b.example", 1, False)
    assert table.mounted() == [first]


def test_simultaneous_askers_share_one_opening() -> None:
    opener = Opener("a.example")
    opening, go_on = threading.Event(), threading.Event()

    def slowly(fqrn: bytes) -> MemoryRepository | None:
        opening.set()
        assert go_on.wait(60)
        return opener(fqrn)

    table = MountTable(b"/cvmfs", slowly, [b"a.example"], environ={})
    found: list[Mount | None] = []
    askers = [threading.Thread(target=lambda: found.append(table.get(b"a.example"))) for _ in range(16)]
    for asker in askers:
        asker.start()
    assert opening.wait(60)
    assert found == []
    go_on.set()
    for asker in askers:
        asker.join()
    assert len(opener.asked) == 1
    assert len(found) == 16
    assert set(found) == {table.get(b"a.example")}


def test_opening_one_repository_does_not_wait_for_another() -> None:
    """While the first is being opened, the second is opened by its opener: a lock held over both would hang here."""
    opener = Opener("a.example", "b.example")
    inner: list[Mount | None] = []

    def first_asks_for_second(fqrn: bytes) -> MemoryRepository | None:
        if fqrn == b"a.example":
            asker = threading.Thread(target=lambda: inner.append(table.get(b"b.example")))
            asker.start()
            asker.join(60)
        return opener(fqrn)

    table = MountTable(b"/cvmfs", first_asks_for_second, [], environ={})
    table.get(b"a.example")
    assert opener.asked == [b"b.example", b"a.example"]
    assert [mount.name for mount in table.mounted()] == [b"b.example", b"a.example"]
    assert [mount.index for mount in table.mounted()] == [1, 2]


def test_failure_is_told_again_without_asking_until_its_time_is_over() -> None:
    now = 100.0
    opener = Opener("a.example")
    opener.failure = FetchFailed("no server answers")
    table = table_of(opener, b"a.example", clock=lambda: now)
    for _ in range(3):
        with pytest.raises(FetchFailed, match="no server answers"):
            table.get(b"a.example")
    assert len(opener.asked) == 1
    now += RETRY_SECONDS - 0.5
    with pytest.raises(FetchFailed):
        table.get(b"a.example")
    assert len(opener.asked) == 1
    now += 1
    opener.failure = None
    assert table.get(b"a.example") is not None
    assert len(opener.asked) == 2


def test_a_bug_while_opening_is_not_remembered_as_a_failure() -> None:
    opener = Opener("a.example")
    opener.failure = ZeroDivisionError()
    table = table_of(opener, b"a.example")
    with pytest.raises(ZeroDivisionError):
        table.get(b"a.example")
    opener.failure = None
    assert table.get(b"a.example") is not None


def test_a_mounted_repository_is_asked_for_its_root_once_and_when_somebody_looks() -> None:
    opener = Opener("a.example")
    asked: list[bytes] = []
    found = opener.known[b"a.example"].lookup
    opener.known[b"a.example"].lookup = lambda path: asked.append(path) or found(path)  # type: ignore[func-returns-value, method-assign]
    mount = table_of(opener, b"a.example").get(b"a.example")
    assert mount is not None
    assert asked == []
    assert mount.root.is_dir
    assert mount.lookup(b"") is mount.root
    assert asked == [b""]


def test_unknown_name_is_no_mount() -> None:
    opener = Opener()
    assert table_of(opener).get(b"unknown.example") is None
    assert opener.asked == [b"unknown.example"]


@pytest.mark.parametrize("name", [b".git", b"lib", b"", b"..", b"a..b", b"a.b.", b"a/b.c", b"x y.z", b"\xff.example"])
def test_what_does_not_look_like_a_repository_is_not_asked_for(name: bytes) -> None:
    opener = Opener()
    assert table_of(opener).get(name) is None
    assert opener.asked == []


def test_configured_name_is_asked_for_whatever_it_looks_like() -> None:
    opener = Opener("single")
    assert table_of(opener, b"single").get(b"single") is not None


def test_top_lists_configured_and_mounted_names_without_opening_any() -> None:
    opener = Opener("a.example", "z.example")
    table = table_of(opener, b"z.example", b"m.example")
    assert [entry.name for entry in table.top.listdir(b"")] == [b"m.example", b"z.example"]
    assert opener.asked == []
    table.get(b"a.example")
    assert [entry.name for entry in table.top.listdir(b"")] == [b"a.example", b"m.example", b"z.example"]
    assert all(entry.is_dir for entry in table.top.listdir(b""))


def test_top_is_roots_directory_with_the_time_of_the_launch() -> None:
    table = table_of(Opener(), b"a.example", b"b.example", owner=(1000, 100))
    top = table.top
    shown = top.attributes(top.root)
    assert (shown.mode, shown.uid, shown.gid) == (stat.S_IFDIR | 0o755, 0, 0)
    assert (shown.size, shown.nlink, top.root.mtime) == (0, 4, 1234)
    assert (top.repository, top.prefix, top.index, top.name) == (None, b"/cvmfs", 0, b"")
    assert top.lookup(b"") == top.root


@pytest.mark.parametrize("prefix", [b"", b"/", b"cvmfs", b"/cvmfs/", b"//cvmfs"])
def test_prefix_must_be_an_absolute_directory(prefix: bytes) -> None:
    with pytest.raises(UsageError):
        MountTable(prefix, Opener(), [])


# How entries are shown.


def shown_owner(mount: Mount) -> tuple[int, int]:
    attributes = mount.attributes(mount.root)
    return attributes.uid, attributes.gid


def test_everything_is_the_users_own_by_default(tmp_path: Path) -> None:
    assert shown_owner(mount_of(Directory(owner=(5, 6)))) == (1000, 100)
    ids = tmp_path / "ids"
    ids.write_text("5 7\n")
    assert shown_owner(mount_of(Directory(owner=(5, 6)), uid_map=ids)) == (1000, 100)


def test_owners_are_the_catalogues_where_nobody_claims_them() -> None:
    assert shown_owner(mount_of(Directory(owner=(5, 6)), claim_ownership=False)) == (5, 6)


def test_id_maps_change_the_named_and_the_others(tmp_path: Path) -> None:
    users, groups = tmp_path / "users", tmp_path / "groups"
    users.write_text("# comment\n5 50\n\n* 99 # all others\n")
    groups.write_text("7 70\n")
    maps = {"claim_ownership": False, "uid_map": users, "gid_map": groups}
    assert shown_owner(mount_of(Directory(owner=(5, 7)), **maps)) == (50, 70)
    assert shown_owner(mount_of(Directory(owner=(6, 8)), **maps)) == (99, 8)


@pytest.mark.parametrize("line", ["5", "5 6 7", "a 5", "5 b", "5 *", "-1 5"])
def test_bad_line_of_an_id_map_is_named_by_file_and_number(tmp_path: Path, line: str) -> None:
    ids = tmp_path / "ids"
    ids.write_text(f"1 2\n{line}\n")
    with pytest.raises(ConfigurationError, match=r"ids:2: .* is not"):
        read_id_map(ids)


def test_missing_id_map_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        read_id_map(tmp_path / "none")
    assert read_id_map(None) == IdMap()


def test_bad_id_map_fails_the_mount(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        mount_of(Directory(), claim_ownership=False, uid_map=tmp_path / "none")


def test_world_readable_widens_modes_of_files_and_directories() -> None:
    mount = mount_of(tree(file=File(mode=0o600)), world_readable=True)
    file = mount.lookup(b"/file")
    assert file is not None
    assert mount.attributes(file).mode == stat.S_IFREG | 0o644
    closed = mount_of(Directory(mode=0o700), world_readable=True)
    assert closed.attributes(closed.root).mode == stat.S_IFDIR | 0o755


def test_size_of_a_link_is_the_length_of_what_readlink_gives() -> None:
    mount = mount_of(tree(link=Link(b"../$(V:-long default)/x"), gone=Link(b"$(UNSET)")), environ={b"V": b"v2"})
    link, gone = mount.lookup(b"/link"), mount.lookup(b"/gone")
    assert link is not None
    assert gone is not None
    assert (mount.target_of(link), mount.attributes(link).size, link.size) == (b"../v2/x", 7, 23)
    assert (mount.target_of(gone), mount.attributes(gone).size) == (b"", 0)


def test_links_expand_with_the_repositorys_own_variables() -> None:
    link = Link(b"$(CVMFS_FQRN)/$(V)")
    mount = mount_of(tree(link=link), environ={b"V": b"outside"}, variables={"V": "configured"})
    entry = mount.lookup(b"/link")
    assert entry is not None
    assert mount.target_of(entry) == b"r.example/configured"


@pytest.mark.parametrize(
    ("counted", "shown"),
    [
        ({}, (0, 0)),
        ({"self_file_size": 5, "subtree_file_size": 7, "self_regular": 1, "subtree_dir": 4, "self_nested": 1}, (12, 4)),
        ({"self_file_size": -5, "self_regular": -1}, (0, 0)),
        (
            dict.fromkeys(("self_file_size", "subtree_file_size", "self_dir", "subtree_dir"), 2**63 - 1),
            (2**63 - 1,) * 2,
        ),
        ({"self_nested": 3}, (0, 0)),
    ],
)
def test_size_is_what_the_publisher_counted_and_fits_whatever_that_was(
    counted: dict[str, int], shown: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    mount = mount_of(Directory({}))
    monkeypatch.setattr(mount.view, "statistics", lambda: counted)
    assert mount.usage() == shown
