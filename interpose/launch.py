"""Launch in place: the process that ran hepwrap becomes the command; a helper behind it traces and serves.

Owns the order of a launch and what the helper inherits.  Must not know repositories: the world is built by a callable
that runs in the helper, and only its server is called.

    launcher                             helper (forked twice, a session of its own)
      | fork, fork ------------------------> build the world (verify, connect); open the index
      |                                      | memory file of the index -> launcher
      | map image and index                  |
      | allow the helper to trace -----------> PTRACE_SEIZE
      | filter, execve (caught, planned)     | serve until no task is left
"""

from __future__ import annotations

import array
import contextlib
import errno
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import NoReturn, Protocol

from hepwrap.errors import HepwrapError, LaunchError
from hepwrap.interpose import _core, limits
from hepwrap.records import dataclass

EXIT_OURS, EXIT_NOT_EXECUTABLE, EXIT_NOT_FOUND = 125, 126, 127
#: What posix_spawn and shells search where PATH is not set (confstr _CS_PATH).
DEFAULT_PATH = b"/bin:/usr/bin"


NO_PROC = (
    "/proc is not mounted here, or shows another pid namespace, and hepwrap cannot work without; "
    "have it mounted: mount -t proc proc /proc"
)
DOCTOR = "see `hepwrap doctor`"
#: What helps against errors of the kernel's.
HELP = {
    errno.EAGAIN: "raise ulimit -u, or end other processes",
    errno.EMFILE: "raise ulimit -n",
    errno.ENFILE: "ask the administrator to raise fs.file-max",
    errno.ENOMEM: "ask for more memory",
}

#: What cannot be ignored, what says that we are broken, and what waiting for tasks needs.
NOT_IGNORED = frozenset(
    (
        signal.SIGKILL,
        signal.SIGSTOP,
        signal.SIGCHLD,
        signal.SIGSEGV,
        signal.SIGBUS,
        signal.SIGILL,
        signal.SIGFPE,
        signal.SIGABRT,
        signal.SIGSYS,
        signal.SIGTRAP,
    )
)


class Server(Protocol):
    """What the helper runs; see `hepwrap.interpose.server`."""

    @property
    def index_fd(self) -> int:
        """Descriptor of image and index."""
        ...

    @property
    def directory(self) -> tuple[int, int] | None:
        """A descriptor that every program has too, and its number there; None: there is none."""
        ...

    @property
    def start(self) -> bytes:
        """Where the command starts, if not in the directory that we are in; else b""."""
        ...

    def serve(self, first: int, base: int, attached: Callable[[], None]) -> None:
        """Seize process `first`, call `attached`, answer until no task is left."""
        ...


@dataclass(frozen=True, slots=True)
class LaunchOptions:
    """How a launch goes about it."""

    #: Bytes of address space for the index in every program.
    window: int = limits.MOST_WINDOW
    #: Which descriptor of every program may be one of ours; -1: none.
    number: int = -1


def run(
    command: list[str],
    environment: Mapping[str, str],
    build_server: Callable[[LaunchOptions], Server],
    *,
    keep: tuple[int, ...] = (),
) -> NoReturn:
    """Become `command`; never returns.  Exit 125, 126 or 127 where that fails, after one line on stderr.

    `keep`: descriptors that the helper keeps besides its own; they must be close-on-exec.
    """
    if not is_own_proc():
        fail(NO_PROC, EXIT_OURS)
    if tracer := tracer_of_this_process():
        fail(already_traced(tracer), EXIT_OURS)
    try:
        link = start_helper(build_server, keep)
    except OSError as error:
        fail(no_helper(error), EXIT_OURS)
    become(command, environment, link)


def start_helper(build_server: Callable[[LaunchOptions], Server], keep: tuple[int, ...]) -> socket.socket:
    """Fork the helper, and where need be a minimal init; our end of the line between us.  OSError."""
    occupy_standard_streams()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    launcher = os.getpid()
    spare = limits.spare_number()  # of what the command has and may have, our end of the line included
    if is_reaper():
        launcher = become_minimal_init()
    spawn_helper(theirs, ours, lambda link: helper_main(link, launcher, build_server, keep, spare))
    theirs.close()
    return ours


def is_own_proc() -> bool:
    """Whether /proc is procfs and shows the processes of our own pid namespace (proc(5))."""
    try:
        return os.readlink("/proc/self") == str(os.getpid())
    except OSError:
        return False


