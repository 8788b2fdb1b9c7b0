"""What the answer to each kind of call is: the specification that the index lets the runtime replay.

Owns the way from a question to a target word (layout.h).  Must not know mailboxes, threads or ptrace.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from functools import partial

from hepwrap.errnos import errno_of
from hepwrap.errors import HepwrapError, InvalidOperation, NoAttribute, NotFound, PathError
from hepwrap.interpose.question import Question
from hepwrap.interpose.refusing import OPEN_TREE_CLONE, is_bind, refusal, shown_elsewhere
from hepwrap.interpose.task import TaskHost, credentials_of
from hepwrap.interpose.world import World
from hepwrap.interpose.writing import place_of, verdict_on_address, verdict_on_two, verdict_on_write
from hepwrap.vfs.index import _index
from hepwrap.vfs.index.layout import target, target_errno
from hepwrap.vfs.permissions import R_OK, W_OK, X_OK, access, is_read_only, owns
from hepwrap.vfs.resolve import MAXIMUM_LINKS, PATH_BYTES, HostPath, Node, Resolution
from hepwrap.vfs.rules import AS_EVER

NATIVE, MISSING = target(_index.TARGET_NATIVE), target(_index.TARGET_MISSING)
#: Flags of open(2) that say more than "read it", as far as they matter to who may.
NOT_PLAINLY_READ = os.O_ACCMODE | os.O_CREAT | os.O_TRUNC | os.O_PATH | os.O_NOATIME | (os.O_TMPFILE & ~os.O_DIRECTORY)
#: inotify_add_watch and fanotify_mark want to be allowed to read; where IN_ONLYDIR and FAN_MARK_ONLYDIR stand.
WATCHERS = {254: (2, 0x01000000), 301: (1, 8)}

#: A target and, where it is TARGET_DATA, the data.
Answer = tuple[int, bytes | None]


class Way:
    """A question's path on its way: where it starts, and what it is called in the index."""

    def __init__(self, world: World, question: Question, path: bytes | None, base: int, start: bytes | None) -> None:
        self.world, self.question = world, question
        self.host = TaskHost(question.task, world.whose, world.home.root)
        self.start_node = world.book.node(base) if base else None
        self.path = path
        self._base, self._start = base, start
        self.absolute = self._absolute(path, start)

    def beside(self, path: bytes) -> Way:
        """The same start, another path."""
        return Way(self.world, self.question, path, self._base, self._start)

    def _absolute(self, path: bytes | None, start: bytes | None) -> bytes | None:
        """The path from the root; None where only the kernel knows where it starts."""
        if path is None:
            return self.start_node.path if self.start_node else None
        if path.startswith(b"/") and not self.question.rules.in_root:
            return path
        path = path.lstrip(b"/")
        if self.start_node is not None:
            return self.start_node.key + b"/" + path if path else self.start_node.path
        if start is None or not start.startswith(b"/") or start.endswith(b" (deleted)"):
            return None
        seen = self.world.resolver.seen(start)
        if seen is None:
            return None
        whole = seen.shown.rstrip(b"/") + b"/" + path
        return whole if len(whole) <= PATH_BYTES else None  # the limit is on what the caller gave

    @property
    def key(self) -> bytes | None:
        """The name to write the answer down under: only what starts below the prefix, and is walked as ever.

        None also where not everybody may come by that name: what is above a descriptor does not count for who has it.
        """
        if self.absolute is None or not self.path or self.question.rules != AS_EVER:
            return None
        if not self.path.startswith(b"/") and self._base and not self.world.book.is_searched(self._base):
            return None
        prefix = self.world.resolver.mounts.begin
        below = self.absolute.startswith(prefix) and self.absolute[len(prefix) : len(prefix) + 1] in (b"", b"/")
        return self.absolute if below else None

    def resolve(self, follow: bool, *, real: bool = False) -> Resolution | None:
        """Where it leads; None: the host knows.  With the task's credentials where those matter."""
        if self.absolute is None:
            return None
        if not self.path and self.start_node is not None:  # what a descriptor names
            return Resolution(self.start_node, universal=True)
        path, start = self._walk()
        resolve = partial(
            self.world.resolver.resolve, path, follow=follow, host=self.host, start=start, rules=self.question.rules
        )
        try:
            found = resolve()
        except PathError as error:
            if error.universal:
                raise
            return resolve(credentials=credentials_of(self.question.task, real=real))
        return found if found.universal else resolve(credentials=credentials_of(self.question.task, real=real))

    def _walk(self) -> tuple[bytes, Node | HostPath | None]:
        """The path to be resolved, and where from; None: from the root."""
        assert self.absolute is not None
        path, rules = self.path or b".", self.question.rules
        if path.startswith(b"/") and not rules.in_root:
            return path, None
        if self.start_node is not None:
            return path, self.start_node
        if rules != AS_EVER and self._start is not None:
            return path, self.world.resolver.seen(self._start)
        return self.absolute, None


