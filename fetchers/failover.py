"""Whom to ask first and whom next: groups in order, anyone within a group, back to the first after a while.

Pure: clock and randomness are arguments.  The same rules serve servers (groups of one) and proxies (format notes,
section 12).  Must not know what is asked, nor what failing means.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from random import Random

Groups = Sequence[Sequence[str]]


class Failover:
    """One current member, which all threads share, and the order in which the others stand in for it.

    - The first current member is a random one of the first group.
    - When the current member fails, a random other one of its group takes over; when all of the group have failed,
      a random one of the next group, and after the last group the first again.
    - `reset_after` seconds after the first failure the first group is whole and current again.
    Safe to call from any number of threads; one lock, held for no longer than it takes to shuffle the names.
    """

    def __init__(self, groups: Groups, *, reset_after: float, clock: Callable[[], float], random: Random) -> None:
        self._reset_after = reset_after
        self._clock = clock
        self._random = random
        self._lock = threading.Lock()
        self._current = ""
        self.replace(groups)

    def replace(self, groups: Groups) -> None:
        """Starts anew with other members (addresses change during a long job); no group may be empty."""
        with self._lock:
            self._groups = tuple(tuple(group) for group in groups)
            self._enter(0)
            self._since: float | None = None

    @property
    def current(self) -> str:
        """The member that is asked first now; "" when there is none at all."""
        with self._lock:
            self._come_back()
            return self._current

    def members(self) -> list[str]:
        """All members, in the order they were given."""
        return [member for group in self._groups for member in group]

    def groups(self) -> tuple[tuple[str, ...], ...]:
        """All members, group by group."""
        return self._groups

    def round(self) -> list[str]:
        """Every member once, in the order to ask them in now: the current one first, known failures last."""
        with self._lock:
            self._come_back()
            if not self._groups:
                return []
            later = [*self._groups[self._group + 1 :], *self._groups[: self._group]]
            order = [[self._current], self._fresh() - {self._current}, *later, self._failed - {self._current}]
            return _unique(member for group in order for member in self._shuffled(group))

    def failed(self, member: str) -> bool:
        """`member` did not work.  True where another one is current from now on.

        A report about anyone but the current member only marks it: sixty threads that fail together move on once.
        """
        with self._lock:
            if not self._groups or member not in self._groups[self._group]:
                return False
            self._failed.add(member)
            if self._since is None:
                self._since = self._clock()
            if member != self._current:
                return False
            fresh = self._fresh()
            if fresh:
                self._current = self._pick(fresh)
            else:
                self._enter((self._group + 1) % len(self._groups))
            if self._group == 0 and not self._failed:
                self._since = None
            return self._current != member

    def _enter(self, group: int) -> None:
        self._group = group
        self._failed: set[str] = set()
        self._current = self._pick(set(self._groups[group])) if self._groups else ""

    def _come_back(self) -> None:
        if self._since is None or self._clock() - self._since < self._reset_after:
            return
        self._since = None
        self._enter(0)

    def _fresh(self) -> set[str]:
        return set(self._groups[self._group]) - self._failed

    def _pick(self, members: set[str]) -> str:
        return self._random.choice(sorted(members))

    def _shuffled(self, members: Iterable[str]) -> list[str]:
        order = sorted(members)
        self._random.shuffle(order)
        return order


def _unique(members: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(members))
