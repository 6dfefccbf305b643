"""The hub: rooms of a store, in any app. What is published anywhere reaches all who follow a room.

hub = Hub("sqlite:///app.db")
app = FastAPI(lifespan=hub.lifespan)

@app.websocket("/orders")
async def orders(websocket: WebSocket, after: str | None = None):
    await websocket.accept()
    await hub.follow(websocket, "orders", after=after)

@app.post("/orders")
async def order(order: Order):
    await hub.publish("orders", order)
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any, Self

from fastapi import WebSocket, WebSocketDisconnect
from starlette.websockets import WebSocketState

from chatlib.core.frames import plain
from chatlib.core.hub.attendance import Attendance
from chatlib.core.hub.beat import keep_beat
from chatlib.core.hub.envelope import After, cursors_in, expect_room, inbox_of
from chatlib.core.hub.feed import PAGE, Feed
from chatlib.core.hub.guest import ChangedError
from chatlib.core.hub.ledger import HubStats, Ledger
from chatlib.core.hub.liveroom import CHANGED, CHANGED_WHY
from chatlib.core.hub.newcomer import Newcomer
from chatlib.core.hub.publisher import Publisher
from chatlib.core.line import EndedError
from chatlib.stores.store import Store, expect_name
from chatlib.stores.tasks import end

BEAT_SECONDS = 25.0
LIMIT_BYTES = 1024 * 1024
REASON_BYTES = 120  # a close frame has room for a few more


class Hub(Publisher):
    """Rooms that remember what is published, for the WebSockets of an app.

    Messages are kept in a store, and each has an id: 1, 2, 3 … in its room. A connection that joins
    a room says up to where it has heard, gets what it has missed, and then what comes. Any number
    of processes on one store are one hub.

    Each member gets JSON objects. First, for each room, `{"type": "welcome", "room", "history",
    "after", "head", "people", "count", "beat"}`. `after` is the cursor that the messages follow,
    and `head` the id of the newest one. `history` says what became of what the client had missed:
    `"complete"`, all of it follows; `"trimmed"`, the oldest of it is no longer kept, and what is
    follows; `"diverged"`, the cursor is of a history that is no more; `"new"`, there was no cursor.
    After these two, the last messages follow, as many as were asked for. `0.00000000` is the cursor
    before the first message of each room.

    Then there is `{"type": "message", "room", "id", "tag", "data"}` (`"base64"` for bytes, or
    `"unreadable": true` for what was damaged in the store), with the id and tag of which the next
    cursor is made: `f"{id}.{tag}"`. Besides, `{"type": "people",
    "room", "joined", "left", "count"}` where connections have names, and every `beat` seconds
    `{"type": "beat", "room", "head"}`: who has not heard of `head` by then has missed something.

    A member that takes too little is cut off, and loses nothing: it comes back with its cursor. Who
    follows a history that is no more (a file restored from an older copy) is closed with 4409.

    It belongs to the event loop in which it is opened, except for `publish_from_thread`.

    Args:
        store: an address, as `store_at` takes it, or a store.
        limit: how many bytes may wait for a member.
        beat: every how many seconds members get a beat, and this process looks whether it has
            missed anything.
    """

    def __init__(
        self, store: str | Store, *, limit: int = LIMIT_BYTES, beat: float = BEAT_SECONDS
    ) -> None:
        super().__init__(store)
        self.limit = limit
        self.beat = beat
        self._feeds: dict[str, Feed] = {}
        self._ledger = Ledger()
        self._attendance = Attendance(self.store)
        self._beating: asyncio.Task[None] | None = None

    @contextlib.asynccontextmanager
    async def lifespan(self, app: object = None) -> AsyncIterator[None]:
        """Be open while the app runs: `FastAPI(lifespan=hub.lifespan)`."""
        async with self:
            yield

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self._attendance = Attendance(self.store)
        beating = keep_beat(self.beat, self.store, self._feeds, self._ledger)
        self._beating = asyncio.create_task(beating)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self._beating is not None:
            await end(self._beating)
        await self._attendance.stop()
        for feed in list(self._feeds.values()):
            await feed.stop()
            self._ledger.retire(feed.room)
        self._feeds.clear()
        await super().__aexit__(*exc_info)

    @property
    def rooms(self) -> list[str]:
        """The rooms that somebody hears through this process."""
        return list(self._feeds)

    @property
    def stats(self) -> HubStats:
        """What the hub has done in this process, without what was published: see `appends`."""
        return self._ledger.stats(feed.room for feed in list(self._feeds.values()))

    @contextlib.asynccontextmanager
    async def join(
        self,
        websocket: WebSocket,
        *rooms: str,
        after: After = None,
        last: int = 0,
        name: str | None = None,
        inbox: bool = True,
        welcome: Mapping[str, Any] | None = None,
    ) -> AsyncIterator[None]:
        """Have `websocket` hear `rooms` until the end of the block.

        Args:
            websocket: has been accepted.
            rooms: their names.
            after: up to where it has heard: a cursor if there is one room, or one for each room by
                its name. That of the inbox is `@name`; a single cursor says nothing about it.
            last: how many messages it gets of a room in which it is new: 200 at most.
            name: of the person. It counts as present in the rooms, and hears the inbox `@name`,
                where it counts as well: so `people("@ana")` says whether ana is connected.
            inbox: whether it does hear that.
            welcome: what each welcome says besides.

        Raises:
            ValueError: a cursor is none, or a name is none: an inbox is joined by `name` alone.
            RuntimeError: the hub is not open; or the connection was not accepted before, or is in
                one of the rooms already.
            WebSocketDisconnect: the connection has ended.
            OSError: the store cannot be read.
        """
        self._expect_open()
        if websocket.application_state is WebSocketState.CONNECTING:
            raise RuntimeError("join() comes after accept(): first `await websocket.accept()`")
        last = max(0, min(last, PAGE))
        for room in rooms:
            expect_room(room)
        rooms = tuple(dict.fromkeys(rooms))
        everywhere = [*rooms, *([inbox_of(name)] if name is not None and inbox else [])]
        cursors = cursors_in(after, rooms)
        code: int | None = None

        async def leave(room: str, name: str) -> None:
            await self._attendance.leave(room, name, code)

        async with contextlib.AsyncExitStack() as stack:
            for room in everywhere:
                feed = await stack.enter_async_context(self._use(room))
                if feed.room.has(websocket):
                    raise RuntimeError(f"this connection is in the room {room!r} already")
                if name is not None:
                    await self._attendance.enter(room, name)
                    stack.push_async_callback(leave, room, name)
                guest = Newcomer(feed, websocket, {**(welcome or {}), "beat": self.beat})
                try:
                    await feed.admit(websocket, cursors.get(room), last, guest)
                except ChangedError:
                    await websocket.close(CHANGED, CHANGED_WHY)
                    raise WebSocketDisconnect(CHANGED, CHANGED_WHY) from None
                except EndedError as error:
                    raise WebSocketDisconnect(1006, str(error)) from None
                stack.callback(feed.room.leave, websocket)
            try:
                yield
            except WebSocketDisconnect as gone:
                code = gone.code
                raise

    async def follow(
        self,
        websocket: WebSocket,
        *rooms: str,
        after: After = None,
        last: int = 0,
        name: str | None = None,
    ) -> None:
        """Do as `join` until the client leaves, whatever it sends.

        Where `join` raises `ValueError`, the connection is closed with 1008: its client said so.
        """
        with contextlib.suppress(WebSocketDisconnect):
            try:
                async with self.join(websocket, *rooms, after=after, last=last, name=name):
                    while True:
                        message = await websocket.receive()
                        if message["type"] == "websocket.disconnect":
                            raise WebSocketDisconnect(message.get("code", 1005))
            except ValueError as error:
                why = str(error).encode()[:REASON_BYTES].decode(errors="ignore")
                await websocket.close(1008, why)

    def shout(self, room: str, message: Mapping[str, Any]) -> None:
        """Tell all who are in `room` now, in all processes, and keep nothing.

        It may get lost. So it is for what is of no use later: that somebody is typing, say. Members
        get the object as it is: give it a `"type"` that is none of the hub's.

        Raises:
            TypeError, ValueError: it cannot be sent as JSON.
            RuntimeError: the hub is not open.
        """
        self._expect_open()
        expect_name("room", room)
        data = str(plain(dict(message))).encode()
        if room in self._feeds:
            self._feeds[room].shout(data)
        self.store.shout(room, data)

    @contextlib.asynccontextmanager
    async def _use(self, room: str) -> AsyncIterator[Feed]:
        """Have a feed of `room` for as long as somebody needs it."""
        feed = self._feeds.get(room)
        if feed is None:
            feed = self._feeds[room] = Feed(room, self.store, self.render, self.limit)
        feed.users += 1
        try:
            await feed.start()
            yield feed
        finally:
            feed.users -= 1
            if not feed.users and self._feeds.get(room) is feed:
                del self._feeds[room]
                self._ledger.retire(feed.room)
                await feed.stop()
