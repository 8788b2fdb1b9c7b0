"""The C lookup replays the resolver: what the index answers is what the resolver says, and nothing is asked twice."""

from __future__ import annotations

import mmap
import os
import random
import tempfile
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hepwrap.records import replace
from hepwrap.vfs.entry import Entry
from hepwrap.vfs.index import _index
from tests.helpers import tree as trees
from tests.helpers.catalogs import CatalogRepository
from tests.helpers.indexed import Launch, same
from tests.helpers.tree import (
    Directory,
    File,
    Item,
    Link,
    MemoryRepository,
    chain,
    random_path,
    random_world,
    tree,
    walk,
    write,
)


@pytest.fixture
def place() -> Iterator[bytes]:
    with tempfile.TemporaryDirectory(prefix="i") as directory:
        yield os.path.realpath(directory).encode()


def examples(number: int) -> settings:
    return settings(max_examples=number, deadline=None, suppress_health_check=list(HealthCheck))


def odd_modes(source: random.Random, item: Item) -> None:
    """Directories that not everybody may search, or that all may write to, and other people's links in them."""
    if not isinstance(item, Link):
        item.mode = source.choice((0o755, 0o755, 0o711, 0o700, 0o1777))
    item.owner = source.choice(((0, 0), (0, 0), (7, 7)))


def test_what_the_index_answers_is_what_the_resolver_says() -> None:
    """Random trees and paths, absolute and relative, asked in random order, each before and after asking."""
    seen: Counter[str] = Counter()

    @examples(120)
    @given(seed=st.integers(0, 2**32), size=st.integers(1, 40))
    def check(seed: int, size: int) -> None:
        source = random.Random(seed)
        with tempfile.TemporaryDirectory(prefix="i") as directory:
            base = os.path.realpath(directory).encode() + b"/r"
            world = random_world(source, size, base=base, decorate=(None, odd_modes)[seed % 2])
            write(world.host, world.base)
            made = {name: CatalogRepository.of(name.decode(), root) for name, root in world.repositories.items()}
            launch = Launch(world, made if seed % 3 else None)
            paths = [random_path(source, world) for _ in range(60)]
            paths += [
                world.prefix + b"/" + name + path for name, root in world.repositories.items() for path, _ in walk(root)
            ]
            asked = [(path, follow) for path in paths for follow in (True, False)]
            source.shuffle(asked)
            for path, follow in asked:
                note = f"seed {seed} size {size} {path!r} follow {follow}"
                truth, universal = launch.truth(path, follow)
                early = launch.look(path, follow)
                if early is not None:
                    seen["early"] += 1
                    assert universal, f"{note}: not everyone's, but the index answers {early!r}"
                    assert same(early, truth), f"{note}: the index says {early!r}, the resolver {truth!r}"
                said = launch.ask(path, follow)
                assert same(said, truth), f"{note}: the server says {said!r}, the resolver {truth!r}"
                late = launch.look(path, follow)
                below = path == world.prefix or path.startswith(world.prefix + b"/")
                if universal and below:
                    assert late is not None, f"{note}: {truth!r} has been asked for, and is not known"
                if late is not None:
                    assert same(late, truth), f"{note}: afterwards the index says {late!r}, the resolver {truth!r}"
                seen[truth if isinstance(truth, str) else "found"] += 1
            relative(launch, source, world, f"seed {seed} size {size}")

    def relative(launch: Launch, source: random.Random, world: trees.World, note: str) -> None:
        below = [
            world.prefix + b"/" + name + path for name, root in world.repositories.items() for path, _ in walk(root)
        ]
        for canonical in below:
            at = launch.world.book.at_path(canonical)
            node = launch.world.book.node(at) if at else None
            if node is None or not node.entry.is_dir or source.random() < 0.5:
                continue
            for _ in range(4):
                path = random_path(source, world, absolute=False)
                if path.startswith(b"/"):
                    continue
                follow = source.random() < 0.5
                truth, universal = launch.truth(path, follow, node)
                for moment in ("before", "after"):
                    ours = launch.look(path, follow, at)
                    where = f"{note} {path!r} from {node.path!r} follow {follow} {moment}"
                    assert ours is None or same(ours, truth), (
                        f"{where}: the index says {ours!r}, the resolver {truth!r}"
                    )
                    if moment == "after" and universal and launch.is_searched(at):
                        assert ours is not None, f"{where}: {truth!r} has been asked for, and is not known"
                        seen["relative"] += 1
                    launch.ask(path, follow, at)

    check()
    assert {"found", "early", "relative", "ENOENT", "ENOTDIR", "ELOOP", "ENAMETOOLONG"} <= set(seen), seen
    assert seen["early"] > 1000, seen


