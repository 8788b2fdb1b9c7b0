"""What to execute: a host file, a memory file, a script's interpreter, or a copy whose interpreter is virtual.

Owns the rules of execve(2) for scripts and ELF files (fs/binfmt_script.c, fs/binfmt_elf.c).  The runtime only performs
the plan that is made here.
"""

from __future__ import annotations

import errno
import itertools
import os
import stat
import struct
from collections.abc import Callable

from hepwrap.cache.refusal import reraise_lack
from hepwrap.errnos import errno_of
from hepwrap.errors import Denied, HepwrapError, NotFound, PathError, TooManyLinks
from hepwrap.interpose import elf
from hepwrap.interpose.copies import Changing, Copies
from hepwrap.interpose.firstline import HEAD_BYTES, MARK, parse_first_line
from hepwrap.interpose.lookup import NATIVE, Answer, remember, remember_error
from hepwrap.interpose.plans import AskedAnew, Plans
from hepwrap.interpose.question import Question
from hepwrap.interpose.task import credentials_of
from hepwrap.interpose.way import Way
from hepwrap.interpose.world import World
from hepwrap.records import dataclass
from hepwrap.vfs.index import _index
from hepwrap.vfs.index.layout import PLAN, target, target_errno
from hepwrap.vfs.permissions import X_OK, access, common
from hepwrap.vfs.resolve import HostPath, Node

#: How deep interpreters may nest: scripts before the program that is loaded in the end (exec_binprm()).
MAXIMUM_DEPTH = 5
COMM_BYTES = 15
AT_EMPTY_PATH = 0x1000
EXECVE, EXECVEAT = 59, 322
#: Since Linux 6.14 comm is the file's own name where execveat(2) was given a descriptor alone; else the descriptor's.
COMM_IS_THE_FILES = tuple(map(int, os.uname().release.split("-")[0].split(".")[:2])) >= (6, 14)


@dataclass(frozen=True, slots=True)
class Program:
    """A file on its way to being executed."""

    #: As the caller, or a first line, named it.
    name: bytes
    node: Node | None
    #: On the host: the path for the kernel.
    host: bytes
    #: Words in front of the caller's argv[1:]; empty: argv as it is.
    words: tuple[bytes, ...] = ()
    #: True once the kernel could not have come to this file by itself.
    rerouted: bool = False


@dataclass(frozen=True, slots=True)
class Loader:
    """What an ELF file's PT_INTERP leads to, where the kernel would not come to it by that name."""

    node: Node | None
    #: Where a virtual name leads to a file of the host; empty: nothing for us to replace.
    host: bytes
    #: The same for everybody, wherever they are.
    universal: bool

    @property
    def named(self) -> Node | bytes:
        """What a copy of the program has to name; empty: nothing."""
        return self.node or self.host


