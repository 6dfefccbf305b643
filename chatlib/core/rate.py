"""How often something may happen."""

import time
from collections.abc import Callable


class Bucket:
    """A token bucket: `rate` a second on average, and what `seconds` bring at once.

    It takes no lock: one thread at a time.
    """

    __slots__ = ("at", "capacity", "level", "rate")

    def __init__(self, rate: float, seconds: float = 1.0) -> None:
        self.rate = rate
        self.capacity = self.level = max(1.0, rate * seconds)
        self.at = time.monotonic()

    def take(self, amount: int = 1) -> bool:
        """Take `amount`, and return whether that may be.

        It may while there is one left. So an amount above the capacity is let through at times,
        and what it takes beyond that has to come in before the next.
        """
        now = time.monotonic()
        self.level = min(self.capacity, self.level + (now - self.at) * self.rate)
        self.at = now
        if self.level < 1:
            return False
        self.level -= amount
        return True

    def is_full(self) -> bool:
        """Return whether it has all that it can have, as a new one would."""
        return self.level + (time.monotonic() - self.at) * self.rate >= self.capacity

    def wait(self) -> float:
        """Return after how many seconds there is one to take."""
        passed = time.monotonic() - self.at
        return max(0.0, (1 - self.level) / self.rate - passed)


class Buckets:
    """A bucket for each of any number of names. Those that are full again are forgotten.

    Args:
        make: a bucket.
        most: how many are kept before the full ones are looked for.
    """

    def __init__(self, make: Callable[[], Bucket], most: int = 1000) -> None:
        self.make = make
        self.most = self._next = most
        self._buckets: dict[str, Bucket] = {}

    def of(self, name: str) -> Bucket:
        """Return the bucket of `name`."""
        if len(self._buckets) > self._next:
            self._buckets = {
                key: bucket for key, bucket in self._buckets.items() if not bucket.is_full()
            }
            self._next = max(self.most, 2 * len(self._buckets))
        return self._buckets.setdefault(name, self.make())
