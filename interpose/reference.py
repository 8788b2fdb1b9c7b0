"""The independent witness: a small tracer in plain Python that prints every path syscall of a process tree.

    python -m hepwrap.interpose.reference [-o FILE] -- CMD ...

One line a call, `pid name(arguments, paths in quotes) = result`, in the order in which the calls ended.

Owns nothing of the engine and must not know it: what takes a path is decided by the prototypes of `python-ptrace`, not
by `syscalls.def`, because tests hold the one against the other.  A call that the prototypes do not know is printed when
one of its arguments points at a text with a slash in it, so that a new syscall cannot pass unseen.

`python-ptrace` is GPL-2.0-only: it is imported in this process only, which loads nothing else of ours.  Its low-level
bindings, names and prototypes are used; its own event loop is not (it polls, and knows no group-stop), nor are its
registers (PTRACE_GET_SYSCALL_INFO says what is needed on every architecture, ptrace(2), Linux 5.3).
"""

from __future__ import annotations

import argparse
import ctypes
import errno
import os
import shutil
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol, TextIO

from hepwrap.records import dataclass, field

# From <linux/ptrace.h>; python-ptrace names only what is older.
SEIZE, INTERRUPT, LISTEN, GET_SYSCALL_INFO = 0x4206, 0x4207, 0x4208, 0x420E
EVENT_STOP, EVENT_EXEC = 128, 4
OPTION_EXITKILL = 1 << 20
INFO_ENTRY, INFO_EXIT = 1, 2
WAIT_ALL = 0x40000000  # __WALL: threads too
STOP_SIGNALS = frozenset({signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU})

PATH_LIMIT = 4096
POINTER = 1 << 12  # no smaller number is an address
AT_FDCWD = -100

#: Arguments that are paths although their names do not say so (the prototypes' FILENAME_ARGUMENTS covers the rest).
FURTHER_PATHS: Mapping[str, frozenset[str]] = {
    "acct": frozenset({"name"}),
    "mount": frozenset({"dev_name", "dir_name"}),
    "umount": frozenset({"name"}),
    "name_to_handle_at": frozenset({"name"}),
    "pivot_root": frozenset({"new_root", "put_old"}),
    "quotactl": frozenset({"special"}),
    "swapon": frozenset({"specialfile"}),
    "swapoff": frozenset({"specialfile"}),
    "uselib": frozenset({"library"}),
}
#: Calls that the library names but has no prototype of, as (type, name) like its own.
FURTHER_PROTOTYPES: Mapping[str, tuple[str, Sequence[tuple[str, str]]]] = {
    name: ("long", tuple((("const char *" if word == "path" else "long"), word) for word in words.split()))
    for name, words in {
        "openat2": "dfd path how size",
        "faccessat2": "dfd path mode flags",
        "umount2": "path flags",
        "open_tree": "dfd path flags",
        "move_mount": "dfd path dfd path flags",
        "mount_setattr": "dfd path flags attributes size",
        "fspick": "dfd path flags",
        "rt_sigreturn": "",  # no arguments: what is left in the registers may look like a path
    }.items()
}
#: Buffers that hold a path when the call has succeeded: name of the call -> index of the argument.
ANSWERS: Mapping[str, int] = {"getcwd": 0, "readlink": 1, "readlinkat": 2}

MISSING = (
    "reference tracer: the Python package python-ptrace is not installed (it is optional, GPL-2.0-only);"
    " install it with: pip install 'hepwrap[reference]'"
)


class Ptrace(Protocol):
    """`ptrace.binding.func.ptrace`: raises PtraceError, an exception with `errno`, when the kernel refuses."""

    def __call__(self, command: int, pid: int = 0, arg1: int = 0, arg2: int = 0) -> int:
        """Do one ptrace(2) request."""
        ...


class SyscallInfo(ctypes.Structure):
    """`struct ptrace_syscall_info` of ptrace(2), as far as entry and exit use it."""

    _fields_ = (
        ("op", ctypes.c_uint8),
        ("pad", ctypes.c_uint8 * 3),
        ("arch", ctypes.c_uint32),
        ("instruction_pointer", ctypes.c_uint64),
        ("stack_pointer", ctypes.c_uint64),
        ("words", ctypes.c_uint64 * 7),  # entry: nr, args[6]; exit: rval, is_error
    )


@dataclass(frozen=True, slots=True)
class Decoder:
    """Which calls are about paths, and how a call is written."""

    names: Mapping[int, str]
    prototypes: Mapping[str, tuple[str, Sequence[tuple[str, str]]]]
    filenames: frozenset[str]

    def name(self, number: int) -> str:
        """The call's name, `syscall_N` where the library is older than the call."""
        return self.names.get(number, f"syscall_{number}")

    def paths(self, name: str) -> frozenset[int] | None:
        """Indexes of the arguments that are paths; None where there is no prototype."""
        if name not in self.prototypes:
            return None
        wanted = self.filenames | FURTHER_PATHS.get(name, frozenset())
        arguments = enumerate(self.prototypes[name][1])
        return frozenset(index for index, (kind, label) in arguments if "char *" in kind and label in wanted)

    def arity(self, name: str) -> int:
        """How many arguments are printed."""
        return len(self.prototypes[name][1]) if name in self.prototypes else 6

    def directories(self, name: str) -> frozenset[int]:
        """Indexes of the arguments that are directory descriptors."""
        if name not in self.prototypes:
            return frozenset()
        return frozenset(i for i, (_, label) in enumerate(self.prototypes[name][1]) if label.endswith(("dfd", "dirfd")))


