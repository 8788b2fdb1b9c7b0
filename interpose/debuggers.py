"""What is said of debuggers, supervisors and set-id programs inside of a job: words for what the tracer has decided.

Owns the sentences.  Must not know when they are said.
"""

from __future__ import annotations

from pathlib import Path

#: In the order of `enum telling` in core/core.h.
_SENTENCES = (
    "{who} wants to be traced from its start, which cannot be in here: refused; attach to a running process instead"
    " (gdb -p, strace -p)",
    "{who} lets {whom} run while it traces it: until it lets go, what {whom} has not looked at before fails"
    " (ENOSYS, EIO), and it can start no program; attach for a look only",
    "{whom} cannot be taken back from {who} and was ended: it has executed a program meanwhile, or the kernel refused",
    "{who} cannot attach to {whom}: with kernel.yama.ptrace_scope above 0 it could not be taken back;"
    " ask this machine's administrator for 0",
    "{who} wants a seccomp filter with a listener: refused (EBUSY), since what that lets go on would pass us by;"
    " run what supervises so outside, or without that",
    "{who} is a set-user-id or set-group-id program: in here it runs without the rights of that (no_new_privs)",
    "{who} is in a pid namespace of its own: from there it cannot attach to anything in here;"
    " start the debugger outside of it",
)


def sentence(what: int, who: int, whom: int) -> str:
    """`who` and `whom` are tasks: the one that asks, and the one that is asked for."""
    return _SENTENCES[what].format(who=_called(who), whom=_called(whom))


def _called(task: int) -> str:
    """Number and name; only the number where there is no name any more."""
    try:
        name = Path(f"/proc/{task}/comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return f"process {task}"
    return f"process {task} ({name})"
