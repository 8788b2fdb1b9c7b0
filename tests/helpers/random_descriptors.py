"""Does random things with descriptors, a seed's each time the same, and prints what each gave: SEED COUNT.

Run by itself, natively and under hepwrap (`test_oracle_random_descriptors`).  Near the number at which programs have
the directory of opened files (decision 30) and elsewhere: duplicated, closed, in ranges, passed, inherited, reopened.
Not done is what docs/syscalls.md says differs: that number is duplicated or closed only once something else is there.
"""

from __future__ import annotations

import array
import ctypes
import errno
import fcntl
import mmap
import os
import random
import resource
import select
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from typing import Any

MOUNT, HOST = "/cvmfs/oracle.hep.example", "/oracle/host"
PATHS = (
    f"{MOUNT}/file", f"{MOUNT}/dir", f"{MOUNT}/dir/other", f"{MOUNT}/many", f"{MOUNT}/empty", f"{MOUNT}/link",
    f"{MOUNT}/missing", f"{MOUNT}/emptydir", f"{MOUNT}/exec", f"{HOST}/real", HOST, f"{HOST}/into/file",
)  # fmt: skip
NAMES = ("other", "../file", "sub", "file", "dir/other", "..", ".", "dir", "nope", "sub/deep/file")
DIRECTORY = 1024
NUMBERS = (3, 7, 20, 60, 255, 1000, 1022, 1023, DIRECTORY, DIRECTORY, 1025, 1030, 1500)
MOST, DEEPEST = 4096, 2
DUP2, DUP3, CLOSE, CLOSE_RANGE, UNSHARE = 33, 292, 3, 436, 272
CLOSE_RANGE_UNSHARE, CLOSE_RANGE_CLOEXEC, CLONE_FILES = 2, 4, 0x400
libc = ctypes.CDLL(None, use_errno=True)


def attempt(call: Callable[..., Any], *words: Any, **more: Any) -> Any:
    """What the call gives, or the name of its error."""
    try:
        return call(*words, **more)
    except OSError as error:
        return errno.errorcode[error.errno or 0]


def system(*words: int) -> int:
    """A system call; Python's own functions make others, or ask before."""
    result = int(libc.syscall(*map(ctypes.c_long, words)))
    if result < 0:
        raise OSError(ctypes.get_errno(), "")
    return result


