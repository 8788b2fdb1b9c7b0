"""What a path means: the specification that every faster answer replays (path_resolution(7), link_path_walk()).

Owns the walk: which object a path leads to, or which error it ends in, as the kernel would say if the repositories
were mounted.  Must not know how catalogues are stored, how mounts are opened, or what a system call is.
"""

from __future__ import annotations

import os
from typing import TypeVar

from hepwrap.errors import CrossesDevices, Denied, NameTooLong, NotADirectory, NotFound, PathError, TooManyLinks
from hepwrap.records import dataclass
from hepwrap.vfs.binds import Bind
from hepwrap.vfs.entry import Entry
from hepwrap.vfs.host import HostView, OsHost, protected_symlinks
from hepwrap.vfs.mounts import Mount, MountTable
from hepwrap.vfs.permissions import X_OK, Credentials, common, common_follow, may, may_follow
from hepwrap.vfs.rules import AS_EVER, Rules

__all__ = ["Credentials", "HostPath", "HostView", "Node", "OsHost", "Resolution", "Resolver"]

#: Most bytes of a component (NAME_MAX) and of a path without its final NUL (PATH_MAX - 1); most links followed.
NAME_BYTES = 255
PATH_BYTES = 4095
MAXIMUM_LINKS = 40

#: Directories and links whose entries are kept, so that a walk asks the catalogues once for what it often passes.
REMEMBERED = 4096


@dataclass(frozen=True, slots=True)
class Node:
    """An object below /cvmfs, or /cvmfs itself."""

    mount: Mount
    entry: Entry

    @property
    def path(self) -> bytes:
        """Absolute and canonical: what getcwd(2) would say of it on a real mount."""
        return self.key or b"/"

    @property
    def key(self) -> bytes:
        """The same, but b"" of the root: so a child's is always that of its directory, a slash, and its name."""
        return self.mount.shown(self.entry.path)


@dataclass(frozen=True, slots=True)
class HostPath:
    """Not ours: an absolute path that leads to the answer, or to the error, when the kernel is asked for it.

    It is the last stretch on the host *as it was written*, links and `..` and slashes at the end included, so that the
    kernel judges it by its own rules, for the task that asks.  No way through it leads below /cvmfs.
    `bind`: by which it is shown elsewhere than there.
    """

    path: bytes
    bind: Bind | None = None

    @property
    def shown(self) -> bytes:
        """What it is called by programs."""
        return self.bind.shown(self.path) if self.bind else self.path


Place = Node | HostPath
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Resolution:
    """Where a path leads.

    `universal`: every user, root with or without capabilities too, gets this answer, and no link or directory of the
    host had a part in it; so it holds as long as the mounts do.  Of a HostPath that is said of the virtual part of the
    way only: what its own links lead to, the kernel finds anew each time.
    `passed`: the links that were followed, and the directories that were left by `..`.
    """

    target: Place
    universal: bool
    passed: tuple[Node, ...] = ()


