"""`access` against the kernel, on a tmpfs that is mounted read-only as a whole: every kind, mode, user and wish."""

from __future__ import annotations

import ctypes
import errno
import itertools
import os
import stat
from pathlib import Path

import pytest

from hepwrap.errnos import errno_of
from hepwrap.errors import PathError
from hepwrap.vfs.permissions import Credentials, access
from hepwrap.vfs.shown import Attributes
from tests.helpers.mounting import can_mount, mount_tmpfs, remount_read_only
from tests.helpers.users import USERS, User, in_child

pytestmark = pytest.mark.skipif(not can_mount(), reason="only root with CAP_SYS_ADMIN can mount")

KINDS = (stat.S_IFREG, stat.S_IFDIR, stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR)
MODES = (0, 0o777, 0o755, 0o644, 0o700, 0o070, 0o007, 0o100, 0o010, 0o001, 0o421, 0o124, 0o640)
OWNER, GROUP = 1000, 3000


def make(place: Path, kind: int, mode: int) -> bytes:
    """One object of that kind and mode."""
    name = os.fsencode(place / f"{kind:o}-{mode:o}")
    if kind == stat.S_IFDIR:
        os.mkdir(name)
    elif kind == stat.S_IFREG:
        os.close(os.open(name, os.O_CREAT | os.O_WRONLY))
    else:
        os.mknod(name, kind, os.makedev(1, 3) if kind == stat.S_IFCHR else 0)
    os.chown(name, OWNER, GROUP)
    os.chmod(name, mode)
    return name


def kernel_says(name: bytes, want: int) -> int:
    """0, or the errno of faccessat2(2) with the effective ids."""
    libc = ctypes.CDLL(None, use_errno=True)
    at_eaccess, at_fdcwd, faccessat2 = 0x200, -100, 439
    return ctypes.get_errno() if libc.syscall(faccessat2, at_fdcwd, name, want, at_eaccess) else 0


def we_say(attributes: Attributes, credentials: Credentials, want: int) -> int:
    try:
        access(attributes, credentials, want)
    except PathError as error:
        return errno_of(error)
    return 0


def compare(place: Path, user: User) -> list[str]:
    """Where the two disagree; runs in a process of its own, which becomes `user`."""
    user.become()
    wrong = []
    for kind, mode, want in itertools.product(KINDS, MODES, range(8)):
        ours = we_say(Attributes(kind | mode, OWNER, GROUP, 0, 1), user.credentials(), want)
        kernels = kernel_says(os.fsencode(place / f"{kind:o}-{mode:o}"), want)
        if ours != kernels:
            names = [errno.errorcode.get(number, "granted") for number in (ours, kernels)]
            wrong.append(f"{stat.filemode(kind | mode)} want {want}: ours {names[0]}, the kernel's {names[1]}")
    return wrong


@pytest.mark.parametrize("user", USERS)
def test_access_agrees_with_kernel_on_a_read_only_mount(user: User) -> None:
    place = Path("/tmp/hepwrap-permissions")

    def work() -> list[str]:
        mount_tmpfs("/tmp")
        place.mkdir()
        for kind, mode in itertools.product(KINDS, MODES):
            make(place, kind, mode)
        remount_read_only("/tmp")
        return compare(place, user)

    assert in_child(work) == []