def answer_path(
    world: World, question: Question, *, real: bool = False, seen_only: bool = False
) -> tuple[Answer | None, Node | None, int]:
    """The common part of every call on a path: a final answer, or the node and its inode.

    `seen_only`: nothing will be opened, so that the inode may be 0 where there is no room to remember it.
    """
    way = Way(world, question, question.path, question.base, question.start)
    try:
        found = way.resolve(question.follow, real=real)
    except PathError as error:
        remember_error(world, way, question, error)
        raise
    if found is None:
        return (NATIVE, None), None, 0
    if isinstance(found.target, HostPath):
        return (on_host(world, way, question, found.target, found.universal), None), None, 0
    if seen_only and world.book.passing(found.target):
        return None, found.target, 0
    at = world.book.inode(found.target)
    remember(world, way, question, found, at)
    return None, found.target, at


def shown(world: World, question: Question, node: Node, at: int) -> Answer:
    """The inode, or what it would be, in the mailbox."""
    passing = None if at else world.book.passing(node)
    if passing is None:
        return target(_index.TARGET_INODE, at or world.book.inode(node)), None
    place = world.index.mailbox(question.slot)
    return target(_index.TARGET_INODE, place), passing.record(place)


def on_host(world: World, way: Way, question: Question, place: HostPath, universal: bool) -> int:
    """The path ends on the host: the kernel's turn, with the path that gets it there.

    That is written down where the kernel's failure tells when the host's own links have come to lead to us; where the
    host has a /cvmfs it may not fail, and only what nobody in this job can change is written down.
    """
    home = world.home
    if not home.has_prefix and not question.rules.scoped and (way.path == way.absolute or place.path != way.absolute):
        world.book.enter_missing(way.host.missing_part(place.path))
    if place.path == way.absolute:
        settled = way.key is None and home.has_prefix and question.rules == AS_EVER and way.path == place.path
        if settled and way.host.root == home.root and home.is_settled(place.path):
            world.book.enter(place.path, question.follow, NATIVE)
        return NATIVE
    if question.rules.scoped:  # from the host's directory that the call names, as the call has it
        start = question.start or b"/"
        return target(_index.TARGET_HOST, world.book.text(place.path[len(start) :].lstrip(b"/") or b"."))
    word = target(_index.TARGET_HOST, world.book.text(place.path))
    if way.key is not None and universal and not home.has_prefix:
        world.book.enter(way.key, question.follow, word)
    return word


def remember(world: World, way: Way, question: Question, found: Resolution, at: int) -> None:
    """Write down the whole directory that the object is in, and the answer itself where that does not say it all."""
    assert isinstance(found.target, Node)
    if not world.book.is_full:
        world.book.enter_passed(found.passed)
        list_quietly(world, world.book.parent(found.target) or at)
    if way.key is not None and found.universal:
        world.book.enter_node(way.key, question.follow, at)


def remember_error(world: World, way: Way, question: Question, error: PathError) -> None:
    """ENOENT and its like hold for the whole job where they hold for every user."""
    if isinstance(error.place, Node) and not world.book.is_full:
        world.book.enter_passed(error.passed)
        list_quietly(world, world.book.inode(error.place))
    if way.key is not None and error.universal:
        world.book.enter(way.key, question.follow, target_errno(errno_of(error)))


def list_quietly(world: World, at: int) -> None:
    """List a directory ahead of need; where that fails, whoever needs it will be told."""
    try:
        world.book.list_directory(at)
    except HepwrapError as error:
        world.log(str(error))


