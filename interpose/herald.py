"""Words to the command's own stderr, borrowed for a moment: the helper keeps no descriptor of the command's open.

Only where the user asked for words (`--stats`, `-v`) is a copy kept, until the first process has ended: many programs
close their stderr before they exit.

Owns the borrowing (pidfd_getfd(2), else /proc/PID/fd/2) and the thread that does it, which keeps the rights that the
launch had.  Must not know what is said.
"""

from __future__ import annotations

import contextlib
import errno
import os
import queue
import threading

#: x86_64 and all others since Linux 5.6.
_PIDFD_GETFD = 438
_PIDFD_THREAD = os.O_EXCL
Identity = tuple[int, int, int]


def identity_of(fd: int) -> Identity | None:
    """Which file a descriptor is; None where it is closed."""
    try:
        status = os.fstat(fd)
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_rdev


class Herald:
    """Says lines on the stderr that the command was started with.

    `kept` is a descriptor of it; None: it is borrowed, as long as the first process still has it.
    """

    def __init__(self, stderr: Identity | None, kept: int | None = None) -> None:
        self._stderr, self._kept = stderr, kept
        self._first = 0
        self._over = False
        self._lines: queue.Queue[tuple[str, threading.Event] | None] = queue.Queue()
        self._thread = threading.Thread(target=self._run, name="herald", daemon=True)

    def start(self, first: int) -> None:
        """Begin, in a thread with the rights of the caller; `first` is the command's process."""
        self._first = first
        self._thread.start()

    def say(self, text: str) -> None:
        """One line or more, soon; lost where the stream is gone or full."""
        if not self._over:
            self._lines.put((text, threading.Event()))

    def say_now(self, text: str, seconds: float = 0.5) -> None:
        """As `say`, and wait until it has been said, so that it stands before what the program says of it."""
        if self._over:
            return
        said = threading.Event()
        self._lines.put((text, said))
        said.wait(seconds)

    def finish(self, seconds: float) -> None:
        """Wait until all has been said, but not longer than that."""
        self._over = True
        self._lines.put(None)
        if self._thread.ident is not None:
            self._thread.join(seconds)

    def _run(self) -> None:
        while (line := self._lines.get()) is not None:
            text, said = line
            with contextlib.suppress(OSError):
                self._write(text)
            said.set()
        if self._kept is not None:
            os.close(self._kept)

    def _write(self, text: str) -> None:
        fd = self._borrow()
        try:
            if self._stderr is not None and identity_of(fd) == self._stderr:
                data = text.encode("utf-8", "surrogateescape")
                while data:
                    data = data[os.write(fd, data) :]
        finally:
            os.close(fd)

    def _borrow(self) -> int:
        """A copy of the first process's stderr; OSError where nobody who has it is left."""
        if self._kept is not None:
            return os.dup(self._kept)
        for thread in threads_of(self._first):
            with contextlib.suppress(OSError):
                return borrow_from(thread, is_leader=thread == self._first)
        raise OSError(errno.ESRCH, os.strerror(errno.ESRCH))


def threads_of(process: int) -> list[int]:
    """The leader first; it may have ended before the others, and has no descriptors then."""
    others: list[int] = []
    with contextlib.suppress(OSError):
        others = [int(name) for name in os.listdir(f"/proc/{process}/task") if int(name) != process]
    return [process, *others]


def borrow_from(thread: int, *, is_leader: bool) -> int:
    """A copy of a thread's descriptor 2: the same open file where the kernel can do that, else the file opened again.

    The kernel can since Linux 5.6 for leaders, and since 6.9 for other threads (PIDFD_THREAD, pidfd_open(2)).
    """
    with contextlib.suppress(OSError):
        pid = os.pidfd_open(thread, 0 if is_leader else _PIDFD_THREAD)
        try:
            fd = _syscall(_PIDFD_GETFD, pid, 2, 0)
        finally:
            os.close(pid)
        if fd >= 0:
            return fd
    return os.open(f"/proc/{thread}/fd/2", os.O_WRONLY | os.O_APPEND | os.O_NOCTTY)


def _syscall(number: int, *arguments: int) -> int:
    import ctypes

    return int(ctypes.CDLL(None, use_errno=True).syscall(number, *arguments))