class Resolver:
    """Resolves paths for any number of threads.

    `follow_shared_links` False: links in shared directories are guarded as fs.protected_symlinks says; None: the way
    this host's kernel is set.
    """

    def __init__(self, mounts: MountTable, host: HostView, *, follow_shared_links: bool | None = None) -> None:
        self.mounts, self.host = mounts, host
        self.guard_links = protected_symlinks() if follow_shared_links is None else not follow_shared_links
        self.root: Place = HostPath(b"/") if mounts.root is None else Node(mounts.root, mounts.root.root)
        self._passed: dict[tuple[int, bytes], Node] = {}
        self._open_to_all: dict[tuple[int, bytes], bool] = {}

    def resolve(
        self,
        path: bytes,
        *,
        follow: bool = True,
        credentials: Credentials | None = None,
        host: HostView | None = None,
        start: Place | None = None,
        rules: Rules = AS_EVER,
    ) -> Resolution:
        """Where `path` leads, for a task with `credentials` (None: permissions are not asked) that sees `host`.

        `path` is absolute, or relative to the directory `start`, the rights to whose parents then do not count.
        `follow` is about a link at the very end; what was found by `rules` holds for these rules only.
        PathError as the kernel would fail, its `universal` as Resolution's; FetchFailed and Untrusted where the answer
        cannot be had: that is EIO, never ENOENT.
        """
        if not path:
            raise NotFound("an empty path leads nowhere; name a file")
        if len(path) > PATH_BYTES:
            raise NameTooLong(f"a path of {len(path)} bytes is too long; use at most {PATH_BYTES}")
        walk = _Walk(self, host or self.host, credentials, rules)
        try:
            return walk.run(path, start, follow)
        except PathError as error:
            if walk.only_host is not None:
                return Resolution(walk.only_host, walk.universal)
            error.universal = walk.universal and not walk.asked_host
            error.place, error.passed = walk.place, walk.passed
            raise

    def mounted_on(self, path: bytes) -> Place | None:
        """What is shown at a canonical path instead of what is in the directory there."""
        if path == self.mounts.prefix:
            return Node(self.mounts.top, self.mounts.top.root)
        bind = self.mounts.binds.at(path)
        return None if bind is None else HostPath(bind.host, bind)

    def child(self, directory: Node, name: bytes) -> Place | None:
        """The object called `name` in `directory`; at /cvmfs that is the root of a repository."""
        if directory.mount.has_places:
            there = self.mounted_on(directory.key + b"/" + name)
            if there is not None:
                return there
        if directory.mount is self.mounts.top:
            mount = self.mounts.get(name)
            return None if mount is None else Node(mount, mount.root)
        path = directory.entry.path + b"/" + name
        key = (directory.mount.index, path)
        node = self._passed.get(key)
        if node is None:
            entry = directory.mount.lookup(path)
            if entry is None:
                return None
            node = Node(directory.mount, entry)
            if entry.is_dir or entry.is_symlink:
                _remember(self._passed, key, node)
        return node

    def parent(self, directory: Node) -> Place:
        """What `..` is in `directory`; of /cvmfs it is the host's, or in the repository that is the root."""
        mount, path = directory.mount, directory.entry.path
        if mount is self.mounts.top:
            return self.place_of(os.path.dirname(mount.prefix))
        if path == mount.base:
            return directory if mount is self.mounts.root else Node(self.mounts.top, self.mounts.top.root)
        above = path.rpartition(b"/")[0]
        known = self._passed.get((mount.index, above))
        if known is not None:
            return known
        entry = mount.lookup(above)
        if entry is None:
            raise NotFound(f"{text(directory.path)} has no parent directory; tell whoever publishes this repository")
        return Node(mount, entry)

    def place_of(self, path: bytes) -> Place:
        """What is at a canonical path that programs see; NotFound where that is nothing."""
        place = self.root
        for name in filter(None, path.split(b"/")):
            if isinstance(place, HostPath):
                place = self.beside(place, name)
                continue
            found = self.child(place, name)
            if found is None:
                raise NotFound(f"{text(place.path)} has no entry {text(name)}; check the path")
            place = found
        return place

    def beside(self, directory: HostPath, name: bytes) -> Place:
        """What is called `name` in a directory of the host, if anything is."""
        path = join(directory.path, name)
        shown = path if directory.bind is None else join(directory.shown, name)
        return self.mounted_on(shown) or HostPath(path, directory.bind)

    def above(self, directory: HostPath) -> Place:
        """What `..` is in a directory of the host."""
        bind = directory.bind
        if bind is not None and directory.path == bind.host:
            return self.place_of(os.path.dirname(bind.place))
        return HostPath(os.path.dirname(directory.path), bind)

    def seen(self, path: bytes) -> HostPath | None:
        """The canonical path of the host `path` as programs see it; None where it is shown nowhere."""
        if isinstance(self.root, HostPath):
            return HostPath(path)
        bind = self.mounts.binds.showing(path)
        return None if bind is None else HostPath(path, bind)

    def open_to_all(self, directory: Node) -> bool:
        """Whether nobody at all is refused to look up names in `directory`."""
        key = (directory.mount.index, directory.entry.path)
        answer = self._open_to_all.get(key)
        if answer is None:
            answer = common(directory.mount.attributes(directory.entry), X_OK) is True
            _remember(self._open_to_all, key, answer)
        return answer


