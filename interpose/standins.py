"""Kernel objects that stand in for virtual ones: an empty deleted directory, a deleted link, a deleted pipe.

Owns their making, their descriptors and the mark by which they are told from files of the host.  Must not know what
they stand for.

Nothing remains on disk, whatever dies: each object is made, opened and removed at once.  What a kill in between leaves
is a directory with a random name that nobody holds a lock on (flock(2), which knows no pid namespaces); the next launch
sweeps it.  Who is swept before its lock is there notices, and takes another name.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import stat
from collections.abc import Callable, Iterable

from hepwrap.errors import LaunchError

_NAME = re.compile(r"\.hepwrap-[0-9a-f]{16}")
#: What a placeholder that is no directory is called inside of one.
_INSIDE = "x"
#: Names that are tried; more than one is needed only where somebody sweeps or a clock jumps.
TRIES = 16
#: Nanoseconds that a leftover has been there before it is swept: living ones last for microseconds.
LEAST_AGE = 60 * 10**9
#: Marks are times before 1979, in seconds; files of the host are younger, or all of the same second.
MARKS = 1 << 28


def candidate_directories(environ: dict[str, str]) -> list[str]:
    """Where stand-ins may be made, memory first: most nodes have no local disk."""
    named = [environ.get("XDG_RUNTIME_DIR", ""), environ.get("TMPDIR", ""), environ.get("HOME", "")]
    return [path for path in ("/dev/shm", named[0], named[1], "/tmp", "/var/tmp", named[2]) if path]


class StandIns:
    """Makes stand-ins in the first directory of `directories` that lets us; LaunchError where none does."""

    def __init__(self, directories: Iterable[str]) -> None:
        #: st_mtime of everything that stands in for something in this launch, in seconds.
        self.mark = 1 + int.from_bytes(os.urandom(8)) % MARKS
        reasons = []
        for directory in directories:
            try:
                self._place = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except OSError as error:
                reasons.append(f"{directory}: {error.strerror}")
                continue
            try:
                self.device = self._try_out()
            except OSError as error:
                reasons.append(f"{directory}: {error.strerror}")
                os.close(self._place)
                continue
            return
        raise LaunchError(f"no directory to work in ({'; '.join(reasons)}); set TMPDIR to one that can be written to")

    def make(self, mode: int, link: bytes = b"x") -> int:
        """A descriptor of a new object of that st_mode; `link` is the target of a symbolic link.

        It has no mark yet: that is given when it is known what it stands for.
        """
        name, directory = _make_placeholder(self._place)
        fd = directory
        try:
            if not stat.S_ISDIR(mode):
                fd = _make_inside(directory, mode, link)
        finally:
            os.rmdir(name, dir_fd=self._place)
            if fd == directory:
                with contextlib.suppress(OSError):
                    fcntl.flock(directory, fcntl.LOCK_UN)  # programs may lock what they open
            else:
                os.close(directory)
        if stat.S_IFMT(mode) in (stat.S_IFDIR, stat.S_IFIFO):
            # A descriptor by path only cannot be changed: go through /proc, as programs will.
            os.chmod(f"/proc/self/fd/{fd}", 0o555 if stat.S_ISDIR(mode) else stat.S_IMODE(mode))
        return fd

    def give_mark(self, fd: int) -> None:
        """Make the object known as a stand-in of this launch, before its identity is published.

        Its inode number alone does not say so: the number is given away again when the object is gone.  Nor does the
        time of change, which cannot be chosen.  Files get it from where they are made (cache/stores.py).
        """
        os.utime(f"/proc/self/fd/{fd}", ns=(os.fstat(fd).st_atime_ns, self.mark * 10**9))

    def has_mark(self, status: os.stat_result) -> bool:
        """Whether an object with this status is a stand-in of this launch (`standing_in` of runtime/where.h)."""
        return not (status.st_nlink and status.st_dev == self.device) and status.st_mtime_ns // 10**9 == self.mark

    def _try_out(self) -> int:
        """The device of the objects that are made here; OSError where they would not be what is needed."""
        fd = self.make(stat.S_IFDIR | 0o555)
        try:
            self.give_mark(fd)
            status = os.fstat(fd)
            if not self.has_mark(status):
                raise OSError(0, "its file system does not keep times or links")
        finally:
            os.close(fd)
        sweep(self._place, status.st_ctime_ns)
        return status.st_dev


def _make_placeholder(place: int) -> tuple[str, int]:
    """A new empty directory, locked: its name and a descriptor."""
    for _ in range(TRIES):
        name = f".hepwrap-{os.urandom(8).hex()}"
        with contextlib.suppress(FileExistsError, FileNotFoundError):
            os.mkdir(name, 0o700, dir_fd=place)
            fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=place)
            if _lock(fd, without=True) and os.fstat(fd).st_nlink:
                return name, fd
            os.close(fd)  # a sweeper has been quicker
    raise OSError(0, f"{TRIES} new names were taken at once")


def _lock(fd: int, *, without: bool) -> bool:
    """Whether the directory is ours alone now; `without`: what to say where there are no locks (some NFS)."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return without
    return True


def _make_inside(directory: int, mode: int, link: bytes) -> int:
    """An object of that kind in the directory, opened by path only and removed."""
    _MAKERS.get(stat.S_IFMT(mode), _make_file)(directory, link)
    try:
        return os.open(_INSIDE, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    finally:
        os.unlink(_INSIDE, dir_fd=directory)


def _make_link(place: int, link: bytes) -> None:
    os.symlink(link or b".", os.fsencode(_INSIDE), dir_fd=place)


def _make_fifo(place: int, link: bytes) -> None:
    del link
    os.mkfifo(_INSIDE, 0o600, dir_fd=place)


def _make_file(place: int, link: bytes) -> None:
    del link
    os.close(os.open(_INSIDE, os.O_CREAT | os.O_EXCL | os.O_RDONLY | os.O_CLOEXEC, 0o400, dir_fd=place))


#: Sockets and devices, which nobody may open here for more than their path, are stood in for by an empty file.
_MAKERS: dict[int, Callable[[int, bytes], None]] = {stat.S_IFLNK: _make_link, stat.S_IFIFO: _make_fifo}


def sweep(place: int, now: int) -> None:
    """Remove what launches of this user left that were killed between making and removing.

    `now`: the time of the file system (ctime, ns).  Only directories with such a name, that are ours, old, and locked
    by nobody; links are not followed.
    """
    for name in filter(_NAME.fullmatch, os.listdir(place)):
        with contextlib.suppress(OSError):
            fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=place)
            try:
                if _is_left(fd, now) and _lock(fd, without=False):
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(_INSIDE, dir_fd=fd)
                    os.rmdir(name, dir_fd=place)
            finally:
                os.close(fd)


def _is_left(fd: int, now: int) -> bool:
    status = os.fstat(fd)
    return status.st_uid == os.geteuid() and now - status.st_ctime_ns >= LEAST_AGE
