"""What calls that would write say of a read-only mount, in the kernel's own order of errors.

Owns the rules of fs/namei.c, fs/open.c and fs/xattr.c for a read-only mount, as tables by call: which look at their
object (ENOENT and its like win), which only at the directory that it is in, and which are refused before either.
What is wrong with other arguments than paths the runtime has asked the kernel before (`wrong_for_kernel`).
"""

from __future__ import annotations

import errno
import os

from hepwrap.errnos import errno_of
from hepwrap.errors import NotFound, PathError
from hepwrap.interpose.lookup import NATIVE, Answer
from hepwrap.interpose.question import Question
from hepwrap.interpose.task import credentials_of
from hepwrap.interpose.way import Way
from hepwrap.interpose.world import World
from hepwrap.records import dataclass
from hepwrap.vfs.index import _index
from hepwrap.vfs.index.layout import target, target_errno
from hepwrap.vfs.permissions import W_OK, access
from hepwrap.vfs.resolve import HostPath, Node, Resolution, join

#: x86_64 numbers by what the kernel does first (man 2 of each).
MKDIRS = frozenset({83, 258})
CREATES = MKDIRS | {133, 259, 88, 266}  # mknod mknodat symlink symlinkat
REMOVES = frozenset({84, 87, 263})  # rmdir unlink unlinkat
RMDIR, UNLINKAT, MKNOD, BIND = 84, 263, 133, 49
TRUNCATE = 76
#: Those of the calls that look at their object which do not follow a last link: lchown lsetxattr lremovexattr.
NOT_FOLLOWING = frozenset({94, 189, 198})
#: Where their flags stand: fchownat 4, fchmodat2 3, utimensat 3, setxattrat 2, removexattrat 2, file_setattr 4.
FLAGS_AT = {260: 4, 452: 3, 280: 3, 463: 2, 466: 2, 469: 4}
AT_SYMLINK_NOFOLLOW, AT_SYMLINK_FOLLOW, AT_EMPTY_PATH, AT_REMOVEDIR = 0x100, 0x400, 0x1000, 0x200
LINKS = frozenset({86, 265})
LINKAT, RENAMEAT2 = 265, 316
RENAME_NOREPLACE = 1


@dataclass(frozen=True, slots=True)
class Place:
    """Where a name is to be made or removed; loosely what filename_parentat() gives."""

    #: The directory; None: only the kernel knows.
    directory: Node | HostPath | None
    name: bytes
    #: Something after the name says that it is a directory.
    slash: bool
    #: The name is that of the mounts' top, in a directory of the host.
    is_top: bool = False

    @property
    def is_ours(self) -> bool:
        """Whether the directory is virtual."""
        return isinstance(self.directory, Node)

    @property
    def is_special(self) -> bool:
        """`.`, `..`, or no name at all (the root): LAST_NORM is none of these."""
        return self.name in (b"", b".", b"..")


def place_of(world: World, way: Way) -> Place:
    """The directory of the last component, which is looked up and searched; PathError as the kernel fails."""
    path = way.path
    if path is None or way.absolute is None:
        return Place(None, b"", slash=False)
    if not path:
        raise NotFound("an empty path names nothing")
    bare = path.rstrip(b"/")
    above, _, name = bare.rpartition(b"/")
    # Without its last component a path may have become a path to the root, or to where it starts.
    directory = above + b"/." if above else (b"/" if path.startswith(b"/") else b".")
    found = way.beside(directory).resolve(True)
    if found is None:
        return Place(None, name, slash=bare != path)
    if isinstance(found.target, HostPath):
        there = found.target.path
        clean = HostPath(there[:-2] or b"/" if there.endswith(b"/.") else there, found.target.bind)
        return Place(clean, name, bare != path, is_top(world, way.beside(bare), name))
    return Place(found.target, name, slash=bare != path)


def is_top(world: World, way: Way, name: bytes) -> bool:
    """Whether a path that ends with `name`, in a directory of the host, is one of /cvmfs itself."""
    if name != os.path.basename(world.resolver.mounts.prefix):
        return False
    try:
        found = way.resolve(False)
    except PathError:  # by rules that let nobody come to another mount
        return True
    return found is not None and isinstance(found.target, Node)


def missing_or_existing(way: Way, place: Place) -> bool:
    """Whether the object is there; PathError for other reasons than that it is missing."""
    assert way.path is not None
    try:
        return way.beside(way.path.rstrip(b"/")).resolve(False) is not None
    except NotFound:
        return False


def verdict_on_write(world: World, question: Question, way: Way) -> int:
    """The target for a call that would write to what one path names."""
    number = question.number
    if number in CREATES or number in REMOVES:
        place = place_of(world, way)
        if not place.is_ours and not place.is_top:
            return leave_to_host(world, way, place)
        if place.is_top and number in REMOVES:  # the kernel says of another mount point in the same place what it would
            return target(_index.TARGET_HOST, world.book.text(MOUNT_POINT))
        return target_errno(creating(number, way, place) if number in CREATES else removing(question, place))
    flags = question.arguments[FLAGS_AT[number]] if number in FLAGS_AT else 0
    if question.path == b"" and not flags & AT_EMPTY_PATH:
        return target_errno(errno.ENOENT)
    found = way.resolve(not (number in NOT_FOLLOWING or flags & AT_SYMLINK_NOFOLLOW))
    if found is None:
        return NATIVE
    if isinstance(found.target, HostPath):
        return target(_index.TARGET_HOST, world.book.text(found.target.path))
    return target_errno(on_existing(number, found.target))


