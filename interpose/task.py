"""A task as /proc shows it: its credentials, its root, and the host as it sees it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable

from hepwrap.interpose.namespaces import mapping_of
from hepwrap.vfs.resolve import Credentials, OsHost

CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 1, 2
_SELF = re.compile(rb"/proc/(self|thread-self)(/|$)")
_LINKS = re.compile(rb"/proc/(?:self|thread-self|\d+)(?:/task/\d+)?/(?:exe|cwd|root|fd/\d+)")


def status_of(task: int) -> dict[str, str]:
    """The fields of /proc/<task>/status; empty where the task is gone."""
    try:
        with open(f"/proc/{task}/status", encoding="utf-8", errors="replace") as file:
            return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    except OSError:
        return {}


def credentials_of(task: int, *, real: bool = False) -> Credentials:
    """What file systems look at (credentials(7)); `real`: the real ids, as access(2) does."""
    status = status_of(task)
    column = 0 if real else 3
    uid = int(status.get("Uid", "65534\t" * 4).split()[column])
    gid = int(status.get("Gid", "65534\t" * 4).split()[column])
    groups = frozenset(map(int, status.get("Groups", "").split()))
    capabilities = int(status.get("CapPrm" if real else "CapEff", "0"), 16)
    if not capabilities & (1 << CAP_DAC_OVERRIDE | 1 << CAP_DAC_READ_SEARCH):
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
        uids=uids.outside(),
        gids=mapping_of(task, "gid").outside(),
    )


class TaskHost(OsHost):
    """The host as the task sees it: its /proc/self, its root, and virtual names where links lead to stand-ins.

    `whose(status)` is the virtual path behind a stand-in, or None.
    """

    def __init__(self, task: int, whose: Callable[[os.stat_result], bytes | None]) -> None:
        self._task, self._whose = task, whose
        self._root: bytes | None = None

    def readlink(self, path: bytes) -> bytes | None:
        """As HostView."""
        path = _SELF.sub(self._itself, path)
        target = super().readlink(self._seen(path))
        if target is not None and _LINKS.fullmatch(path):
            try:
                status = os.stat(path)
            except OSError:
                return target
            return self._whose(status) or target
        return target

    def is_searchable(self, path: bytes) -> bool:
        """As HostView."""
        return super().is_searchable(self._seen(_SELF.sub(self._itself, path)))

    def open(self, path: bytes) -> int:
        """A descriptor to read the file that the task would find; OSError."""
        return os.open(self._seen(_SELF.sub(self._itself, path)), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)

    def _itself(self, match: re.Match[bytes]) -> bytes:
        group = int(status_of(self._task).get("Tgid", self._task))
        where = b"/proc/%d" % group
        return where + (b"/task/%d" % self._task if match[1] == b"thread-self" else b"") + match[2]

    def _seen(self, path: bytes) -> bytes:
        """The path from here: below the task's root where that is another than ours."""
        if self._root is None:
            self._root = b"" if self._same_root() else b"/proc/%d/root" % self._task
        return self._root + path if self._root else path

    def _same_root(self) -> bool:
        try:
            theirs, ours = os.stat(f"/proc/{self._task}/root"), os.stat("/")
            same_mounts = os.stat(f"/proc/{self._task}/ns/mnt").st_ino == os.stat("/proc/self/ns/mnt").st_ino
        except OSError:
            return True
        return same_mounts and (theirs.st_dev, theirs.st_ino) == (ours.st_dev, ours.st_ino)