class Player:
    """One process: what it has open, and what comes next."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.depth = 0
        self.mine: set[int] = set()
        self.identities: dict[tuple[int, int], int] = {}
        self.turns = [turn for name in dir(self) if name.startswith("do_") for turn in [getattr(self, name)]]

    def play(self, count: int) -> None:
        for _ in range(count):
            turn = self.chance.choice(self.turns)
            print(self.depth, turn.__name__, *turn(), flush=True)

    def any_of_mine(self) -> int:
        """Most often one that is open."""
        likely = self.mine and self.chance.random() < 0.85
        return self.chance.choice(sorted(self.mine) if likely else [70, 900, 1023, 2000])

    def opened(self, result: Any) -> tuple[Any, ...]:
        """What a call gave that opens something."""
        if not isinstance(result, int):
            return (result,)
        self.mine.add(result)
        return result, self.show(result)

    def show(self, fd: int) -> Any:
        status = attempt(os.fstat, fd)
        if isinstance(status, str):
            return status
        identity = self.identities.setdefault((status.st_dev, status.st_ino), len(self.identities))
        flags = fcntl.fcntl(fd, fcntl.F_GETFL) & ~os.O_NOFOLLOW
        shown = (stat.filemode(status.st_mode), identity, flags, fcntl.fcntl(fd, fcntl.F_GETFD))
        if not stat.S_ISREG(status.st_mode):
            return shown
        return *shown, status.st_size, attempt(os.lseek, fd, 0, os.SEEK_CUR), os.readlink(f"/proc/self/fd/{fd}")

    def do_open(self) -> tuple[Any, ...]:
        path, flags = self.chance.choice(PATHS), self.chance.choice([0, 0, os.O_PATH, os.O_DIRECTORY, os.O_WRONLY])
        return path, flags, *self.opened(attempt(os.open, path, flags))

    def do_openat(self) -> tuple[Any, ...]:
        fd, name, flags = self.any_of_mine(), self.chance.choice(NAMES), self.chance.choice([0, os.O_PATH])
        return fd, name, *self.opened(attempt(os.open, name, flags, dir_fd=fd))

    def do_reopen(self) -> tuple[Any, ...]:
        fd, place = self.any_of_mine(), self.chance.choice(["/proc/self/fd", "/dev/fd", "/proc/thread-self/fd"])
        return place, fd, *self.opened(attempt(os.open, f"{place}/{fd}", self.chance.choice([0, os.O_PATH, os.O_RDWR])))

    def do_dup2(self) -> tuple[Any, ...]:
        fd, number = self.any_of_mine(), self.chance.choice(NUMBERS)
        return fd, number, *self.opened(attempt(system, DUP2, fd, number))

    def do_dup3(self) -> tuple[Any, ...]:
        fd, number = self.any_of_mine(), self.chance.choice(NUMBERS)
        return fd, number, *self.opened(attempt(system, DUP3, fd, number, self.chance.choice([0, os.O_CLOEXEC])))

    def do_fcntl(self) -> tuple[Any, ...]:
        fd, least = self.any_of_mine(), self.chance.choice([3, 10, 500, 1030])
        how = self.chance.choice([fcntl.F_DUPFD, fcntl.F_DUPFD_CLOEXEC])
        return fd, least, *self.opened(attempt(fcntl.fcntl, fd, how, least))

    def do_close(self) -> tuple[Any, ...]:
        fd = self.any_of_mine()
        self.mine.discard(fd)
        return fd, attempt(system, CLOSE, fd)

    def do_close_range(self) -> tuple[Any, ...]:
        first = self.chance.choice([40, 100, 900, 1020, DIRECTORY, 1025])
        last = self.chance.choice(
            [number for number in (first + 10, DIRECTORY, 1025, 4000, 0xFFFFFFFF) if number >= first]
        )
        flags = self.chance.choice([0, CLOSE_RANGE_UNSHARE, CLOSE_RANGE_CLOEXEC])
        if flags != CLOSE_RANGE_CLOEXEC:
            self.mine -= set(range(first, min(last, MOST) + 1))
        return first, last, flags, attempt(system, CLOSE_RANGE, first, last, flags)

    def do_unshare(self) -> tuple[Any, ...]:
        return (attempt(system, UNSHARE, CLONE_FILES),)

    def do_read(self) -> tuple[Any, ...]:
        fd, size = self.any_of_mine(), self.chance.choice([0, 5, 1000])
        return fd, attempt(os.read, fd, size), attempt(os.pread, fd, size, 10)

    def do_map(self) -> tuple[Any, ...]:
        fd = self.any_of_mine()
        try:
            with mmap.mmap(fd, 5, mmap.MAP_PRIVATE, mmap.PROT_READ) as pages:
                return fd, pages[:]
        except (OSError, ValueError) as error:
            return fd, type(error).__name__

    def do_look(self) -> tuple[Any, ...]:
        fd = self.any_of_mine()
        poll = select.poll()
        poll.register(fd)
        return fd, poll.poll(0), self.show(fd)

    def do_list(self) -> tuple[Any, ...]:
        return (sorted(map(int, os.listdir("/proc/self/fd"))), [self.show(fd) for fd in sorted(self.mine)])

    def do_chdir(self) -> tuple[Any, ...]:
        path = self.chance.choice([*PATHS, *NAMES])
        return path, attempt(os.chdir, path), attempt(os.getcwd), os.path.exists("other")

    def do_fchdir(self) -> tuple[Any, ...]:
        fd = self.any_of_mine()
        return fd, attempt(os.fchdir, fd), attempt(os.getcwd)

    def do_pass(self) -> tuple[Any, ...]:
        """Twice, through a socket."""
        fd, fds = self.any_of_mine(), array.array("i")
        here, there = socket.socketpair()
        with here, there:
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd, fd]))
            sent = attempt(here.sendmsg, [b"x"], [rights])
            if isinstance(sent, int):
                fds.frombytes(there.recvmsg(1, socket.CMSG_SPACE(8))[1][0][2])
        return fd, sent, [self.opened(each) for each in fds]

    def do_fork(self) -> tuple[Any, ...]:
        """The child goes on for a while, and may close all it can before."""
        closes, more = self.chance.choice([0, 0, 100, DIRECTORY, 1100]), self.chance.choice([3, 10])
        if self.depth == DEEPEST:
            return ()
        child = os.fork()
        if child == 0:
            self.depth += 1
            for fd in range(3, closes):
                attempt(system, CLOSE, fd)
                self.mine.discard(fd)
            self.play(more)
            os._exit(0)
        return (os.waitpid(child, 0)[1],)

    def do_execute(self) -> tuple[Any, ...]:
        fd, place = self.any_of_mine(), self.chance.choice([None, MOUNT, f"{MOUNT}/dir", "/"])
        script = f"wc -c < {MOUNT}/file; ls {MOUNT}/dir; readlink /proc/self/fd/{fd}; {MOUNT}/script; ls /proc/self/fd"
        kept = (fd,) if isinstance(attempt(os.fstat, fd), os.stat_result) else ()
        done = subprocess.run(["sh", "-c", script], check=False, pass_fds=kept, capture_output=True, cwd=place)
        return fd, done.stdout, done.stderr


def main() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, MOST), hard))
    Player(int(sys.argv[1])).play(int(sys.argv[2]))
    print("end")


if __name__ == "__main__":
    main()