def tracer_of_this_process() -> int:
    """The process that traces this one; 0 where there is none, or none that can be seen from here (proc(5))."""
    with contextlib.suppress(OSError), open("/proc/self/status", encoding="utf-8", errors="replace") as file:
        return next((int(line.split()[1]) for line in file if line.startswith("TracerPid:")), 0)
    return 0


def already_traced(tracer: int) -> str:
    """Why nothing can be launched from inside another launch, strace or a debugger: ptrace(2) allows one tracer."""
    name = ""
    with contextlib.suppress(OSError), open(f"/proc/{tracer}/comm", encoding="utf-8", errors="replace") as file:
        name = f" ({file.read().strip()})"
    return (
        f"this process is traced already, by process {tracer}{name}, and can have one tracer only; "
        "run hepwrap without it"
    )


def occupy_standard_streams() -> None:
    """Where streams are closed, keep their numbers from what we open; the command finds them closed (close-on-exec)."""
    while (fd := os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)) <= 2:
        continue
    os.close(fd)


def is_reaper() -> bool:
    """True where orphans come to this process: PID 1 of a namespace, or a child subreaper (prctl(2))."""
    return os.getpid() == 1 or _core.is_subreaper()


def become_minimal_init() -> int:
    """Fork the command's process and stay as its init; returns in the child, with its pid.

    The init keeps no descriptor: a reader of the command's pipe must see its end.
    """
    from hepwrap.interpose import reaper

    child = reaper.start()
    if child:
        close_everything_but(())
        reaper.supervise(child)
    return os.getpid()


def spawn_helper(link: socket.socket, other: socket.socket, main: Callable[[socket.socket], None]) -> None:
    """Fork twice, so that the command has no child it did not make."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # closed when we were started
            stream.flush()
    child = os.fork()
    if child:
        with contextlib.suppress(ChildProcessError):  # SIGCHLD is ignored: the kernel has reaped it
            os.waitpid(child, 0)
        return
    status = 1
    try:
        os.setsid()
        if fork_or_say_why(link) == 0:
            other.close()
            main(link)
        status = 0
    finally:
        os._exit(status)


def fork_or_say_why(link: socket.socket) -> int:
    """fork(2); where that fails the launcher is told."""
    try:
        return os.fork()
    except OSError as error:
        link.send(b"!" + no_helper(error).encode())
        return -1


def no_helper(error: OSError) -> str:
    """Why no helper can be started, and what helps."""
    return f"no helper can be started: {error.strerror}; {HELP.get(error.errno or 0, DOCTOR)}"


def close_everything_but(keep: Iterable[int]) -> None:
    """No pipe, lock or terminal of the command's may be held open by the helper."""
    null = os.open(os.devnull, os.O_RDWR)
    for fd in range(3):
        os.dup2(null, fd)
    if null > 2:
        os.close(null)
    kept = {0, 1, 2, *keep}
    for fd in [int(name) for name in os.listdir("/proc/self/fd")]:
        if fd not in kept:
            with contextlib.suppress(OSError):  # the descriptor of this very listing
                os.close(fd)


def helper_main(
    link: socket.socket,
    launcher: int,
    build_server: Callable[[LaunchOptions], Server],
    keep: tuple[int, ...],
    spare: int,
) -> None:
    """The helper: build, report, serve."""
    for number in signal.valid_signals() - NOT_IGNORED:  # whoever signals a whole job does not mean us
        with contextlib.suppress(OSError, ValueError):  # reserved by the C library
            signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        close_everything_but((link.fileno(), *keep))
        options = LaunchOptions(window=limits.prepare(), number=spare)
        server = build_server(options)
        os.chdir("/")
        directory, place = server.directory or (-1, -1)
        fds = array.array("i", [server.index_fd, *([directory] if place >= 0 else [])])
        link.sendmsg(
            [b"%d %d %d %s" % (os.getpid(), options.window, place, server.start)],
            [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)],
        )
        base = link.recv(64)
        if base:
            server.serve(launcher, int(base), lambda: release(link))
    except HepwrapError as error:
        with contextlib.suppress(OSError):
            link.send(b"!" + str(error).encode("utf-8", "surrogateescape")[:4000])
    except BaseException as error:
        with contextlib.suppress(OSError):
            link.send(b"!" + describe(error).encode("utf-8", "surrogateescape")[:4000])
        raise


