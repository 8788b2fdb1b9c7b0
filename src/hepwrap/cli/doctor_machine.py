"""What hepwrap needs of a machine: kernel, limits, memory, libraries.  Each check is a function from facts to findings.

Owns the requirements and what to do about each.  Facts come in by `Machine`, so that checks can be tried with others.
"""

from __future__ import annotations

import os
import re
import resource
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

from hepwrap.records import dataclass

OK, WARN, FAIL = "ok", "warn", "fail"

#: Since 4.8 a seccomp stop comes after the ptrace stop of a system call; 4.14 tells which actions there are.
_OLDEST_KERNEL, _GOOD_KERNEL = (4, 14), (5, 9)
_CAP_SYS_PTRACE = 19
_FEW_DESCRIPTORS = 1024
#: With so few a launch has no number for the directory of opened files (FEW of hepwrap.interpose.limits).
_NUMBERS_TO_SPARE = 256
#: Settings by which machines forbid user namespaces, where they have them (sysctl(8)): the values that do.
_NO_NAMESPACES = {
    "user.max_user_namespaces": "0",
    "kernel.unprivileged_userns_clone": "0",
    "kernel.apparmor_restrict_unprivileged_userns": "1",
}
_LITTLE_ADDRESS_SPACE = 4 << 30
_LIBRARIES = ("requests", "cryptography", "psutil")
_ENGINE = ("hepwrap.interpose._core", "hepwrap.vfs.index._index")


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the table."""

    state: str
    what: str
    found: str
    #: What to do about it; "" where nothing is to be done.
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Machine:
    """Facts about this machine; `root` is where /proc and /dev are looked for."""

    root: Path = Path("/")
    uname: Callable[[], os.uname_result] = os.uname
    limit: Callable[[int], tuple[int, int]] = resource.getrlimit

    def read(self, path: str) -> str | None:
        """A small file, None where it cannot be read."""
        try:
            return (self.root / path.lstrip("/")).read_text("utf-8", "replace").strip()
        except OSError:
            return None

    def status(self, field: str) -> str:
        """A line of /proc/self/status."""
        match = re.search(rf"^{field}:\s*(.*)$", self.read("/proc/self/status") or "", re.MULTILINE)
        return match[1] if match else ""


def kernel(machine: Machine) -> Iterator[Finding]:
    """Version and processor."""
    name = machine.uname()
    match = re.match(r"(\d+)\.(\d+)", name.release)
    version = (int(match[1]), int(match[2])) if match else (0, 0)
    found = f"{name.sysname} {name.release}"
    if version < _OLDEST_KERNEL:
        yield Finding(
            FAIL, "kernel", found, f"a Linux kernel of {_OLDEST_KERNEL[0]}.{_OLDEST_KERNEL[1]} or newer is needed"
        )
    elif version < _GOOD_KERNEL:
        yield Finding(WARN, "kernel", found, "5.9 or newer is better: before, numbers of memory files can repeat")
    else:
        yield Finding(OK, "kernel", found)
    if name.machine == "x86_64":
        yield Finding(OK, "processor", name.machine)
    else:
        yield Finding(FAIL, "processor", name.machine, "only x86_64 is served; ls, cat, find, verify work everywhere")


def seccomp(machine: Machine) -> Iterator[Finding]:
    """The actions that the filter uses."""
    actions = machine.read("/proc/sys/kernel/seccomp/actions_avail")
    if actions is None:
        yield Finding(
            WARN, "seccomp", "cannot be seen", "if launches fail, ask for a kernel with CONFIG_SECCOMP_FILTER"
        )
    elif {"trace", "errno", "allow"} <= set(actions.split()):
        yield Finding(OK, "seccomp", actions)
    else:
        yield Finding(FAIL, "seccomp", actions, "the action `trace` is needed; ask for a kernel that has it")


def ptrace(machine: Machine) -> Iterator[Finding]:
    """Whether one process may trace another: Yama's say, then a try."""
    scope = machine.read("/proc/sys/kernel/yama/ptrace_scope")
    may_anyway = bool(int(machine.status("CapEff") or "0", 16) >> _CAP_SYS_PTRACE & 1)
    if scope in (None, "0", "1"):
        yield Finding(OK, "ptrace scope", "no Yama" if scope is None else scope)
    elif scope == "2" and may_anyway:
        yield Finding(OK, "ptrace scope", "2, with CAP_SYS_PTRACE")
    else:
        yield Finding(
            FAIL, "ptrace scope", scope or "", "kernel.yama.ptrace_scope must be 0 or 1; ask the administrator"
        )


def tracing(_machine: Machine) -> Iterator[Finding]:
    """Whether ptrace is there at all: containers and job managers can forbid it."""
    reason = try_ptrace()
    if reason:
        yield Finding(
            FAIL, "ptrace", reason, "the container or job manager forbids it; allow ptrace (SYS_PTRACE is not needed)"
        )
    else:
        yield Finding(OK, "ptrace", "works")


