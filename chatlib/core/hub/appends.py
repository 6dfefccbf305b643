"""How the appends of this process ended, and how long they took."""

import math
import time
from bisect import bisect_left
from collections import Counter
from itertools import accumulate
from typing import Literal

from chatlib.stores.store import NotKept, Receipt, Store, Unsure

Outcome = Literal["kept", "again", "not_kept", "unsure"]

# In seconds, up to which an append belongs to each class: from a store in memory to one that waits.
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

    def __init__(self) -> None:
        self.counts = [0] * len(BOUNDS)
        self.seconds = 0.0

    def note(self, seconds: float) -> None:
        """Count one that took so long."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds

    def copy(self) -> "Times":
        """Return what was counted up to now."""
        times = Times()
        times.counts, times.seconds = list(self.counts), self.seconds
        return times

    def up_to(self) -> dict[float, int]:
        """Return how many took no longer than each of `BOUNDS`."""
        return dict(zip(BOUNDS, accumulate(self.counts), strict=True))


class Appends:
    """Appends to a store, and counts them. What the store refuses to look at counts as none.

    Attributes:
        outcomes: how many were kept, were there before (`"again"`), were not kept, or may be kept:
            one that was cancelled may be.
        times: how long they took, however they ended.
    """

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.times = Times()

    async def append(self, store: Store, room: str, key: str, body: bytes) -> Receipt:
        """Do as `Store.append`."""
        outcome: Outcome | None = "unsure"
        began = time.perf_counter()
        try:
            receipt = await store.append(room, key, body)
            outcome = "again" if receipt.again else "kept"
            return receipt
        except NotKept:
            outcome = "not_kept"
            raise
        except Unsure:
            raise
        except Exception:
            outcome = None
            raise
        finally:
            if outcome is not None:
                self.outcomes[outcome] += 1
                self.times.note(time.perf_counter() - began)