class Executor:
    """Plans for the execs of one launch.

    `base`: address of the image in every program; `complain` takes a sentence.
    """

    def __init__(
        self,
        world: World,
        base: int,
        complain: Callable[[str], None],
    ) -> None:
        self._world, self._complain = world, complain
        self._index_address = base + _index.IMAGE_SPAN
        self._copies = Copies(world)
        self._plans = Plans(world.index)
        self._names: dict[bytes, int] = {}

    def answer(self, question: Question) -> Answer:
        """The plan, or the errno; NATIVE where the kernel can do it alone."""
        self._plans.begin(question.task, question)
        program = self._find(question)
        if program is None:
            return NATIVE, None
        first = program
        for _ in range(MAXIMUM_DEPTH + 1):
            head = self._head(program, question)
            if head is None:
                break
            if not head.startswith(MARK):
                return self._binary(first, program, head, question), None
            program = self._interpreter(program, head, question)
        else:
            raise TooManyLinks(f"{os.fsdecode(first.name)}: interpreters of interpreters, more than {MAXIMUM_DEPTH}")
        return (self._plan(first, program, 0, question) if program.rerouted else NATIVE), None

    def _find(self, question: Question) -> Program | None:
        """The file that was named, by path or by a descriptor."""
        way = Way.of(self._world, question)
        flags = question.arguments[4] if question.number == EXECVEAT else 0
        name = question.path or b""
        if not name and not flags & AT_EMPTY_PATH:
            return None
        if not name:
            node = self._world.book.node(question.base) if question.base else None
            fd = question.arguments[0] & 0xFFFFFFFF
            return Program(b"/dev/fd/%d" % fd, node, b"" if node else b"/proc/%d/fd/%d" % (question.task, fd))
        if question.number == EXECVEAT and not name.startswith(b"/") and question.arguments[0] < 1 << 31:
            name = b"/dev/fd/%d/%s" % (question.arguments[0], name)
        try:
            found = way.resolve(question.follow)
        except PathError as error:
            remember_error(self._world, way, question, error)
            raise
        if found is None:
            return None
        if isinstance(found.target, HostPath):
            return Program(
                name, None, found.target.path, rerouted=way.key is not None or found.target.path != way.absolute
            )
        if found.target.entry.is_file:
            remember(self._world, way, question, found, self._world.book.inode(found.target))
            if way.key is not None:
                self._world.book.enter_name(way.key)
        return Program(name, found.target, b"", rerouted=True)

    def _head(self, program: Program, question: Question) -> bytes | None:
        """The first bytes; None where the host does not let us read them, so that the kernel must judge."""
        if program.node is not None:
            self._check(program.node, question)
            return self._world.read_head(program.node, HEAD_BYTES)
        host = Way(self._world, question, None, 0, None).host
        try:
            fd = host.open(program.host)
        except OSError as error:
            reraise_lack(error)
            return None
        try:
            return os.pread(fd, HEAD_BYTES, 0) if stat.S_ISREG(os.fstat(fd).st_mode) else None
        except OSError as error:
            reraise_lack(error)
            return None
        finally:
            os.close(fd)

    def _check(self, node: Node, question: Question) -> None:
        """Only regular files that the task may execute (may_open(), MAY_EXEC)."""
        if node.entry.is_symlink:
            raise TooManyLinks(f"{os.fsdecode(node.path)} is a symbolic link")
        if not node.entry.is_file:
            raise _denied(node)
        access(node.mount.attributes(node.entry), credentials_of(question.task), X_OK)

    def _interpreter(self, script: Program, head: bytes, question: Question) -> Program:
        """What the first line names (execve(2), "Interpreter scripts")."""
        words = parse_first_line(head)
        if not words:
            raise _NotExecutable(f"{os.fsdecode(script.name)}: its first line names no interpreter")
        if name_will_be_gone(question):
            raise NotFound(f"{os.fsdecode(script.name)} closes on exec: its interpreter could not open it")
        if not words[0]:  # the kernel takes it for the working directory
            raise Denied(f"{os.fsdecode(script.name)}: the name of its interpreter is empty")
        interpreter = words[0]
        from_cwd = question.number == EXECVE  # else what is known is the directory of the script, not the task's
        way = Way(
            self._world, question, interpreter, question.base if from_cwd else 0, question.start if from_cwd else None
        )
        found = way.resolve(follow=True)
        previous = script.words[1:] if script.words else ()
        chain = (*words, script.name, *previous)
        if found is not None and isinstance(found.target, Node):
            return Program(interpreter, found.target, b"", chain, rerouted=True)
        host = found.target.path if found is not None and isinstance(found.target, HostPath) else interpreter
        return Program(interpreter, None, host, chain, script.rerouted)

    def _binary(self, first: Program, program: Program, head: bytes, question: Question) -> int:
        """An ELF file, or nothing that can be executed."""
        if elf.is_foreign(head):
            self._complain(f"{os.fsdecode(program.name)} is a 32-bit program: refused, all its calls would fail")
            raise _NotExecutable(f"{os.fsdecode(program.name)} is a program of another kind than x86_64")
        if program.node is None:
            at = self._host_copy(program, question)
            if not at and not program.rerouted:
                return NATIVE
            return self._plan(first, program, at, question)
        if not elf.is_native(head):
            raise _NotExecutable(f"{os.fsdecode(program.name)} is neither a script nor a program for this machine")
        at = self._world.book.inode(program.node)
        fd = self._world.hold(at)
        try:
            loader = self._loader(fd, question)
            copy = self._copies.of_virtual(at, fd, loader.named) if loader and loader.named else at
        finally:
            os.close(fd)
        if loader is None or loader.universal:
            self._world.book.execute_by(at, copy, self._name(program.name))
        return self._plan(first, program, copy, question)

    def _host_copy(self, program: Program, question: Question) -> int:
        """The inode of a copy, where a host file has an interpreter that is virtual; 0: it has not."""
        host = Way(self._world, question, None, 0, None).host
        try:
            fd = host.open(program.host)
        except OSError as error:
            reraise_lack(error)
            return 0
        try:
            loader = self._loader(fd, question)
            return self._copies.of_host(fd, loader.named) if loader and loader.named else 0
        except Changing:
            raise _Busy(f"{os.fsdecode(program.name)} is being written") from None
        finally:
            os.close(fd)

    def _loader(self, fd: int, question: Question) -> Loader | None:
        """What PT_INTERP names; None: there is no such name, or the kernel is right about it."""
        name = elf.interpreter(fd)
        if name is None:
            return None
        way = Way(self._world, question, name, question.base, question.start)
        try:
            found = way.resolve(follow=True)
        except PathError:
            return Loader(None, b"", universal=False)
        if found is None:
            return None if name.startswith(b"/") else Loader(None, b"", universal=False)
        universal = found.universal and name.startswith(b"/")
        if isinstance(found.target, Node):
            self._check(found.target, question)
            attributes = found.target.mount.attributes(found.target.entry)
            return Loader(found.target, b"", universal and common(attributes, X_OK) is True)
        return Loader(None, found.target.path if way.key is not None else b"", universal)

    def _plan(self, first: Program, program: Program, at: int, question: Question) -> int:
        """The record that the runtime performs, and what the task is to be called afterwards.

        The new program may read its AT_EXECFN as long as it lives: that name stays, all else goes with the call.
        """
        called = own_name(program) if is_by_descriptor(question) and COMM_IS_THE_FILES else first.name
        texts = [program.host, called.rpartition(b"/")[2][:COMM_BYTES], *program.words]
        rest = (question.argv or ())[1:] if program.words else ()
        pointers = len(program.words) + len(rest) + 1 if program.words else 0
        text_at = PLAN.size + 8 * pointers
        execfn = self._name(first.name)

        def build(block: int) -> bytes:
            places = [*itertools.accumulate((len(text) + 1 for text in texts), initial=block + text_at)]
            plan = PLAN.pack(
                path_at=places[0],
                argv_at=block + PLAN.size if pointers else 0,
                inode_at=at,
                execfn_at=execfn,
                comm_at=places[1],
            )
            words = [self._index_address + place for place in places[2:-1]]
            argv = struct.pack(f"<{pointers}Q", *words, *rest, 0) if pointers else b""
            return plan + argv + b"".join(text + b"\0" for text in texts)

        size = text_at + sum(len(text) + 1 for text in texts)
        return target(_index.TARGET_PLAN, self._plans.write(question.task, question, size, build))

    def _name(self, name: bytes) -> int:
        """Where that name stands in the index, once and for good."""
        at = self._names.get(name)
        return at if at is not None else self._names.setdefault(name, self._world.index.append(name))


