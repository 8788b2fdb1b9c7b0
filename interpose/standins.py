"""Kernel objects that stand in for virtual ones: an empty deleted directory, a deleted link, a deleted pipe.

Owns their making and their descriptors.  Must not know what they stand for.  Nothing remains on disk, whatever dies:
each object is made, opened and removed at once; what a kill in between left is swept by the next launch.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Callable, Iterable

from hepwrap.errors import LaunchError

_STALE = re.compile(r"\.hepwrap-(\d+)-\d+")


def candidate_directories(environ: dict[str, str]) -> list[str]:
    """Where stand-ins may be made, memory first: most nodes have no local disk."""
    named = [environ.get("XDG_RUNTIME_DIR", ""), environ.get("TMPDIR", ""), environ.get("HOME", "")]
    return [path for path in ("/dev/shm", named[0], named[1], "/tmp", "/var/tmp", named[2]) if path]


class StandIns:
    """Makes stand-ins in the first directory of `directories` that lets us; LaunchError where none does."""

    def __init__(self, directories: Iterable[str]) -> None:
        self._count = 0
        reasons = []
        for directory in directories:
            try:
                self._place = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except OSError as error:
                reasons.append(f"{directory}: {error.strerror}")
                continue
            try:
                sweep(self._place)
                probe = self.make(stat.S_IFDIR | 0o555)
            except OSError as error:
                reasons.append(f"{directory}: {error.strerror}")
                os.close(self._place)
                continue
            self.device = os.fstat(probe).st_dev
            os.close(probe)
            return
        raise LaunchError(f"no directory to work in ({'; '.join(reasons)}); set TMPDIR to one that can be written to")

    def make(self, mode: int, link: bytes = b"x") -> int:
        """A descriptor of a new object of that st_mode; `link` is the target of a symbolic link."""
        self._count += 1
        name = f".hepwrap-{os.getpid()}-{self._count}"
        maker, flags, remove = _KINDS.get(stat.S_IFMT(mode), _KINDS[stat.S_IFREG])
        maker(name, link, self._place)
        try:
            fd = os.open(name, flags | os.O_CLOEXEC, dir_fd=self._place)
        finally:
            remove(name, dir_fd=self._place)
        if stat.S_IFMT(mode) in (stat.S_IFDIR, stat.S_IFIFO):
            # A descriptor by path only cannot be changed: go through /proc, as programs will.
            os.chmod(f"/proc/self/fd/{fd}", 0o555 if stat.S_ISDIR(mode) else stat.S_IMODE(mode))
        return fd


def _make_directory(name: str, link: bytes, place: int) -> None:
    del link
    os.mkdir(name, 0o700, dir_fd=place)


def _make_link(name: str, link: bytes, place: int) -> None:
    os.symlink(link or b".", os.fsencode(name), dir_fd=place)


def _make_fifo(name: str, link: bytes, place: int) -> None:
    del link
    os.mkfifo(name, 0o600, dir_fd=place)


def _make_file(name: str, link: bytes, place: int) -> None:
    del link
    os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_RDONLY | os.O_CLOEXEC, 0o400, dir_fd=place))


_Maker = Callable[[str, bytes, int], None]
#: By type: how it is made, how it is opened, how it is removed.  Sockets and devices, which nobody may open here for
#: more than their path, are stood in for by an empty file.
_KINDS: dict[int, tuple[_Maker, int, Callable[..., None]]] = {
    stat.S_IFDIR: (_make_directory, os.O_RDONLY | os.O_DIRECTORY, os.rmdir),
    stat.S_IFLNK: (_make_link, os.O_PATH | os.O_NOFOLLOW, os.unlink),
    stat.S_IFIFO: (_make_fifo, os.O_PATH | os.O_NOFOLLOW, os.unlink),
    stat.S_IFREG: (_make_file, os.O_PATH | os.O_NOFOLLOW, os.unlink),
}


def sweep(place: int) -> None:
    """Remove what launches left that were killed between making and removing."""
    for name in os.listdir(place):
        match = _STALE.fullmatch(name)
        if match is None or os.path.exists(f"/proc/{match[1]}"):
            continue
        with contextlib.suppress(OSError):
            if stat.S_ISDIR(os.lstat(name, dir_fd=place).st_mode):
                os.rmdir(name, dir_fd=place)
            else:
                os.unlink(name, dir_fd=place)
