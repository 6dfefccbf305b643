"""A connection on its way into a room of the hub."""

from collections.abc import Mapping
from typing import Any

from fastapi import WebSocket

from chatlib.core.frames import encode
from chatlib.core.hub.feed import Feed
from chatlib.core.taskline import line_of
from chatlib.stores.store import Cursor, History


class Newcomer:
    """The `Guest` of a feed that gets the frames of the hub.

    Args:
        feed: of the room.
        websocket: the connection.
        besides: what the welcome says besides.
    """

    def __init__(self, feed: Feed, websocket: WebSocket, besides: Mapping[str, Any]) -> None:
        self.feed = feed
        self.websocket = websocket
        self.besides = besides
        self.told: frozenset[str] = frozenset()

    async def greet(self, history: History, after: Cursor, head: Cursor) -> None:
        """Send the welcome."""
        presence = self.feed.presence
        self.told = presence.told
        welcome = {
            "type": "welcome",
            "room": self.feed.name,
            "history": history,
            "after": str(after),
            "head": head.id,
            **presence.welcome(),
            **self.besides,
        }
        frame = encode(welcome)
        await line_of(self.websocket).say(frame)
        self.feed.room.joins[history] += 1

    def arrive(self) -> bytes:
        """Return who has come and left since the welcome."""
        presence = self.feed.presence
        if presence.told == self.told:
            return b""
        return encode(presence.difference(self.told))
