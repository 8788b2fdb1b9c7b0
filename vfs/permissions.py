"""Who may do what, by mode bits: generic_permission() of the kernel, path_resolution(7), capabilities(7).

Owns the rules, as functions of attributes and credentials alone.  Must not know paths, nor how attributes are come by.
Access control lists do not exist here: the format has none.
"""

from __future__ import annotations

import stat

from hepwrap.errors import Denied, ReadOnly
from hepwrap.records import dataclass
from hepwrap.vfs.shown import Attributes

# As access(2) has them; 0 (F_OK) wants nothing but that the object is there.
R_OK, W_OK, X_OK = 4, 2, 1


@dataclass(frozen=True, slots=True)
class Credentials:
    """Of the calling task: the ids that file systems look at (credentials(7)), and three effective capabilities.

    The capabilities count only where the object's owner and group are mapped in the task's user namespace, that is
    in `uids` and `gids`; None: all are.
    """

    uid: int
    gid: int
    groups: frozenset[int] = frozenset()
    dac_override: bool = False
    dac_read_search: bool = False
    fowner: bool = False
    uids: tuple[range, ...] | None = None
    gids: tuple[range, ...] | None = None

    def knows(self, attributes: Attributes) -> bool:
        """privileged_wrt_inode_uidgid() of the kernel: whether capabilities reach this object."""
        return _within(attributes.uid, self.uids) and _within(attributes.gid, self.gids)


def _within(number: int, ranges: tuple[range, ...] | None) -> bool:
    return ranges is None or any(number in each for each in ranges)


def may(attributes: Attributes, credentials: Credentials, want: int) -> bool:
    """Whether mode bits and capabilities grant all of `want`; that the file system is read-only is not asked here."""
    if not attributes.enforced:
        return not _never(attributes, want)
    return want & ~_granted(attributes, credentials) == 0 or _overridden(attributes, credentials, want)


def common(attributes: Attributes, want: int) -> bool | None:
    """The answer of `may` where it is the same for every user, with any capabilities or none; else None."""
    if _never(attributes, want):
        return False
    everyone = attributes.mode >> 6 & attributes.mode >> 3 & attributes.mode
    return True if not attributes.enforced or want & ~everyone == 0 else None


def access(attributes: Attributes, credentials: Credentials, want: int) -> None:
    """Raise what access(2) and open(2) fail with on a read-only mount; ReadOnly comes before Denied.

    Devices, pipes and sockets may be written to: that does not change the file system (inode_permission()).
    """
    if want & W_OK and is_read_only(attributes):
        raise ReadOnly("cannot write: /cvmfs is read-only; write to another directory")
    if not may(attributes, credentials, want):
        raise Denied(
            f"{stat.filemode(attributes.mode)} of {attributes.uid}:{attributes.gid} does not let user {credentials.uid}"
            " do that; ask whoever publishes the repository for access"
        )


def owns(attributes: Attributes, credentials: Credentials) -> bool:
    """Whether the task may do what only owners may (inode_owner_or_capable())."""
    return attributes.uid == credentials.uid or (credentials.fowner and _within(attributes.uid, credentials.uids))


def is_read_only(attributes: Attributes) -> bool:
    """Whether a read-only mount keeps everybody from writing to it, whatever the mode says."""
    return stat.S_ISREG(attributes.mode) or stat.S_ISDIR(attributes.mode) or stat.S_ISLNK(attributes.mode)


def may_follow(link: Attributes, directory: Attributes, credentials: Credentials) -> bool:
    """Where fs.protected_symlinks is set (proc(5)): whether a link at the end of a path may be followed."""
    return common_follow(link, directory) is True or link.uid == credentials.uid


def common_follow(link: Attributes, directory: Attributes) -> bool | None:
    """True where everyone may follow it: not in a sticky directory that all may write to, or owned as that is."""
    shared = stat.S_ISVTX | stat.S_IWOTH
    return True if directory.mode & shared != shared or directory.uid == link.uid else None


def _granted(attributes: Attributes, credentials: Credentials) -> int:
    """The one triple that counts: an owner whom the owner's bits refuse is refused, whatever others may."""
    if attributes.uid == credentials.uid:
        return attributes.mode >> 6 & 7
    if attributes.gid == credentials.gid or attributes.gid in credentials.groups:
        return attributes.mode >> 3 & 7
    return attributes.mode & 7


def _overridden(attributes: Attributes, credentials: Credentials, want: int) -> bool:
    """Whether capabilities grant what the mode bits do not (capable_wrt_inode_uidgid())."""
    if not credentials.knows(attributes):
        return False
    if stat.S_ISDIR(attributes.mode):
        return credentials.dac_override or (credentials.dac_read_search and not want & W_OK)
    if credentials.dac_read_search and want == R_OK:
        return True
    return credentials.dac_override and not _never(attributes, want)


def _never(attributes: Attributes, want: int) -> bool:
    """Executing what has no execute bit at all is refused even to CAP_DAC_OVERRIDE."""
    executable = stat.S_ISDIR(attributes.mode) or attributes.mode & 0o111
    return bool(want & X_OK and not executable)