def release(link: socket.socket) -> None:
    """The helper traces now: let the launcher go on, and keep nothing of it."""
    link.send(b"attached")
    link.close()


def describe(error: BaseException) -> str:
    """One line about an error that is not ours, with the place."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f" at {os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno}" if trace else ""
    return f"the helper failed: {type(error).__name__}: {error}{place}"


def receive(link: socket.socket) -> tuple[bytes, list[int]]:
    """One message and perhaps descriptors; LaunchError where the helper says no, or is gone."""
    message, ancillary, _, _ = link.recvmsg(4096, socket.CMSG_SPACE(8))
    if not message:
        raise LaunchError("the helper ended before the command could start")
    if message[:1] == b"!":
        raise LaunchError(message[1:].decode("utf-8", "surrogateescape"))
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds = array.array("i")
            fds.frombytes(data[: len(data) // 4 * 4])
            return message, list(fds)
    return message, []


def become(command: list[str], environment: Mapping[str, str], link: socket.socket) -> NoReturn:
    """Map the world, let the helper attach, and execute the command through the runtime."""
    die_of_interrupts()
    try:
        message, fds = receive(link)
        if not fds:
            raise LaunchError("the helper sent no index")
        helper, window, number = map(int, message.split(b" ", 3)[:3])
        start = message.split(b" ", 3)[3]
        base = _core.map_world(fds[0], window)
        if number >= 0:
            with contextlib.suppress(OSError, ValueError):  # programs open by /proc where they have not got it
                limits.keep_as(fds[1], number)
        for fd in fds:
            if fd != number:
                os.close(fd)
        _core.allow_tracer(helper)
        link.send(str(base).encode())
        receive(link)
        link.close()
    except LaunchError as error:
        fail(str(error), EXIT_OURS)
    except OSError as error:
        fail(f"the launch failed: {error}", EXIT_OURS)
    enter(base, start)
    execute(command, environment)


def candidates(command: bytes, environment: Mapping[str, str]) -> list[bytes]:
    """Where execvp(3) looks for `command`."""
    if b"/" in command:
        return [command]
    path = os.fsencode(environment["PATH"]) if "PATH" in environment else DEFAULT_PATH
    return [directory + b"/" + command if directory else command for directory in path.split(b":")]


def enter(base: int, start: bytes) -> None:
    """From here on see what the command will see; and be in the directory `start`, where one is named."""
    try:
        _core.enter(base)
    except OSError as error:
        fail(f"the kernel takes no filter of system calls: {error.strerror}; {DOCTOR}", EXIT_OURS)
    if start:
        os.chdir(start)


def execute(command: list[str], environment: Mapping[str, str]) -> NoReturn:
    """execvp(3); the exit code of failure is env(1)'s: 127 not found, 126 not executable."""
    argv = [os.fsencode(word) for word in command]
    variables = [os.fsencode(f"{name}={value}") for name, value in environment.items()]
    restore_signals()
    worst = try_all(argv, variables, candidates(argv[0], environment))
    exit_code = EXIT_NOT_FOUND if worst == errno.ENOENT else EXIT_NOT_EXECUTABLE
    fail(f"{command[0]}: {os.strerror(worst)}", exit_code)


def try_all(argv: list[bytes], variables: list[bytes], paths: Iterable[bytes]) -> int:
    """Execute the first of `paths` that can be; returns only where none can: the errno that says most."""
    worst = errno.ENOENT
    for path in paths:
        code = _core.execute(path, argv, variables)
        if code == errno.ENOEXEC:
            code = _core.execute(b"/bin/sh", [b"/bin/sh", path, *argv[1:]], variables)
        if code not in (errno.ENOENT, errno.ENOTDIR) or b"/" in argv[0]:
            worst = code
        if code not in (errno.ENOENT, errno.ENOTDIR, errno.EACCES):
            break
    return worst


def die_of_interrupts() -> None:
    """From here on Ctrl-C ends us as it would the command: by the signal, which a shell's script tells from an exit."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def restore_signals() -> None:
    """Python ignores these for itself; the command must find them as it would have."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)


def fail(message: str, code: int) -> NoReturn:
    """One line on stderr, and out, without running anything that belongs to the interpreter's end."""
    tell(message)
    os._exit(code)


def tell(message: str) -> None:
    """One line on stderr, if that is open."""
    with contextlib.suppress(OSError):
        os.write(2, b"hepwrap: " + message.encode("utf-8", "surrogateescape") + b"\n")
