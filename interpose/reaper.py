"""A minimal init, for where orphans come to us: PID 1 of a container, or a child subreaper.

Owns waiting and forwarding.  The command runs as our child, because as our successor it would find the helper among its
own children.  Ends with the command's exit code, 128 + n where signal n ended it (as shells say).
"""

from __future__ import annotations

import os
import signal
from typing import NoReturn

#: What cannot be caught, or is about this process alone; all others are the command's.
_OURS = frozenset({signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD, signal.SIGTTOU, signal.SIGTTIN})


def supervise(child: int) -> NoReturn:
    """Forward signals to `child`, reap everything, end when it has ended."""
    for number in signal.valid_signals() - _OURS:
        try:
            signal.signal(number, lambda received, _frame: forward(child, received))
        except (OSError, ValueError):
            continue  # reserved by the C library
    status = wait_for(child)
    os._exit(os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))


def forward(child: int, number: int) -> None:
    """The command gets what we got."""
    try:
        os.kill(child, number)
    except ProcessLookupError:
        return


def wait_for(child: int) -> int:
    """The wait status of `child`; whoever else ends is reaped on the way.  Stops with it where it stops."""
    while True:
        pid, status = os.waitpid(-1, os.WUNTRACED)
        if pid != child:
            continue
        if os.WIFSTOPPED(status):
            if os.getpid() != 1:
                os.kill(os.getpid(), signal.SIGSTOP)
                os.kill(child, signal.SIGCONT)
            continue
        return status
