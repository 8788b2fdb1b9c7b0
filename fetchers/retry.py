"""How long to wait before the same URL is asked again.

Pure: randomness is an argument and nothing here sleeps (format notes, section 12: random, doubling, bounded).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import TypeVar

from hepwrap.fetchers.blame import Fault
from hepwrap.records import dataclass

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Backoff:
    """`retries` further tries, before each a random pause.

    The n-th pause (from 0) is between 0 and `initial * 2**n` seconds, and never more than `maximum` seconds.
    The whole interval is used, so that thousands of jobs that failed at one moment do not come back at one moment.
    """

    retries: int
    initial: float
    maximum: float

    def pauses(self, random: Random) -> Iterator[float]:
        """`retries` pauses in seconds."""
        ceiling = min(self.initial, self.maximum)
        for _ in range(self.retries):
            yield random.uniform(0.0, ceiling)
            ceiling = min(2 * ceiling, self.maximum)


def retrying(
    ask: Callable[[], T], backoff: Backoff, *, random: Random, sleep: Callable[[float], bool], note: Callable[[], None]
) -> T:
    """What `ask` returns; asked again after a pause as long as its Fault is transient and tries are left.

    `sleep(seconds)` is True where the wait was broken off (a close): then the fault is final.  `note` counts.
    """
    pauses = backoff.pauses(random)
    while True:
        try:
            return ask()
        except Fault as fault:
            pause = next(pauses, None) if fault.transient else None
            if pause is None or sleep(pause):
                raise
            note()
