"""One small tree in two forms: a repository in memory, and real files on disk for the kernel to judge.

Owns the model (`Directory`, `File`, `Link`), both forms, and the random trees and paths of property tests.
"""

from __future__ import annotations

import os
import random
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from hepwrap.settings import RepositorySettings
from hepwrap.vfs.entry import DIRECTORY, FILE, SYMLINK, Entry

#: (device, inode) to the path it was made at, relative to where the tree was written.
Inodes = dict[tuple[int, int], bytes]


@dataclass
class File:
    mode: int = 0o644
    owner: tuple[int, int] = (0, 0)
    kind: int = stat.S_IFREG


@dataclass
class Link:
    target: bytes
    mode: int = 0o777
    owner: tuple[int, int] = (0, 0)
    kind: int = stat.S_IFLNK


@dataclass
class Directory:
    children: dict[bytes, Item] = field(default_factory=dict)
    mode: int = 0o755
    owner: tuple[int, int] = (0, 0)
    kind: int = stat.S_IFDIR


Item = File | Link | Directory


def walk(item: Item, path: bytes = b"") -> Iterator[tuple[bytes, Item]]:
    """Every path of a tree with what is there; parents first."""
    yield path, item
    if isinstance(item, Directory):
        for name, child in item.children.items():
            yield from walk(child, path + b"/" + name)


def tree(**children: Item) -> Directory:
    """A directory from keywords."""
    return Directory({name.encode(): child for name, child in children.items()})


def chain(length: int) -> Directory:
    """Links 1 -> 2 -> ... -> `length` -> file."""
    links = {str(number).encode(): Link(str(number + 1).encode()) for number in range(1, length)}
    return Directory({**links, str(length).encode(): Link(b"file"), b"file": File()})


class MemoryRepository:
    """A CatalogueView of a tree.  Counts `lookups`; `broken` paths raise what they are told to."""

    def __init__(self, name: str, root: Directory, settings: RepositorySettings | None = None) -> None:
        self.name = name
        self.settings = settings or RepositorySettings(name, claim_ownership=False)
        self.lookups = 0
        self.broken: dict[bytes, Exception] = {}
        self._items = dict(walk(root))

    def lookup(self, path: bytes) -> Entry | None:
        self.lookups += 1
        if path in self.broken:
            raise self.broken[path]
        item = self._items.get(path)
        return None if item is None else entry_of(path, item)

    def rows(self, _path: bytes) -> None:
        """There is no catalogue here."""

    def statistics(self) -> dict[str, int]:
        """Nobody has counted."""
        return {}

    def listdir(self, path: bytes) -> list[Entry]:
        directory = self._items[path]
        assert isinstance(directory, Directory)
        return [entry_of(path + b"/" + name, child) for name, child in directory.children.items()]


def entry_of(path: bytes, item: Item) -> Entry:
    """The row that a catalogue would have."""
    flags = {stat.S_IFDIR: DIRECTORY, stat.S_IFLNK: FILE | SYMLINK}.get(item.kind, FILE)
    target = item.target if isinstance(item, Link) else b""
    return Entry(
        path=path, name=path.rpartition(b"/")[2], mode=item.kind | item.mode, size=len(target), mtime=0, mtime_ns=0,
        uid=item.owner[0], gid=item.owner[1], nlink=1, rdev=0, flags=flags, link_group=None, digest=None,
        compression="zlib", symlink=target, is_nested_mount=False,
    )  # fmt: skip


def write(root: Directory, place: bytes, *, owners: bool = False) -> Inodes:
    """Make the tree on disk at `place`, which is made too; owners and full modes only where asked for (root's)."""
    inodes: Inodes = {}
    paths = list(walk(root))
    for path, item in paths:
        where = place + path
        if isinstance(item, Directory):
            os.mkdir(where)
        elif isinstance(item, Link):
            os.symlink(item.target, where)
        else:
            os.close(os.open(where, os.O_CREAT | os.O_WRONLY))
        status = os.lstat(where)
        inodes[status.st_dev, status.st_ino] = path
    for path, item in reversed(paths):
        if owners:
            os.lchown(place + path, *item.owner)
        if not isinstance(item, Link):
            os.chmod(place + path, item.mode)
    return inodes


#: Few names, so that random paths hit; one that is no UTF-8, one with a newline, one as long as a name may be.
NAMES: Sequence[bytes] = (b"a", b"b", b"c", b"d", b"\xe9\xff", b"x\n y", b"n" * 255)
#: What paths and targets have besides names of the tree.
ODD: Sequence[bytes] = (b".", b"..", b"..", b"...", b"", b"m" * 256, b"missing")


@dataclass(frozen=True)
class World:
    """Trees by where they stand: `b""` is the host's root, the others are repositories below `prefix`."""

    host: Directory
    repositories: dict[bytes, Directory]
    #: What is put before every absolute path: b"" where the tests can change their root, else a directory.
    base: bytes = b""

    @property
    def prefix(self) -> bytes:
        return self.base + b"/cvmfs"


def random_world(
    source: random.Random,
    size: int,
    *,
    base: bytes = b"",
    decorate: Callable[[random.Random, Item], None] | None = None,
) -> World:
    """A host and two repositories of at most `size` objects each; `decorate` may change modes and owners."""
    world = World(Directory(), {b"one.hep.example": Directory(), b"two.hep.example": Directory()}, base)
    roots = [world.host, *world.repositories.values()]
    for root in roots:
        _grow(source, root, size)
    for root in roots:
        for _, item in walk(root):
            if isinstance(item, Link):
                item.target = random_path(source, world, absolute=False)[:4095]
            if decorate and root is not world.host:
                decorate(source, item)
    return world


def random_path(source: random.Random, world: World, *, absolute: bool = True) -> bytes:
    """A path that often leads somewhere: down a tree as it is, with detours."""
    start: Directory | None = source.choice([world.host, *world.repositories.values()])
    parts = [_top_of(world, start)] if absolute or source.random() < 0.4 else []
    for _ in range(source.choice((0, 1, 1, 2, 2, 3, 4, 6))):
        names = list(start.children) if start is not None and source.random() < 0.8 else None
        name = source.choice(names) if names else source.choice((*NAMES[:4], *ODD))
        child = start.children.get(name) if start is not None else None
        start = child if isinstance(child, Directory) else None
        parts.append(name)
    path = b"/".join(parts) + source.choice((b"", b"", b"", b"/", b"//", b"/.", b"/..", b"/../" + source.choice(NAMES)))
    return path or b"/"


def _top_of(world: World, root: Directory) -> bytes:
    for name, repository in world.repositories.items():
        if repository is root:
            return world.prefix + b"/" + name
    return world.base


def _grow(source: random.Random, root: Directory, size: int) -> None:
    directories = [root]
    for _ in range(size):
        parent = source.choice(directories)
        name = source.choice(NAMES)
        if name in parent.children:
            continue
        draw = source.random()
        if draw < 0.4:
            made = Directory()
            parent.children[name] = made
            directories.append(made)
        elif draw < 0.6:
            parent.children[name] = File()
        else:
            parent.children[name] = Link(b"")
