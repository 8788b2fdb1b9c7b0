"""What the answer to each kind of call is: the specification that the index lets the runtime replay.

Owns the way from a question to a target word (layout.h), and which function is for which treatment of syscalls.def.
Must not know mailboxes, threads or ptrace.
"""

from __future__ import annotations

import errno
import os

from hepwrap.errors import InvalidOperation, NoAttribute
from hepwrap.interpose.lookup import NATIVE, Answer, Found, Handler, known, look_up, on_object
from hepwrap.interpose.opening import on_open, on_tree
from hepwrap.interpose.question import Question
from hepwrap.interpose.refusing import on_mounts, on_refused
from hepwrap.interpose.task import credentials_of
from hepwrap.interpose.world import World
from hepwrap.interpose.writing import on_address, on_two, on_write
from hepwrap.vfs.index import _index
from hepwrap.vfs.index.layout import target, target_errno
from hepwrap.vfs.permissions import R_OK, X_OK, access
from hepwrap.vfs.resolve import Node

#: inotify_add_watch and fanotify_mark want to be allowed to read; where IN_ONLYDIR and FAN_MARK_ONLYDIR stand.
WATCHERS = {254: (2, 0x01000000), 301: (1, 8)}
ACCESS, AT_EACCESS = 21, 0x200


def shown(world: World, question: Question, found: Found) -> Answer:
    """The inode, or what it would be, in the mailbox."""
    passing = None if found.at else world.book.passing(found.node)
    if passing is None:
        return target(_index.TARGET_INODE, found.at or world.book.inode(found.node)), None
    place = world.index.mailbox(question.slot)
    return target(_index.TARGET_INODE, place), passing.record(place)


def on_attributes(world: World, question: Question) -> Answer:
    """stat, readlink, statfs: the inode says it all."""
    word = known(world, question)
    if word >> _index.TARGET_SHIFT in (_index.TARGET_INODE, _index.TARGET_ERRNO):
        return word, None
    found = look_up(world, question, seen_only=True)
    return shown(world, question, found) if isinstance(found, Found) else found


def on_access(world: World, question: Question) -> Answer:
    """access(2): with the real ids, faccessat2's AT_EACCESS with the effective ones."""
    real = not question.flags & AT_EACCESS
    found = look_up(world, question, real=real, seen_only=True)
    if not isinstance(found, Found):
        return found
    mode = question.arguments[1 if question.number == ACCESS else 2] & 7
    attributes = found.node.mount.attributes(found.node.entry)
    if mode:
        access(attributes, credentials_of(question.task, real=real), mode)
    return shown(world, question, found)


@on_object()
def on_chdir(world: World, question: Question, found: Found) -> Answer:
    """chdir(2): into the stand-in."""
    node = found.node
    if node.entry.is_dir:
        access(node.mount.attributes(node.entry), credentials_of(question.task), X_OK)
        world.stand_in(found.at)
    return target(_index.TARGET_INODE, found.at), None


def on_change_by_descriptor(world: World, question: Question) -> Answer:
    """fchdir(2): the stand-in's own mode lets everybody in."""
    node = world.book.node(question.base)
    if node is not None and node.entry.is_dir:
        access(node.mount.attributes(node.entry), credentials_of(question.task), X_OK)
    return NATIVE, None


@on_object()
def on_stand_in(world: World, question: Question, found: Found) -> Answer:
    """Calls that need an object of the kernel's, whatever it is."""
    node = found.node
    if question.number in WATCHERS:
        place, only_directories = WATCHERS[question.number]
        if question.arguments[place] & only_directories and not node.entry.is_dir:
            return target_errno(errno.ENOTDIR), None
        access(node.mount.attributes(node.entry), credentials_of(question.task), R_OK)
        if node.entry.is_file:  # its watchers would be told that it was deleted, and of nothing after that
            world.keep(found.at)
    world.stand_in(found.at)
    return target(_index.TARGET_INODE, found.at), None


def on_list(world: World, question: Question) -> Answer:
    """getdents: the directory is the base, the position the second."""
    world.book.list_directory(question.base)
    if world.book.is_listed(question.base):
        return target(_index.TARGET_INODE, question.base), None
    place = world.index.mailbox(question.slot)
    return target(_index.TARGET_DATA), world.book.part_of_listing(question.base, question.second_base, place)


def attributed(world: World, question: Question) -> Node | Answer | None:
    """The node whose extended attributes are asked for, by descriptor or path; None: it leads to none."""
    if question.path is None or (not question.path and question.base):
        return world.book.node(question.base)
    found = look_up(world, question, seen_only=True)
    return found.node if isinstance(found, Found) else found


def on_get_attribute(world: World, question: Question) -> Answer:
    """getxattr(2) and its family."""
    node = attributed(world, question)
    if not isinstance(node, Node):
        return node or (target_errno(errno.ENODATA), None)
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
    node = attributed(world, question)
    if not isinstance(node, Node):
        return node or (target_errno(0), None)
    magic = world.magic(node.mount)
    names = magic.names(node.entry) if magic else []
    return target(_index.TARGET_DATA), b"".join(name + b"\0" for name in names)


def on_unknown(world: World, question: Question) -> Answer:
    """A call that no handler here is for."""
    del world
    raise InvalidOperation(f"system call {question.number} cannot be asked about")


HANDLERS: dict[str, Handler] = {
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
