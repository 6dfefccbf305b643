"""A room that waits for nobody, since there is a log behind it."""

import asyncio

from fastapi import WebSocket, WebSocketDisconnect

from chatlib.core.line import line_in
from chatlib.core.ring import Waiter
from chatlib.core.room import Room

CHANGED = 4409  # the close code: the history is not the one that the client was told
CHANGED_WHY = "the history of this room has changed"


class LiveRoom(Room):
    """A room that waits for nobody: one that is too slow is cut off, and reads up when it is back.

    Args:
        limit: how many bytes may wait for a member, as for `Room`.
    """

    def __init__(self, limit: int) -> None:
        super().__init__(limit, on_full="evict")
        self._waiter: Waiter | None = None  # of the last frame that had to wait for its place

    def post(self, frame: bytes) -> None:
        """Put a frame in the log, behind all that were put there before, without waiting."""
        waiter = self._ring.append(frame)
        if waiter is not None:
            self._waiter = waiter
            self._loops.look_elsewhere()
            self._loops.watch()

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