def load_decoder() -> Decoder:
    """The decoder made of python-ptrace's tables for this machine."""
    from ptrace.syscall import SYSCALL_NAMES, SYSCALL_PROTOTYPES
    from ptrace.syscall.prototypes import FILENAME_ARGUMENTS

    return Decoder(SYSCALL_NAMES, {**FURTHER_PROTOTYPES, **SYSCALL_PROTOTYPES}, frozenset(FILENAME_ARGUMENTS))


def read_string(pid: int, address: int) -> bytes | None:
    """The C string at `address` of task `pid`, without its zero byte; None where nothing is mapped."""
    found = b""
    try:
        with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
            while len(found) < PATH_LIMIT:
                position = address + len(found)
                piece = os.pread(memory.fileno(), 256 - position % 256, position)  # never over the end of a page
                head, end, _ = piece.partition(b"\0")
                found += head
                if end or not piece:
                    break
    except (OSError, OverflowError):
        return None
    return found[:PATH_LIMIT]


def quote(text: bytes) -> str:
    """`text` in double quotes, one line, bytes that are not printable ASCII as `\\xNN`."""
    shown = "".join(chr(b) if 0x20 <= b < 0x7F and b not in b'"\\' else f"\\x{b:02x}" for b in text)
    return f'"{shown}"'


def result_text(value: int, is_error: bool) -> str:
    """`3`, or `-2 ENOENT`."""
    return f"{value} {errno.errorcode.get(-value, '?')}" if is_error else str(value)


@dataclass(slots=True)
class Task:
    """One thread; `pending` is the call it is inside, if that call is to be printed."""

    pid: int
    pending: tuple[str, list[str], tuple[int, ...]] | None = None


@dataclass(slots=True)
class Tracer:
    """Follows every task below `first` until the last has ended."""

    ptrace: Ptrace
    refused: type[Exception]  # ptrace.PtraceError
    decoder: Decoder
    out: TextIO
    first: int
    tasks: dict[int, Task] = field(default_factory=dict)
    started: bool = False  # what happens before the first execve is our own doing
    first_status: int = 0

    def run(self) -> int:
        """Trace to the end; the wait status of the first process."""
        while True:
            try:
                pid, status = os.waitpid(-1, WAIT_ALL)
            except ChildProcessError:
                return self.first_status
            if os.WIFSTOPPED(status):
                self.on_stop(self.tasks.setdefault(pid, Task(pid)), status)
            else:
                self.on_end(pid, status)

    def on_end(self, pid: int, status: int) -> None:
        """A task is gone: print the call that it did not come back from."""
        task = self.tasks.pop(pid, None)
        if task is not None and task.pending is not None:
            self.print(task, "?")
        if pid == self.first:
            self.first_status = status

    def on_stop(self, task: Task, status: int) -> None:
        """Look at one stop and let the task go on; a task killed meanwhile is reaped by the next wait."""
        number, event = os.WSTOPSIG(status), status >> 16
        try:
            if number == signal.SIGTRAP | 0x80:
                self.on_syscall(task)
                self.resume(task.pid)
            elif event == EVENT_STOP and number in STOP_SIGNALS:
                self.ptrace(LISTEN, task.pid)
            elif event == EVENT_EXEC:
                self.on_exec(task)
                self.resume(task.pid)
            else:
                self.resume(task.pid, 0 if event else number)
        except self.refused as error:
            if getattr(error, "errno", errno.ESRCH) not in (errno.ESRCH, 0):
                raise

    def resume(self, pid: int, number: int = 0) -> None:
        """Let `pid` run to its next syscall stop, with signal `number` if it is not 0."""
        from ptrace.binding.func import PTRACE_SYSCALL

        self.ptrace(PTRACE_SYSCALL, pid, 0, number)

    def on_exec(self, task: Task) -> None:
        """The thread that called execve has taken the leader's id: its pending call comes along."""
        from ptrace.binding.func import PTRACE_GETEVENTMSG

        former = ctypes.c_ulong()
        self.ptrace(PTRACE_GETEVENTMSG, task.pid, 0, ctypes.addressof(former))
        if former.value != task.pid and former.value in self.tasks:
            task.pending = self.tasks.pop(former.value).pending

    def on_syscall(self, task: Task) -> None:
        """At the entry remember a call that is about paths, at the exit print it."""
        info = SyscallInfo()
        self.ptrace(GET_SYSCALL_INFO, task.pid, ctypes.sizeof(info), ctypes.addressof(info))
        if info.op == INFO_ENTRY:
            name = self.decoder.name(info.words[0])
            self.started = self.started or name == "execve"
            task.pending = self.decode(task.pid, name, tuple(info.words[1:7])) if self.started else None
        elif info.op == INFO_EXIT and task.pending is not None:
            value = ctypes.c_int64(info.words[0]).value
            failed = bool(info.words[1] & 0xFF)
            if not failed:
                self.add_answer(task, value)
            self.print(task, result_text(value, failed))

    def decode(self, pid: int, name: str, words: tuple[int, ...]) -> tuple[str, list[str], tuple[int, ...]] | None:
        """Name and arguments of a call as text; None when no path is in it."""
        paths = self.decoder.paths(name)
        texts = dict(self.strings(pid, words, paths))
        if not texts and not paths and name not in ANSWERS:
            return None
        directories = self.decoder.directories(name)
        shown = [texts.get(i) or self.number(word, i in directories) for i, word in enumerate(words)]
        return name, shown[: self.decoder.arity(name)], words

    @staticmethod
    def strings(pid: int, words: tuple[int, ...], paths: frozenset[int] | None) -> Iterator[tuple[int, str]]:
        """Index and text of each argument that is a path, or that reads like one where nothing is known."""
        for index, word in enumerate(words):
            known = paths is not None
            if word >= POINTER and (paths is None or index in paths):
                text = read_string(pid, word)
                if text is not None and (known or (b"/" in text and text.isascii() and text.decode().isprintable())):
                    yield index, quote(text)

    @staticmethod
    def number(word: int, is_directory: bool) -> str:
        """An argument that is not a path."""
        if is_directory:
            descriptor = ctypes.c_int(word & 0xFFFFFFFF).value
            return "AT_FDCWD" if descriptor == AT_FDCWD else str(descriptor)
        return str(word) if word < POINTER else hex(word)

    def add_answer(self, task: Task, value: int) -> None:
        """Put the path that the kernel has written in the place of the buffer's address."""
        assert task.pending is not None
        name, shown, words = task.pending
        index = ANSWERS.get(name)
        if index is not None:
            text = read_string(task.pid, words[index])
            length = value - 1 if name == "getcwd" else value  # getcwd counts its zero byte
            shown[index] = quote(text[:length]) if text is not None else shown[index]

    def print(self, task: Task, result: str) -> None:
        """Write the pending call of `task` and forget it."""
        assert task.pending is not None
        name, shown, _ = task.pending
        self.out.write(f"{task.pid} {name}({', '.join(shown)}) = {result}\n")
        task.pending = None


