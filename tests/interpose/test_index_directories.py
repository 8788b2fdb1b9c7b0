"""A directory is entered whole: in bulk goes in what goes in row by row, at a cost that is counted."""

from __future__ import annotations

import os
import random
import stat
import struct
import threading
import tracemalloc

import pytest

from hepwrap.errors import CorruptObject
from hepwrap.records import replace
from hepwrap.settings import RepositorySettings
from hepwrap.vfs import entry_row
from hepwrap.vfs.entry import BIND_MOUNT, CHUNKED, EXTERNAL, HIDDEN, NESTED_MOUNT
from hepwrap.vfs.index import _index, directories
from hepwrap.vfs.index.layout import INODE
from hepwrap.vfs.resolve import Node
from tests.helpers.catalogs import CatalogRepository, Edit, image_of, row_of, update
from tests.helpers.indexed import NAME, Launch
from tests.helpers.tree import Directory, File, Item, Link, tree, walk

PLACE = b"/nowhere"
TOP = PLACE + b"/cvmfs/" + NAME
#: {name: (number, type)} of a listing, and {path: fields of its inode} without what depends on when it was made.
Written = tuple[dict[bytes, int], dict[bytes, tuple[object, ...]]]


def launch_of(
    root: Directory, *edits: Edit, settings: RepositorySettings | None = None, window: int = 64 << 20
) -> Launch:
    image = image_of((row_of(path, item) for path, item in walk(root)), *edits)
    return Launch.of(root, PLACE, CatalogRepository(NAME.decode(), image, settings), window=window)


def repository_of(launch: Launch) -> CatalogRepository:
    mount = launch.resolver.mounts.get(NAME)
    assert mount is not None
    assert isinstance(mount.view, CatalogRepository)
    return mount.view


def directory_at(launch: Launch, path: bytes = b"") -> int:
    found = launch.resolver.resolve(TOP + path)
    assert isinstance(found.target, Node)
    return launch.world.book.inode(found.target)


def listing_of(launch: Launch, at: int) -> dict[bytes, tuple[int, int]]:
    """Name to (number, type), as the runtime's getdents reads it."""
    index = launch.index
    place = INODE.unpack(index.load(at, INODE.size))["listing_at"]
    children = {}
    for i in range(int.from_bytes(index.load(place, 8), "little")):
        name_at, number, size, kind = (
            int.from_bytes(index.load(place + 8 + i * 24 + start, width), "little")
            for start, width in ((0, 8), (8, 8), (16, 4), (20, 4))
        )
        children[index.load(name_at, size)] = (number, kind)
    return children


def written(launch: Launch, at: int, names: list[bytes], path: bytes = b"") -> Written:
    """All that the index says of a directory that has been entered."""
    inodes = {}
    hidden = ("st_ino", "path_at", "link_at", "mount_at", "parent_at", "listing_at", "sequence")
    for name in names:
        child = launch.world.book.at_path(TOP + path + b"/" + name)
        if not child:
            continue
        fields = INODE.unpack(launch.index.load(child, INODE.size))
        text = launch.index.load(fields["path_at"], fields["path_length"])
        link = launch.index.load(fields["link_at"], fields["link_length"]) if fields["link_at"] else b""
        above = launch.world.book.path_of(fields["parent_at"]) if stat.S_ISDIR(fields["st_mode"]) else b""
        words = tuple(launch.look(TOP + path + b"/" + name, follow) for follow in (True, False))
        shown = {key: value for key, value in fields.items() if key not in hidden}
        inodes[name] = (tuple(shown.items()), text, link, above, words)
    return {name: kind for name, (_, kind) in listing_of(launch, at).items()}, inodes


def enter(launch: Launch, path: bytes = b"") -> int:
    at = directory_at(launch, path)
    launch.world.book.list_directory(at)
    return at


# What is written.

