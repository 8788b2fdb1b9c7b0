"""Which files were opened since somebody last looked: the second chance of a clock algorithm, by inotify(7).

Where a mount keeps no times of access the kernel still says that a file was opened, if it is asked before.  It is asked
for one such event of each file (IN_ONESHOT), when its turn to leave comes for the first time: so who opens files pays
once for each look at one, and in a job whose files all fit nobody is ever asked.

Owns the watches.  Must not know what the files are for.
"""

from __future__ import annotations

import errno
import functools
import os
import struct
import threading
from typing import Any

from hepwrap.cache.sealed import MemoryFile

#: From sys/inotify.h.
IN_OPEN, IN_IGNORED, IN_Q_OVERFLOW, IN_ONESHOT = 0x20, 0x8000, 0x4000, 0x80000000
_EVENT = struct.Struct("=iIII")
#: Bytes read at once.
_BATCH = 1 << 16


class Opens:
    """Watches on memory files.  Safe from any number of threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queue = -1
        #: Inode numbers by watch, and the watches that wait, by inode number.
        self._watched: dict[int, int] = {}
        self._waiting: dict[int, int] = {}
        self._last: dict[int, int] = {}
        #: What was ever watched.
        self._known: set[int] = set()

    def watch(self, file: MemoryFile) -> bool:
        """See to it that `last` knows when `file` is opened next; whether that was so already, or cannot be had."""
        with self._lock:
            if file.inode in self._known or not self._watch(file):
                return True
            self._known.add(file.inode)
            return False

    def last(self, file: MemoryFile, now: int) -> int:
        """When `file` was last seen to have been opened: `now` of what was opened since the last look.  0: never."""
        with self._lock:
            self._read(now)
            if file.inode in self._known and file.inode not in self._waiting:
                self._watch(file)
            return self._last.get(file.inode, 0)

    def forget(self, file: MemoryFile) -> None:
        """It leaves: its watch goes with it."""
        with self._lock:
            self._last.pop(file.inode, None)
            self._known.discard(file.inode)
            watch = self._waiting.pop(file.inode, None)
            if watch is not None:
                self._watched.pop(watch, None)
                _call("inotify_rm_watch", self._queue, watch)

    def _watch(self, file: MemoryFile) -> bool:
        if self._queue < 0:
            self._queue = _call("inotify_init1", os.O_NONBLOCK | os.O_CLOEXEC)
        if self._queue < 0:
            return False
        watch = _call("inotify_add_watch", self._queue, f"/proc/self/fd/{file.fd}".encode(), IN_OPEN | IN_ONESHOT)
        if watch < 0:
            return False
        self._watched[watch] = file.inode
        self._waiting[file.inode] = watch
        return True

    def _read(self, now: int) -> None:
        while self._queue >= 0:
            try:
                data = os.read(self._queue, _BATCH)
            except OSError as error:
                if error.errno != errno.EAGAIN:
                    raise
                return
            place = 0
            while place < len(data):
                watch, mask, _cookie, length = _EVENT.unpack_from(data, place)
                place += _EVENT.size + length
                self._note(watch, mask, now)

    def _note(self, watch: int, mask: int, now: int) -> None:
        if mask & IN_Q_OVERFLOW:  # whose events were lost is not known: all begin anew
            for known in (self._waiting, self._watched, self._known):
                known.clear()
            os.close(self._queue)
            self._queue = -1
            return
        inode = self._watched.get(watch)
        if inode is None:
            return
        if mask & IN_OPEN:
            self._last[inode] = now
        if mask & IN_IGNORED:
            del self._watched[watch]
            if self._waiting.get(inode) == watch:
                del self._waiting[inode]


def _call(name: str, *arguments: Any) -> int:
    return int(_function(name)(*arguments))


@functools.cache
def _function(name: str) -> Any:
    """A function of the C library: ctypes is loaded when a file has to leave for the first time."""
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
