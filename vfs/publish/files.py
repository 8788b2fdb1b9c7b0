"""Files of a store on disk: made whole or not at all.  Knows modes and durability, not what files mean."""

from __future__ import annotations

import contextlib
import ctypes
import os
import tempfile
from pathlib import Path

from hepwrap.errors import UsageError

#: What a web server must be able to read, whatever the umask of whoever publishes.
PUBLIC_FILE, PUBLIC_DIRECTORY = 0o644, 0o755
PRIVATE_FILE, PRIVATE_DIRECTORY = 0o600, 0o700


def make_directory(path: Path, mode: int) -> None:
    """Make `path` with exactly `mode`; one that exists is left as it is."""
    with contextlib.suppress(FileExistsError):
        path.mkdir()
        path.chmod(mode)


def replace_file(path: Path, data: bytes, *, temporary: Path, mode: int = PUBLIC_FILE) -> None:
    """Put `data` at `path`, durably: whoever looks sees the old bytes or all of the new ones, also after a crash.

    `temporary` is a directory of the same file system.
    """
    descriptor, name = tempfile.mkstemp(dir=temporary)
    try:
        write_all(descriptor, data)
        os.fchmod(descriptor, mode)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.replace(name, path)
    sync_directory(path.parent)


def create_file(path: Path, data: bytes, *, mode: int) -> None:
    """Like `replace_file`, but UsageError where `path` is there already; never readable by others on the way."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        write_all(descriptor, data)
        os.fchmod(descriptor, mode)
        os.fsync(descriptor)
        os.link(name, path)
    except FileExistsError:
        raise already_there(path) from None
    finally:
        os.close(descriptor)
        os.unlink(name)
    sync_directory(path.parent)


def already_there(path: Path) -> UsageError:
    """What `create_file` raises."""
    return UsageError(f"{path} is there already and is not overwritten; move it away or choose another place")


def write_all(descriptor: int, data: bytes) -> None:
    """write(2) until nothing is left."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def sync_directory(path: Path) -> None:
    """Make renames in `path` durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file_system(path: Path) -> None:
    """syncfs(2): one durable point for thousands of small objects, instead of an fsync for each."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if libc.syncfs(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(path))
    finally:
        os.close(descriptor)