def known(world: World, question: Question) -> int:
    """What the index says by now, as the runtime would find it: others may have asked meanwhile."""
    if not question.path or not (question.base or question.path.startswith(b"/")) or question.rules != AS_EVER:
        return 0
    base = 0 if question.path.startswith(b"/") else question.base
    return world.index.lookup(base, question.path, question.follow)


def open_known(world: World, question: Question) -> int:
    """The inode of a directory or file that is known, that everybody may read, and that is only read; 0: think."""
    word = known(world, question)
    at = word & (1 << _index.TARGET_SHIFT) - 1
    if word != target(_index.TARGET_INODE, at) or question.flags & NOT_PLAINLY_READ:
        return 0
    mode, _ = world.book.shape(at)
    if not (stat.S_ISREG(mode) and not question.flags & os.O_DIRECTORY) and not stat.S_ISDIR(mode):
        return 0
    return at if world.book.flags(at) & (_index.INODE_READ_YES | _index.INODE_UNCHECKED) else 0


# One function for each treatment of syscalls.def.


def on_attributes(world: World, question: Question) -> Answer:
    """stat, readlink, statfs: the inode says it all."""
    word = known(world, question)
    if word >> _index.TARGET_SHIFT in (_index.TARGET_INODE, _index.TARGET_ERRNO):
        return word, None
    done, node, at = answer_path(world, question, seen_only=True)
    if done:
        return done
    assert node is not None
    return shown(world, question, node, at)


def on_access(world: World, question: Question) -> Answer:
    """access(2): with the real ids, faccessat2's AT_EACCESS with the effective ones."""
    real = not question.flags & 0x200
    done, node, at = answer_path(world, question, real=real, seen_only=True)
    if done:
        return done
    assert node is not None
    mode = question.arguments[1 if question.number == 21 else 2] & 7
    attributes = node.mount.attributes(node.entry)
    if mode:
        access(attributes, credentials_of(question.task, real=real), mode)
    return shown(world, question, node, at)


def on_open(world: World, question: Question) -> Answer:
    """open(2) and its family."""
    flags = question.flags
    if at := open_known(world, question):
        return opened(world, at)
    if flags & os.O_CREAT and names_directory(Way(world, question, question.path, question.base, question.start)):
        return target_errno(errno.EISDIR), None
    try:
        done, node, at = answer_path(world, question)
    except NotFound as error:
        if flags & os.O_CREAT and getattr(error, "last_component", False):
            return target_errno(errno.EROFS), None
        raise
    if done:
        return done
    assert node is not None
    refusal = errno.EISDIR if flags & os.O_CREAT and has_slash(question.path) else refuse_open(node, flags)
    if refusal:
        return target_errno(refusal), None
    if not flags & os.O_PATH and not node.entry.is_symlink:
        want = {os.O_RDONLY: R_OK, os.O_WRONLY: W_OK}.get(flags & os.O_ACCMODE, R_OK | W_OK)
        attributes, credentials = node.mount.attributes(node.entry), credentials_of(question.task)
        access(attributes, credentials, want)
        if flags & os.O_NOATIME and not owns(attributes, credentials):
            return target_errno(errno.EPERM), None
    return opened(world, at)


def opened(world: World, at: int) -> Answer:
    """Something stands for it; a directory is listed too, since that is what it is opened for."""
    world.stand_in(at)
    if not world.book.is_full:
        list_quietly(world, at)
    return target(_index.TARGET_INODE, at), None


def names_directory(way: Way) -> bool:
    """Whether a path, or the last link on it, ends in a slash: open_last_lookups() does not create a directory."""
    for _ in range(MAXIMUM_LINKS):
        path = way.path or b""
        bare = path.rstrip(b"/")
        above, _, name = bare.rpartition(b"/")
        if name in (b"", b".", b".."):
            return False
        try:
            directory = way.beside(above + b"/." if above else b"/" if path.startswith(b"/") else b".").resolve(True)
            if path != bare and place_of(way.world, way).is_top:
                return True
            if directory is None or not isinstance(directory.target, Node) or path != bare:
                return directory is not None and isinstance(directory.target, Node)
            found = way.beside(bare).resolve(False)
        except PathError:
            return False
        if found is None or not isinstance(found.target, Node):
            return False
        node, rules = found.target, way.question.rules
        if not node.entry.is_symlink or not way.question.follow or rules.no_symlinks:
            return False
        link = node.mount.target_of(node.entry)
        there = os.path.dirname(node.path) if rules == AS_EVER else above or b"/" * path.startswith(b"/") or b"."
        way = way.beside(link if link.startswith(b"/") else there + b"/" + link)
    return False


