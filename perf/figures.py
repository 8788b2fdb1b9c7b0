"""What is told of repeated measurements: medians, spreads, ratios.  Pure functions on numbers; no unit is assumed.

Medians and not means: on a shared machine single samples are far off, always to one side.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Summary:
    """A middle and how far samples are from it."""

    #: Median of the samples.
    median: float
    #: Median absolute deviation from it, in the same unit (not scaled to a standard deviation).
    spread: float
    #: How many samples.
    count: int

    @property
    def relative(self) -> float:
        """The spread as a share of the median; 0 where that is 0."""
        return self.spread / self.median if self.median else 0.0


def present(samples: Sequence[float | None]) -> list[float]:
    """The samples that were taken."""
    return [sample for sample in samples if sample is not None]


def summary(samples: Sequence[float | None]) -> Summary | None:
    """Median and spread; None where no sample was taken."""
    values = present(samples)
    if not values:
        return None
    median = statistics.median(values)
    return Summary(median, statistics.median(abs(value - median) for value in values), len(values))


def speed(base: Sequence[float | None], other: Sequence[float | None]) -> Summary | None:
    """How many times as fast as `base` (times of the same rounds) `other` is: 2 means half the time.

    Each round gives one quotient, so that a machine that is slow for a while is slow for both.  None without a round
    in which both were measured.
    """
    pairs = zip(base, other, strict=False)
    return summary([one / two for one, two in pairs if one is not None and two is not None and two > 0])


def changed(before: Summary, after: Summary, *, spreads: float = 2.0) -> bool:
    """Whether the medians differ by more than `spreads` times both spreads together."""
    return abs(after.median - before.median) > spreads * (before.spread + after.spread)


def growth(before: float, after: float) -> float:
    """By which share `after` is more than `before`: 0.1 means 10% more; 0 where there was nothing to grow from."""
    return after / before - 1.0 if before else 0.0


def differences(measured: dict[str, float], idle: dict[str, float]) -> dict[str, float]:
    """Counters of a measured run without those of an idle one, for all that either of them names.

    Never less than 0: where processes race for first touches, one run may have a few more of them than another.
    """
    names = sorted(measured.keys() | idle.keys())
    return {name: max(0, measured.get(name, 0) - idle.get(name, 0)) for name in names}


def sums(one: dict[str, float], other: dict[str, float]) -> dict[str, float]:
    """Counters of two runs together."""
    return {name: one.get(name, 0) + other.get(name, 0) for name in sorted(one.keys() | other.keys())}


def fewest(one: dict[str, float], other: dict[str, float]) -> dict[str, float]:
    """The smaller count of each: what is counted by chance is only ever added."""
    return {name: min(one.get(name, 0), other.get(name, 0)) for name in sorted(one.keys() | other.keys())}
