"""How long something took, many times: in classes, as Prometheus wants them."""

import math
from bisect import bisect_left
from itertools import accumulate
from typing import Self

# In seconds, up to which a time belongs to each class: from a store in memory to one that waits.
BOUNDS = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, math.inf),
)


def name_of_bound(seconds: float) -> str:
    """Return a bound as Prometheus writes it."""
    return "+Inf" if seconds == math.inf else repr(seconds)


class Times:
    """How many of something took how long, in the classes of `BOUNDS`.

    Attributes:
        counts: how many are in each class.
        seconds: what all of them took.
    """

    __slots__ = ("counts", "seconds")

    def __init__(self) -> None:
        self.counts = [0] * len(BOUNDS)
        self.seconds = 0.0

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Times):
            return NotImplemented
        return (self.counts, self.seconds) == (other.counts, other.seconds)

    __hash__ = None  # type: ignore[assignment]  # it changes

    def note(self, seconds: float, number: int = 1) -> None:
        """Count so many that took so long each."""
        self.counts[bisect_left(BOUNDS, seconds)] += number
        self.seconds += seconds * number

    def add(self, other: Self) -> None:
        """Count all that `other` has counted."""
        self.counts = [mine + more for mine, more in zip(self.counts, other.counts, strict=True)]
        self.seconds += other.seconds

    def copy(self) -> "Times":
        """Return what was counted up to now."""
        times = Times()
        times.add(self)
        return times

    @property
    def total(self) -> int:
        """How many there were."""
        return sum(self.counts)

    def up_to(self) -> dict[float, int]:
        """Return how many took no longer than each of `BOUNDS`."""
        return dict(zip(BOUNDS, accumulate(self.counts), strict=True))
