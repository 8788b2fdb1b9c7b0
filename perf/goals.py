"""What is promised of a row, and whether it is kept."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from hepwrap.perf.figures import Summary


class Promise(enum.StrEnum):
    """How a goal is meant."""

    #: At least so many times native's speed.
    SPEED = "speed"
    #: At most so much more than native, in the row's unit.
    ABOVE = "above"
    #: At most so much, in the row's unit.
    MOST = "most"


@dataclass(frozen=True, slots=True)
class Goal:
    """A promise and its figure."""

    promise: Promise
    value: float


def is_reached(goal: Goal, native: Summary | None, column: Summary | None, speed: Summary | None) -> bool | None:
    """Whether the medians keep the promise; None where they cannot say."""
    if goal.promise is Promise.SPEED:
        return None if speed is None else speed.median >= goal.value
    if column is None or (goal.promise is Promise.ABOVE and native is None):
        return None
    above = native.median if native is not None and goal.promise is Promise.ABOVE else 0.0
    return column.median - above <= goal.value
