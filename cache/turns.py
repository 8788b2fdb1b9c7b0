"""Who may try next, when there is not room for all: a queue that small ones may pass, but not for ever.

Owns fairness, purely.  Must not know what is being waited for; the caller holds one lock around every call.
"""

from __future__ import annotations

from collections import deque

#: Askers that may overtake the first in the queue.
MOST_PASSED = 16


class Ticket:
    """One asker's place."""

    __slots__ = ("passed",)

    def __init__(self) -> None:
        self.passed = 0


class Turns:
    """Tickets in the order of asking."""

    def __init__(self) -> None:
        self._queue: deque[Ticket] = deque()

    def enter(self) -> Ticket:
        """A place at the end; it must be left again."""
        ticket = Ticket()
        self._queue.append(ticket)
        return ticket

    def may_try(self, ticket: Ticket) -> bool:
        """The first always; the others until MOST_PASSED of them have gone before it."""
        first = self._queue[0]
        return ticket is first or first.passed < MOST_PASSED

    def go(self, ticket: Ticket) -> None:
        """`ticket` got what it wanted: whoever is first was passed, unless it is the first."""
        first = self._queue[0]
        if ticket is not first:
            first.passed += 1

    def leave(self, ticket: Ticket) -> None:
        """Give the place up, with or without having gone."""
        self._queue.remove(ticket)
