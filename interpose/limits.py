"""The limits that the helper inherits from who starts it (getrlimit(2)), and what is done where they are in its way.

Owns which are raised, and the sentences for those that cannot be.  The command keeps its own: a helper is a process by
itself, so nothing that is set here reaches it.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import threading
from collections.abc import Callable

from hepwrap.errors import LaunchError

_MIB = 1 << 20
UNLIMITED = resource.RLIM_INFINITY
#: Address space that programs give to the index: at most (room for a million names, docs/decisions/0017), and in parts
#: of what they may use.
MOST_WINDOW, PART_FOR_WINDOW = 384 * _MIB, 8
#: What the helper cannot do without, bytes: address space for its threads, one file for image and index.
LEAST_SPACE, LEAST_FILE = 2 << 30, 64 * _MIB
#: The image in front of the index (IMAGE_SPAN of layout.h), which counts in that file.
_IMAGE = _MIB
#: Seconds of processor time: below that nothing is begun; so long before the end, or this part of all, it is announced.
LEAST_SECONDS, NOTICE_SECONDS, NOTICE_PART = 5, 1, 20
#: Bytes of stack for each thread: not what `ulimit -s` says, which may be a few KiB, or all of the address space.
STACK = _MIB

#: What may be in the way of a process with many threads, files and much memory.
RAISED = (
    resource.RLIMIT_AS,
    resource.RLIMIT_CPU,
    resource.RLIMIT_DATA,
    resource.RLIMIT_FSIZE,
    resource.RLIMIT_NOFILE,
    resource.RLIMIT_NPROC,
    resource.RLIMIT_STACK,
)
#: Descriptors: no number to spare below FEW; FD_SETSIZE, and mostly the soft limit; no limit.
FEW, USUAL, MANY = 256, 1024, 1 << 30
NEEDED = (resource.RLIMIT_AS, resource.RLIMIT_FSIZE, resource.RLIMIT_CPU)


def prepare() -> int:
    """Raise the helper's limits as far as they go; the bytes of address space for the index in every program.

    LaunchError, one sentence, where what cannot be raised would end the helper, and with it the job, without a word.
    """
    programs = resource.getrlimit(resource.RLIMIT_AS)[0]
    for which in RAISED:
        raise_to_the_end(which)
    threading.stack_size(STACK)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGXCPU})  # in all threads to come: see `announce_the_end`
    space, file, time = (resource.getrlimit(which)[1] for which in NEEDED)
    refuse_less(space, LEAST_SPACE, "ulimit -v leaves {} MiB of address space", _MIB)
    refuse_less(file, LEAST_FILE, "ulimit -f leaves {} MiB for a file", _MIB)
    refuse_less(time, LEAST_SECONDS, "ulimit -t leaves {} seconds of processor time", 1)
    window = MOST_WINDOW if programs == UNLIMITED else min(MOST_WINDOW, programs // PART_FOR_WINDOW)
    return (window if file == UNLIMITED else min(window, file - _IMAGE)) >> 12 << 12


def spare_number() -> int:
    """The number that a descriptor of ours shall have in every program; -1: they have too few.

    Above what select(2) can take and what most limits let programs have, where the hard limit allows; no higher, since
    each fork copies a table that reaches so far.
    """
    soft, hard = (MANY if limit == UNLIMITED else limit for limit in resource.getrlimit(resource.RLIMIT_NOFILE))
    number = min(hard - 1, USUAL if soft < hard or soft > USUAL else soft - 1)
    while number >= FEW and is_open(number):
        number -= 1
    return number if number >= FEW else -1


def is_open(fd: int) -> bool:
    """Whether that is a descriptor."""
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def keep_as(fd: int, number: int) -> None:
    """Have `fd` as `number` too, for all programs to come, whether or not the limit reaches so far.  OSError."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != UNLIMITED and number >= soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (number + 1, hard))
    try:
        os.set_inheritable(os.dup2(fd, number), True)  # it may be that number already
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def raise_to_the_end(which: int) -> None:
    """To no limit at all where we may, else the soft limit to the hard one."""
    hard = resource.getrlimit(which)[1]
    for limit in (UNLIMITED, hard):
        with contextlib.suppress(OSError, ValueError):  # not privileged; above fs.nr_open
            resource.setrlimit(which, (limit, limit))
            return


def refuse_less(found: int, needed: int, sentence: str, unit: int) -> None:
    """LaunchError where a limit is under what is needed."""
    if found != UNLIMITED and found < needed:
        raise LaunchError(f"{sentence.format(found // unit)}; hepwrap's helper needs {needed // unit}: raise it")


def announce_the_end(say: Callable[[str], None]) -> None:
    """Have a sentence said before the processor time of this process is used up and the kernel kills it.

    SIGXCPU comes at the soft limit, to the thread that has passed it unless that has it blocked; Python's handlers run
    in the main thread, which has to be woken: so all others have it blocked, and it calls this.
    """
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    if hard == UNLIMITED:
        return
    left = max(NOTICE_SECONDS, hard // NOTICE_PART)

    def notice(number: int, frame: object) -> None:
        del frame
        signal.signal(number, signal.SIG_IGN)  # it comes every second from now on
        say(
            f"the helper has used {hard - left} of the {hard} seconds of processor time that ulimit -t leaves to each "
            "process; when they are used up the whole job ends: raise it"
        )

    signal.signal(signal.SIGXCPU, notice)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGXCPU})
    resource.setrlimit(resource.RLIMIT_CPU, (hard - left, hard))
