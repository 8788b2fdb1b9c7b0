"""Many threads doing one thing each, and what came of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import pytest

from tests.helpers.memory_fetcher import PATIENCE

Result = TypeVar("Result")


def wait_until(condition: Callable[[], bool]) -> None:
    """Ask a thousand times a second; the test fails where it never comes true."""
    pause = threading.Event()
    for _ in range(int(PATIENCE * 1000)):
        if condition():
            return
        pause.wait(0.001)
    pytest.fail("never came true")


class Together(Generic[Result]):
    """Starts one thread for each call at once; `outcomes()` waits and gives results and exceptions in order."""

    def __init__(self, calls: Sequence[Callable[[], Result]]) -> None:
        self._outcomes: list[Result | BaseException | None] = [None] * len(calls)
        self._barrier = threading.Barrier(len(calls))
        self._threads = [threading.Thread(target=self._run, args=each, daemon=True) for each in enumerate(calls)]
        for thread in self._threads:
            thread.start()

    def outcomes(self) -> list[Result | BaseException | None]:
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive(), "a thread hangs"
        return self._outcomes

    def results(self) -> list[Result]:
        """The same, where nothing may have been raised."""
        outcomes = self.outcomes()
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        return outcomes  # type: ignore[return-value]

    def _run(self, index: int, call: Callable[[], Result]) -> None:
        try:
            self._barrier.wait(PATIENCE)
            self._outcomes[index] = call()
        except BaseException as error:
            self._outcomes[index] = error
