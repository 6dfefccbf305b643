"""From a handshake to a talk: who may come into which room."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Awaitable, Callable

from fastapi import WebSocket, WebSocketDisconnect

from chatlib.core.hub.envelope import inbox_of
from chatlib.core.hub.feed import PAGE
from chatlib.core.hub.hub import REASON_BYTES
from chatlib.core.rooms.identity import BadTokenError, Tokens
from chatlib.core.rooms.names import MINE, expect_room
from chatlib.core.rooms.protocol import FORBIDDEN, SUBPROTOCOL, UNAUTHENTICATED
from chatlib.core.rooms.talk import Rooms, Talk
from chatlib.core.taskline import known_line
from chatlib.stores.store import Cursor

LAST = 50  # how many messages a newcomer gets who does not say

Allow = Callable[[str, str], Awaitable[bool]]


class RefusedError(Exception):
    """A client may not come in: with which close code, and why."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code


class Entrance:
    """Lets clients into rooms.

    A refusal is a close code with a reason, after `accept`: a browser cannot see why a handshake
    was refused.

    Args:
        rooms: what they may do there.
        tokens: say who they are.
        allow: says whether a name may be in a room.

    Attributes:
        open: how many connections each name has here.
    """

    def __init__(self, rooms: Rooms, tokens: Tokens, allow: Allow) -> None:
        self.rooms = rooms
        self.tokens = tokens
        self.allow = allow
        self.open: Counter[str] = Counter()

    async def may(self, name: str, room: str) -> None:
        """Raise `RefusedError` if there can be no such room, or `name` may not be in it."""
        if room == MINE:
            return
        try:
            expect_room(room)
        except ValueError as error:
            raise RefusedError(1008, str(error)) from None
        if not await self.allow(name, room):
            raise RefusedError(FORBIDDEN, f"{name} may not be in {room}")

    async def serve(self, websocket: WebSocket, room: str) -> None:
        """Serve a client that asks for `room`, until it has gone."""
        offered = websocket.scope.get("subprotocols", ())
        await websocket.accept(SUBPROTOCOL if SUBPROTOCOL in offered else None)
        with contextlib.suppress(WebSocketDisconnect):
            try:
                await self._admit(websocket, room)
            except RefusedError as refused:
                why = str(refused).encode()[:REASON_BYTES].decode(errors="ignore")
                await websocket.close(refused.code, why)

    async def _admit(self, websocket: WebSocket, room: str) -> None:
        """Let the client in if it may; `RefusedError` if not, or no longer."""
        try:
            claim = self.tokens.of(websocket)
        except BadTokenError as error:
            raise RefusedError(UNAUTHENTICATED, str(error)) from None
        name = claim.name
        place, last = place_in(websocket)
        await self.may(name, room)
        self._expect_place(name)
        self.open[name] += 1
        good = asyncio.timeout(claim.expires - time.time())
        try:
            async with good:
                await self._talk(websocket, room, name, place, last)
        except OSError as error:
            if good.expired():
                why = "the token has expired: sign in again"
                raise RefusedError(UNAUTHENTICATED, why) from None
            line = known_line(websocket)
            where = inbox_of(name) if room == MINE else room
            about = {"room": where, "connection": line.number if line else None}
            raise RefusedError(1011, self.rooms.unreadable(error, **about)) from None
        finally:
            self.open[name] -= 1
            if not self.open[name]:
                del self.open[name]

    def _expect_place(self, name: str) -> None:
        limits = self.rooms.limits
        if self.open.total() >= limits.connections:
            raise RefusedError(1013, f"too many connections, at most {limits.connections}")
        if self.open[name] >= limits.connections_per_name:
            most = limits.connections_per_name
            raise RefusedError(1013, f"too many connections of {name}, at most {most}")

    async def _talk(
        self, websocket: WebSocket, room: str, name: str, after: Cursor | None, last: int
    ) -> None:
        inbox = inbox_of(name)
        talk = Talk(self.rooms, websocket, inbox if room == MINE else room, name)
        async with self.rooms.hub.join(
            websocket,
            *([] if room == MINE else [room]),
            after={talk.room: after} if after is not None else None,
            last=last,
            name=name,
            inbox=room == MINE,
            welcome=talk.welcome(),
        ):
            await talk.listen()


def place_in(websocket: WebSocket) -> tuple[Cursor | None, int]:
    """Return the cursor that a client asks for, and how many messages if it is new.

    Raises:
        RefusedError: they cannot be.
    """
    query = websocket.query_params
    try:
        after = Cursor.parse(query["after"]) if "after" in query else None
    except ValueError as error:
        raise RefusedError(1008, f"after: {error}") from None
    last = query.get("last", str(LAST))
    if not (last.isascii() and last.isdecimal() and len(last) <= 3 and int(last) <= PAGE):
        raise RefusedError(1008, f"last: expected a number from 0 to {PAGE}, got {last!r:.20}")
    return after, int(last)
