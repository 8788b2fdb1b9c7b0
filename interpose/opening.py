"""What the answer to the opening of a path is, in the order of the kernel's own checks (fs/open.c, fs/namei.c).

Owns the flags of open(2).  Must not know how a descriptor comes to be.
"""

from __future__ import annotations

import errno
import os
import stat

from hepwrap.errors import NotFound, PathError
from hepwrap.interpose.lookup import NATIVE, Answer, Found, known, list_quietly, look_up, on_object
from hepwrap.interpose.question import Question
from hepwrap.interpose.refusing import OPEN_TREE_CLONE, shown_elsewhere
from hepwrap.interpose.task import credentials_of
from hepwrap.interpose.way import Way
from hepwrap.interpose.world import World
from hepwrap.interpose.writing import leave_to_host, place_of
from hepwrap.vfs.index import _index
from hepwrap.vfs.index.layout import target, target_errno
from hepwrap.vfs.permissions import R_OK, W_OK, access, is_read_only, owns
from hepwrap.vfs.resolve import MAXIMUM_LINKS, Node
from hepwrap.vfs.rules import AS_EVER

#: Flags of open(2) that say more than "read it", as far as they matter to who may.
NOT_PLAINLY_READ = os.O_ACCMODE | os.O_CREAT | os.O_TRUNC | os.O_PATH | os.O_NOATIME | (os.O_TMPFILE & ~os.O_DIRECTORY)


def on_open(world: World, question: Question) -> Answer:
    """open(2) and its family."""
    flags = question.flags
    if at := open_known(world, question):
        return opened(world, at)
    if flags & os.O_CREAT:
        way = Way.of(world, question)
        if names_directory(way):
            return target_errno(errno.EISDIR), None
        if has_slash(question.path):  # in a directory of the host: the kernel does not look at the name itself
            place = place_of(world, way)
            return NATIVE if question.rules != AS_EVER else leave_to_host(world, way, place), None
    try:
        found = look_up(world, question)
    except NotFound as error:
        if flags & os.O_CREAT and getattr(error, "last_component", False):
            return target_errno(errno.EROFS), None
        raise
    if not isinstance(found, Found):
        return found
    node = found.node
    refusal = errno.EISDIR if flags & os.O_CREAT and has_slash(question.path) else refuse_open(node, flags)
    if refusal:
        return target_errno(refusal), None
    if not flags & os.O_PATH and not node.entry.is_symlink:
        want = {os.O_RDONLY: R_OK, os.O_WRONLY: W_OK}.get(flags & os.O_ACCMODE, R_OK | W_OK)
        attributes, credentials = node.mount.attributes(node.entry), credentials_of(question.task)
        access(attributes, credentials, want)
        if flags & os.O_NOATIME and not owns(attributes, credentials):
            return target_errno(errno.EPERM), None
    return opened(world, found.at)


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


def on_tree(world: World, question: Question) -> Answer:
    """open_tree(2): the opening of a path, or a copy of a mount."""
    return (copy_of_mount if question.arguments[2] & OPEN_TREE_CLONE else on_open)(world, question)


@on_object(seen_only=True)
def copy_of_mount(world: World, question: Question, found: Found) -> Answer:
    """There is no mount to be copied."""
    return target_errno(shown_elsewhere(world, question, found.node)), None


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
