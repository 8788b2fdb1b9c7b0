"""The rules of path resolution, one law each, in a world without a kernel; `test_resolve_kernel` has the kernel."""

from __future__ import annotations

import pytest

from hepwrap.errors import NameTooLong, NotADirectory, NotFound, TooManyLinks
from hepwrap.vfs.mounts import MountTable
from hepwrap.vfs.resolve import HostPath, Node, Resolution, Resolver
from tests.helpers.resolving import ONE, TWO, USER, FakeHost, Harness
from tests.helpers.tree import Link, MemoryRepository


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
    "path", [b"/", b"/.//", b"/usr/lib/x", b"/usr//lib/../lib/", b"/etc/passwd/x", b"/missing/x", b"/cvmfs2", b"/cvmf"]
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


def test_ring_on_the_host_is_the_kernels_to_judge(world: Harness) -> None:
    world.host.links |= {b"/a": b"b", b"/b": b"/a"}
    assert world.out(b"/a/x") == b"/a/x"


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
