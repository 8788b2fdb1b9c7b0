"""What calls that would write say of a read-only mount, in the kernel's own order of errors.

Owns the rules of fs/namei.c, fs/open.c and fs/xattr.c for a read-only mount, as a table by call: which look at their
object first (ENOENT and its like win), which are refused before the last component is looked at.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence

from hepwrap.errnos import errno_of
from hepwrap.errors import NotFound, PathError
from hepwrap.interpose.question import Question
from hepwrap.interpose.world import World
from hepwrap.vfs.index import _index
from hepwrap.vfs.index.layout import target, target_errno
from hepwrap.vfs.resolve import HostPath, Node, Resolution

Resolve = Callable[[bool], Resolution | None]
NATIVE = target(_index.TARGET_NATIVE)

#: x86_64 numbers by what the kernel does first (man 2 of each).
CREATES = frozenset({83, 258, 133, 259, 88, 266})  # mkdir mkdirat mknod mknodat symlink symlinkat: EEXIST before EROFS
REMOVES = frozenset({84, 87, 263})  # rmdir unlink unlinkat: EROFS before anything about the last component
TRUNCATE = 76
#: Those of the calls that look at their object which do not follow a last link: lchown lsetxattr lremovexattr.
NOT_FOLLOWING = frozenset({94, 189, 198})
#: Where their flags stand: fchownat 4, fchmodat2 3, utimensat 3, setxattrat 2, removexattrat 2, file_setattr 4.
FLAGS_AT = {260: 4, 452: 3, 280: 3, 463: 2, 466: 2, 469: 4}
AT_SYMLINK_NOFOLLOW, AT_SYMLINK_FOLLOW = 0x100, 0x400
LINKS = frozenset({86, 265})
LINKAT = 265


def verdict_on_write(world: World, question: Question, resolve: Resolve) -> int:
    """The target for a call that would write to what one path names."""
    number = question.number
    if question.path == b"" and number not in FLAGS_AT:
        return target_errno(errno.ENOENT)
    flags = question.arguments[FLAGS_AT[number]] if number in FLAGS_AT else 0
    follow = not (number in CREATES or number in REMOVES or number in NOT_FOLLOWING or flags & AT_SYMLINK_NOFOLLOW)
    try:
        found = resolve(follow)
    except NotFound as error:
        if (number in CREATES or number in REMOVES) and getattr(error, "last_component", False):
            return target_errno(errno.EROFS)
        return target_errno(errno_of(error))
    if found is None:
        return NATIVE
    if isinstance(found.target, HostPath):
        return target(_index.TARGET_HOST, world.book.text(found.target.path))
    return target_errno(on_existing(number, found.target, question.path or b""))


def on_existing(number: int, node: Node, path: bytes) -> int:
    """The errno where the object is there."""
    last = path.rstrip(b"/").rpartition(b"/")[2]
    if number in CREATES:
        return errno.EEXIST
    if number in REMOVES and last in (b".", b".."):
        return (errno.EINVAL if last == b"." else errno.ENOTEMPTY) if number == 84 else errno.EISDIR
    if number in REMOVES and node.entry.path == b"" and number == 84:
        return errno.EBUSY
    if number == TRUNCATE:
        if node.entry.is_dir:
            return errno.EISDIR
        if not node.entry.is_file:
            return errno.EINVAL
    return errno.EROFS


def verdict_on_two(question: Question, resolves: Sequence[Resolve]) -> int:
    """The target for rename and link.  Both parents are looked up first; then the mounts are compared, then EROFS."""
    number = question.number
    sides: list[Resolution | PathError | None] = []
    follow_first = number == LINKAT and bool(question.arguments[4] & AT_SYMLINK_FOLLOW)
    for resolve, follow in zip(resolves, (follow_first, False), strict=True):
        try:
            sides.append(resolve(follow))
        except PathError as error:
            sides.append(error)
    old, new = sides
    for side in (old, new):
        if isinstance(side, PathError) and not (isinstance(side, NotFound) and getattr(side, "last_component", False)):
            return target_errno(errno_of(side))
    if number in LINKS:
        return target_errno(link_errno(old, new))
    if is_ours(old) != is_ours(new):
        return target_errno(errno.EXDEV)
    return target_errno(errno.EROFS) if is_ours(old) else NATIVE


def link_errno(old: Resolution | PathError | None, new: Resolution | PathError | None) -> int:
    """link(2): the old object must be there, the new must not, then the mounts are compared."""
    if isinstance(old, PathError):
        return errno.ENOENT
    if isinstance(new, Resolution) and isinstance(new.target, Node):
        return errno.EEXIST
    return errno.EROFS if is_ours(new) else errno.EXDEV


def is_ours(side: Resolution | PathError | None) -> bool:
    """Whether that side lies below /cvmfs; a name that is missing there is ours too."""
    if isinstance(side, PathError):
        return True
    return side is not None and isinstance(side.target, Node)