def test_a_listed_directory_answers_for_names_that_it_does_not_have(place: bytes) -> None:
    launch = Launch.of(tree(dir=tree(file=File(), other=File())), place)
    top = place + b"/cvmfs/one.hep.example"
    assert launch.ask(top + b"/dir/file", True) == top + b"/dir/file"
    for name in (b"missing", b"\xff\xfe", b"x" * 255, b"fil", b"filee", b"other\n"):
        assert launch.look(top + b"/dir/" + name, True) == "ENOENT"
    assert launch.look(top + b"/dir/other", True) == top + b"/dir/other"
    assert launch.questions == 1


def test_a_name_that_is_too_long_is_never_missing(place: bytes) -> None:
    launch = Launch.of(tree(dir=tree(file=File())), place)
    top = place + b"/cvmfs/one.hep.example"
    launch.ask(top + b"/dir/file", True)
    for path in (top + b"/dir/" + b"x" * 256, top + b"/dir/" + b"x" * 5000, top + b"/" + b"./" * 2100):
        assert launch.look(path, True) in (None, "ENAMETOOLONG"), path
        assert launch.ask(path, True) == "ENAMETOOLONG"
        assert launch.look(path, True) in (None, "ENAMETOOLONG"), path


def test_the_longest_path_is_found_and_one_byte_more_is_not(place: bytes) -> None:
    launch = Launch.of(tree(file=File()), place)
    top = place + b"/cvmfs/one.hep.example"
    longest = top + b"/" * (4095 - len(top) - 4) + b"file"
    assert len(longest) == 4095
    assert launch.ask(longest, True) == top + b"/file"
    assert launch.look(longest, True) == top + b"/file"
    assert launch.look(longest[: len(top)] + b"/" + longest[len(top) :], True) == "ENAMETOOLONG"


def test_a_name_is_found_however_its_path_is_divided(place: bytes) -> None:
    """Paths are hashed eight bytes at a time: directories and names of every length, in one piece and in two."""
    lengths = range(1, 20)
    files = {b"f" * length: File() for length in lengths}
    launch = Launch.of(Directory({b"d" * length: Directory(dict(files)) for length in lengths}), place)
    top = place + b"/cvmfs/one.hep.example/"
    for directory in (b"d" * length for length in lengths):
        assert launch.ask(top + directory, True) == top + directory
        at = launch.index.lookup(0, top + directory, True) & (1 << _index.TARGET_SHIFT) - 1
        launch.ask(top + directory + b"/f", True)
        for name in files:
            found = top + directory + b"/" + name
            asked = [(0, found), (at, name), (0, top + directory + b"/" + name[:-1] + b"g"), (at, name[:-1] + b"g")]
            assert [launch.look(path, True, base) for base, path in asked] == [found, found, "ENOENT", "ENOENT"]
            assert launch.look(b"./" + name, True, at) == found


def test_a_link_in_a_listed_directory_is_not_confused_with_its_target(place: bytes) -> None:
    launch = Launch.of(tree(link=Link(b"file"), file=File(), dangling=Link(b"nowhere"), loop=Link(b"loop")), place)
    top = place + b"/cvmfs/one.hep.example"
    launch.ask(top + b"/file", True)
    for name, truth in ((b"link", top + b"/file"), (b"dangling", "ENOENT"), (b"loop", "ELOOP")):
        assert launch.look(top + b"/" + name, False) == top + b"/" + name
        assert launch.look(top + b"/" + name, True) == truth
    assert launch.questions == 1


def test_too_many_links_is_eloop_at_exactly_forty(place: bytes) -> None:
    launch = Launch.of(chain(50), place)
    top = place + b"/cvmfs/one.hep.example/"
    for number in range(1, 51):
        truth = launch.truth(top + b"%d" % number, True)[0]
        assert truth == ("ELOOP" if number < 11 else top + b"file")
        assert launch.ask(top + b"%d" % number, True) == truth
        assert launch.look(top + b"%d" % number, True) == truth


