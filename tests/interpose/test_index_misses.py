"""Where directories have been touched nothing is asked any more: not what is there nor what is not, however written.

The kernel is the oracle: the same tree lies on disk, at the place where the repository appears.
"""

from __future__ import annotations

import errno
import os
import random
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence

import pytest

from tests.helpers.catalogs import CatalogRepository
from tests.helpers.indexed import NAME, Launch
from tests.helpers.tree import Directory, File, Item, Link, chain, tree, walk, write

#: Words from which paths are put together: what is there, what is not, and the ways around.
WORDS = (b"dir", b"sub", b"file", b"missing", b"link", b"todir", b"tosub", b"up", b"self", b"dangling", b"loop", b"..",
         b".", b"", b"chain", b"1", b"deep", b"fi", b"filee", b"\xff")  # fmt: skip


def root_of(top: bytes) -> Directory:
    return tree(
        file=File(), link=Link(b"file"), todir=Link(b"dir"), tosub=Link(b"todir/sub"), self=Link(b"."),
        dangling=Link(b"nowhere/at/all"), loop=Link(b"loop"), slashed=Link(b"dir/"), slashedfile=Link(b"file/"),
        absolute=Link(top + b"/dir/sub"), absolutemissing=Link(top + b"/dir/missing"), through=Link(b"file/x"),
        long=Link(b"./" * 1000 + b"file"), nested=Link(b"todir/sub/up/sub/file"), empty=tree(), chain=chain(45),
        dir=tree(
            file=File(), up=Link(b".."), back=Link(b"../file"),
            sub=tree(file=File(), up=Link(b"../../dir"), deep=Link(b"../sub/../sub/file"), link=Link(b"../../link")),
        ),
        crossing=Link(b"dangling/../file"), around=Link(b"dir/../dir/./sub//file"),
    )  # fmt: skip


class Touched:
    """A launch in which one object of every directory has been asked for, and no more than that."""

    def __init__(self, place: bytes) -> None:
        self.place, self.top = place, place + b"/cvmfs/" + NAME
        root = root_of(self.top)
        os.mkdir(place + b"/cvmfs")
        write(root, self.top)
        self.launch = Launch.of(root, place, CatalogRepository.of(NAME.decode(), root))
        self.directories = [path for path, item in walk(root) if isinstance(item, Directory)]
        for path in self.directories:
            self.launch.ask(self.top + path + b"/not-there", True)
        self.touches = self.launch.questions

    def base(self, path: bytes) -> int:
        return self.launch.world.book.at_path(self.top + path)

    def kernel(self, path: bytes, follow: bool, base: bytes | None = None) -> str | bytes:
        """The errno, or the canonical path."""
        fd = None if base is None else os.open(self.top + base, os.O_PATH | os.O_DIRECTORY)
        try:
            found = os.open(path, os.O_PATH | (0 if follow else os.O_NOFOLLOW), dir_fd=fd)
        except OSError as error:
            return errno.errorcode[error.errno or 0]
        finally:
            if fd is not None:
                os.close(fd)
        try:
            return os.readlink(b"/proc/self/fd/%d" % found)
        finally:
            os.close(found)


@pytest.fixture
def touched() -> Iterator[Touched]:
    with tempfile.TemporaryDirectory(prefix="i") as directory:
        yield Touched(os.path.realpath(directory).encode())


def test_every_directory_costs_one_question(touched: Touched) -> None:
    assert touched.touches == len(touched.directories) == 5


#: What is missing, by how it is written (below the top of the repository).
MISSES = {
    "in a complete directory": (b"/missing", b"/dir/missing", b"/dir/sub/missing", b"/empty/missing"),
    "a name that begins like another": (b"/fil", b"/filee", b"/dir/su", b"/dir/sub\xff"),
    "below a missing directory": (b"/missing/x", b"/dir/missing/x/y/z", b"/empty/missing/x/"),
    "with dots": (b"/dir/../missing", b"/dir/./missing", b"/dir/sub/../../dir/missing", b"/./missing"),
    "dots below what is missing": (b"/missing/..", b"/missing/../file", b"/missing/.", b"/dir/missing/../../file"),
    "with slashes": (b"/missing/", b"//missing", b"/dir//missing//", b"/dir/missing/."),
    "through links": (b"/todir/missing", b"/tosub/missing", b"/self/missing", b"/absolute/missing/x"),
    "through a chain of links": (b"/todir/sub/up/sub/missing", b"/dir/up/todir/up/missing", b"/slashed/missing"),
    "dangling links": (b"/dangling", b"/dangling/x", b"/dangling/", b"/absolutemissing", b"/crossing"),
    "below a file": (b"/file/x", b"/file/", b"/file/.", b"/file/..", b"/file/../dir", b"/dir/file/x/y", b"/link/x"),
    "by a link below a file": (b"/through", b"/slashedfile", b"/slashedfile/", b"/dir/back/x"),
    "links without end": (b"/loop", b"/loop/x", b"/chain/1", b"/chain/2/x", b"/chain/5"),
}


@pytest.mark.parametrize("kind", MISSES)
def test_a_miss_of_any_kind_costs_no_question(touched: Touched, kind: str) -> None:
    for path in MISSES[kind]:
        for follow in (True, False):
            truth = touched.kernel(touched.top + path, follow)
            found = touched.launch.look(touched.top + path, follow)
            assert found == truth, f"{path!r} follow {follow}"
    assert touched.launch.questions == touched.touches


