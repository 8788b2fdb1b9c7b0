"""Which files were opened since somebody last looked: the second chance of a clock algorithm, by inotify(7).

Where a mount keeps no times of access the kernel still says that a file was opened, if it is asked before.  It is asked
for one such event of each file (IN_ONESHOT): when half of the room is taken and others have been made after it, and
again some time after each look that found one.  So who opens files pays once for each look at one, and in a job whose
files all fit nobody is ever asked.

Owns the watches.  Must not know what the files are for.
"""

from __future__ import annotations

import functools
import itertools
import os
import struct
import threading
from typing import Any

from hepwrap.cache.sealed import MemoryFile

#: From sys/inotify.h.
IN_OPEN, IN_Q_OVERFLOW, IN_IGNORED, IN_ONESHOT = 0x20, 0x4000, 0x8000, 0x80000000
#: watch, mask, cookie, length of a name, which only entries of directories have.
_EVENT = struct.Struct("=iIII")
#: Bytes read at once.
_BATCH = 1024 * _EVENT.size
#: The latest files, so many but at most this part of all, are not watched yet: who has asked for one opens it first,
#: and that tells nothing.
LATEST, PART = 16, 8
#: Watches that are made at once; and the part of those that a user may have (8192 in all, on older machines) that a job
#: takes: others are the programs'.
AT_ONCE, SHARE = 64, 8
_LIMIT = "/proc/sys/fs/inotify/max_user_watches"


class Opens:
    """Watches on memory files.  Safe from any number of threads."""

    def __init__(self, most: int | None = None) -> None:
        """`most`: watches in all; None: a share of what the machine allows."""
        self._lock = threading.Lock()
        self._queue, self._most = -1, most
        #: Descriptors of what is not watched, by inode number, in the order of coming.
        self._coming: dict[int, int] = {}
        #: The watches that wait, by inode number, and the reverse.
        self._waiting: dict[int, int] = {}
        self._watched: dict[int, int] = {}
        #: Whose watch is gone, because they were opened.
        self._opened: set[int] = set()

    def attend(self, file: MemoryFile, soon: bool) -> None:
        """It is new; `soon`: watch what has come so far, since some may have to leave.

        What came first is watched first.  Nothing is, where the kernel gives no watch (fs.inotify.max_user_instances,
        max_user_watches); it may do so later.
        """
        with self._lock:
            self._coming[file.inode] = file.fd
            all_known = len(self._coming) + len(self._waiting) + len(self._opened)
            ready = len(self._coming) - min(LATEST, all_known // PART)
            for inode in list(itertools.islice(self._coming, min(ready, AT_ONCE)) if soon and ready > 0 else ()):
                if not self._watch(inode, self._coming[inode]):
                    break
                del self._coming[inode]

    def opened(self, file: MemoryFile) -> bool:
        """Whether `file` was opened since it was watched; False of what was not.  It then counts as one that is new."""
        with self._lock:
            self._read()
            if file.inode not in self._opened:
                return False
            self._opened.discard(file.inode)
            self._coming[file.inode] = file.fd
            return True

    def forget(self, file: MemoryFile) -> None:
        """It leaves: its watch goes with it.  Before its descriptor is closed, whose number is another's then."""
        with self._lock:
            self._coming.pop(file.inode, None)
            self._opened.discard(file.inode)
            watch = self._waiting.pop(file.inode, None)
            if watch is not None:
                self._watched.pop(watch, None)
                _call("inotify_rm_watch", self._queue, watch)

    def close(self) -> None:
        """Forget all; the queue of the kernel's goes with the watches."""
        with self._lock:
            for known in (self._coming, self._waiting, self._watched, self._opened):
                known.clear()
            if self._queue >= 0:
                os.close(self._queue)
            self._queue = -1

    def _watch(self, inode: int, fd: int) -> bool:
        """Whether that could be had."""
        if self._most is None:
            self._most = allowed() // SHARE
        if self._queue < 0:
            self._queue = _call("inotify_init1", os.O_NONBLOCK | os.O_CLOEXEC)
        if self._queue < 0 or len(self._waiting) >= self._most:
            return False
        watch = _call("inotify_add_watch", self._queue, f"/proc/self/fd/{fd}".encode(), IN_OPEN | IN_ONESHOT)
        if watch < 0:
            return False
        self._watched[watch] = inode
        self._waiting[inode] = watch
        return True

    def _read(self) -> None:
        data = bytes(_BATCH)
        while self._queue >= 0 and len(data) == _BATCH:
            try:
                data = os.read(self._queue, _BATCH)
            except BlockingIOError:
                return
            for watch, mask, _cookie, _length in _EVENT.iter_unpack(data):
                self._note(watch, mask)

    def _note(self, watch: int, mask: int) -> None:
        """That a watch is gone says that there was an open, and comes after it; who left has none of ours any more."""
        if mask & IN_Q_OVERFLOW:  # whose events were lost is not known
            self._opened.update(self._waiting)
            self._waiting.clear()
            self._watched.clear()
        elif mask & IN_IGNORED:
            inode = self._watched.pop(watch, 0)
            if self._waiting.get(inode) == watch:
                del self._waiting[inode]
                self._opened.add(inode)


def allowed(place: str = _LIMIT) -> int:
    """Watches that the user may have; none where nobody says."""
    try:
        with open(place, encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return 0


def _call(name: str, *arguments: Any) -> int:
    """-1: the kernel refuses, or there is no memory or descriptor left to load what asks it."""
    try:
        return int(_function(name)(*arguments))
    except (OSError, ImportError, MemoryError):
        return -1


@functools.cache
def _function(name: str) -> Any:
    """A function of the C library: ctypes is loaded when room gets short for the first time."""
    import ctypes

    number = ctypes.c_int
    known = {
        "inotify_init1": (number,),
        "inotify_add_watch": (number, ctypes.c_char_p, ctypes.c_uint32),
        "inotify_rm_watch": (number, number),
    }
    function = getattr(ctypes.CDLL(None), name)
    function.restype, function.argtypes = number, known[name]
    return function
