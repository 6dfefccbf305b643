"""How often something may happen."""

import time


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
