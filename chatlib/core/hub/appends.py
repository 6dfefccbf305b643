"""How the appends of this process ended, and how long they took."""

import time
from collections import Counter
from typing import Literal

from chatlib.core.times import Times
from chatlib.stores.store import NotKept, Receipt, Store, Unsure

Outcome = Literal["kept", "again", "not_kept", "unsure"]


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
