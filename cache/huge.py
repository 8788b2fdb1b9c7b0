"""Huge pages behind large sealed memory files, where the kernel gives them (madvise(2), MADV_COLLAPSE, Linux 6.1).

A file on a disk is read and mapped through large folios of the page cache; a sealed file has a folio for each page of
4 KiB unless it is asked for otherwise (one in a mount of ours need not be: the mount says so), and the administrator's
switch for shared memory is off on most machines.
MADV_COLLAPSE is a request, and goes by that switch only where it says `deny`.

Owns that request.  Must not know what the files are.
"""

from __future__ import annotations

import functools
import os
from typing import Any

#: Bytes of a huge page on x86_64.
HUGE = 2 * 1024 * 1024
_PAGE = 4096
_PROT_NONE, _PROT_READ = 0, 1
_MAP_SHARED, _MAP_PRIVATE, _MAP_FIXED, _MAP_ANONYMOUS, _MAP_NORESERVE = 0x01, 0x02, 0x10, 0x20, 0x4000
_MADV_COLLAPSE = 25
_FAILED = -1


def ask(fd: int, size: int) -> bool:
    """Give the empty file `fd` of `size` bytes huge pages as far as whole ones fit; whether the kernel did.

    What is empty cannot collapse, so a page of each huge one is made first.  It does not matter where that fails: the
    file is then filled page by page, as any other.
    """
    length = size // HUGE * HUGE
    if not length:
        return False
    place = _call("mmap", 0, length + HUGE, _PROT_NONE, _MAP_PRIVATE | _MAP_ANONYMOUS | _MAP_NORESERVE, -1, 0)
    if place == _FAILED:
        return False
    try:
        aligned = -(-place // HUGE) * HUGE
        if _call("mmap", aligned, length, _PROT_READ, _MAP_SHARED | _MAP_FIXED, fd, 0) == _FAILED:
            return False
        for start in range(0, length, HUGE):
            os.pwrite(fd, b"\0", start)
        return _call("madvise", aligned, length, _MADV_COLLAPSE) == 0
    finally:
        _call("munmap", place, length + HUGE)


def _call(name: str, *arguments: int) -> int:
    return int(_function(name)(*arguments))


@functools.cache
def _function(name: str) -> Any:
    """A function of the C library: ctypes is loaded with the first large file, and the interpreter lock let go."""
    import ctypes

    word, number = ctypes.c_size_t, ctypes.c_int
    library = ctypes.CDLL(None)
    known = {
        "mmap": (ctypes.c_ssize_t, (word, word, number, number, number, ctypes.c_long)),
        "munmap": (number, (word, word)),
        "madvise": (number, (word, word, number)),
    }
    function = getattr(library, name)
    function.restype, function.argtypes = known[name]
    return function
