"""What calls say of a virtual path that need a mount, a root or a device there: nothing of ours is one.

Owns one rule for each call, in the kernel's order: what kind of object it wants comes before what it may not.  That the
caller lacks a privilege where that is looked at first, the runtime has heard from the kernel (`wrong_for_kernel`).
"""

from __future__ import annotations

import errno
import stat
from collections.abc import Callable

from hepwrap.errors import PathError
from hepwrap.interpose.lookup import MISSING, Answer, Found, look_up, on_object
from hepwrap.interpose.question import Question
from hepwrap.interpose.task import credentials_of, has_capability
from hepwrap.interpose.way import Way
from hepwrap.interpose.world import World
from hepwrap.vfs.index import _index
from hepwrap.vfs.index.layout import target_errno
from hepwrap.vfs.permissions import X_OK, access
from hepwrap.vfs.resolve import Node, text

CAP_SYS_CHROOT, CAP_SYS_ADMIN = 18, 21
OPEN_TREE_CLONE, MS_REMOUNT, MS_BIND, MS_MOVE = 1, 32, 4096, 8192
MOUNT, MOVE_MOUNT, MOVE_MOUNT_F_SYMLINKS = 165, 429, 1
#: What is said once in a job, to those who on a mount could have done it.
_NO_ROOT = "{} can be no root (chroot, pivot_root): refused; start the job with hepwrap --root {} instead"
_NO_MOUNT_POINT = "nothing can be mounted on {}: refused; show it there with hepwrap --bind {}=PATH instead"
_NOT_ELSEWHERE = "{} cannot be mounted elsewhere: refused; reach it by its own path, or by a symbolic link to {}"


def root(world: World, question: Question, node: Node) -> int:
    """chroot(2): the stand-in would be an empty root, in which nothing can live."""
    if not node.entry.is_dir:
        return errno.ENOTDIR
    access(node.mount.attributes(node.entry), credentials_of(question.task), X_OK)
    return _refused(world, question, node, _NO_ROOT, CAP_SYS_CHROOT)


def other_root(world: World, question: Question, node: Node) -> int:
    """pivot_root(2): no mount, so no root to be."""
    if not node.entry.is_dir:
        return errno.ENOTDIR
    _refused(world, question, node, _NO_ROOT, CAP_SYS_ADMIN)
    return errno.EINVAL


def mount_point(world: World, question: Question, node: Node) -> int:
    """mount(2), move_mount(2): the kernel knows nothing there that it could mount on."""
    return _refused(world, question, node, _NO_MOUNT_POINT, CAP_SYS_ADMIN)


def has_source(question: Question) -> bool:
    """Whether it is a mount(2) that would show one path's tree at another, or a move_mount(2) of one by its path."""
    flags = question.arguments[3]
    if question.number == MOUNT:
        return bool(flags & (MS_BIND | MS_MOVE)) and not flags & MS_REMOUNT
    return question.number == MOVE_MOUNT and bool(question.second_path)


def follows_source(question: Question) -> bool:
    """Whether a link at the end of that path is followed."""
    return question.number == MOUNT or bool(question.arguments[4] & MOVE_MOUNT_F_SYMLINKS)


def shown_elsewhere(world: World, question: Question, node: Node) -> int:
    """Binding mount(2), open_tree(2) with OPEN_TREE_CLONE: there is no mount to be copied."""
    return _refused(world, question, node, _NOT_ELSEWHERE, CAP_SYS_ADMIN)


def _refused(world: World, question: Question, node: Node, sentence: str, capability: int) -> int:
    """EPERM; who has the capability, and so could have done it on a mount, is told what to do instead."""
    if has_capability(question.task, capability):
        path = text(node.path)
        world.tell_once(sentence, sentence.format(path, path))
    return errno.EPERM


def mounted(world: World, question: Question, node: Node) -> int:
    """umount2(2), open_tree_attr(2): of something that is no mount, if the caller may do such things at all."""
    del world, node
    return errno.EINVAL if has_capability(question.task, CAP_SYS_ADMIN) else errno.EPERM


def no_mount(world: World, question: Question, node: Node) -> int:
    """fspick(2), mount_setattr(2): the same, of those who may."""
    del world, question, node
    return errno.EINVAL


def block_device(world: World, question: Question, node: Node) -> int:
    """quotactl(2): devices of a repository are of no use, as on any mount with nodev."""
    del world, question
    return errno.EACCES if stat.S_ISBLK(node.entry.mode) else errno.ENOTBLK


def file_to_write(world: World, question: Question, node: Node) -> int:
    """swapon(2), swapoff(2), acct(2): they open it for writing first."""
    del world, question
    return _OPENED_TO_WRITE.get(stat.S_IFMT(node.entry.mode), errno.EACCES)


_OPENED_TO_WRITE = {
    stat.S_IFREG: errno.EROFS, stat.S_IFDIR: errno.EISDIR, stat.S_IFSOCK: errno.ENXIO, stat.S_IFIFO: errno.EINVAL,
}  # fmt: skip
#: x86_64 numbers: chroot, pivot_root, mount, umount2, move_mount, fspick, mount_setattr, open_tree_attr, quotactl,
#: swapon, swapoff, acct.
_RULES: dict[int, Callable[[World, Question, Node], int]] = {
    161: root, 155: other_root, 165: mount_point, 166: mounted, 429: mount_point, 433: no_mount, 442: no_mount,
    467: mounted, 179: block_device, 167: file_to_write, 168: file_to_write, 163: file_to_write,
}  # fmt: skip


@on_object(seen_only=True)
def on_refused(world: World, question: Question, found: Found) -> Answer:
    """The errno of a call on a virtual path that is there; PathError where the caller may not even ask."""
    return target_errno(_RULES[question.number](world, question, found.node)), None


def on_mounts(world: World, question: Question) -> Answer:
    """As on_refused; what would be shown is looked at too: the kernel must not find another thing there."""
    try:
        source = source_of(world, question) if has_source(question) else None
    except PathError:  # what the host has by that name is not meant
        return MISSING, None
    if source is None:
        return on_refused(world, question)
    found = look_up(world, question, seen_only=True)
    if isinstance(found, Found):
        return target_errno(mount_point(world, question, found.node)), None
    shown_elsewhere(world, question, source)
    return found if found[0] >> _index.TARGET_SHIFT == _index.TARGET_ERRNO else (MISSING, None)


def source_of(world: World, question: Question) -> Node | None:
    """What would be shown elsewhere, where that is virtual; PathError where the way there fails in a repository."""
    if not question.second_path:
        return None
    found = Way.of_second(world, question).resolve(follows_source(question))
    return found.target if found is not None and isinstance(found.target, Node) else None
