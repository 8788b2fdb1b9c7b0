"""Run as root: takes possibilities away for good, then becomes the command.

    python without_user_namespaces.py [--user] [--fuse] -- CMD ...

`--user`: a user namespace in which user.max_user_namespaces is 0, with all ids as outside.
`--fuse`: a mount namespace in which /dev/fuse is a file that nobody can open.
"""

from __future__ import annotations

import ctypes
import os
import sys
import tempfile

CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
LIBC = ctypes.CDLL(None, use_errno=True)


def check(result: int, what: str) -> None:
    """Raise OSError where a libc call failed."""
    if result != 0:
        raise OSError(ctypes.get_errno(), what)


def hide_fuse() -> None:
    """Bind an unreadable file over /dev/fuse in an own mount namespace."""
    if not os.path.exists("/dev/fuse"):
        return
    check(LIBC.unshare(CLONE_NEWNS), "unshare a mount namespace")
    check(LIBC.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None), "make mounts private")
    handle, name = tempfile.mkstemp()
    os.fchmod(handle, 0)
    check(LIBC.mount(name.encode(), b"/dev/fuse", None, MS_BIND, None), "hide /dev/fuse")
    os.unlink(name)


def forbid_user_namespaces() -> None:
    """Enter a user namespace with the same ids, and set its limit of further ones to 0."""
    leader = os.getpid()
    reader, writer = os.pipe()
    helper = os.fork()
    if helper == 0:  # still in the outer namespace: may write the maps
        os.close(writer)
        os.read(reader, 1)
        for kind in ("uid_map", "gid_map"):
            with open(f"/proc/{leader}/{kind}", "w") as file:
                file.write("0 0 4294967295\n")
        os._exit(0)
    os.close(reader)
    check(LIBC.unshare(CLONE_NEWUSER), "unshare a user namespace")
    os.close(writer)
    if os.waitpid(helper, 0)[1] != 0:
        raise OSError("could not write the maps of the user namespace")
    with open("/proc/sys/user/max_user_namespaces", "w") as file:
        file.write("0\n")


def main() -> None:
    """Do what the options say and execute the command."""
    end = sys.argv.index("--")
    options, command = sys.argv[1:end], sys.argv[end + 1 :]
    if "--fuse" in options:
        hide_fuse()
    if "--user" in options:
        forbid_user_namespaces()
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
