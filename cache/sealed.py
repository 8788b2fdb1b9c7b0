"""Sealed memory files: the kernel objects behind what programs open (memfd_create(2), fcntl(2)).

Owns every system call on them.  Must not know keys, limits or objects.
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
from collections.abc import Hashable

from hepwrap.records import dataclass

#: From linux/memfd.h, since Linux 6.3: the file may be executed, said openly.
MFD_EXEC = 0x10
#: From linux/fcntl.h; Python 3.11 does not name F_SETSIG.
F_SETSIG = 10
SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
#: memfd_create(2): names are at most 249 bytes; they only show in /proc.
NAME_BYTES = 249
#: What their names begin with in /proc.
MEMORY = b"/memfd:"


@dataclass(frozen=True, slots=True)
class MemoryFile:
    """One file as programs open it: through /proc/<server>/fd/<fd> or by its name, unchangeable, mode 0555."""

    key: Hashable
    #: Ours; read-only, close-on-exec.
    fd: int
    #: Bytes.
    size: int
    #: st_dev and st_ino of the memory file itself.
    device: int
    inode: int


def create(name: str) -> int:
    """An empty memory file, writable through the descriptor returned and no other.  Raises OSError."""
    text = _fitting(name)
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    try:
        fd = os.memfd_create(os.fsdecode(text), flags | MFD_EXEC)
    except OSError as error:
        # EINVAL: before 6.3.  EACCES: vm.memfd_noexec=2, then nothing can be executed from memory, but all be read.
        if error.errno not in (errno.EINVAL, errno.EACCES):
            raise
        fd = os.memfd_create(os.fsdecode(text), flags)
    return fd


def shown_as(name: str) -> bytes:
    """What /proc calls a file that was created by that name."""
    return MEMORY + _fitting(name)


def name_shown(shown: bytes) -> bytes | None:
    """The name that a file was created by which /proc shows so, as far as it fits; None: it is no memory file."""
    return shown[len(MEMORY) :] if shown.startswith(MEMORY) else None


def _fitting(name: str) -> bytes:
    return os.fsencode(name).replace(b"\0", b"?")[:NAME_BYTES]


def write_all(fd: int, data: bytes | memoryview, offset: int) -> None:
    """All of `data` at `offset`.  Raises OSError."""
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, offset)
        view = view[written:]
        offset += written


def seal(fd: int, key: Hashable) -> MemoryFile:
    """Make `fd` unchangeable for good and take it over; where that fails it is closed.  Raises OSError."""
    try:
        try:
            os.fchmod(fd, 0o555)
        except PermissionError:
            os.fchmod(fd, 0o444)  # vm.memfd_noexec has sealed the execute bits away
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, SEALS)
        # Kept read-only: a descriptor handed over can write nothing, and `is_open_elsewhere` needs it.
        kept = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(fd)
    status = os.fstat(kept)
    return MemoryFile(key, kept, status.st_size, status.st_dev, status.st_ino)


def read_all(file: MemoryFile) -> bytes:
    """Its content.  Raises OSError."""
    return os.pread(file.fd, file.size, 0)


def last_read(file: MemoryFile) -> int:
    """When somebody last read, mapped or executed it, in nanoseconds of the real-time clock (its atime)."""
    return os.fstat(file.fd).st_atime_ns


def is_open_elsewhere(file: MemoryFile) -> bool:
    """Whether any process has it open or mapped, besides our own descriptor; False where the kernel does not tell.

    A write lease is granted only to the one opener of a file (fcntl(2), "Leases").  It is given back at once; who
    opens the file in that instant waits for it.  The signal for that case is chosen anew each time,
    since giving a lease back resets it to SIGIO, which would end us; SIGURG is ignored by default.
    """
    try:
        fcntl.fcntl(file.fd, F_SETSIG, signal.SIGURG)
        fcntl.fcntl(file.fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN
    fcntl.fcntl(file.fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False


def open_again(fd: int, flags: int) -> int:
    """Open what is open as `fd` once more, close-on-exec, whatever it is.  Raises OSError.

    Who does not wait (O_NONBLOCK) is refused with EAGAIN while another thread of ours looks with a lease, as above.
    That is nothing to be told to a program, so then we wait, and the flag is set afterwards.
    """
    name, flags = f"/proc/self/fd/{fd}", flags | os.O_CLOEXEC
    try:
        return os.open(name, flags)
    except BlockingIOError:
        again = os.open(name, flags & ~os.O_NONBLOCK)
    fcntl.fcntl(again, fcntl.F_SETFL, fcntl.fcntl(again, fcntl.F_GETFL) | os.O_NONBLOCK)
    return again