#: Rows that are out of the ordinary and right, and such as break a rule.
ODD = [
    "hardlinks = 5 * 4294967296 + 2", "hardlinks = 0", "hardlinks = -1", "hash = NULL, size = 0", "hash = NULL",
    "hash = x''", "hash = x'00'", "size = 0", "size = -1", "size = 'x'", "size = 9223372036854775807", "mode = 33060",
    "mode = 4516", "mode = 8612", "mode = 24996", "mode = 49572", "mode = 0", "mode = 100000", "mode = 41471",
    "mode = 16877", "mtime = -5", "mtime = NULL", "mtimens = NULL", "mtimens = 999999999", "mtimens = 1000000000",
    f"flags = flags | {HIDDEN}", f"flags = flags | {CHUNKED}", f"flags = flags | {EXTERNAL}",
    f"flags = flags | {NESTED_MOUNT}", f"flags = flags | {BIND_MOUNT}", "flags = flags | 256", "flags = flags | 1792",
    "flags = flags | 65536", "flags = 0", "flags = -1", "flags = 'x'", "name = NULL", "name = 'a/b'", "name = 7",
    "name = 'other'", "uid = 4294967295", "uid = -1", "gid = NULL", "symlink = NULL", "symlink = 'file'",
    "symlink = '$(HOME)/x'", "symlink = ''", "symlink = 5", "md5path_1 = 1",
]  # fmt: skip