class _Walk:
    """One question's state; loosely struct nameidata.

    `universal` as in Resolution; `asked_host`: the host had a part in the way so far; `literal`: what the kernel is to
    be asked if the way ends on the host; `links`: how many were followed; `place`: the directory that is searched;
    `root`: where links to the root lead.
    """

    def __init__(self, resolver: Resolver, host: HostView, credentials: Credentials | None, rules: Rules) -> None:
        self._resolver, self._host, self._credentials, self._rules = resolver, host, credentials, rules
        self.universal, self.asked_host = True, False
        self._literal = b""
        self._links = 0
        self._root = resolver.root
        self._was_ours = isinstance(self._root, Node)
        self.place: Node | None = None
        self.passed: list[Node] = []

    @property
    def only_host(self) -> HostPath | None:
        """What the kernel is to be asked where nothing of ours had a part in the way: errors are its own to say."""
        return None if self._was_ours else HostPath(self._literal)

    def run(self, rest: bytes, start: Place | None, follow: bool) -> Resolution:
        """Walk `rest`, component by component, while there is any.

        The target of a followed link is put before what is left.  A slash after a component, wherever it comes from,
        demands a directory and has a link followed: that is why none is dropped.
        """
        place = self._start(rest, start)
        slash = b""
        while rest := rest.lstrip(b"/"):
            name, slash, rest = rest.partition(b"/")
            self.place = place if isinstance(place, Node) else None
            if isinstance(place, Node):
                found, target = self._step(place, name, last=not rest.strip(b"/"))
            elif name == b".." and not self._may_leave(place):
                return self._left_to_the_kernel(place, b"/../" + rest)
            else:
                found, target = self._step_on_host(place, name)
            if target is not None and (follow or slash):
                self._follow(place, found, last=not rest.strip(b"/"))
                rest = target + slash + rest
                # An empty target leads to the directory that the link is in: the walk just goes on there.
                found = self._jump(found) if target.startswith(b"/") else place
            elif slash and isinstance(found, Node) and not found.entry.is_dir:
                raise NotADirectory(f"{text(found.path)} is not a directory; leave off what comes after it")
            self._cross(place, found, slash + rest.lstrip(b"/"))
            place = found
        if isinstance(place, HostPath):
            return self._left_to_the_kernel(place, slash)
        return Resolution(place, self.universal, tuple(self.passed))

    def _start(self, path: bytes, start: Place | None) -> Place:
        if path.startswith(b"/") and not self._rules.in_root:
            self._literal = path
            self._rules.check_jump(path)
            return self._root
        if start is None:
            raise ValueError("a relative path needs a directory to start from")
        if isinstance(start, HostPath):
            self._literal = join(start.path, path.lstrip(b"/"))
        else:
            self._was_ours = True
            if not start.entry.is_dir:
                raise NotADirectory(f"{text(start.path)} is not a directory; nothing can be looked up from it")
        if self._rules.scoped:
            self._root = start
        return start

    def _jump(self, link: Place) -> Place:
        """The root, to which a link leads."""
        self._rules.check_jump(link.path)
        return self._root

    def _is_top(self, place: Place) -> bool:
        """Whether a scoped walk may not go up from here."""
        return self._rules.scoped and type(place) is type(self._root) and place.path == self._root.path

    def _stays(self, directory: Place, name: bytes) -> bool:
        """Whether a component leads to where it stands: `.`, and `..` at the top; PathError where that is refused."""
        if name != b".." or not self._is_top(directory):
            return name == b"."
        self._rules.check_up(directory.path)
        return True

    def _step(self, directory: Node, name: bytes, *, last: bool) -> tuple[Place, bytes | None]:
        """One component in a virtual directory: what is there and, of a link, its target."""
        self._search(directory)
        if self._stays(directory, name):
            return directory, None
        if name == b"..":
            self.passed.append(directory)
            return self._resolver.parent(directory), None
        if len(name) > NAME_BYTES:
            raise NameTooLong(f"a name of {len(name)} bytes below {text(directory.path)}; {NAME_BYTES} are possible")
        child = self._resolver.child(directory, name)
        if child is None:
            missing = NotFound(f"{text(directory.path)} has no entry {text(name)}; check the path")
            missing.last_component = last
            raise missing
        if isinstance(child, HostPath) or not child.entry.is_symlink:
            return child, None
        return child, child.mount.target_of(child.entry)

    def _step_on_host(self, directory: HostPath, name: bytes) -> tuple[Place, bytes | None]:
        """One component on the host.  All that counts is what leads elsewhere: the rest the kernel will find itself."""
        if self._stays(directory, name):
            return directory, None
        if name == b"..":
            return self._resolver.above(directory), None
        found = self._resolver.beside(directory, name)
        is_in_it = isinstance(found, HostPath) and found.bind is directory.bind
        return found, self._host.readlink(found.path) if is_in_it else None

    def _search(self, directory: Node) -> None:
        """May a name be looked up here?  Asked before the name is looked at, so Denied comes before NotFound."""
        if self._resolver.open_to_all(directory):
            return
        self.universal = False
        if self._credentials is None:
            return
        attributes = directory.mount.attributes(directory.entry)
        if not may(attributes, self._credentials, X_OK):
            raise Denied(
                f"{text(directory.path)} may not be searched by user {self._credentials.uid};"
                " ask whoever publishes the repository for access"
            )

    def _may_leave(self, directory: HostPath) -> bool:
        """Whether the kernel would find `..` here.  If not, it says why, when it is asked."""
        if directory.path == b"/":
            return True
        self.asked_host = True
        return self._host.is_searchable(directory.path)

    def _follow(self, directory: Place, link: Place, *, last: bool) -> None:
        """Count one more link, and see that it may be followed."""
        if self._links >= MAXIMUM_LINKS:
            raise TooManyLinks(f"more than {MAXIMUM_LINKS} symbolic links at {text(link.path)}; do they form a ring?")
        self._links += 1
        is_magic = False
        if isinstance(link, HostPath):
            self.asked_host = True
            is_magic = self._rules != AS_EVER and self._host.is_magic(link.path)
        else:
            self.passed.append(link)
            if isinstance(directory, Node) and last and self._resolver.guard_links:
                self._guard(directory, link)
        self._rules.check_link(link.path, is_magic=is_magic)

    def _guard(self, directory: Node, link: Node) -> None:
        """As may_follow_link() of the kernel."""
        of_link, of_directory = link.mount.attributes(link.entry), directory.mount.attributes(directory.entry)
        if common_follow(of_link, of_directory):
            return
        self.universal = False
        if self._credentials is not None and not may_follow(of_link, of_directory, self._credentials):
            raise Denied(f"{text(link.path)} is another user's link in a shared directory; see fs.protected_symlinks")

    def _cross(self, before: Place, after: Place, rest: bytes) -> None:
        """Take note of a way out to the host, or in from it."""
        is_other_stretch = isinstance(after, HostPath) and (isinstance(before, Node) or before.bind is not after.bind)
        self._was_ours |= isinstance(after, Node) or is_other_stretch
        if self._rules.no_xdev and mount_of(before) is not mount_of(after):
            raise CrossesDevices(f"the way goes to another mount at {text(after.path)}, and is to stay on one")
        if is_other_stretch:
            self._literal = join(after.path, rest.lstrip(b"/")) if rest else after.path
        elif isinstance(before, HostPath) and isinstance(after, Node) and self.asked_host:
            self.universal = False

    def _left_to_the_kernel(self, place: HostPath, tail: bytes) -> Resolution:
        """The way ends on the host, or cannot be followed further there."""
        for path in (self._literal, place.path + tail):
            if len(path) <= PATH_BYTES:
                return Resolution(HostPath(path), self.universal)
        raise NameTooLong(f"the way leads to a path of {len(self._literal)} bytes on the host; shorten its links")


def mount_of(place: Place) -> Mount | None:
    """The mount of ours that a place is on."""
    return place.mount if isinstance(place, Node) else None


def join(directory: bytes, name: bytes) -> bytes:
    """`directory/name`, with one slash where the directory is the root."""
    return directory + name if directory.endswith(b"/") else directory + b"/" + name


def text(path: bytes) -> str:
    """A path in a message: on one line, whatever bytes it has."""
    decoded = path.decode("utf-8", "backslashreplace")
    return "".join(letter if letter.isprintable() else f"\\x{ord(letter):02x}" for letter in decoded)


def _remember(kept: dict[tuple[int, bytes], _Value], key: tuple[int, bytes], value: _Value) -> None:
    if len(kept) >= REMEMBERED:
        kept.clear()
    kept[key] = value
