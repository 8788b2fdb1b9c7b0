"""Writes docs/syscalls.md: how each system call of the table is treated, in words.

    python -m tests.helpers.syscall_page > docs/syscalls.md

Owns the words for treatments, and the list of what differs from a mount; the rows are those of interpose/syscalls.def.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import NamedTuple

from tests.helpers.syscall_rows import DEFINITIONS, Row, read_rows

NOT_FINAL = "not final: "
HEAD = """\
# System calls

Every system call of Linux 6.x that takes or reveals a path, or the metadata of a file, and what becomes of it. Written
by `python -m tests.helpers.syscall_page` from `interpose/syscalls.def`; a test says whether it is up to date.

*Virtual* is what a path, a descriptor or the working directory leads to in a repository. What leads anywhere else goes
to the kernel, whatever the row says, except where it says *for every path*. The right answer is that of the kernel on
a read-only mount of the same tree, and the tests ask it (`tests/interpose/test_oracle_*.py`, as root and as an ordinary
user, with and without patched call sites). [Below](#what-differs-from-a-mount) stands where it is not given.

"""
#: What happens where the call is about something virtual.
WORDS = {
    "open": "a descriptor of the sealed memory file, or of a stand-in for the directory",
    "getdents": "the listing of the catalogue",
    "getcwd": "the virtual path",
    "chdir": "into a stand-in for the directory",
    "fstat": "the attributes of the catalogue",
    "statfs": "size and number of files as the repository tells, read-only",
    "access": "the mode bits of the catalogue, for the caller's credentials",
    "readlink": "the target in the catalogue; of names in /proc the virtual path",
    "xattr": "the attributes of the catalogue, the magic ones of CernVM-FS among them",
    "exec": "the program of the repository, by a plan of the server's",
    "entry": "would make or remove a name: EEXIST, ENOENT and their like where the kernel sees them first, else EROFS",
    "write1": "would write: ENOENT and its like first, then EROFS",
    "write2": "would write to two paths: EXDEV across, else what comes first, else EROFS",
    "fwrite": "would write: EROFS",
    "address": "looked up, and no socket that listens: EADDRINUSE and EROFS to bind, else ECONNREFUSED or why not",
    "standin": "the kernel acts on the object that stands for the virtual one",
    "open_tree": "a descriptor for the path; what would be cloned: EPERM, and words to who may",
    "refused": "looked up, then refused: it is no mount and no device",
    "mounts": "looked up, then refused, in words to who may: it is no mount. The engine notes that names may mean other"
    " things from now on",
    "landlock": "a rule about it is accepted",
    "admit": "memory files get a rule before the rules are put in force",
    "spare": "not closed is the directory that memory files are opened in",
    "hide": "of that directory: EBADF; of other descriptors not caught, the kernel's",
    "enosys": "ENOSYS, for every path",
    "tracer": "looked at for the engine's own sake",
    "wander": "the kernel's; the engine notes that names may mean other things from now on",
    "pass": "not caught, the kernel's",
}
#: Which words a treatment of its own has.
FAMILIES = (
    ("open_tree", "open_tree"), ("open", "open"), ("creat", "open"), ("getdents", "getdents"), ("getcwd", "getcwd"),
    ("chdir", "chdir"), ("fchdir", "chdir"), ("statfs", "statfs"), ("fstatfs", "statfs"), ("access", "access"),
    ("faccessat", "access"), ("readlink", "readlink"), ("exec", "exec"),
    ("clone", "tracer"), ("rt_sigaction", "tracer"), ("ptrace", "tracer"), ("seccomp", "tracer"), ("keep", "tracer"),
    ("unshare", "wander"),
)  # fmt: skip


class Difference(NamedTuple):
    """Something that a program could tell from a mount."""

    calls: str
    what: str
    why: str
    final: bool = True


DIFFERENCES = (
    Difference("stat statx", "`st_blocks` counts 512 bytes of the size, access and change are the modification's",
               "so it is on a mounted CernVM-FS"),
    Difference("openat", "`O_NOFOLLOW` is not shown by F_GETFL",
               "[decision 13](decisions/0013-flags-that-read-back.md)"),
    Difference("openat", "a file that is open elsewhere cannot be leased for writing (F_SETLEASE): EAGAIN",
               "the helper has it open; F_GET_SEALS shows seals"),
    Difference("openat", "devices are there, and cannot be opened: EACCES", "as on a mount with nodev"),
    Difference("fcntl close_range", "one descriptor more is there than was opened, at 1024 or below the hard limit:"
               " `close` and `dup` find it, F_DUPFD goes past it, and where the limit lets programs have that number"
               " they can open one less", "opened files are opened in it"
               " ([decision 30](decisions/0030-opened-files-lie-in-a-mount-of-their-own.md)), but with `--sealed`;"
               " to catch `close` and `dup` costs each 40 ns"),
    Difference("fchdir openat fstatfs lstat", "the same by its number, as a directory, and by its name in"
               " `/proc/self/fd`; `FDSize` in `/proc/self/status` is larger, and select(2) says EBADF of numbers below"
               " that which are not open: it overlooks what is beyond", "only who knows the number can tell: who"
               " lists, counts or asks (fcntl, fstat, stat, readlink, poll) is not told of it"),
    Difference("landlock_add_rule", "what is virtual stays in reach of a program that has no rule for it",
               "memory files are no files of the kernel's tree; confinement is for what the kernel serves"),
    Difference("fanotify_mark", "FAN_MARK_MOUNT and FAN_MARK_FILESYSTEM: EINVAL", "there is no mount to be watched"),
    Difference("fanotify_mark", "FAN_REPORT_DFID_NAME of a file: the name of the memory file, and a handle that leads"
               " nowhere", "it is in a directory of another kind"),
    Difference("inotify_add_watch fanotify_mark", "of a directory nothing is told of what is in it, or that it is read",
               "its stand-in is empty; a file tells all, nothing can change, and it stays in memory"),
    Difference("openat", "a lock of a file (flock, F_SETLK) is not met by other jobs of the machine",
               "each job has a memory file of its own"),
    Difference("chroot pivot_root", "into a virtual directory: EPERM and EINVAL for who may, too, and a sentence that"
               " names `--root`", "the stand-in would be an empty root"),
    Difference("mount move_mount", "nobody can mount on a virtual path (EPERM), nor bind one elsewhere (ENOENT); a"
               " sentence names `--bind`", "the kernel knows neither; it is never asked with a name by which it could"
               " find another thing"),
    Difference("open_tree", "OPEN_TREE_CLONE of a virtual path: EPERM for who may, too, and the same sentence",
               "there is no mount to be copied"),
    Difference("umount2 fspick mount_setattr", "the root of a repository is no mount: EINVAL", "nothing is mounted"),
    Difference("statmount listmount", "ENOSYS, as before Linux 6.8, and statx tells no unique id of a mount",
               "the kernel's list lacks what `/proc/self/mountinfo` shows, to which libraries fall back"),
    Difference("statx", "no time of birth", "the format has none; so it is on a mounted CernVM-FS"),
    Difference("open_by_handle_at", "of a file's handle: ESTALE for who may, too",
               "a memory file is on no mount; so file systems answer that have forgotten it"),
    Difference("openat", "`/proc/PID/fdinfo/N` shows inode and mount of the stand-in",
               "reading is not caught, and statx says it all"),
    Difference("readlink", "of `/proc/PID/map_files/...` by an ordinary user: the name of the memory file",
               "only who may open what is there (CAP_CHECKPOINT_RESTORE) can tell; `/proc/PID/maps` shows it"),
    Difference("readlink", "of `/proc/PID/fd/N`: of several hard links the one that was opened first, or listed",
               "they are one inode, and what is opened is one file"),
    Difference("mmap", "what the kernel tells of mappings elsewhere than in `/proc` (perf, core dumps): the name of the"
               " memory file", "[decision 30](decisions/0030-opened-files-lie-in-a-mount-of-their-own.md)"),
    Difference("getdents64", "`/`, where the host has no `/cvmfs`, lists it in a call of its own, after all others",
               "[decision 28](decisions/0028-the-root-lists-the-mount-point.md)"),
    Difference("getdents64", "the link count of `/`, where the host has no `/cvmfs`, does not count it in",
               "[decision 28](decisions/0028-the-root-lists-the-mount-point.md)"),
    Difference("openat", "O_CREAT by a host's link to a virtual file and a slash: ENOTDIR, not EISDIR",
               "the link's text is not looked at"),
    Difference("renameat2", "from a link of `/proc` to a virtual name: EPERM, on a mount EXDEV",
               "the kernel judges with a name of `/proc`"),
    Difference("newfstatat", "`/proc/PID/fd/N/.` of a directory that the caller may not search succeeds",
               "the stand-in lets everybody in"),
    Difference("openat", "of a path that cannot be read, and flags that are wrong: EFAULT", "the path is read first"),
    Difference("openat", "of any call, a pointer to a page that a userfaultfd(2) for faults of programs alone"
               " (UFFD_USER_MODE_ONLY) has to fill: it is filled, where the kernel says EFAULT",
               "the runtime reads the page as the program does"),
    Difference("rename renameat renameat2 link linkat", "of a first path that leads nowhere and a second that cannot be"
               " read: EFAULT", "both are read first"),
    Difference("execve", "with `--sealed`, of a virtual program by who has no descriptor left: EMFILE",
               "a sealed memory file is executed by a descriptor of it; without `--sealed` by its name"),
    Difference("execve", "of two things that are wrong with an exec another may be told", "the list is read earlier"),
    Difference("sendto sendmsg sendmmsg", "to a virtual path: ENOENT, or what the host has by that name",
               "not caught: to see whether there is an address costs each `send` 40 to 95 ns of 740, and `sendmsg` and"
               " UDP the way through the runtime, at sites that are not patched a stop"),
    Difference("io_uring_setup", "ENOSYS", "a ring would open and stat without a call that could be caught"),
    Difference("clone3", "ENOSYS", "[decision 6](decisions/0006-clone3-says-enosys.md)"),
    Difference("seccomp", "a filter with a listener: EBUSY", "what a listener lets go on only the kernel would answer"),
    Difference("ptrace", "PTRACE_TRACEME: EPERM; a task that runs while it is lent to a tracer of the job: ENOSYS, EIO",
               "[decision 25](decisions/0025-a-task-is-lent-to-a-debugger.md)"),
)  # fmt: skip


def sections(text: str) -> Iterator[tuple[str, list[str]]]:
    """Headings of the table with the names of their rows; the comment at its head is none."""
    body = text.partition("*/")[2]
    for part in re.split(r"/\* ", body)[1:]:
        heading, _, rows = part.partition("*/")
        yield " ".join(heading.split()).rstrip("."), re.findall(r"^ROW\((\w+),", rows, flags=re.MULTILINE)


def words_of(row: Row) -> str:
    """What becomes of the call where it is about something virtual."""
    if row.treatment in WORDS:
        return WORDS[row.treatment]
    if "xattr" in row.treatment:
        return WORDS["xattr"]
    return next((WORDS[words] for start, words in FAMILIES if row.treatment.startswith(start)), WORDS["fstat"])


def is_final(row: Row) -> bool:
    """Whether nothing is left to be done, as the row itself says."""
    return not row.note.startswith(NOT_FINAL)


def line_of(row: Row) -> str:
    """A line of a table."""
    numbers = " / ".join("-" if number is None else str(number) for number in (row.x86_64, row.aarch64))
    note = row.note.removeprefix(NOT_FINAL)
    said = words_of(row) + (f"; {note}" if note else "")
    return f"| `{row.name}` | {numbers} | `{row.treatment}` | {said} |\n"


def page() -> str:
    """The whole text."""
    rows = read_rows()
    parts = [HEAD]
    for heading, names in sections(DEFINITIONS.read_text()):
        parts.append(f"## {heading}\n| call | x86_64 / aarch64 | treatment | what is virtual |\n|---|---|---|---|\n")
        parts += [line_of(rows[name]) for name in names]
        parts.append("\n")
    parts.append("## What differs from a mount\n| calls | what | why |\n|---|---|---|\n")
    parts += [f"| {listed(one.calls)} | {one.what} | {one.why} |\n" for one in DIFFERENCES]
    left = [f"- `{row.name}`: {row.note.removeprefix(NOT_FINAL)}\n" for row in rows.values() if not is_final(row)]
    left += [f"- {listed(one.calls)}: {one.what}\n" for one in DIFFERENCES if not one.final]
    return "".join([*parts, *(["\n## What is not final\n", *left] if left else [])])


def listed(calls: str) -> str:
    """Names of calls, as code."""
    return ", ".join(f"`{name}`" for name in calls.split())


if __name__ == "__main__":
    sys.stdout.write(page())
