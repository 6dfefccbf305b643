"""Whether the store of a hub answers: for probes and figures, which may ask often."""

import asyncio
import time
from dataclasses import dataclass

from chatlib.core.log import Seldom
from chatlib.stores.store import Store

ANSWER_SECONDS = 2.0  # in which a store has to answer


@dataclass(frozen=True)
class Answer:
    """What became of a question to the store.

    Attributes:
        error: why it does not answer, in words that anybody may read; None if it does.
        seconds: how long the answer took.
    """

    error: str | None
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether the store answers."""
        return self.error is None


class Check:
    """Asks a store whether it answers: once at a time, however many want to know.

    Where it is, and what is wrong with it, goes to the log alone.

    Args:
        store: which one.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self._asking: asyncio.Task[Answer] | None = None
        self._last: tuple[float, Answer] | None = None  # and when it came
        self._lines = Seldom()

    async def ask(self, within: float = 0.0) -> Answer:
        """Return whether the store answers now, or did so within the last so many seconds.

        Cancelling it disturbs nobody else who asks.
        """
        if self._last is not None and time.monotonic() - self._last[0] < within:
            return self._last[1]
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        return await asyncio.shield(self._asking)

    async def _ask(self) -> Answer:
        began, error = time.perf_counter(), None
        limit = asyncio.timeout(ANSWER_SECONDS)
        try:
            async with limit:
                await self.store.check()
        # Of a store of one's own it may be any, the end of a task of its own too: the app goes on.
        except (Exception, asyncio.CancelledError) as fault:
            if is_cancelled():
                raise
            if limit.expired():
                error = f"no answer within {ANSWER_SECONDS:g} seconds"
            else:
                error = "the store cannot be used just now"
                self._lines.warning("store", "the store does not answer: %r", fault, room=None)
        answer = Answer(error, time.perf_counter() - began)
        self._last = (time.monotonic(), answer)
        return answer


def is_cancelled() -> bool:
    """Return whether somebody has cancelled the running task."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