class _NotExecutable(PathError):
    """ENOEXEC: the shell's cue to read the file itself."""

    universal = False


def _denied(node: Node) -> HepwrapError:
    return Denied(f"{os.fsdecode(node.path)} is no regular file: it cannot be executed")


class _Busy(PathError):
    """ETXTBSY: somebody writes to the program."""

    universal = False


#: EINTR: an exec that is told so asks again.
_ERRNO_OF: dict[type[BaseException], int] = {
    _NotExecutable: errno.ENOEXEC,
    _Busy: errno.ETXTBSY,
    AskedAnew: errno.EINTR,
}


def exec_errno(error: BaseException) -> int:
    """The errno of a failed exec."""
    return _ERRNO_OF.get(type(error)) or errno_of(error)


def refused(error: BaseException) -> Answer:
    """The answer for a failed exec."""
    return target_errno(exec_errno(error)), None


def is_by_descriptor(question: Question) -> bool:
    """Whether execveat(2) was given a descriptor and no name (fexecve(3))."""
    return question.number == EXECVEAT and not question.path


def own_name(program: Program) -> bytes:
    """What the file itself is called, whatever led to it."""
    return program.node.path if program.node is not None else os.path.realpath(program.host)


def name_will_be_gone(question: Question) -> bool:
    """Whether the file is known by a descriptor that closes on exec: its /dev/fd name would lead nowhere."""
    fd = question.arguments[0]
    if question.number != EXECVEAT or fd >= 1 << 31 or (question.path or b"").startswith(b"/"):
        return False
    try:
        with open(f"/proc/{question.task}/fdinfo/{fd}", encoding="ascii") as file:
            flags = next((line.split()[1] for line in file if line.startswith("flags:")), "0")
    except OSError as error:
        reraise_lack(error)
        return False
    return bool(int(flags, 8) & os.O_CLOEXEC)
