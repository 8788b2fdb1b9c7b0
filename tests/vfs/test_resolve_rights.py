"""Who may go where, whose answer it is, and what a failure on the way makes of it."""

from __future__ import annotations

import pytest

from hepwrap.errors import (
    Denied,
    FetchFailed,
    HepwrapError,
    NameTooLong,
    NotADirectory,
    NotFound,
    PathError,
    UntrustedManifest,
)
from hepwrap.settings import RepositorySettings
from hepwrap.vfs.mounts import MountTable
from hepwrap.vfs.resolve import Credentials, Node, Resolver
from tests.helpers.resolving import ONE, ROOT, USER, FakeHost, Harness
from tests.helpers.tree import Directory, File, MemoryRepository, tree


@pytest.fixture
def world() -> Harness:
    return Harness()


# Rights.


@pytest.mark.parametrize("name", [b"file", b"missing", b".", b"..", b"m" * 256, b"file/x"])
def test_search_is_refused_before_anything_is_looked_up(world: Harness, name: bytes) -> None:
    with pytest.raises(Denied) as caught:
        world.ask(ONE + b"/private/" + name, credentials=USER)
    assert not caught.value.universal


def test_directory_itself_is_found_without_the_right_to_search_it(world: Harness) -> None:
    for path in (b"/private", b"/private/"):
        assert world.ask(ONE + path, credentials=USER).universal


def test_refused_directory_is_not_even_fetched(world: Harness) -> None:
    world.one.broken[b"/private/file"] = FetchFailed("must not be asked for")
    with pytest.raises(Denied):
        world.ask(ONE + b"/private/file", credentials=USER)


def test_root_with_capabilities_searches_what_is_closed(world: Harness) -> None:
    found = world.ask(ONE + b"/private/up", credentials=ROOT)
    assert isinstance(found.target, Node)
    assert found.target.path == ONE + b"/file"


def test_answer_behind_a_closed_directory_is_not_everyones(world: Harness) -> None:
    assert not world.ask(ONE + b"/private/file").universal
    assert not world.ask(ONE + b"/private/../file", credentials=ROOT).universal
    with pytest.raises(NotFound) as caught:
        world.ask(ONE + b"/private/missing", credentials=ROOT)
    assert not caught.value.universal


def test_answers_that_nobody_is_refused_are_everyones(world: Harness) -> None:
    for path in (b"/file", b"/todir/up/link", b"/other/file", b"/out"):
        assert world.ask(ONE + path, credentials=USER).universal
    for path, error in ((b"/missing", NotFound), (b"/file/x", NotADirectory), (b"/" + b"m" * 256, NameTooLong)):
        with pytest.raises(error) as caught:
            world.ask(ONE + path, credentials=USER)
        assert isinstance(caught.value, PathError)
        assert caught.value.universal


def test_answer_that_came_by_the_host_is_not_everyones(world: Harness) -> None:
    world.host.links[b"/in"] = ONE
    assert not world.ask(b"/in/file").universal
    assert not world.ask(b"/usr/../cvmfs").universal
    assert not world.ask(b"/in/out").universal
    with pytest.raises(NotFound) as caught:
        world.ask(b"/in/missing")
    assert not caught.value.universal


def test_modes_that_are_not_enforced_refuse_nobody() -> None:
    settings = RepositorySettings("r.example", claim_ownership=False, check_permissions=False)
    repository = MemoryRepository("r.example", tree(private=Directory({b"file": File()}, mode=0)), settings)
    table = MountTable(b"/cvmfs", lambda _: repository, [], environ={})
    found = Resolver(table, FakeHost()).resolve(b"/cvmfs/r.example/private/file", credentials=USER)
    assert found.universal


def test_other_users_links_in_shared_directories_are_guarded_at_the_end_of_a_path_only(world: Harness) -> None:
    for credentials in (USER, ROOT):
        with pytest.raises(Denied, match="protected_symlinks"):
            world.ask(ONE + b"/shared/theirs", credentials=credentials)
        with pytest.raises(Denied):
            world.ask(ONE + b"/shared/dir/", credentials=credentials)
        assert world.ask(ONE + b"/shared/dir/file", credentials=credentials).universal
        assert world.ask(ONE + b"/shared/theirs", follow=False, credentials=credentials).universal
    assert not world.ask(ONE + b"/shared/theirs", credentials=Credentials(7, 1)).universal
    unguarded = Resolver(world.mounts, world.host, follow_shared_links=True)
    assert unguarded.resolve(ONE + b"/shared/theirs", credentials=USER).universal


# Failures, and what is asked for.


@pytest.mark.parametrize("error", [FetchFailed("no server answers"), UntrustedManifest("bad signature")])
def test_repository_that_cannot_be_opened_is_an_error_and_not_enoent(world: Harness, error: HepwrapError) -> None:
    world.failure = error
    with pytest.raises(type(error)):
        world.ask(ONE + b"/file")


def test_failed_lookup_is_an_error_and_not_enoent_and_not_remembered(world: Harness) -> None:
    world.one.broken[b"/dir"] = FetchFailed("no server answers")
    with pytest.raises(FetchFailed):
        world.ask(ONE + b"/dir/file")
    del world.one.broken[b"/dir"]
    assert world.node(ONE + b"/dir/file") == ONE + b"/dir/file"


def test_repositories_are_not_opened_for_paths_that_do_not_pass_them(world: Harness) -> None:
    for path in (b"/cvmfs", b"/cvmfs/.", b"/usr", b"/cvmfs/../usr"):
        world.ask(path)
    assert world.mounts.mounted() == []


def test_catalogues_are_asked_once_for_the_way_and_once_for_each_end(world: Harness) -> None:
    world.ask(ONE + b"/todir/sub/file")
    before = world.one.lookups
    for number in range(10):
        with pytest.raises(NotFound):
            world.ask(ONE + b"/todir/sub/missing%d" % number)
        world.ask(ONE + b"/dir/sub/../../dir/sub/file")
    assert world.one.lookups - before == 20


def test_missing_names_are_asked_for_again_and_never_kept(world: Harness) -> None:
    for _ in range(2):
        with pytest.raises(NotFound):
            world.ask(ONE + b"/missing")
    assert world.one.lookups == 1 + 2


def test_messages_are_one_line_whatever_the_name(world: Harness) -> None:
    with pytest.raises(NotFound) as caught:
        world.ask(ONE + b"/odd \xff\n/b\xfead\n\x1b[0m")
    assert str(caught.value) == ONE.decode() + "/odd \\xff\\x0a has no entry b\\xfead\\x0a\\x1b[0m; check the path"
