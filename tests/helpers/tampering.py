"""A hostile program of the same user: makes a file in a store, then tries to change it in every way it knows.

    python -m tests.helpers.tampering sealed|private [UID]

With UID it becomes that user first, for which it must have been started by root.  Prints a line for each way: its name,
and the errno it failed with, or `done`; at the end whether the content is the same.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import os
import struct
import sys
from collections.abc import Callable

from tests.helpers.stores import STORES

CONTENT = b"0123456789abcdef" * 256
FALLOC_PUNCH = 0x3
FS_IOC_SETFLAGS, FS_APPEND = 0x40086602, 0x20
MS_REMOUNT, MS_BIND = 32, 4096
CLONE_NEWUSER, CLONE_NEWNS = 0x10000000, 0x20000
MOUNT_SETATTR, MOUNT_ATTR_RDONLY, AT_EMPTY_PATH = 442, 1, 0x1000
PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS = 4, 38
LIBC = ctypes.CDLL(None, use_errno=True)


def called(name: str, *arguments: object) -> None:
    """A function of the C library; OSError where it fails."""
    if getattr(LIBC, name)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), name)


def map_shared(fd: int) -> None:
    """A mapping that could be written to."""
    mmap.mmap(fd, len(CONTENT), flags=mmap.MAP_SHARED, prot=mmap.PROT_READ | mmap.PROT_WRITE)[0:1] = b"X"


def make_mapping_writable(fd: int) -> None:
    """A mapping that is made so later."""
    LIBC.mmap.restype = ctypes.c_void_p
    place = LIBC.mmap(None, ctypes.c_size_t(4096), mmap.PROT_READ, mmap.MAP_SHARED, fd, ctypes.c_long(0))
    called("mprotect", ctypes.c_void_p(place), ctypes.c_size_t(4096), mmap.PROT_READ | mmap.PROT_WRITE)
    ctypes.memset(place, 88, 1)


def write_to(path: str, flags: int, directory: int | None = None) -> None:
    """Open for writing, and write."""
    fd = os.open(path, flags, 0o600, dir_fd=directory)
    os.pwrite(fd, b"X", 0)


def after_chmod(path: str) -> None:
    """Permission first."""
    try:
        os.chmod(path, 0o777)
    finally:
        write_to(path, os.O_RDWR)


def with_namespaces(way: Callable[[], object]) -> None:
    """As who has all capabilities in a user namespace and a mount namespace of its own; OSError where it fails."""
    child = os.fork()
    if child == 0:
        try:
            called("unshare", CLONE_NEWUSER | CLONE_NEWNS)
            way()
            os._exit(0)
        except OSError as error:
            os._exit(error.errno or errno.EIO)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code:
        raise OSError(code, "in namespaces")


def make_mount_writable(directory: int) -> None:
    """mount_setattr(2): take MOUNT_ATTR_RDONLY away."""
    attributes = struct.pack("QQQQ", 0, MOUNT_ATTR_RDONLY, 0, 0)
    called("syscall", MOUNT_SETATTR, directory, b"", AT_EMPTY_PATH, attributes, ctypes.c_size_t(len(attributes)))


Way = tuple[str, Callable[[], object]]


def on_file(fd: int, path: str) -> list[Way]:
    """What can be tried on a file that is open as `fd`, called `path` too."""
    other = os.memfd_create("other")
    os.write(other, b"X" * 10)
    os.lseek(other, 0, os.SEEK_SET)
    return [
        ("write", lambda: os.pwrite(fd, b"X", 0)),
        ("ftruncate", lambda: os.ftruncate(fd, 0)),
        ("truncate", lambda: os.truncate(path, 0)),
        ("open O_WRONLY", lambda: write_to(path, os.O_WRONLY)),
        ("open O_RDWR", lambda: write_to(path, os.O_RDWR)),
        ("open O_APPEND", lambda: write_to(path, os.O_WRONLY | os.O_APPEND)),
        ("open O_TRUNC", lambda: os.open(path, os.O_WRONLY | os.O_TRUNC)),
        ("open O_RDONLY O_TRUNC", lambda: os.open(path, os.O_RDONLY | os.O_TRUNC)),
        ("open O_CREAT O_TRUNC", lambda: write_to(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)),
        ("chmod, then open", lambda: after_chmod(path)),
        ("sendfile to it", lambda: os.sendfile(fd, other, 0, 10)),
        ("copy_file_range to it", lambda: os.copy_file_range(other, fd, 10, 0, 0)),
        ("fallocate", lambda: os.posix_fallocate(fd, 0, 2 * len(CONTENT))),
        ("punch a hole", lambda: called("fallocate", fd, FALLOC_PUNCH, ctypes.c_long(0), ctypes.c_long(4096))),
        ("map it shared", lambda: map_shared(fd)),
        ("mprotect a mapping", lambda: make_mapping_writable(fd)),
        ("F_ADD_SEALS", lambda: fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)),
    ]


def on_attributes(fd: int, path: str) -> list[Way]:
    """What only changes what is said of a file."""
    return [
        ("fchmod", lambda: os.fchmod(fd, 0o777)),
        ("chmod", lambda: os.chmod(path, 0o777)),
        ("chown", lambda: os.chown(path, os.geteuid(), os.getegid())),
        ("futimens", lambda: os.utime(fd, ns=(1, 1))),
        ("utimensat", lambda: os.utime(path, ns=(1, 1))),
        ("user attribute", lambda: os.setxattr(fd, "user.x", b"x")),
        ("FS_IOC_SETFLAGS", lambda: fcntl.ioctl(fd, FS_IOC_SETFLAGS, FS_APPEND.to_bytes(8, "little"))),
    ]


def on_directory(directory: int, name: str) -> list[Way]:
    """What can be tried on the directory of files that programs have."""
    path = f"/proc/self/fd/{directory}"
    target = ctypes.c_char_p(os.fsencode(path))
    return [
        ("open by name", lambda: write_to(name, os.O_RDWR, directory)),
        ("open by name O_TRUNC", lambda: write_to(name, os.O_WRONLY | os.O_TRUNC, directory)),
        ("open by path", lambda: write_to(f"{path}/{name}", os.O_RDWR)),
        ("open by the directory above", lambda: write_to(f"{path}/../{name}", os.O_RDWR)),
        ("open by the directory in it", lambda: write_to(f"{path}/r/{name}", os.O_RDWR)),
        ("chmod by name, then open", lambda: after_chmod(f"{path}/{name}")),
        ("create", lambda: write_to("new", os.O_RDWR | os.O_CREAT, directory)),
        ("O_TMPFILE", lambda: os.open(path, os.O_RDWR | os.O_TMPFILE, 0o600)),
        ("unlink", lambda: os.unlink(name, dir_fd=directory)),
        ("rename", lambda: os.rename(name, "new", src_dir_fd=directory, dst_dir_fd=directory)),
        ("link", lambda: os.link(name, "new", src_dir_fd=directory, dst_dir_fd=directory)),
        ("symlink", lambda: os.symlink("x", "new", dir_fd=directory)),
        ("mkdir", lambda: os.mkdir("new", dir_fd=directory)),
        ("mknod", lambda: os.mkfifo("new", dir_fd=directory)),
        ("chmod of the directory", lambda: os.chmod(path, 0o777)),
        ("utimensat of the directory", lambda: os.utime(path, ns=(1, 1))),
        ("attribute of the directory", lambda: os.setxattr(path, "user.x", b"x")),
        ("mount_setattr", lambda: make_mount_writable(directory)),
        ("mount_setattr with namespaces", lambda: with_namespaces(lambda: make_mount_writable(directory))),
        ("remount", lambda: called("mount", None, target, None, ctypes.c_ulong(MS_REMOUNT), None)),
        ("remount it alone", lambda: called("mount", None, target, None, ctypes.c_ulong(MS_REMOUNT | MS_BIND), None)),
        ("mount over it", lambda: called("mount", b"x", target, b"tmpfs", ctypes.c_ulong(0), None)),
    ]  # fmt: skip


def tried(way: Callable[[], object]) -> str:
    """What came of it."""
    try:
        way()
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return "done"


def become(user: int) -> None:
    """An ordinary user without any capability, whose /proc/self is its own all the same."""
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    called("prctl", PR_SET_DUMPABLE, 1, 0, 0, 0)
    called("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def main() -> None:
    """One file, all ways."""
    if len(sys.argv) > 2:
        become(int(sys.argv[2]))
    with STORES[sys.argv[1]]() as kept:
        kept.make("1", CONTENT)
        fd = kept.open("1")
        ways = [("file", each) for each in on_file(fd, f"/proc/self/fd/{fd}")]
        ours = f"/proc/{os.getpid()}/fd/{kept.files['1'].fd}"
        ways += [("server's descriptor", each) for each in on_file(kept.files["1"].fd, ours)]
        if kept.place is not None:
            ways += [("directory", each) for each in on_directory(kept.place.readable, kept.place.name_of("1"))]
        ways += [("attributes", each) for each in on_attributes(fd, f"/proc/self/fd/{fd}")]
        for kind, (name, way) in ways:
            print(kind, name, tried(way), sep="\t")
        again = kept.open("1")
        found = [os.pread(each, 2 * len(CONTENT), 0) == CONTENT for each in (fd, again, kept.files["1"].fd)]
        print("content", "is the same", all(found) and os.fstat(again).st_size == len(CONTENT), sep="\t")
        sys.stdout.flush()
        os._exit(0)  # without closing what may not be ours any more


if __name__ == "__main__":
    main()
