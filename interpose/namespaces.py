"""Which ids a task's user namespace knows (user_namespaces(7)): capabilities there count for nothing else.

Owns the reading of /proc/PID/uid_map and gid_map.  Must not know what anybody may do.
"""

from __future__ import annotations

from hepwrap.cache.refusal import reraise_lack
from hepwrap.records import dataclass

_NOBODY = (1 << 32) - 1


@dataclass(frozen=True, slots=True)
class Mapping:
    """Rows of a map: first id inside, first id as we call it, and how many."""

    rows: tuple[tuple[int, int, int], ...]

    def outside(self) -> tuple[range, ...]:
        """The ids that are mapped, as we call them."""
        return tuple(range(outer, outer + count) for _, outer, count in self.rows if outer != _NOBODY)

    def root(self) -> int | None:
        """What we call the id that is 0 inside; None where none is."""
        return next((outer for inner, outer, _ in self.rows if inner == 0 and outer != _NOBODY), None)


def mapping_of(task: int, kind: str) -> Mapping:
    """The map of a task, `kind` uid or gid; empty where the task is gone.

    The kernel shows ids of another namespace as the reader calls them, but those of the reader's own as its parent
    does.  Which of the two it is need not be asked: a map that reads as our own does has the same ids in the ranges of
    both columns, since what is mapped in a namespace below ours is known in ours.
    """
    theirs, ours = _read(task, kind), _read("self", kind)
    if ours is None:  # a kernel without user namespaces
        return Mapping(((0, 0, _NOBODY),))
    if theirs == ours:
        return Mapping(tuple((inner, inner, count) for inner, _, count in ours))
    return Mapping(theirs or ())


def _read(task: int | str, kind: str) -> tuple[tuple[int, int, int], ...] | None:
    try:
        with open(f"/proc/{task}/{kind}_map", encoding="ascii") as file:
            rows = [tuple(map(int, line.split())) for line in file]
    except OSError as error:
        reraise_lack(error)
        return None
    return tuple((row[0], row[1], row[2]) for row in rows)
