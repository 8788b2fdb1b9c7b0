"""A tree with everything odd in it, and what lstat(2) says about it, to compare with what comes back."""

from __future__ import annotations

import errno
import os
import random
import socket
import stat
from pathlib import Path

#: Bytes that are no valid UTF-8, white space, what shells and variant symlinks know, the longest name.
ODD_NAMES = [
    b"caf\xe9",
    b"\xff\xfe",
    "h\u00e9llo \u4e16\u754c".encode(),
    b" leading and trailing ",
    b"new\nline",
    b"tab\there",
    b"$(HEPVER)",
    b"-rf",
    b"quote'\"\\",
    b"%41",
    b"n" * 255,
    b"...",
]


def make(root: Path, *, privileged: bool) -> None:
    """Make it below `root`; with `privileged` also devices and owners, which need root."""
    base = os.fsencode(root)
    randomness = random.Random(1)
    odd = base + b"/odd names"
    os.mkdir(odd)
    for number, name in enumerate(ODD_NAMES):
        _write(odd + b"/" + name, b"content %d" % number)
        os.mkdir(odd + b"/dir " + name[:200])
        _write(odd + b"/dir " + name[:200] + b"/inner", name)
    _write(base + b"/empty", b"")
    _write(base + b"/chunked", randomness.randbytes(100_000))
    _write(base + b"/just one chunk", randomness.randbytes(8192))
    _sparse(base + b"/sparse", 300_000)
    os.mkdir(base + b"/empty directory")
    _modes(base + b"/modes")
    _links(base + b"/links")
    _times(base + b"/times")
    _attributes(base + b"/attributes")
    _specials(base + b"/specials", privileged=privileged)
    if privileged:
        os.chown(base + b"/empty", 1234, 4321)
        os.chown(base + b"/links/loop", 99, 98, follow_symlinks=False)


def _write(path: bytes, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)


def _sparse(path: bytes, size: int) -> None:
    with open(path, "wb") as file:
        file.truncate(size)
        file.seek(size // 2)
        file.write(b"an island")


def _modes(directory: bytes) -> None:
    os.mkdir(directory)
    for mode in (0o400, 0o444, 0o600, 0o644, 0o755, 0o4755, 0o2755, 0o1777, 0o777):
        path = directory + b"/%o" % mode
        _write(path, b"m")
        os.chmod(path, mode)
    os.mkdir(directory + b"/sticky")
    os.chmod(directory + b"/sticky", 0o1777)


def _links(directory: bytes) -> None:
    os.mkdir(directory)
    for name, target in (
        (b"relative", b"../empty"),
        (b"absolute", b"/etc/passwd"),
        (b"dangling", b"nowhere"),
        (b"loop", b"loop"),
        (b"variant", b"$(HEPVER:-v1)/bin"),
        (b"odd", b"caf\xe9\n"),
        (b"long", b"x" * 4000),
    ):
        os.symlink(target, directory + b"/" + name)
    _write(directory + b"/one", b"three names")
    os.link(directory + b"/one", directory + b"/two")
    os.link(directory + b"/one", directory + b"/three")
    _write(directory + b"/pair a", b"two names")
    os.link(directory + b"/pair a", directory + b"/pair b")
    os.link(directory + b"/dangling", directory + b"/dangling too", follow_symlinks=False)


def _times(directory: bytes) -> None:
    os.mkdir(directory)
    for number, ns in enumerate((0, 1, -1, -1_500_000_000, -86400 * 10**9, 1_700_000_000_123_456_789, 2**32 * 10**9)):
        path = directory + b"/%d" % number
        _write(path, b"t")
        os.utime(path, ns=(ns, ns))
    os.symlink(b"x", directory + b"/link")
    os.utime(directory + b"/link", ns=(-7, -7), follow_symlinks=False)
    os.utime(directory, ns=(-3_000_000_001, -3_000_000_001))


def _attributes(directory: bytes) -> None:
    os.mkdir(directory)
    _write(directory + b"/file", b"a")
    try:
        for path in (directory, directory + b"/file"):
            os.setxattr(path, b"user.b", b"second")
            os.setxattr(path, b"user.a", b"\x00\xff")
            os.setxattr(path, b"user.empty", b"")
            os.setxattr(path, b"user." + b"k" * 250, b"v" * 255)
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise


def _specials(directory: bytes, *, privileged: bool) -> None:
    os.mkdir(directory)
    os.mkfifo(directory + b"/fifo")
    # A socket's address has at most 108 bytes, so it is bound by a short name.
    before = os.open(".", os.O_RDONLY)
    os.chdir(directory)
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("socket")
    finally:
        os.fchdir(before)
        os.close(before)
    if privileged:
        os.mknod(directory + b"/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        os.mknod(directory + b"/disk", stat.S_IFBLK | 0o660, os.makedev(8, 17))
        os.mknod(directory + b"/large numbers", stat.S_IFCHR | 0o600, os.makedev(4000, 70000))


def paths(root: Path) -> dict[bytes, os.stat_result]:
    """Every path below `root` (b"" itself) with its lstat."""
    base = os.fsencode(root)
    found = {b"": os.lstat(base)}
    for directory, names, files in os.walk(base):
        for name in names + files:
            found[directory[len(base) :] + b"/" + name] = os.lstat(directory + b"/" + name)
    return found


def attributes(path: bytes) -> dict[bytes, bytes]:
    """`user.*` attributes of a path."""
    names = [os.fsencode(name) for name in os.listxattr(path, follow_symlinks=False) if name.startswith("user.")]
    return {name: os.getxattr(path, name, follow_symlinks=False) for name in names}