def test_what_only_some_may_search_is_asked_for_each_time(place: bytes) -> None:
    launch = Launch.of(tree(private=Directory({b"file": File(), b"sub": tree(file=File())}, mode=0o700)), place)
    top = place + b"/cvmfs/one.hep.example/private"
    for path in (top + b"/file", top + b"/sub/file", top + b"/missing", top + b"/sub"):
        launch.ask(path, True)
        assert launch.look(path, True) is None
    assert launch.look(top, True) == top


def test_what_a_descriptor_leads_to_is_not_told_to_those_who_come_by_a_private_path(place: bytes) -> None:
    """Relative to a directory the rights to its parents do not count; under its absolute path they do."""
    launch = Launch.of(tree(private=Directory({b"sub": tree(file=File())}, mode=0o700)), place)
    top = place + b"/cvmfs/one.hep.example/private"
    launch.ask(top + b"/sub/file", True)
    base = launch.world.book.at_path(top + b"/sub")
    for name in (b"file", b"missing", b"../sub/file"):
        truth, universal = launch.truth(name, True, launch.world.book.node(base))
        assert launch.ask(name, True, base) == truth
        assert launch.look(name, True, base) in (None, truth)
        assert launch.look(top + b"/sub/" + name, True) is None
        assert universal == (name != b"../sub/file")


class Linked(MemoryRepository):
    """All files of one directory are one inode."""

    def lookup(self, path: bytes) -> Entry | None:
        return self._linked(super().lookup(path))

    def listdir(self, path: bytes) -> list[Entry]:
        return [entry for entry in map(self._linked, super().listdir(path)) if entry is not None]

    @staticmethod
    def _linked(entry: Entry | None) -> Entry | None:
        if entry is None or not entry.is_file:
            return entry
        return replace(entry, link_group=os.path.dirname(entry.path), nlink=2)


def test_hard_links_are_one_inode_and_other_files_are_not(place: bytes) -> None:
    root = tree(x=tree(a=File(), b=File()), y=tree(a=File(), b=File()))
    world = trees.World(Directory(), {b"one.hep.example": root}, place)
    launch = Launch(world, {b"one.hep.example": Linked("one.hep.example", root)})
    top = place + b"/cvmfs/one.hep.example/"
    words = {}
    for path in (b"x/a", b"y/b", b"x/b", b"y/a"):
        launch.ask(top + path, True)
        words[path] = launch.index.lookup(0, top + path, True)
    assert words[b"x/a"] == words[b"x/b"] != words[b"y/a"] == words[b"y/b"]


def test_tables_grow_under_a_reader_in_another_process() -> None:
    """What was published before is found from then on, by readers that never wait; nothing else ever is."""
    index = _index.Index(64 << 20, b"/cvmfs")
    counter = index.append(b"\0" * 8)
    keys = 60_000
    reader = os.fork()
    if reader == 0:
        os._exit(_read_along(index, counter, keys))
    for number in range(keys):
        index.enter(b"/cvmfs/x/%d" % number, _word(number), 0)
        index.store(counter, 8, number + 1)
    _, status = os.waitpid(reader, 0)
    assert os.waitstatus_to_exitcode(status) == 0


def _word(number: int) -> int:
    return _index.TARGET_INODE << _index.TARGET_SHIFT | number * 8 + 8


def _read_along(index: _index.Index, counter: int, keys: int) -> int:
    """0 where every look-up was right; 1: one was missing, 2: one was wrong."""
    source = random.Random(1)
    published = looks = 0
    while published < keys:
        published = int.from_bytes(index.load(counter, 8), "little")
        for _ in range(50):
            number = source.randrange(keys)
            found = index.lookup(0, b"/cvmfs/x/%d" % number, True)
            looks += 1
            if number < published and not found:
                return 1
            if found not in (0, _word(number)):
                return 2
    return 0 if looks > 1000 else 3


def test_the_file_behind_the_index_cannot_be_written_by_who_gets_it() -> None:
    index = _index.Index(8 << 20, b"/cvmfs", b"image")
    fd = os.open(f"/proc/self/fd/{index.fd}", os.O_RDWR if os.geteuid() == 0 else os.O_RDONLY)
    try:
        for attempt in (lambda: os.pwrite(fd, b"x", 0), lambda: os.ftruncate(fd, 0)):
            with pytest.raises(OSError, match=r"Operation not permitted|Bad file descriptor|Invalid argument"):
                attempt()
        with pytest.raises(PermissionError):
            mmap.mmap(fd, 4096, mmap.MAP_SHARED, mmap.PROT_WRITE)
    finally:
        os.close(fd)
