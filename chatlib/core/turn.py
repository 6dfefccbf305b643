"""How much the rooms do in one turn of an event loop, so that everything else has its turn too."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Iterator
from weakref import WeakKeyDictionary

# What is written in one turn: 512 short writes or 8 MiB, which takes some 3 ms.
TURN_BYTES = 8 * 1024 * 1024
WRITE_BYTES = 16 * 1024  # a system call costs about as much as it does to copy this much
TURN_SECONDS = 0.005  # how long tasks may publish without giving way


class Turn:
    """The writing of all rooms in one event loop: a part of it in each turn of the loop.

    Where several messages were published in a turn, it waits for one turn more.

    A job is an iterator that writes, and yields what that has cost: the bytes, and `WRITE_BYTES`
    for each write.
    """

    def __init__(self) -> None:
        self._jobs: deque[Iterator[int]] = deque()
        self._waiting: list[asyncio.Future[None]] = []  # for an end of all jobs
        self._scheduled = self._running = self._delayed = False
        self._published = 0  # messages since the last writing
        self._began: float | None = None  # when this turn was first asked for its time
        self._left = TURN_BYTES

    def add(self, job: Iterator[int]) -> None:
        """Have `job` done, beginning in this turn or the next. Call it in the loop."""
        self._jobs.append(job)
        self._schedule()

    async def give_way(self) -> None:
        """Let the loop turn, if tasks that publish have kept it from that for long enough.

        `await` alone does not: a coroutine that never has to wait never gives way. What was
        published up to now is written first, so that it is on its way meanwhile.
        """
        self._published += 1
        if self.is_late():
            self.run()
            await asyncio.sleep(0)

    async def idle(self) -> None:
        """Wait until nothing is left to write."""
        if self._jobs:
            waiting = asyncio.get_running_loop().create_future()
            self._waiting.append(waiting)
            await waiting

    def is_late(self) -> bool:
        """Return whether this turn has lasted for long enough, counted from the first call on."""
        now = time.monotonic()
        self._schedule()
        if self._began is None:
            self._began = now
        return now - self._began > TURN_SECONDS

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._turned)

    def _turned(self) -> None:
        self._scheduled = False
        if self._published > 1 and not self._delayed:
            # A crowd talks: what the loop has just read, its handlers publish in the next turn.
            # With that, there are half as many writes.
            self._delayed = True
            self._began = None
            self._schedule()
            return
        self._delayed = False
        self._published = 0
        self._began = None
        self._left = TURN_BYTES
        self.run()

    def run(self) -> None:
        """Write what is due now, up to what is left of this turn."""
        if self._running:  # a middleware's `send` publishes, in the middle of a write
            return
        self._running = True
        try:
            while self._jobs and self._left > 0:
                job = self._jobs.popleft()
                self._left -= WRITE_BYTES  # one that writes nothing must not go on for ever either
                for cost in job:
                    self._left -= cost
                    if self._left <= 0:
                        self._jobs.append(job)  # after the others
                        break
        finally:
            self._running = False
            if self._jobs:
                self._delayed = True  # long enough
                self._schedule()
            else:
                self._wake()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            if not each.done():  # it was cancelled
                each.set_result(None)


class _Here(threading.local):
    loop: asyncio.AbstractEventLoop | None = None
    turn: Turn


_here = _Here()
_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, Turn] = WeakKeyDictionary()


def turn_here() -> Turn:
    """Return the `Turn` of the event loop that runs."""
    loop = asyncio.get_running_loop()
    if _here.loop is not loop:
        _here.loop, _here.turn = loop, _turns.setdefault(loop, Turn())
    return _here.turn
