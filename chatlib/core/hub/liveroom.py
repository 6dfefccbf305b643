"""A room that waits for nobody for long, since there is a log behind it."""

import asyncio
import time
from collections import Counter

from fastapi import WebSocket, WebSocketDisconnect

from chatlib.core.line import line_in
from chatlib.core.ring import Waiter
from chatlib.core.room import Room
from chatlib.core.taskline import known_line

CHANGED = 4409  # the close code: the history is not the one that the client was told
CHANGED_WHY = "the history of this room has changed"


HOLD_SECONDS = 0.25  # how long a room waits for those who are a whole log behind
LOOK_SECONDS = 0.005


class LiveRoom(Room):
    """A room that waits for nobody for long: who is too slow is cut off, and may come back.

    Args:
        limit: how many bytes may wait for a member, as for `Room`.
        name: what the log calls it.

    Attributes:
        joins: how many joins there were, by what became of what the client had missed.
        repairs: how often something was read up.
    """

    def __init__(self, limit: int, name: str | None = None) -> None:
        super().__init__(limit, on_full="evict")
        self.name = self._rules.room = name
        self.joins: Counter[str] = Counter()
        self.repairs = 0
        self._waiter: Waiter | None = None  # of the last frame that had to wait for its place

    def join(self, websocket: WebSocket) -> None:
        """Do as `Room.join`, and note for the log where the connection is."""
        super().join(websocket)
        line = known_line(websocket)
        if line is not None:
            line.room = line.room or self.name or ""

    @property
    def empty(self) -> bool:
        """Whether nobody is written to any more: neither a member, nor one who has just left."""
        return not any(group.members for group in self._loops.groups)

    def post(self, frame: bytes) -> None:
        """Put a frame in the log, behind all that were put there before, without waiting."""
        waiter = self._ring.append(frame)
        if waiter is not None:
            self._waiter = waiter
            self._loops.look_elsewhere()
            self._loops.watch()

    def fits(self, frame: bytes) -> bool:
        """Return whether there is room for `frame`, so that to post it cuts off nobody."""
        return self._ring.fits(frame)

    async def make_room(self, frame: bytes) -> None:
        """Wait until there is room for `frame`, or `HOLD_SECONDS` have passed.

        What is published in one turn of the event loop may be more than the log holds. Members that
        read have taken it a moment later.
        """
        end = time.monotonic() + HOLD_SECONDS
        while not self._ring.fits(frame) and time.monotonic() < end:  # noqa: ASYNC110 - no event
            await asyncio.sleep(LOOK_SECONDS)

    @property
    def settled(self) -> bool:
        """Whether all that was posted is in the log. Who joins before gets what is not as well."""
        return self._waiter is None or self._waiter.done()

    async def settle(self) -> None:
        """Wait until all that was posted is in the log."""
        if self._waiter is not None:
            await asyncio.shield(self._waiter)

    def has(self, websocket: WebSocket) -> bool:
        """Return whether `websocket` is a member."""
        return websocket in self._members or websocket in self._stand_ins


async def send_away(websocket: WebSocket) -> None:
    """Close a connection with 4409; cut it if it takes too long."""
    try:
        async with asyncio.timeout(5):
            await websocket.close(CHANGED, CHANGED_WHY)
    except (TimeoutError, RuntimeError, OSError, WebSocketDisconnect):
        line = line_in(websocket.scope)
        if line is not None:
            line.abort()
