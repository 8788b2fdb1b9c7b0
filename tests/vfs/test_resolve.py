"""The rules of path resolution, one law each, in a world without a kernel; `test_resolve_kernel` has the kernel."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from hepwrap.errors import (
    Denied,
    FetchFailed,
    HepwrapError,
    NameTooLong,
    NotADirectory,
    NotFound,
    PathError,
    TooManyLinks,
    UntrustedManifest,
)
from hepwrap.settings import RepositorySettings
from hepwrap.vfs.mounts import MountTable
from hepwrap.vfs.resolve import Credentials, HostPath, Node, Resolution, Resolver
from tests.helpers.tree import Directory, File, Link, MemoryRepository, tree

USER = Credentials(1000, 1000)
ROOT = Credentials(0, 0, dac_override=True, dac_read_search=True)
ONE = b"/cvmfs/one.hep.example"
TWO = b"/cvmfs/two.hep.example"


@dataclass
class FakeHost:
    """A host of a few links and directories; remembers what it was asked."""

    links: dict[bytes, bytes] = field(default_factory=dict)
    directories: set[bytes] = field(default_factory=set)
    asked: list[bytes] = field(default_factory=list)

    def readlink(self, path: bytes) -> bytes | None:
        self.asked.append(path)
        return self.links.get(path)

    def is_searchable(self, path: bytes) -> bool:
        self.asked.append(path)
        return path in self.directories


def chain(length: int) -> Directory:
    """Links 1 -> 2 -> ... -> `length` -> file."""
    links = {str(number).encode(): Link(str(number + 1).encode()) for number in range(1, length)}
    return Directory({**links, str(length).encode(): Link(b"file"), b"file": File()})


class Harness:
    """Two repositories, a host, and short ways to ask."""

    def __init__(self) -> None:
        self.host = FakeHost(directories={b"/usr", b"/usr/lib"})
        private = Directory({b"file": File(), b"link": Link(b"file"), b"up": Link(b"../file")}, mode=0o700)
        shared = Directory({b"theirs": Link(b"../file", owner=(7, 7)), b"dir": Link(b"../dir", owner=(7, 7))}, 0o1777)
        self.root = tree(
            file=File(),
            dir=tree(file=File(), up=Link(b".."), sub=tree(file=File())),
            link=Link(b"file"),
            todir=Link(b"dir"),
            slashed=Link(b"dir/"),
            slashed_file=Link(b"file/"),
            dangling=Link(b"missing"),
            empty=Link(b"$(UNSET)"),
            variant=Link(b"$(WHERE:-dir)/file"),
            self=Link(b"self"),
            out=Link(b"/usr/lib"),
            up_and_out=Link(b"../../usr//lib/"),
            toroot=Link(b"/"),
            toroots=Link(b"///"),
            absolute=Link(ONE + b"/dir"),
            other=Link(TWO + b"/dir"),
            relative_other=Link(b"../two.hep.example/back"),
            private=private,
            shared=shared,
            chain=chain(45),
        )
        self.root.children[b"long"] = tree(**{"n" * 255: File()})
        self.root.children[b"odd \xff\n"] = tree(file=File())
        self.one = MemoryRepository("one.hep.example", self.root)
        self.two = MemoryRepository("two.hep.example", tree(dir=tree(file=File()), back=Link(ONE + b"/dir/file")))
        self.failure: HepwrapError | None = None
        names = [b"one.hep.example", b"two.hep.example"]
        self.mounts = MountTable(b"/cvmfs", self._open, names, environ={}, clock=lambda: 0.0)
        self.resolver = Resolver(self.mounts, self.host, follow_shared_links=False)

    def _open(self, name: bytes) -> MemoryRepository | None:
        if self.failure:
            raise self.failure
        return {b"one.hep.example": self.one, b"two.hep.example": self.two}.get(name)

    def ask(self, path: bytes, *, follow: bool = True, credentials: Credentials | None = None) -> Resolution:
        return self.resolver.resolve(path, follow=follow, credentials=credentials)

    def node(self, path: bytes, *, follow: bool = True) -> bytes:
        """Canonical path of the object of ours that `path` leads to."""
        target = self.ask(path, follow=follow).target
        assert isinstance(target, Node), target
        return target.path

    def out(self, path: bytes, *, follow: bool = True) -> bytes:
        """What the kernel is asked for."""
        target = self.ask(path, follow=follow).target
        assert isinstance(target, HostPath), target
        return target.path


@pytest.fixture
def world() -> Harness:
    return Harness()


# Components and slashes.


@pytest.mark.parametrize(
    ("path", "leads_to"),
    [
        (b"/cvmfs", b"/cvmfs"),
        (b"/cvmfs/", b"/cvmfs"),
        (b"//cvmfs//.", b"/cvmfs"),
        (ONE, ONE),
        (ONE + b"/", ONE),
        (ONE + b"/./dir/.//file", ONE + b"/dir/file"),
        (ONE + b"/dir/../file", ONE + b"/file"),
        (ONE + b"/dir/sub/../../dir/", ONE + b"/dir"),
        (ONE + b"/..", b"/cvmfs"),
        (ONE + b"/../two.hep.example/dir", TWO + b"/dir"),
        (ONE + b"/dir/../../../cvmfs/one.hep.example/file", ONE + b"/file"),
        (b"/../../cvmfs/one.hep.example", ONE),
        (ONE + b"/../../../../../cvmfs", b"/cvmfs"),
        (ONE + b"/odd \xff\n/file", ONE + b"/odd \xff\n/file"),
        (ONE + b"/long/" + b"n" * 255, ONE + b"/long/" + b"n" * 255),
    ],
)
def test_path_without_links_leads_where_it_says(world: Harness, path: bytes, leads_to: bytes) -> None:
    assert world.node(path) == world.node(path, follow=False) == leads_to


@pytest.mark.parametrize("path", [b"", b"/cvmfs/three.hep.example", ONE + b"/missing", ONE + b"/missing/", TWO + b"/x"])
def test_missing_is_enoent(world: Harness, path: bytes) -> None:
    with pytest.raises(NotFound):
        world.ask(path)


@pytest.mark.parametrize("path", [b"/file/", b"/file/.", b"/file/..", b"/file/x", b"/link/", b"/slashed_file"])
def test_what_must_be_a_directory_and_is_a_file_is_enotdir(world: Harness, path: bytes) -> None:
    with pytest.raises(NotADirectory):
        world.ask(ONE + path)


def test_missing_component_before_another_is_enoent_whatever_follows(world: Harness) -> None:
    for rest in (b"/..", b"/../file", b"/x/y", b"/" + b"m" * 256):
        with pytest.raises(NotFound) as caught:
            world.ask(ONE + b"/missing" + rest)
        assert not caught.value.last_component


def test_missing_last_component_is_told_apart(world: Harness) -> None:
    for path in (b"/missing", b"/dir/missing/", b"/dangling", b"/todir/missing//"):
        with pytest.raises(NotFound) as caught:
            world.ask(ONE + path)
        assert caught.value.last_component


# Lengths.


def test_long_component_is_enametoolong_where_it_is_looked_up(world: Harness) -> None:
    for directory in (b"/cvmfs", ONE, ONE + b"/dir"):
        with pytest.raises(NameTooLong):
            world.ask(directory + b"/" + b"m" * 256)
        with pytest.raises(NotFound):
            world.ask(directory + b"/" + b"m" * 255)


def test_long_component_behind_an_error_is_not_looked_at(world: Harness) -> None:
    with pytest.raises(NotADirectory):
        world.ask(ONE + b"/file/" + b"m" * 256)
    with pytest.raises(NotFound):
        world.ask(ONE + b"/missing/" + b"m" * 256)


def test_path_may_have_4095_bytes(world: Harness) -> None:
    filled = ONE + b"/" * (4095 - len(ONE) - len(b"file")) + b"file"
    assert world.node(filled) == ONE + b"/file"
    with pytest.raises(NameTooLong):
        world.ask(b"/" + filled)
    with pytest.raises(NameTooLong):
        world.ask(b"/host" + b"/" * 4091)


# Links.


@pytest.mark.parametrize(
    ("path", "leads_to"),
    [
        (b"/link", b"/file"),
        (b"/todir", b"/dir"),
        (b"/todir/file", b"/dir/file"),
        (b"/todir/..", b""),
        (b"/dir/up/dir/up/file", b"/file"),
        (b"/slashed", b"/dir"),
        (b"/slashed/file", b"/dir/file"),
        (b"/absolute/sub", b"/dir/sub"),
        (b"/variant", b"/dir/file"),
        (b"/relative_other", b"/dir/file"),
        (b"/toroot/cvmfs/one.hep.example/file", b"/file"),
        (b"/toroots/cvmfs/one.hep.example/todir/", b"/dir"),
    ],
)
def test_links_are_followed(world: Harness, path: bytes, leads_to: bytes) -> None:
    assert world.node(ONE + path) == ONE + leads_to


def test_links_lead_into_other_repositories(world: Harness) -> None:
    assert world.node(ONE + b"/other/file") == TWO + b"/dir/file"
    assert world.node(TWO + b"/back") == ONE + b"/dir/file"


def test_last_link_is_kept_without_follow_unless_a_slash_comes_after_it(world: Harness) -> None:
    assert world.node(ONE + b"/todir", follow=False) == ONE + b"/todir"
    assert world.node(ONE + b"/dangling", follow=False) == ONE + b"/dangling"
    assert world.node(ONE + b"/todir/", follow=False) == ONE + b"/dir"
    assert world.node(ONE + b"/todir/.", follow=False) == ONE + b"/dir"
    assert world.node(ONE + b"/todir/up", follow=False) == ONE + b"/dir/up"
    with pytest.raises(NotADirectory):
        world.ask(ONE + b"/link/", follow=False)
    with pytest.raises(NotFound):
        world.ask(ONE + b"/dangling/", follow=False)


def test_forty_links_are_followed_and_the_next_is_eloop(world: Harness) -> None:
    assert world.node(ONE + b"/chain/6") == ONE + b"/chain/file"
    with pytest.raises(TooManyLinks):
        world.ask(ONE + b"/chain/5")
    assert world.node(ONE + b"/chain/5", follow=False) == ONE + b"/chain/5"


def test_links_in_the_middle_count_too(world: Harness) -> None:
    assert world.node(ONE + b"/todir/up" * 20) == ONE
    with pytest.raises(TooManyLinks):
        world.ask(ONE + b"/todir/up" * 20 + b"/link")


def test_link_to_itself_is_eloop(world: Harness) -> None:
    for path in (b"/self", b"/self/", b"/self/x"):
        with pytest.raises(TooManyLinks) as caught:
            world.ask(ONE + path)
        assert caught.value.universal


def test_link_that_expands_to_nothing_leads_to_its_own_directory_as_with_the_kernel(world: Harness) -> None:
    assert world.node(ONE + b"/empty") == ONE
    assert world.node(ONE + b"/empty/dir/file") == ONE + b"/dir/file"
    assert world.node(ONE + b"/empty", follow=False) == ONE + b"/empty"


# The host.


@pytest.mark.parametrize(
    "path", [b"/", b"/usr/lib/x", b"/usr//lib/../lib/", b"/etc/passwd/x", b"/missing/x", b"/cvmfs2", b"/cvmf/s", b"/.//"]
)
def test_path_off_the_repositories_is_left_as_it_is_written(world: Harness, path: bytes) -> None:
    assert world.ask(path) == Resolution(HostPath(path), universal=True)


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        (ONE + b"/../..", b"/"),
        (ONE + b"/../../usr/lib/", b"/usr/lib/"),
        (b"/cvmfs/../etc//passwd/.", b"/etc//passwd/."),
        (ONE + b"/out", b"/usr/lib"),
        (ONE + b"/out/", b"/usr/lib/"),
        (ONE + b"/out/../x", b"/usr/lib/../x"),
        (ONE + b"/up_and_out/libc.so", b"/usr//lib//libc.so"),
        (ONE + b"/toroot", b"/"),
        (ONE + b"/toroots/etc", b"/etc"),
    ],
)
def test_way_out_is_handed_to_the_kernel_as_it_is_written(world: Harness, path: bytes, asked: bytes) -> None:
    assert world.out(path) == asked


def test_host_links_lead_into_repositories(world: Harness) -> None:
    world.host.links |= {b"/in": ONE + b"/dir", b"/usr/lib/rel": b"../../cvmfs/two.hep.example", b"/proc/self": b"17"}
    world.host.links[b"/proc/17/cwd"] = ONE
    assert world.node(b"/in/file") == ONE + b"/dir/file"
    assert world.node(b"/usr/lib/rel/dir") == TWO + b"/dir"
    assert world.node(b"/proc/self/cwd/file") == ONE + b"/file"


def test_host_link_at_the_end_is_kept_without_follow(world: Harness) -> None:
    world.host.links[b"/in"] = ONE
    assert world.out(b"/in", follow=False) == b"/in"
    assert world.node(b"/in/", follow=False) == ONE


def test_way_out_and_in_again_ends_in_a_repository(world: Harness) -> None:
    world.host.links[b"/usr/lib/in"] = ONE
    assert world.node(ONE + b"/out/in/out/in/file") == ONE + b"/file"
    assert world.out(ONE + b"/out/in/out/x") == b"/usr/lib/x"


def test_cvmfs_of_the_host_is_hidden(world: Harness) -> None:
    world.host.links |= {b"/cvmfs": b"/usr", ONE: b"/usr", ONE + b"/file": b"/usr/lib"}
    assert world.node(b"/cvmfs") == b"/cvmfs"
    assert world.node(ONE + b"/file") == ONE + b"/file"
    assert world.host.asked == []


@pytest.mark.parametrize("path", [b"/missing/../cvmfs", b"/etc/passwd/../../cvmfs", b"/usr/bin/../../cvmfs/x"])
def test_dotdot_in_what_the_host_cannot_search_is_left_to_the_kernel(world: Harness, path: bytes) -> None:
    assert world.out(path) == path
    assert world.out(ONE + b"/toroot" + path) == path


def test_dotdot_on_the_host_leads_up(world: Harness) -> None:
    assert world.node(b"/usr/lib/../../cvmfs") == b"/cvmfs"


def test_text_of_a_magic_link_that_is_no_path_is_left_to_the_kernel(world: Harness) -> None:
    world.host.links[b"/proc/17/fd/3"] = b"pipe:[5]"
    assert world.out(b"/proc/17/fd/3") == b"/proc/17/fd/3"


def test_links_of_host_and_repositories_are_counted_together(world: Harness) -> None:
    world.host.links[b"/in"] = ONE + b"/chain"
    assert world.node(b"/in/7") == ONE + b"/chain/file"
    with pytest.raises(TooManyLinks) as caught:
        world.ask(b"/in/6")
    assert not caught.value.universal


def test_ring_on_the_host_ends(world: Harness) -> None:
    world.host.links |= {b"/a": b"b", b"/b": b"/a"}
    with pytest.raises(TooManyLinks) as caught:
        world.ask(b"/a")
    assert not caught.value.universal


def test_way_out_too_long_to_be_written_is_shortened_for_the_kernel(world: Harness) -> None:
    world.root.children[b"far"] = Link(b"/usr" + b"/" * 3000 + b"./lib")
    fresh = MemoryRepository("one.hep.example", world.root)
    table = MountTable(b"/cvmfs", lambda _: fresh, [], environ={})
    found = Resolver(table, world.host).resolve(ONE + b"/far" + b"/" * 2000 + b"x/").target
    assert found == HostPath(b"/usr/lib/x/")


def test_another_host_view_can_be_given_for_one_question(world: Harness) -> None:
    task = FakeHost(links={b"/proc/self": b"99", b"/proc/99/cwd": TWO})
    found = world.resolver.resolve(b"/proc/self/cwd/dir", host=task).target
    assert isinstance(found, Node)
    assert found.path == TWO + b"/dir"


# Relative paths.


def test_relative_path_starts_where_it_is_told(world: Harness) -> None:
    start = world.ask(ONE + b"/dir").target
    assert isinstance(start, Node)
    for path, leads_to in ((b"file", b"/dir/file"), (b"../file", b"/file"), (b".", b"/dir"), (b"up/todir", b"/dir")):
        found = world.resolver.resolve(path, start=start).target
        assert isinstance(found, Node)
        assert found.path == ONE + leads_to
    assert world.resolver.resolve(b"../../../etc", start=start).target == HostPath(b"/etc")
    assert world.resolver.resolve(b"/etc", start=start).target == HostPath(b"/etc")


def test_relative_path_from_a_file_is_enotdir(world: Harness) -> None:
    start = world.ask(ONE + b"/file").target
    assert isinstance(start, Node)
    with pytest.raises(NotADirectory):
        world.resolver.resolve(b".", start=start)


def test_rights_to_parents_do_not_count_for_relative_paths(world: Harness) -> None:
    private = world.ask(ONE + b"/private/up", follow=False).target
    assert isinstance(private, Node)
    inside = Node(private.mount, world.one.lookup(b"/dir") or private.entry)
    assert world.resolver.resolve(b"file", start=inside, credentials=USER).universal
    with pytest.raises(ValueError, match="directory to start from"):
        world.ask(b"relative")


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