def has_slash(path: bytes | None) -> bool:
    """Whether a name is followed by a slash: as above, where a link of the host's, or of /proc, has led to us."""
    bare = (path or b"").rstrip(b"/")
    return bare != path and bare.rpartition(b"/")[2] not in (b"", b".", b"..")


def refuse_open(node: Node, flags: int) -> int:
    """What only flags and the type decide, in the order of the kernel's do_open(); 0: go on."""
    if flags & os.O_PATH:
        return 0
    if flags & (os.O_TMPFILE & ~os.O_DIRECTORY):
        return errno.EROFS if node.entry.is_dir else errno.ENOTDIR
    if flags & os.O_CREAT and flags & os.O_EXCL:
        return errno.EEXIST
    if flags & os.O_CREAT and node.entry.is_dir:
        return errno.EISDIR
    if flags & os.O_DIRECTORY and not node.entry.is_dir:
        return errno.ENOTDIR
    if node.entry.is_dir and flags & (os.O_ACCMODE | os.O_TRUNC):
        return errno.EISDIR
    if flags & os.O_TRUNC and is_read_only(node.mount.attributes(node.entry)) and not node.entry.is_symlink:
        return errno.EROFS
    return 0


def on_chdir(world: World, question: Question) -> Answer:
    """chdir(2): into the stand-in."""
    done, node, at = answer_path(world, question)
    if done:
        return done
    assert node is not None
    if node.entry.is_dir:
        access(node.mount.attributes(node.entry), credentials_of(question.task), X_OK)
        world.stand_in(at)
    return target(_index.TARGET_INODE, at), None


def on_change_by_descriptor(world: World, question: Question) -> Answer:
    """fchdir(2): the stand-in's own mode lets everybody in."""
    node = world.book.node(question.base)
    if node is not None and node.entry.is_dir:
        access(node.mount.attributes(node.entry), credentials_of(question.task), X_OK)
    return NATIVE, None


def on_stand_in(world: World, question: Question) -> Answer:
    """Calls that need an object of the kernel's, whatever it is."""
    done, node, at = answer_path(world, question)
    if done:
        return done
    assert node is not None
    if question.number in WATCHERS:
        place, only_directories = WATCHERS[question.number]
        if question.arguments[place] & only_directories and not node.entry.is_dir:
            return target_errno(errno.ENOTDIR), None
        access(node.mount.attributes(node.entry), credentials_of(question.task), R_OK)
    world.stand_in(at)
    return target(_index.TARGET_INODE, at), None


def on_refused(world: World, question: Question) -> Answer:
    """Calls that need a mount or a device: nothing of ours is one."""
    done, node, _ = answer_path(world, question, seen_only=True)
    if done:
        return done
    assert node is not None
    return target_errno(refusal(world, question, node)), None


def on_mounts(world: World, question: Question) -> Answer:
    """As on_refused; the source of a bind mount is looked at too: the kernel must not find another thing there."""
    source = source_of(world, question) if is_bind(question) else None
    if source is None:
        return on_refused(world, question)
    done, node, _ = answer_path(world, question, seen_only=True)
    if node is not None:
        return target_errno(refusal(world, question, node)), None
    shown_elsewhere(world, question, source)
    return (MISSING, None) if done is None or done[0] >> _index.TARGET_SHIFT != _index.TARGET_ERRNO else done


def source_of(world: World, question: Question) -> Node | None:
    """What a bind mount would show elsewhere, where that is virtual."""
    if not question.second_path:
        return None
    try:
        found = Way(world, question, question.second_path, question.second_base, question.start).resolve(True)
    except PathError:
        return None
    return found.target if found is not None and isinstance(found.target, Node) else None


def on_tree(world: World, question: Question) -> Answer:
    """open_tree(2): the opening of a path, or a copy of a mount."""
    if not question.arguments[2] & OPEN_TREE_CLONE:
        return on_open(world, question)
    done, node, _ = answer_path(world, question, seen_only=True)
    if done:
        return done
    assert node is not None
    return target_errno(shown_elsewhere(world, question, node)), None