def test_what_goes_in_by_many_rows_is_what_goes_in_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also that a broken row is refused with the same words: entry_row.decode is the specification."""
    refused = accepted = 0
    for seed, assignment in enumerate(ODD * 3):
        source = random.Random(seed)
        children: dict[bytes, Item] = {b"%d" % i: random_item(source) for i in range(40)}
        spoilt = update(b"/dir/%d" % source.randrange(40), assignment)
        results: list[Written | str] = []
        for plain in (True, False):
            with monkeypatch.context() as patch:
                if not plain:
                    patch.setattr(directories, "is_plain", lambda _mode, _flags: False)
                launch = launch_of(tree(dir=Directory(children)), spoilt)
                try:
                    at = enter(launch, b"/dir")
                    results.append(written(launch, at, [*children], b"/dir"))
                except CorruptObject as error:
                    results.append(str(error))
        assert results[0] == results[1], f"{assignment}, seed {seed}"
        refused += isinstance(results[0], str)
        accepted += not isinstance(results[0], str)
    assert refused > 20, "none of the rows was broken"
    assert accepted > 20, "all of the rows were broken"


def random_item(source: random.Random) -> Item:
    owner = source.choice(((0, 0), (7, 8)))
    return source.choice(
        (
            File(source.choice((0o644, 0o755, 0o600)), owner),
            Directory({}, source.choice((0o755, 0o700)), owner),
            Link(source.choice((b"1", b"../dir/2", b"$(UNSET)x", b"/etc")), owner=owner),
        )
    )


@pytest.mark.parametrize(
    "settings",
    [
        {"claim_ownership": True},
        {"world_readable": True},
        {"check_permissions": False},
        {"uid_map": "7 70\n* 71\n", "gid_map": "8 80\n"},
    ],
)
def test_attributes_are_shown_as_the_mount_shows_them(settings: dict[str, object], tmp_path: object) -> None:
    for key in ("uid_map", "gid_map"):
        if key in settings:
            file = tmp_path / key  # type: ignore[operator]
            file.write_text(settings[key])
            settings = {**settings, key: file}
    root = tree(file=File(0o600, (7, 8)), dir=Directory({}, 0o700, (9, 9)), link=Link(b"file", owner=(7, 9)))
    launch = launch_of(root, settings=replace(RepositorySettings(NAME.decode()), **settings))
    enter(launch)
    mount = launch.resolver.mounts.get(NAME)
    assert mount is not None
    for name in (b"/file", b"/dir", b"/link"):
        entry = mount.lookup(name)
        assert entry is not None
        shown = mount.attributes(entry)
        fields = INODE.unpack(launch.index.load(launch.world.book.at_path(TOP + name), INODE.size))
        assert (shown.mode, shown.uid, shown.gid, shown.size, shown.nlink) == tuple(
            fields[key] for key in ("st_mode", "st_uid", "st_gid", "st_size", "st_nlink")
        )
        assert bool(fields["flags"] & _index.INODE_UNCHECKED) == (not shown.enforced)


def test_a_hidden_name_is_found_and_not_listed() -> None:
    launch = launch_of(tree(shown=File(), hidden=File()), update(b"/hidden", f"flags = flags | {HIDDEN}"))
    at = enter(launch)
    assert launch.look(TOP + b"/hidden", True) == TOP + b"/hidden"
    assert launch.look(TOP + b"/other", True) == "ENOENT"
    assert {*listing_of(launch, at)} == {b".", b"..", b"shown"}


def test_hard_links_of_one_catalogue_are_one_inode_whoever_comes_first() -> None:
    linked = "hardlinks = 9 * 4294967296 + 2"
    root = tree(x=tree(a=File(), b=File()), y=tree(c=File()))
    for first in (b"/x/b", b"/y/c"):
        launch = launch_of(root, update(b"/x/b", linked), update(b"/y/c", linked))
        launch.ask(TOP + first, True)
        for path in (b"/x/a", b"/y/c"):
            launch.ask(TOP + path, True)
        words = [launch.index.lookup(0, TOP + path, True) for path in (b"/x/b", b"/y/c", b"/x/a")]
        assert words[0] == words[1] != words[2]
        numbers = [listing_of(launch, directory_at(launch, d))[n][0] for d, n in ((b"/x", b"b"), (b"/y", b"c"))]
        assert numbers[0] == numbers[1]


def test_a_variant_link_is_entered_with_what_it_leads_to() -> None:
    launch = launch_of(tree(link=Link(b"$(WHERE:-dir)/file"), dir=tree(file=File())))
    enter(launch)
    enter(launch, b"/dir")
    assert launch.look(TOP + b"/link", True) == TOP + b"/dir/file"
    assert launch.world.book.shape(launch.world.book.at_path(TOP + b"/link"))[1] == b"dir/file"


def test_a_broken_row_leaves_the_directory_open_and_its_other_names_right() -> None:
    root = tree(**{f"n{i}": File() for i in range(30)})
    launch = launch_of(root, update(b"/n7", "mtimens = -1"))
    at = directory_at(launch)
    for _ in range(2):
        with pytest.raises(CorruptObject, match="mtimens is -1"):
            launch.world.book.list_directory(at)
    assert not launch.world.book.is_listed(at)
    for name in (b"/n7", b"/missing"):
        assert launch.look(TOP + name, True) is None
    for i in range(30):
        assert launch.look(TOP + b"/n%d" % i, True) in (None, TOP + b"/n%d" % i)


def test_a_listing_says_what_stat_says() -> None:
    root = Directory({b"%d" % i: (File(), Directory(), Link(b"x"))[i % 3] for i in range(300)})
    launch = launch_of(tree(sub=root))
    children = listing_of(launch, enter(launch, b"/sub"))
    book = launch.world.book
    for name, (number, kind) in children.items():
        path = os.path.normpath(TOP + b"/sub/" + name)
        at = book.at_path(path)
        assert (number, kind) == (book.number_of(at), book.shape(at)[0] >> 12)
    assert len({number for number, _ in children.values()}) == 302


# What it costs.


def counted(monkeypatch: pytest.MonkeyPatch, module: object, name: str) -> list[int]:
    """How often a function is called from now on, in the only item."""
    calls, function = [0], getattr(module, name)

    def counting(*arguments: object, **options: object) -> object:
        calls[0] += 1
        return function(*arguments, **options)

    monkeypatch.setattr(module, name, counting)
    return calls


def test_twenty_thousand_files_cost_one_statement_and_one_call_a_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {b"file-%03d" % i: File() if i % 10 else Link(b"file-001") for i in range(100)}
    launch = launch_of(Directory({b"dir-%03d" % i: Directory({**names}) for i in range(200)}))
    paths = [b"", *(b"/dir-%03d" % i for i in range(200))]
    at = [directory_at(launch, path) for path in paths]  # each is looked up once
    repository = repository_of(launch)
    decoded, entered = counted(monkeypatch, entry_row, "_entry"), 0
    before, start = repository.statements, launch.index.names
    adding = counted(monkeypatch, directories.Directories, "_add_rows")
    learning = counted(monkeypatch, directories.Directories, "_learn")
    for offset in at:
        launch.world.book.list_directory(offset)
        entered += len(listing_of(launch, offset)) - 2
    assert entered == 20_200
    assert launch.index.names - start == 20_000, "the directories had their names before"
    assert repository.statements - before == len(at), "one SELECT a directory"
    assert adding == [len(at)]
    assert learning[0] <= 2, "rows are told apart by mode and flags, once"
    assert decoded == [0], "no row became an object"


def test_a_listed_directory_is_opened_without_a_statement() -> None:
    launch = launch_of(tree(a=tree(b=tree(file=File()))))
    for path in (b"", b"/a", b"/a/b"):
        enter(launch, path)
    before = repository_of(launch).statements
    for path in (b"", b"/a", b"/a/b", b"/a/b/file"):
        word = launch.index.lookup(0, TOP + path, True)
        assert launch.world.book.shape(word & (1 << _index.TARGET_SHIFT) - 1)[0]
        launch.world.book.list_directory(word & (1 << _index.TARGET_SHIFT) - 1)
    assert repository_of(launch).statements == before


@pytest.mark.parametrize("size", [10_000, 100_000])
def test_a_huge_directory_is_entered_whole_in_little_memory(size: int) -> None:
    def rows() -> object:
        yield row_of(b"", Directory())
        yield row_of(b"/huge", Directory())
        for i in range(size):
            yield row_of(b"/huge/file-number-%06d" % i, File())

    repository = CatalogRepository(NAME.decode(), image_of(rows()))  # type: ignore[arg-type]
    launch = Launch.of(Directory(), PLACE, repository, window=512 << 20)
    at = directory_at(launch, b"/huge")
    before, used = repository.statements, launch.index.used
    tracemalloc.start()
    try:
        launch.world.book.list_directory(at)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert repository.statements == before + 1
    assert peak < 4 << 20, "rows are read some at a time"
    assert len(listing_of(launch, at)) == size + 2
    for i in range(0, size, 997):
        path = TOP + b"/huge/file-number-%06d" % i
        assert launch.look(path, True) == path
        assert launch.look(path + b"x", True) == "ENOENT"
    assert (launch.index.used - used) / size < 330, "bytes for each name: entry, inode, child, its part of the tables"


def test_a_catalogue_costs_its_own_size_and_little_more() -> None:
    """It lies in memory already: a cache of its pages beside it would be the same bytes again, for each catalogue."""
    names = {b"%d" % i: Directory({b"file-number-%04d" % j: File() for j in range(100)}) for i in range(150)}
    image = image_of(row_of(path, item) for path, item in walk(Directory(names)))
    before = anonymous_bytes()
    catalogues = [CatalogRepository(NAME.decode(), image) for _ in range(12)]
    for catalogue in catalogues:
        for name in names:
            assert len(catalogue.listdir(b"/" + name)) == 100
    assert anonymous_bytes() - before < 12 * (len(image) + (512 << 10)) + (4 << 20)


def anonymous_bytes() -> int:
    """Of this process, resident (proc(5))."""
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("RssAnon"))


def test_who_comes_while_a_directory_is_entered_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    launch = launch_of(tree(dir=Directory({b"%d" % i: File() for i in range(50)})))
    at = directory_at(launch, b"/dir")
    repository = repository_of(launch)
    inside, go_on = threading.Event(), threading.Event()
    batches = repository.image.batches

    def slow(*arguments: object) -> object:
        inside.set()
        assert go_on.wait(20)
        return batches(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(repository.image, "batches", slow)
    threads = [threading.Thread(target=launch.world.book.list_directory, args=(at,)) for _ in range(8)]
    before = repository.statements
    threads[0].start()
    assert inside.wait(20)
    for thread in threads[1:]:
        thread.start()
    go_on.set()
    for thread in threads:
        thread.join()
    assert repository.statements == before + 1
    assert len(listing_of(launch, at)) == 52


def test_a_catalogue_that_gives_rows_without_end_is_corrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop among the pages of a hostile database."""
    launch = launch_of(tree(dir=Directory({b"%d" % i: File() for i in range(3000)})))
    repository = repository_of(launch)
    at = directory_at(launch, b"/dir")
    monkeypatch.setattr(repository.image, "size", 2000 * 16)
    with pytest.raises(CorruptObject, match="more rows than it has room for"):
        launch.world.book.list_directory(at)


