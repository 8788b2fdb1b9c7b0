"""stress-ng from a repository, in a directory of the host: it finds no more failures than on a mount, and ends.

Its stressors check what they did (`--verify`) and each ends after a number of rounds; those of a group run all at once.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import needs, once
from tests.helpers.fixtures import publishes
from tests.helpers.jobs import marked, until
from tests.helpers.launches import Done, Launches
from tests.helpers.publishing import Published
from tests.helpers.two_worlds import TwoWorlds

#: Seconds after which stress-ng ends a stressor itself, and after which we call it a hang.
LIMIT, PATIENCE = 10, 120
#: Stressors and their rounds.  Left out are those with a fixed port (two tests may run at once), `resources`, which
#: takes all of disk and memory, and `ptrace` and `vm-segv`, whose parent traces its child.
GROUPS = {
    "files": "access:100 close:2000 copy-file:20 dentry:200 dir:200 dirdeep:20 dirmany:20 dnotify:20 dup:500 "
    "fallocate:20 fault:500 fcntl:500 fiemap:50 fifo:1000 file-ioctl:200 filename:20 flock:500 fsize:10 fstat:100 "
    "getdent:50 handle:100 hdd:10 io:20 lease:200 locka:200 lockf:200 lockofd:200 mknod:20",
    "more files": "open:200 readahead:100 rename:300 revio:50 seek:200 sendfile:100 splice:200 sync-file:10 tee:100 "
    "touch:500 utime:500 verity:10 xattr:20 null:1000 zero:1000 urandom:50 aio:20",
    "processes": "clone:100 context:1000 daemon:50 env:10 exit-group:50 fork:200 futex:500 get:50 kcmp:100 kill:500 "
    "nice:20 personality:50 pidfd:200 pipe:5000 poll:100 prctl:100 pthread:100 race-sched:50 ring-pipe:500 rlimit:5 "
    "schedpolicy:100 session:50 set:20 sockfd:200 sockpair:100 spawn:50 switch:2000 vfork:500 wait:100 zombie:200",
    "signals": "bad-altstack:50 sigabrt:100 sigchld:200 sigfd:500 sigfpe:500 signal:5000 signest:50 sigpending:500 "
    "sigpipe:500 sigq:500 sigrt:500 sigsegv:500 sigsuspend:500 sigtrap:500 sleep:20 timer:1000 timerfd:500",
    "memory and the rest": "memfd:2 mincore:50 mlock:50 mmapmany:2 mprotect:100 msync:20 munmap:20 opcode:20 remap:20 "
    "seal:50 shm:2 vm-rw:20 vm-splice:100 bad-ioctl:5 enosys:1000 landlock:10 sysbadaddr:2 sysinfo:50 usersyscall:500",
}
LONG_GROUPS = {
    "long files": "chdir:200 chmod:500 chown:300 link:100 inode-flags:50 inotify:20 fpunch:10 iomix:50 procfs:20 dev:1 "
    "dynlib:50 symlink:50 tmpfs:2 umount:10",
    "long processes": "exec:500 forkheavy:50 pty:5 unshare:20 sigio:500 stack:20 vforkmany:100 yield:1000",
    "long memory": "madvise:5 membarrier:50 mmap:5 mmapfork:1 mremap:20 secretmem:20 mlock:20",
    "long calls": "syscall:20 cap:20 chroot:10 plugin:100 vdso:1000 userfaultfd:20",
}
#: What it says of a stressor that failed, or could not be tried.
TOLD = re.compile(
    r"^stress-ng: \w+: +\[\d+\] (.*(?:fail|skipped|unsupported|error|terminated|untrustworthy|killed).*)$", re.M
)


def build(tree: Path) -> None:
    (tree / "bin").mkdir(parents=True)
    shutil.copy(needs.program("stress-ng", "stress-ng"), tree / "bin/stress-ng")


stress = publishes("stress.hep.example", build)


def words(top: str, group: str, desk: Path) -> list[str]:
    options = ["--temp-path", str(desk), "--timeout", str(LIMIT), "--verify", "--oomable"]
    for row in group.split():
        name, _, rounds = row.partition(":")
        options += [f"--{name}", "1", f"--{name}-ops", rounds]
    return [f"{top}/bin/stress-ng", *options]


def outcome(launch: Callable[..., Done], launches: Launches, command: list[str], desk: Path) -> list[Any]:
    """How it ended and what it complains of, for JSON; nothing may be left behind."""
    done = launch(*command, cwd=desk, timeout=PATIENCE)
    text = f"{done.stdout}{done.stderr}"
    assert "hepwrap:" not in text, text
    assert not list(desk.iterdir()), "files are left behind"
    until(lambda: not marked(launches.mark), "all its processes end")
    return [done.returncode, sorted({re.sub(r"\d{2,}", "N", line) for line in TOLD.findall(text)})]


@pytest.mark.timeout(3 * PATIENCE)
@pytest.mark.parametrize("group", [*GROUPS, *(pytest.param(name, marks=pytest.mark.long) for name in LONG_GROUPS)])
def test_stressors_find_no_more_than_on_a_mount(
    stress: Published, user: Launches, patching: list[str], desk: Path, group: str
) -> None:
    worlds = TwoWorlds.of(user, stress, patching)
    command = words(worlds.top, {**GROUPS, **LONG_GROUPS}[group], desk)
    native = once.found(f"stress-{group}", lambda: outcome(worlds.native.native, user, command, desk))
    wrapped = outcome(worlds.wrapped.run, user, command, desk)
    assert wrapped == native
