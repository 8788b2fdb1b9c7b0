"""A minimal init, for where orphans come to us: PID 1 of a container, or a child subreaper.

Owns waiting and forwarding.  The command runs as our child, because as our successor it would find the helper among its
own children.  Ends as the command ends; PID 1 cannot end by a signal, and says 128 + n instead, as shells do.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from typing import NoReturn

_PR_SET_PDEATHSIG = 1


def start() -> int:
    """Fork the command's process: its pid, or 0 in it.  The parent goes on to `supervise`.

    No signal is lost in between: the parent has them all blocked, and takes them one by one.  The child is killed when
    we are, as if it were us.
    """
    found = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    child = os.fork()
    if not child:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        signal.pthread_sigmask(signal.SIG_SETMASK, found)
    return child


def supervise(child: int) -> NoReturn:
    """Forward signals to `child`, reap everything, end as it ends."""
    while True:
        reap(child)
        received = signal.sigwaitinfo(signal.valid_signals())
        if received.si_signo != signal.SIGCHLD and is_for_us_alone(received):
            forward(child, received.si_signo)


def is_for_us_alone(received: signal.struct_siginfo) -> bool:
    """What the terminal sends to its foreground group comes to the command by itself (si_code of the kernel's).

    But SIGHUP goes to the leader of the session, which may be us.
    """
    return received.si_code <= 0 or received.si_signo == signal.SIGHUP


def forward(child: int, number: int) -> None:
    """The command gets what we got."""
    try:
        os.kill(child, number)
    except ProcessLookupError:
        return


def reap(child: int) -> None:
    """Take every child that has ended; stop and end with `child`."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED)
        except ChildProcessError:
            return
        if not pid:
            return
        if pid != child:
            continue
        if not os.WIFSTOPPED(status):
            end_like(status)
        if os.getpid() != 1:
            os.kill(os.getpid(), signal.SIGSTOP)
            os.kill(child, signal.SIGCONT)


def end_like(status: int) -> NoReturn:
    """With the same exit code, or by the same signal (without a second core file)."""
    if os.WIFEXITED(status):
        os._exit(os.WEXITSTATUS(status))
    number = os.WTERMSIG(status)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if number not in (signal.SIGKILL, signal.SIGSTOP):
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    os._exit(128 + number)