def part(launch: Launch, at: int, position: int) -> list[tuple[bytes, int]]:
    """Names and numbers that one answer has, read as the runtime reads them."""
    place = launch.index.mailbox(7)
    data = launch.world.book.part_of_listing(at, position, place)
    assert len(data) <= _index.PAYLOAD_BYTES
    records = [data[8 + i * 24 : 32 + i * 24] for i in range(int.from_bytes(data[:8], "little"))]
    names = []
    for name_at, number, length, _ in (struct.unpack("<QQII", record) for record in records):
        names.append((data[name_at - place : name_at - place + length], number))
    return names


def test_a_tiny_index_leaves_a_huge_directory_unlisted_and_nothing_wrong() -> None:
    """Full half-way: what is in is right, what is not is asked for, and the names come some at a time."""
    size = 40_000
    launch = launch_of(tree(dir=Directory({b"file-%05d" % i: File() for i in range(size)})), window=16 << 20)
    at = enter(launch, b"/dir")
    assert launch.world.book.is_full
    assert not launch.world.book.is_listed(at)
    known = 0
    for i in range(size):
        path = TOP + b"/dir/file-%05d" % i
        found = launch.look(path, True)
        assert found in (None, path)
        known += found is not None
    assert 0 < known < size
    assert launch.look(TOP + b"/dir/missing", True) is None
    assert launch.ask(TOP + b"/dir/missing", True) == "ENOENT"
    used = launch.index.used
    listed: list[tuple[bytes, int]] = []
    while more := part(launch, at, len(listed)):
        listed += more
    assert {name for name, _ in listed} == {b".", b"..", *(b"file-%05d" % i for i in range(size))}
    assert len(listed) == size + 2
    assert launch.index.used == used, "nothing was written down"
    for name, number in listed[2::1000]:
        launch.questions = 0
        word = launch.world.book.at_path(TOP + b"/dir/" + name)
        if word:
            assert launch.world.book.number_of(word) == number


