"""A room that waits for nobody, since there is a log behind it."""

import asyncio

from fastapi import WebSocket

from chatlib.core.line import line_in
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

    def post(self, frame: bytes) -> None:
        """Put a frame in the log, behind all that were put there before, without waiting."""
        if self._ring.append(frame) is not None:
            self._loops.look_elsewhere()
            self._loops.watch()


async def send_away(websocket: WebSocket) -> None:
    """Close a connection with 4409; cut it if it takes too long."""
    try:
        async with asyncio.timeout(5):
            await websocket.close(CHANGED, CHANGED_WHY)
    except (TimeoutError, RuntimeError, OSError):
        line = line_in(websocket.scope)
        if line is not None:
            line.abort()
