"""The ring: the recent frames of a room, each at its place, in one order for all.

It knows no member and no socket. What reads it is a `Reader`: the members of one event loop. It
keeps these invariants, in any number of threads:

- *Order.* A frame is appended once, at the end, and gets a stamp. Stamps come from one counter for
  all rooms, so there is an order for what one task says to several rooms, too.
- *Bound.* The frames in it cost `limit` bytes of memory at most, or it holds a single frame.
- *Fairness.* Frames are appended in the order of the calls: while one waits, none overtakes it.
- *Progress.* A frame that waits is appended as soon as the readers have moved on far enough, or
  there are none.
"""

import asyncio
import contextlib
import itertools
import threading
from collections import deque
from typing import Protocol

# What Python keeps for a frame besides its bytes: measured, 177 to 183.
OVERHEAD = 192

_stamps = itertools.count(1)


def new_stamp() -> int:
    """Return a number above all that were returned before, in any thread."""
    return next(_stamps)


def cost(frame: bytes) -> int:
    """Return how many bytes of memory it takes to hold `frame`."""
    return len(frame) + OVERHEAD


class Reader(Protocol):
    """What a ring needs of what reads it."""

    low: int
    """A place that every member has reached."""

    def news(self) -> None:
        """Take note that there is something to read. Called in any thread."""


Waiter = asyncio.Future[None]


class Ring:
    """Frames by place. A place is a number of bytes, counted from the first frame ever.

    Args:
        limit: how many bytes may be held; `cost` says what a frame counts for.

    Attributes:
        first: the place of the oldest frame that is held.
        end: the place where the next frame goes.
        lock: held while places and readers change together.
        readers: what is still to read what is appended. Changed under the lock.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.first = self.end = 0
        self.lock = threading.Lock()
        self.readers: list[Reader] = []
        self._frames: dict[int, tuple[int, bytes]] = {}
        self._queue: deque[tuple[bytes, Waiter]] = deque()

    @property
    def waiting(self) -> int:
        """How many calls wait to append, or did and were cancelled."""
        return len(self._queue)

    @property
    def wanted(self) -> int:
        """The place up to which all have to read before the next frame that waits has room."""
        with self.lock:
            self._drop_cancelled()
            if not self._queue:
                return self.first
            return min(self.end, self.end + cost(self._queue[0][0]) - self.limit)

    def append(self, frame: bytes) -> Waiter | None:
        """Put `frame` at the end; or, where there is no room, return what to await for that.

        Nothing is kept if nobody is there to read it.
        """
        with self.lock:
            if not self.readers:
                return None
            self._drop_cancelled()
            if self._queue or not self.fits(frame):
                waiter: Waiter = asyncio.get_running_loop().create_future()
                self._queue.append((frame, waiter))
                return waiter
            self._put(frame)
            readers = list(self.readers)
        for reader in readers:
            reader.news()
        return None

    def forget_cancelled(self) -> None:
        """Drop the waiting frames whose call was cancelled, and let those behind them in."""
        with self.lock:
            dropped = self._drop_cancelled()
        if dropped:
            self.trim()

    def _drop_cancelled(self) -> bool:
        """Drop those that nobody waits for, up to the first one that somebody does."""
        dropped = False
        while self._queue and self._queue[0][1].cancelled():
            self._queue.popleft()
            dropped = True
        return dropped

    def stamp(self, place: int) -> int:
        """Return the stamp of the frame at `place`."""
        return self._frames[place][0]

    def read(self, place: int, until: int, size: int) -> tuple[list[bytes], int]:
        """Return frames from `place` on, `size` bytes or a little more, and where they end.

        It does not go beyond `until`, which is a place where a frame ends.
        """
        until = min(until, place + size)
        frames = []
        # A frame that is gone: the ring went on without this reader.
        while place < until and place in self._frames:
            frame = self._frames[place][1]
            frames.append(frame)
            place += len(frame) + OVERHEAD
        return frames, place

    def trim(self) -> None:
        """Drop what all have read, and append the frames that wait for room, in their order."""
        admitted = []
        with self.lock:
            low = min([reader.low for reader in self.readers], default=self.end)
            while self.first < low:
                self.first += cost(self._frames.pop(self.first)[1])
            self._drop_cancelled()
            while self._queue and (not self.readers or self.fits(self._queue[0][0])):
                frame, waiter = self._queue.popleft()
                admitted.append(waiter)
                if self.readers:
                    self._put(frame)
                self._drop_cancelled()
            readers = list(self.readers) if admitted else []
        for waiter in admitted:
            wake(waiter)
        for reader in readers:
            reader.news()

    def fits(self, frame: bytes) -> bool:
        """Return whether there is room for `frame` now."""
        held = self.end - self.first
        return held == 0 or held + cost(frame) <= self.limit

    def _put(self, frame: bytes) -> None:
        self._frames[self.end] = (new_stamp(), frame)
        self.end += cost(frame)


def wake(waiter: Waiter, error: Exception | None = None) -> None:
    """Let the task that awaits `waiter` go on, or raise `error` there, in any event loop."""

    def settle() -> None:
        if not waiter.done():
            if error is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(error)

    loop = waiter.get_loop()
    if asyncio._get_running_loop() is loop:
        settle()
        return
    with contextlib.suppress(RuntimeError):  # its loop is closed, so no task waits
        loop.call_soon_threadsafe(settle)