def test_a_window_that_becomes_narrower_fills_earlier_and_forgets_nothing() -> None:
    launch = launch_of(tree(**{f"d{i}": Directory({b"f%d" % j: File() for j in range(100)}) for i in range(40)}))
    for i in range(10):
        enter(launch, b"/d%d" % i)
    assert not launch.index.narrow(launch.index.used - 1), "what is used stays"
    assert launch.index.window == 64 << 20
    assert launch.index.narrow(launch.index.used + (1 << 16))
    assert launch.world.book.is_full
    assert not launch.index.narrow(1 << 16)
    names = launch.index.names
    for i in range(40):
        truth = TOP + b"/d%d/f5" % i
        assert launch.look(truth, True) == (truth if i < 10 else None)
        assert launch.ask(TOP + b"/d%d/missing" % i, True) == "ENOENT"
    assert launch.index.names == names
    with pytest.raises(_index.Full):
        launch.index.append(bytes(1 << 17))


def test_large_answers_of_one_mailbox_use_the_same_room_again() -> None:
    index = _index.Index(8 << 20, b"/cvmfs")
    index.answer(3, 0, b"x" * _index.PAYLOAD_BYTES)
    before = index.used
    index.answer(3, 0, b"x" * 60_000)
    used = index.used
    assert used > before
    for size in (60_000, 5_000, 65_536, 10, 60_001):
        index.answer(3, 0, b"y" * size)
    assert index.used == used
