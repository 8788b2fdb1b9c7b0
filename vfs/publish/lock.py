"""One publisher at a time for one store.  flock(2), so that a killed publisher's lock is gone with it."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hepwrap.errors import PublishFailed
from hepwrap.vfs.publish.files import PRIVATE_FILE


@contextmanager
def publisher_lock(path: Path, *, name: str) -> Iterator[None]:
    """Hold the lock file `path` of the repository `name`; PublishFailed at once where another process has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_FILE)
    try:
        _take(descriptor, path, name)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, path: Path, name: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 200, 0).decode(errors="replace").strip() or "another process"
        raise PublishFailed(
            f"{holder} is publishing {name} into this store and holds {path}; wait until it has ended"
        ) from None
