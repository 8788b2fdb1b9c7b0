"""Run as root of some namespace: copies a tree into a file system of its own, closes that, becomes the command.

    python mounted_copy.py TREE PLACE -- CMD ...

Not a read-only *mount* of the tree: there the kernel looks at mode bits before EROFS, while on a file system that is
read-only as a whole, as a mounted repository is, EROFS comes first.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys

MS_RDONLY, MS_REMOUNT = 1, 32


def mount(place: str, flags: int) -> None:
    """mount(2) of a tmpfs."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"tmpfs", os.fsencode(place), b"tmpfs", ctypes.c_ulong(flags), b"mode=755"):
        raise OSError(ctypes.get_errno(), f"mount of {place}")


def main() -> None:
    """Mount, copy, close, execute."""
    tree, place, _, *command = sys.argv[1:]
    mount(place, 0)
    subprocess.run(["cp", "-a", f"{tree}/.", place], check=True)
    mount(place, MS_REMOUNT | MS_RDONLY)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