def start(command: Sequence[str], ptrace: Ptrace) -> int:
    """Fork a child that waits until it is traced, then becomes `command`; its pid."""
    from ptrace.binding import func

    program = shutil.which(command[0]) or command[0]
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        _become(program, command, reader, writer)
    os.close(reader)
    wanted = (
        func.PTRACE_O_TRACESYSGOOD
        | func.PTRACE_O_TRACEFORK
        | func.PTRACE_O_TRACEVFORK
        | func.PTRACE_O_TRACECLONE
        | func.PTRACE_O_TRACEEXEC
        | OPTION_EXITKILL
    )
    try:
        ptrace(SEIZE, pid, 0, wanted)
        ptrace(INTERRUPT, pid)
    except BaseException:
        os.kill(pid, signal.SIGKILL)  # else it would run on untraced at the end of the pipe
        os.waitpid(pid, 0)
        raise
    finally:
        os.close(writer)
    return pid


def _become(program: str, command: Sequence[str], reader: int, writer: int) -> None:
    """In the child: wait for the end of the pipe, then execute; 127 where there is no such program."""
    try:
        os.close(writer)
        os.read(reader, 1)
        os.close(reader)
        os.execve(program, list(command), os.environ)
    except OSError as error:
        os.write(2, f"reference tracer: cannot execute {command[0]}: {error.strerror}\n".encode())
    os._exit(127)


def trace(command: Sequence[str], out: TextIO) -> int:
    """Run `command` traced, its path syscalls as lines to `out`; the exit code as a shell would say it."""
    from ptrace import PtraceError
    from ptrace.binding.func import ptrace

    try:
        first = start(command, ptrace)
    except PtraceError as error:
        print(f"reference tracer: the kernel does not let us trace a child: {error}", file=sys.stderr)
        return 125
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP):  # the terminal's signals are for the command
        signal.signal(number, signal.SIG_IGN)
    status = Tracer(ptrace, PtraceError, load_decoder(), out, first).run()
    out.flush()
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; 125 where the tracer itself cannot work."""
    parser = argparse.ArgumentParser(prog="python -m hepwrap.interpose.reference", description="Print path syscalls.")
    parser.add_argument("-o", "--output", metavar="FILE", help="write here and not to stderr")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="-- CMD ...")
    options = parser.parse_args(argv)
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command:
        parser.error("no command; write it after --")
    try:
        import ptrace.binding  # noqa: F401
    except ImportError:
        print(MISSING, file=sys.stderr)
        return 125
    if options.output is None:
        return trace(command, sys.stderr)
    with open(options.output, "w", encoding="ascii") as out:
        return trace(command, out)


if __name__ == "__main__":
    sys.exit(main())
