"""The faults that `FaultProxy` injects: what may pass, and when a connection is cut."""

import asyncio
from concurrent.futures import Future
from typing import Literal
from weakref import WeakKeyDictionary

Direction = Literal["up", "down"]  # to the server, and to the client
DIRECTIONS = ("up", "down")


class Rule:
    """What a network does with its connections. This one forwards everything.

    All but `hit` and `wait` are called in the network's thread.

    Attributes:
        every: whether it goes on after its first hit.
        replaced: set when it is not in force any more.
    """

    every = True

    def __init__(self) -> None:
        self.replaced = asyncio.Event()
        self._hit: Future[None] = Future()

    async def hit(self) -> None:
        """Wait until it has hit. Cancelling this does nothing to the rule."""
        await asyncio.shield(asyncio.wrap_future(self._hit))

    def wait(self, seconds: float = 30.0) -> None:
        """Do as `hit`, in a thread without an event loop.

        Raises:
            TimeoutError: it has not hit after `seconds`.
        """
        self._hit.result(seconds)

    def has_hit(self) -> None:
        """Note that it hits."""
        if not self._hit.done():
            self._hit.set_result(None)

    def holds(self, direction: Direction) -> bool:
        """Return whether nothing may pass in `direction`."""
        return False

    def passes(self, connection: object, direction: Direction, data: bytes) -> int | None:
        """Return how many bytes of `data` may pass before a cut; None if there is none."""
        return None

    def __str__(self) -> str:
        return "all passes"


class Stall(Rule):
    """Holds everything back in one direction or in both."""

    def __init__(self, direction: Literal["up", "down", "both"]) -> None:
        super().__init__()
        expect_direction(direction, "both")
        self.direction = direction

    def holds(self, direction: Direction) -> bool:
        return self.direction in (direction, "both")

    def __str__(self) -> str:
        return f"stalled ({self.direction})"


class CutAfter(Rule):
    """Cuts a connection after `count` bytes in `direction`."""

    def __init__(self, count: int, direction: Direction, every: bool) -> None:
        super().__init__()
        expect_direction(direction)
        if count < 0:
            raise ValueError(f"expected a number of bytes from 0 on, got {count}")
        self.count = count
        self.direction = direction
        self.every = every
        self._left: WeakKeyDictionary[object, int] = WeakKeyDictionary()

    def passes(self, connection: object, direction: Direction, data: bytes) -> int | None:
        if direction != self.direction:
            return None
        left = self._left.get(connection, self.count)
        self._left[connection] = left - len(data)
        return left if left <= len(data) else None

    def __str__(self) -> str:
        return f"cut after {self.count} bytes {self.direction}"


class CutReply(Rule):
    """Cuts a connection where a request has gone up, and then its reply, or part of it, begins."""

    def __init__(self, containing: bytes, request: bytes, every: bool) -> None:
        super().__init__()
        self.containing = containing
        self.request = request
        self.every = every
        self._requests: WeakKeyDictionary[object, Search] = WeakKeyDictionary()
        self._replies: WeakKeyDictionary[object, Search] = WeakKeyDictionary()  # to those found

    def passes(self, connection: object, direction: Direction, data: bytes) -> int | None:
        reply = self._replies.get(connection)
        if direction == "down":
            return None if reply is None else reply.find(data)
        if reply is None:
            search = self._requests.setdefault(connection, Search(self.request))
            if search.find(data) is not None:
                self._replies[connection] = Search(self.containing)
        return None

    def __str__(self) -> str:
        return (
            "cut the reply"
            + (f" to {self.request!r}" if self.request else "")
            + (f" containing {self.containing!r}" if self.containing else "")
        )


class Search:
    """Finds where something begins that may begin in one piece of data and end in the next.

    So the end of the last piece is kept.
    """

    def __init__(self, sought: bytes) -> None:
        self.sought = sought
        self._end = b""

    def find(self, data: bytes) -> int | None:
        """Return where it begins in the next piece: at 0, if it was before. None: nowhere."""
        seen = self._end + data
        start = seen.find(self.sought)
        if start >= 0:
            return max(0, start - len(self._end))
        keep = len(self.sought) - 1
        self._end = seen[-keep:] if keep else b""
        return None


def expect_direction(direction: str, *besides: str) -> None:
    """Raise `ValueError` unless `direction` is one."""
    if direction not in (expected := (*DIRECTIONS, *besides)):
        raise ValueError(f"expected one of {', '.join(expected)}, got {direction!r}")
