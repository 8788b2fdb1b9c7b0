"""One piece of work for any number of simultaneous askers.

Owns the join and nothing else: it must not know what the work is, and remembers no result once it is handed out.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class _Flight(Generic[Value]):
    """Work that one thread does and others wait for."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.value: Value | None = None
        self.error: Exception | None = None
        #: True where the working thread was stopped by something that is not the work's answer (KeyboardInterrupt).
        self.abandoned = True


class Inflight(Generic[Key, Value]):
    """Joins askers of one key while its work is going on.  Safe from any number of threads.

    The first asker does the work in its own thread, without any lock held.  Work must not ask for its own key.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flights: dict[Key, _Flight[Value]] = {}

    def join(self, key: Key, work: Callable[[], Value], *, joined: Callable[[], None] | None = None) -> Value:
        """The result of `work`, done by us or by whoever asked for `key` before us and is still at it.

        An error reaches every asker that joined; one that comes later works anew.  `joined` is called, once,
        by an asker that has found somebody else at work, before it waits.
        """
        while True:
            with self._lock:
                flight = self._flights.get(key)
                ours = flight is None
                if flight is None:
                    flight = self._flights[key] = _Flight()
            if ours:
                return self._work(key, flight, work)
            if joined is not None:
                joined()
                joined = None
            flight.done.wait()
            if not flight.abandoned:
                return _answer(flight)

    def _work(self, key: Key, flight: _Flight[Value], work: Callable[[], Value]) -> Value:
        try:
            value = flight.value = work()
            flight.abandoned = False
            return value
        except Exception as error:
            flight.error = error
            flight.abandoned = False
            raise
        finally:
            with self._lock:
                del self._flights[key]
            flight.done.set()


def _answer(flight: _Flight[Value]) -> Value:
    if flight.error is not None:
        import copy

        # A copy: threads that raise one exception object would write into each other's traceback.
        raise copy.copy(flight.error).with_traceback(None) from flight.error
    return flight.value  # type: ignore[return-value]  # set, since the flight was neither abandoned nor failed
