"""Mounts in a mount namespace of a child's own, for tests that need the kernel's word (mount(2), unshare(2)).

Whatever is mounted is gone with the process that called: nothing outside sees it.
"""

from __future__ import annotations

import ctypes
import os

_CLONE_NEWNS = 0x20000
_MS_RDONLY, _MS_REMOUNT, _MS_REC, _MS_PRIVATE = 1, 32, 1 << 14, 1 << 18


def can_mount() -> bool:
    """Whether this process may mount, found out by a child that tries."""
    if os.geteuid() != 0:
        return False
    child = os.fork()
    if not child:
        try:
            mount_tmpfs("/tmp")
        except OSError:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def mount_tmpfs(place: str) -> None:
    """A new mount namespace, and in it a fresh tmpfs at `place`.  OSError as the kernel refuses."""
    separate()
    mount(b"tmpfs", place, b"tmpfs", 0, b"mode=755")


def remount_read_only(place: str) -> None:
    """Make the whole file system read-only, not just this mount of it."""
    mount(b"tmpfs", place, b"tmpfs", _MS_REMOUNT | _MS_RDONLY, None)


def separate() -> None:
    """A mount namespace of our own, from which nothing gets out."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS):
        raise OSError(ctypes.get_errno(), "unshare")
    mount(b"none", "/", None, _MS_REC | _MS_PRIVATE, None)


def mount(source: bytes, place: str, kind: bytes | None, flags: int, options: bytes | None) -> None:
    """mount(2); OSError as it fails."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(source, os.fsencode(place), kind, ctypes.c_ulong(flags), options):
        raise OSError(ctypes.get_errno(), f"mount of {place}")