@pytest.mark.parametrize("kind", MISSES)
def test_a_miss_relative_to_a_directory_costs_no_question(touched: Touched, kind: str) -> None:
    for base in touched.directories:
        for path in MISSES[kind]:
            for words in (path[1:], b"./" + path[1:], b"../" + path[1:]):
                if not words.startswith(b"/") and not (words.startswith(b"..") and base == b""):
                    truth = touched.kernel(words, True, base)
                    assert touched.launch.look(words, True, touched.base(base)) == truth, f"{words!r} from {base!r}"


def test_what_is_there_costs_no_question_however_it_is_written(touched: Touched) -> None:
    for path in (
        b"/dir/../file",
        b"/todir/sub//file",
        b"/nested",
        b"/around",
        b"/long",
        b"/dir/sub/deep",
        b"/chain/6",
        b"/dir/sub/link",
        b"/self/self/self/dir/",
        b"/absolute/../file",
        b"/dir/sub/..",
        b"/",
        b"//.",
        b"",
    ):
        for follow in (True, False):
            truth = touched.kernel(touched.top + path, follow)
            assert touched.launch.look(touched.top + path, follow) == truth, f"{path!r} follow {follow}"
    assert isinstance(touched.kernel(touched.top + b"/chain/6", True), bytes), "40 links, and no more"


def test_any_path_is_answered_as_the_kernel_does_and_without_a_question(touched: Touched) -> None:
    """Random ways; only those that leave the repository are asked about."""
    source, seen = random.Random(7), Counter[str]()
    for _ in range(6000):
        words = [source.choice(WORDS) for _ in range(source.randrange(1, 8))]
        base = source.choice([None, *touched.directories])
        path = b"/".join(words) if base is not None else touched.top + b"/" + b"/".join(words)
        if not path or (base is not None and path.startswith(b"/")):
            continue
        follow = source.random() < 0.5
        truth = touched.kernel(path, follow, base)
        found = touched.launch.look(path, follow, touched.base(base) if base is not None else 0)
        if found is None:
            seen["asked"] += 1
            assert leaves(touched, words, base), f"{path!r} from {base!r} follow {follow} is {truth!r}"
            continue
        assert found == truth, f"{path!r} from {base!r} follow {follow}"
        seen[truth if isinstance(truth, str) else "found"] += 1
    assert {"found", "ENOENT", "ENOTDIR", "ELOOP"} <= set(seen), seen


def leaves(touched: Touched, words: Sequence[bytes], base: bytes | None) -> bool:
    """Whether the way comes to something outside of the repository (no link of its own leads out)."""
    for end in range(1, len(words) + 1):
        place = touched.kernel(touched.top + (base or b"") + b"/" + b"/".join(words[:end]), True)
        if isinstance(place, bytes) and not (place + b"/").startswith(touched.top + b"/"):
            return True
    return False


def test_nothing_is_entered_for_what_directories_say_anyway(touched: Touched) -> None:
    """A program that looks for a thousand files that do not exist fills nothing."""
    names, used = touched.launch.index.names, touched.launch.index.used
    for number in range(500):
        for path in (b"/dir/none-%d", b"/none-%d/x", b"/todir/none-%d", b"/dir/../none-%d", b"/file/%d"):
            touched.launch.ask(touched.top + path % number, True)
    assert (touched.launch.index.names, touched.launch.index.used) == (names, used)


def test_a_way_that_was_gone_once_is_known_to_those_who_come_after() -> None:
    """Links and dots on the way are entered with it, though their directories have not been listed."""
    far = tree(a=Link(b"b/c"), b=tree(c=tree(d=tree(file=File(), other=File()))), x=tree(y=tree()))
    with tempfile.TemporaryDirectory(prefix="i") as directory:
        place = os.path.realpath(directory).encode()
        launch = Launch.of(far, place, CatalogRepository.of(NAME.decode(), far))
        top = place + b"/cvmfs/" + NAME
        for way in (b"/a/d/", b"/x/y/../../b/c/d/"):
            launch.ask(top + way + b"file", True)
            assert launch.look(top + way + b"other", True) == top + b"/b/c/d/other"
            assert launch.look(top + way + b"missing", True) == "ENOENT"


def test_what_may_not_be_searched_by_all_is_never_said_to_be_missing(touched: Touched) -> None:
    private: dict[bytes, Item] = {b"private": Directory({b"sub": tree(file=File())}, mode=0o711)}
    launch = Launch.of(Directory(private), b"/n", CatalogRepository.of(NAME.decode(), Directory(private)))
    top = b"/n/cvmfs/" + NAME
    launch.ask(top + b"/private/sub", True)
    assert launch.look(top + b"/private/missing", True) == "ENOENT", "0711: all may search"
    for mode in (0o700, 0o710, 0o000):
        closed = Directory({b"private": Directory({b"sub": tree(file=File())}, mode=mode)})
        launch = Launch.of(closed, b"/n", CatalogRepository.of(NAME.decode(), closed))
        launch.ask(top + b"/private/sub/missing", True)
        launch.ask(top + b"/private/missing", True)
        for path in (b"/private/missing", b"/private/sub/missing", b"/private/../private/x", b"/private/sub/file"):
            assert launch.look(top + path, True) is None