def on_list(world: World, question: Question) -> Answer:
    """getdents: the directory is the base, the position the second."""
    world.book.list_directory(question.base)
    if world.book.is_listed(question.base):
        return target(_index.TARGET_INODE, question.base), None
    place = world.index.mailbox(question.slot)
    return target(_index.TARGET_DATA), world.book.part_of_listing(question.base, question.second_base, place)


def attributed(world: World, question: Question) -> tuple[Answer | None, Node | None]:
    """The node whose extended attributes are asked for: by descriptor, or by path."""
    if question.path is None or (not question.path and question.base):
        return None, world.book.node(question.base)
    done, node, _ = answer_path(world, question, seen_only=True)
    return done, node


def on_get_attribute(world: World, question: Question) -> Answer:
    """getxattr(2) and its family."""
    done, node = attributed(world, question)
    if done or node is None:
        return done or (target_errno(errno.ENODATA), None)
    name = question.second_path or b""
    if name.startswith(b"system."):  # as foreign_attribute() of runtime/names.h
        return target_errno(errno.EOPNOTSUPP), None
    magic = world.magic(node.mount)
    if magic is None:
        if name == world.launch_attribute[0]:
            return target(_index.TARGET_DATA), world.launch_attribute[1]
        raise NoAttribute("/cvmfs itself has no such attribute")
    if name.startswith(b"user."):  # xattr_permission(): theirs is the content's protection
        if not (node.entry.is_file or node.entry.is_dir):
            raise NoAttribute(f"{os.fsdecode(node.path)} is of a kind that has no such attributes")
        access(node.mount.attributes(node.entry), credentials_of(question.task), R_OK)
    return target(_index.TARGET_DATA), magic.get(node.entry, name)


def on_list_attributes(world: World, question: Question) -> Answer:
    """listxattr(2) and its family: names, each with a NUL."""
    done, node = attributed(world, question)
    if done or node is None:
        return done or (target_errno(0), None)
    magic = world.magic(node.mount)
    names = magic.names(node.entry) if magic else []
    return target(_index.TARGET_DATA), b"".join(name + b"\0" for name in names)


def on_write(world: World, question: Question) -> Answer:
    """Calls that would write to what one path names."""
    way = Way(world, question, question.path, question.base, question.start)
    return verdict_on_write(world, question, way), None


def on_two(world: World, question: Question) -> Answer:
    """rename, link: across the border or inside."""
    old = Way(world, question, question.path, question.base, question.start)
    new = Way(world, question, question.second_path, question.second_base, None)
    return verdict_on_two(world, question, old, new), None


def on_address(world: World, question: Question) -> Answer:
    """bind, connect: the path in a socket's address."""
    way = Way(world, question, question.path, question.base, question.start)
    return verdict_on_address(world, question, way), None


def on_unknown(world: World, question: Question) -> Answer:
    """A call that no handler here is for."""
    del world
    raise InvalidOperation(f"system call {question.number} cannot be asked about")


HANDLERS: dict[str, Callable[[World, Question], Answer]] = {
    "open": on_open, "openat2": on_open, "open_tree": on_tree, "creat": on_open,
    "stat": on_attributes, "lstat": on_attributes, "newfstatat": on_attributes, "statx": on_attributes,
    "readlink": on_attributes, "readlinkat": on_attributes, "statfs": on_attributes,
    "access": on_access, "faccessat": on_access, "faccessat2": on_access,
    "getdents": on_list, "getdents64": on_list,
    "chdir": on_chdir, "fchdir": on_change_by_descriptor, "standin": on_stand_in,
    "getxattr": on_get_attribute, "lgetxattr": on_get_attribute, "fgetxattr": on_get_attribute,
    "getxattrat": on_get_attribute,
    "listxattr": on_list_attributes, "llistxattr": on_list_attributes, "flistxattr": on_list_attributes,
    "listxattrat": on_list_attributes,
    "address": on_address, "refused": on_refused, "mounts": on_mounts,
    "entry": on_write, "write1": on_write, "write2": on_two,
}  # fmt: skip
