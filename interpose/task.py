"""A task as /proc shows it: its credentials, its root, and the host as it sees it."""

from __future__ import annotations

import functools
import os
import re
import stat
from collections.abc import Callable

from hepwrap.cache.refusal import reraise_lack
from hepwrap.interpose.namespaces import mapping_of
from hepwrap.interpose.proc import Root, root_at, status_of
from hepwrap.vfs.resolve import Credentials, OsHost

CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER = 1, 2, 3
_SELF = re.compile(rb"/proc/(self|thread-self)(/|$)")
#: What a slash comes after.
_PARTS = re.compile(rb"[^/](?=/)")
_LINKS = re.compile(rb"/proc/(?:self|thread-self|\d+)(?:/task/\d+)?/(?:exe|cwd|root|fd/\d+)")


def credentials_of(task: int, *, real: bool = False) -> Credentials:
    """What file systems look at (credentials(7)); `real`: the real ids, as access(2) does."""
    status = status_of(task)
    column = 0 if real else 3
    uid = int(status.get("Uid", "65534\t" * 4).split()[column])
    gid = int(status.get("Gid", "65534\t" * 4).split()[column])
    groups = frozenset(map(int, status.get("Groups", "").split()))
    capabilities = int(status.get("CapPrm" if real else "CapEff", "0"), 16)
    if not capabilities & (1 << CAP_DAC_OVERRIDE | 1 << CAP_DAC_READ_SEARCH | 1 << CAP_FOWNER):
        return Credentials(uid, gid, groups)
    uids = mapping_of(task, "uid")
    if real and uid != uids.root():  # access_override_creds()
        return Credentials(uid, gid, groups)
    return Credentials(
        uid,
        gid,
        groups,
        dac_override=bool(capabilities >> CAP_DAC_OVERRIDE & 1),
        dac_read_search=bool(capabilities >> CAP_DAC_READ_SEARCH & 1),
        fowner=bool(capabilities >> CAP_FOWNER & 1),
        uids=uids.outside(),
        gids=mapping_of(task, "gid").outside(),
    )


def has_capability(task: int, number: int) -> bool:
    """Whether the task has that capability (capabilities(7)) in effect, in its own user namespace."""
    return bool(int(status_of(task).get("CapEff", "0"), 16) >> number & 1)


def is_no_path(target: bytes) -> bool:
    """Whether a link of /proc tells no way to the object that it leads to: it has lost its name, or never had one."""
    return not target.startswith(b"/") or target.endswith(b" (deleted)")


class TaskHost(OsHost):
    """The host as the task sees it: its /proc/self, its root, and virtual names where links lead to stand-ins.

    `whose(status)` is the virtual path behind a stand-in, or None; `home` is the root that this process sees.
    """

    def __init__(self, task: int, whose: Callable[[os.stat_result], bytes | None], home: Root) -> None:
        self._task, self._whose, self._home = task, whose, home

    def readlink(self, path: bytes) -> bytes | None:
        """As HostView."""
        path = _SELF.sub(self._itself, path)
        target = super().readlink(self._seen(path))
        if target is not None and _LINKS.fullmatch(path):
            try:
                status = os.stat(path)
            except OSError:
                return target
            if stat.S_ISLNK(status.st_mode):  # opened itself: this leads to it, and it leads nowhere
                return None
            return self._whose(status) or (None if is_no_path(target) else target)
        return target

    def is_searchable(self, path: bytes) -> bool:
        """As HostView."""
        return super().is_searchable(self._seen(_SELF.sub(self._itself, path)))

    def missing_part(self, path: bytes) -> bytes:
        """The beginning of an absolute `path`, short of the whole, that ends in a name its directory does not have.

        b"" where there is none: only the last name is missing, or one leads nowhere or to no directory.
        """
        for part in _PARTS.finditer(path):
            seen = self._seen(_SELF.sub(self._itself, path[: part.end()]))
            try:
                os.stat(seen)
            except FileNotFoundError:
                return b"" if os.path.lexists(seen) else path[: part.end()]
            except OSError:
                break
        return b""

    def open(self, path: bytes) -> int:
        """A descriptor to read the file that the task would find; OSError."""
        return os.open(self._seen(_SELF.sub(self._itself, path)), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)

    def _itself(self, match: re.Match[bytes]) -> bytes:
        group = int(status_of(self._task).get("Tgid", self._task))
        where = b"/proc/%d" % group
        return where + (b"/task/%d" % self._task if match[1] == b"thread-self" else b"") + match[2]

    def _seen(self, path: bytes) -> bytes:
        """The path from here: below the task's root where that is another than ours."""
        return path if self.root in (self._home, None) else b"/proc/%d/root" % self._task + path

    @functools.cached_property
    def root(self) -> Root | None:
        """The task's root; None where we may not know."""
        try:
            return root_at(f"/proc/{self._task}/root")
        except OSError as error:
            reraise_lack(error)
            return None
