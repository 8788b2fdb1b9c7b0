"""A file's content as parts, fetched side by side and written where they belong.

Owns the order and the parallelism of filling.  Must not know limits or eviction.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from hepwrap.cache.objects import ObjectRef
from hepwrap.errors import CorruptObject
from hepwrap.records import dataclass

#: Threads that help one asker, and all askers together.  Each holds one object: chunks are 4 to 16 MiB.
HELPERS_EACH = 7
HELPERS_ALL = 24


@dataclass(frozen=True, slots=True)
class Part:
    """`size` bytes of a file from `offset` on, being the content of one object (format notes, section 8)."""

    ref: ObjectRef
    offset: int
    size: int


def check(parts: Sequence[Part], size: int, what: str) -> None:
    """Raise CorruptObject unless `parts`, in order, are `size` bytes without gap or overlap."""
    end = 0
    for part in parts:
        if part.offset != end or part.size <= 0 or part.ref.size not in (None, part.size):
            raise CorruptObject(
                f"{what}: its part {part.ref.name} is {part.size} bytes at {part.offset} where the part for {end} "
                "should follow; the catalogue is wrong and the file is not served"
            )
        end += part.size
    if end != size:
        raise CorruptObject(
            f"{what}: its {len(parts)} parts are {end} bytes where its catalogue promises {size}; it is not served"
        )


class Filler:
    """Runs one job over all parts of a file, in the asker's thread and in a bounded number of helpers."""

    def __init__(self, *, helpers: int = HELPERS_ALL) -> None:
        self._helpers = threading.BoundedSemaphore(helpers)

    def run(self, parts: Sequence[Part], job: Callable[[Part], None]) -> None:
        """`job(part)` for every part; its first error is raised after everybody has stopped.

        The asker always works itself, so that it never waits for helpers which others keep busy.
        """
        work = _Work(parts, job)
        helpers = self._start_helpers(work, min(len(parts) - 1, HELPERS_EACH))
        work.run()
        for helper in helpers:
            helper.join()
        if work.error is not None:
            raise work.error

    def _start_helpers(self, work: _Work, wanted: int) -> list[threading.Thread]:
        """As many of `wanted` as are free, and as the system lets us have (ulimit -u)."""
        helpers: list[threading.Thread] = []
        while len(helpers) < wanted and self._helpers.acquire(blocking=False):
            helper = threading.Thread(target=self._help, args=(work,), daemon=True)
            try:
                helper.start()
            except RuntimeError:
                self._helpers.release()
                break
            helpers.append(helper)
        return helpers

    def _help(self, work: _Work) -> None:
        try:
            work.run()
        finally:
            self._helpers.release()


class _Work:
    """Parts still to do, taken one by one by any thread."""

    def __init__(self, parts: Sequence[Part], job: Callable[[Part], None]) -> None:
        self._left = iter(parts)
        self._job = job
        self._lock = threading.Lock()
        self.error: BaseException | None = None

    def run(self) -> None:
        while (part := self._next()) is not None:
            try:
                self._job(part)
            except BaseException as error:  # raised by Filler.run, in the asker's thread
                self._fail(error)

    def _next(self) -> Part | None:
        with self._lock:
            return None if self.error is not None else next(self._left, None)

    def _fail(self, error: BaseException) -> None:
        with self._lock:
            if self.error is None:
                self.error = error
