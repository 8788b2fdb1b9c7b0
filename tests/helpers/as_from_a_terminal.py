"""What tests of signals take for granted, and a run in the background or in a container may not have.

A command that is started behind `&` by a shell without job control inherits SIGINT and SIGQUIT ignored; and where no
shell makes process groups, a group without a parent in another one is orphaned: SIGTSTP does not stop it (setpgid(2)).
"""

from __future__ import annotations

import os
import signal


def become() -> None:
    """Put both right for this process and what it starts; with a terminal all is as it should be."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGQUIT) is signal.SIG_IGN:
        signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    if not _has_terminal() and os.getsid(0) != os.getpid():
        os.setpgid(0, 0)


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
