"""Room in the index for the plans of execs: one block for each task that executes, used again and again.

Owns the blocks.  Must not know what a plan says.

A task reads its plan, and the kernel the argv in it, while the call lasts; when the task asks anew, or is gone, the
call is over.  So a block belongs to a task until then, and there are about as many as tasks live at the same time.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from hepwrap.errors import PathError
from hepwrap.vfs.index._index import Index

#: Bytes of the smallest block; every next kind is twice as large.
LEAST = 512
#: Tasks that may have asked before it is looked which of them are gone.
FIRST_LOOK = 32


class AskedAnew(PathError):
    """The task has asked something else since: nobody waits for this answer."""

    universal = False


def is_alive(task: int) -> bool:
    """Whether there is a task of that number (perhaps another one)."""
    return os.path.exists(f"/proc/{task}")


class Plans:
    """Blocks of one index; safe from any thread."""

    def __init__(self, index: Index, is_alive: Callable[[int], bool] = is_alive) -> None:
        self._index, self._is_alive = index, is_alive
        self._lock = threading.Lock()
        self._newest: dict[int, object] = {}
        self._lent: dict[int, tuple[int, int]] = {}
        self._free: dict[int, list[int]] = {}
        self._next_look = FIRST_LOOK

    def begin(self, task: int, question: object) -> None:
        """The task asks for a plan: all it had before is over."""
        with self._lock:
            if task not in self._newest and len(self._newest) >= self._next_look:
                self._look()
            self._newest[task] = question

    def write(self, task: int, question: object, size: int, build: Callable[[int], bytes]) -> int:
        """Write the `size` bytes that `build(offset)` makes for the block at that offset, and return the offset.

        AskedAnew where that is no longer the question with which the task began last.
        """
        with self._lock:
            if self._newest.get(task) is not question:
                raise AskedAnew("another question of the same task has come since")
            at = self._block(task, size)
            data = build(at)
            data += bytes(-len(data) % 8)
            for i in range(0, len(data), 8):
                self._index.store(at + i, 8, int.from_bytes(data[i : i + 8], "little", signed=True))
            return at

    def _block(self, task: int, size: int) -> int:
        room = LEAST
        while room < size:
            room *= 2
        held = self._lent.get(task)
        if held is not None and held[1] >= room:
            return held[0]
        if held is not None:
            self._take_back(task)
        free = self._free.get(room)
        at = free.pop() if free else self._index.append(bytes(room))
        self._lent[task] = (at, room)
        return at

    def _look(self) -> None:
        """Take back what dead tasks have; next time when there are twice as many as are left."""
        for task in [task for task in self._newest if not self._is_alive(task)]:
            del self._newest[task]
            self._take_back(task)
        self._next_look = max(FIRST_LOOK, 2 * len(self._newest))

    def _take_back(self, task: int) -> None:
        held = self._lent.pop(task, None)
        if held is not None:
            self._free.setdefault(held[1], []).append(held[0])