def try_ptrace() -> str:
    """ "" where a child can ask to be traced, else why not."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    child = os.fork()
    if child == 0:
        os._exit(0 if libc.ptrace(0, 0, 0, 0) == 0 else ctypes.get_errno() & 0x7F or 1)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return os.strerror(status) if status > 0 else f"the try was killed by signal {-status}" if status else ""


def memory_files(machine: Machine) -> Iterator[Finding]:
    """Sealed memory files, which opened files are."""
    import fcntl

    noexec = machine.read("/proc/sys/vm/memfd_noexec")
    if noexec == "2":
        yield Finding(FAIL, "memory files", "vm.memfd_noexec=2", "programs in memory files cannot run; ask for 0 or 1")
        return
    try:
        descriptor = os.memfd_create("hepwrap-doctor", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)
        finally:
            os.close(descriptor)
    except OSError as error:
        yield Finding(FAIL, "memory files", error.strerror or "", "memfd_create(2) with seals is needed")
    else:
        yield Finding(OK, "memory files", "can be made and sealed")


def opened_files(machine: Machine) -> Iterator[Finding]:
    """Where opened files will lie: sealed they are as right, and slower to open."""
    hard = machine.limit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard <= _NUMBERS_TO_SPARE:
        reason, advice = f"`ulimit -Hn` is {hard}", "raise it"
    else:
        reason, advice = try_private_mount(), namespaces_wanted(machine)
    if reason:
        yield Finding(WARN, "opened files", f"sealed ({reason})", f"opening takes twice as long; {advice}")
    else:
        yield Finding(OK, "opened files", "in a file system of the launch's own")


def namespaces_wanted(machine: Machine) -> str:
    """What to ask for, by the settings that are in the way here."""
    values = {name: machine.read(f"/proc/sys/{name.replace('.', '/')}") for name in _NO_NAMESPACES}
    found = [f"{name}={value}" for name, value in values.items() if value == _NO_NAMESPACES[name]]
    return f"user namespaces are not allowed here: {', '.join(found or _NO_NAMESPACES)}"


def try_private_mount() -> str:
    """ "" where a file system of our own can be mounted, else why not."""
    from hepwrap import job

    try:
        descriptors = job.mount_privately()
    except ImportError:
        return "there is no engine"
    except OSError as error:
        return error.strerror or str(error)
    for descriptor in descriptors:
        if descriptor >= 0:
            os.close(descriptor)
    return ""


def limits(machine: Machine) -> Iterator[Finding]:
    """Limits of this user and job."""
    hard = machine.limit(resource.RLIMIT_NOFILE)[1]
    found = "unlimited" if hard == resource.RLIM_INFINITY else str(hard)
    if hard != resource.RLIM_INFINITY and hard < _FEW_DESCRIPTORS:
        yield Finding(WARN, "open files", found, "so many files can be held in memory; ask for a higher `ulimit -Hn`")
    else:
        yield Finding(OK, "open files", found)
    space = machine.limit(resource.RLIMIT_AS)[0]
    if space != resource.RLIM_INFINITY and space < _LITTLE_ADDRESS_SPACE:
        yield Finding(
            WARN, "address space", f"{space >> 20} MiB", "`ulimit -v` is small; unset it, or expect slower answers"
        )
    else:
        yield Finding(OK, "address space", "unlimited" if space == resource.RLIM_INFINITY else f"{space >> 20} MiB")
    largest = machine.limit(resource.RLIMIT_FSIZE)[1]
    if largest != resource.RLIM_INFINITY:
        yield Finding(
            WARN,
            "file size",
            f"{largest >> 20} MiB",
            "larger files of a repository cannot be opened; raise `ulimit -Hf`",
        )


def shared_memory(machine: Machine) -> Iterator[Finding]:
    """A place for the directories that stand for virtual ones; each is removed as soon as it is made."""
    places = ("/dev/shm", os.environ.get("TMPDIR") or "/tmp")
    writable = [place for place in places if os.access(machine.root / place.lstrip("/"), os.W_OK | os.X_OK)]
    if places[0] in writable:
        yield Finding(OK, "/dev/shm", "writable")
    elif writable:
        yield Finding(WARN, "/dev/shm", "not writable", f"{writable[0]} is used instead")
    else:
        yield Finding(FAIL, "/dev/shm", "not writable", "make /dev/shm or TMPDIR writable: directories need a place")


def python(_machine: Machine) -> Iterator[Finding]:
    """The interpreter and the libraries."""
    from importlib.metadata import PackageNotFoundError, version

    yield Finding(OK, "Python", ".".join(map(str, sys.version_info[:3])))
    for library in _LIBRARIES:
        try:
            yield Finding(OK, library, version(library))
        except PackageNotFoundError:
            yield Finding(FAIL, library, "not installed", f"pip install {library}")


def engine(_machine: Machine) -> Iterator[Finding]:
    """The parts in C."""
    missing = [name for name in _ENGINE if not _is_there(name)]
    if missing:
        advice = "install hepwrap again where gcc is; ls, cat, find, verify work without"
        yield Finding(FAIL, "engine", f"without {', '.join(missing)}", advice)
    else:
        yield Finding(OK, "engine", "built")


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ImportError:
        return False


CHECKS: tuple[Callable[[Machine], Iterator[Finding]], ...] = (
    kernel,
    seccomp,
    ptrace,
    tracing,
    memory_files,
    opened_files,
    limits,
    shared_memory,
    python,
    engine,
)