def leave_to_host(world: World, way: Way, place: Place) -> int:
    """The directory is the host's: the kernel goes on, by the path that gets it there."""
    if not isinstance(place.directory, HostPath):
        return NATIVE
    path = join(place.directory.path, place.name) + (b"/" if place.slash else b"")
    return NATIVE if path == way.absolute else target(_index.TARGET_HOST, world.book.text(path))


def creating(number: int, way: Way, place: Place) -> int:
    """filename_create(): a name that is there is seen before the mount is asked."""
    if place.is_special or place.is_top or missing_or_existing(way, place):
        return errno.EEXIST
    return errno.ENOENT if place.slash and number not in MKDIRS else errno.EROFS


def removing(question: Question, place: Place) -> int:
    """do_rmdir(), do_unlinkat(): nothing but the kind of the name is looked at."""
    directory = question.number == RMDIR or (question.number == UNLINKAT and bool(question.arguments[2] & AT_REMOVEDIR))
    if not directory:
        return errno.EISDIR if place.is_special else errno.EROFS
    return {b".": errno.EINVAL, b"..": errno.ENOTEMPTY, b"": errno.EBUSY}.get(place.name, errno.EROFS)


def on_existing(number: int, node: Node) -> int:
    """Calls that look their object up: vfs_truncate() knows what it cuts before it asks the mount."""
    if number == TRUNCATE and node.entry.is_dir:
        return errno.EISDIR
    return errno.EINVAL if number == TRUNCATE and not node.entry.is_file else errno.EROFS


def verdict_on_address(world: World, question: Question, way: Way) -> int:
    """The target for bind and connect of a socket with a path (unix(7)): no socket in a repository listens."""
    if question.number == BIND:
        place = place_of(world, way)
        if not place.is_ours and not place.is_top:
            return leave_to_host(world, way, place)
        verdict = creating(MKNOD, way, place)
        return target_errno(errno.EADDRINUSE if verdict == errno.EEXIST else verdict)
    found = way.resolve(True)
    if found is None:
        return NATIVE
    if isinstance(found.target, HostPath):
        if not world.home.has_prefix:  # as lookup.on_host
            world.book.enter_missing(way.host.missing_part(found.target.path))
        return target(_index.TARGET_HOST, world.book.text(found.target.path))
    node = found.target
    access(node.mount.attributes(node.entry), credentials_of(question.task), W_OK)
    return target_errno(errno.ECONNREFUSED)


#: Names that nothing can be done to: one on a mount that is neither ours nor where anything is moved to, and one that
#: something is mounted on, as on /cvmfs.
THERE, MOUNT_POINT = b"/proc/self/status", b"/proc"


def verdict_on_two(world: World, question: Question, old: Way, new: Way) -> int:
    """The target for rename and link.  Where only one path is ours the kernel judges the other in its turn."""
    link = question.number in LINKS
    if link:
        if not old.path and not (question.number == LINKAT and question.arguments[4] & AT_EMPTY_PATH):
            return target_errno(errno.ENOENT)
        follow = question.number == LINKAT and bool(question.arguments[4] & AT_SYMLINK_FOLLOW)
        found = old.resolve(follow)
        node = found.target if found is not None and isinstance(found.target, Node) else None
        from_us = node is not None
        first = THERE if from_us else host_path(found, old)
    else:
        source = place_of(world, old)
        from_us = source.is_ours
        first = THERE if from_us else host_name(source, old)
    try:
        place = place_of(world, new)
    except PathError as error:
        return mixed(world, first, THERE, errno_of(error)) if not from_us else target_errno(errno_of(error))
    if not place.is_ours:
        second = host_name(place, new)
        return mixed(world, first, second, 0) if from_us or first or second else NATIVE
    if link:
        verdict = creating(question.number, new, place)
    elif from_us and mount_of(source) == mount_of(place):
        verdict = busy(question, source) if source.is_special or place.is_special else errno.EROFS
    else:
        verdict = errno.EXDEV
    return target_errno(verdict) if from_us else mixed(world, first, THERE, verdict)


def mount_of(place: Place) -> int:
    """Which of our mounts a virtual directory is on."""
    assert isinstance(place.directory, Node)
    return place.directory.mount.index


def busy(question: Question, old: Place) -> int:
    """do_renameat2(): what cannot be moved, or cannot be moved to."""
    exists = question.number == RENAMEAT2 and question.arguments[4] & RENAME_NOREPLACE
    return errno.EEXIST if exists and not old.is_special else errno.EBUSY


def host_path(found: Resolution | None, way: Way) -> bytes:
    """The path for the kernel; empty: as it was given."""
    if found is None or not isinstance(found.target, HostPath) or found.target.path == way.absolute:
        return b""
    return found.target.path


def host_name(place: Place, way: Way) -> bytes:
    """As host_path, of a name in a directory."""
    if place.is_top:
        return MOUNT_POINT
    if not isinstance(place.directory, HostPath):
        return b""
    path = join(place.directory.path, place.name) + (b"/" if place.slash else b"")
    return b"" if path == way.absolute else path


def mixed(world: World, first: bytes, second: bytes, across: int) -> int:
    """The kernel is asked, with these paths (empty: as given); `across`: see `struct plan`."""
    return world.book.plan(first, second, across)


def on_write(world: World, question: Question) -> Answer:
    """Calls that would write to what one path names."""
    return verdict_on_write(world, question, Way.of(world, question)), None


def on_two(world: World, question: Question) -> Answer:
    """rename, link: across the border or inside."""
    return verdict_on_two(world, question, Way.of(world, question), Way.of_second(world, question)), None


def on_address(world: World, question: Question) -> Answer:
    """bind, connect: the path in a socket's address."""
    return verdict_on_address(world, question, Way.of(world, question)), None
