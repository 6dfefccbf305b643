"""A room that a client has joined, over one connection after the other."""

import asyncio
import logging
from collections.abc import Callable
from typing import Self

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import WebSocketException

from chatlib.client.connector import Connector, receive
from chatlib.client.errors import (
    BreachError,
    IncompleteHistoryError,
    LeftError,
    RoomError,
)
from chatlib.client.incoming import Event, Incoming, Lost
from chatlib.client.outbox import Outbox, Receipt
from chatlib.client.unread import Message, Unread
from chatlib.core.rooms.protocol import Welcome
from chatlib.stores.store import Cursor

WELCOME_SECONDS = 10.0

logger = logging.getLogger("chatlib.client")


class Room:
    """A room, as `chatlib.client.join` returns it: an async context manager, and an async iterator.

    It belongs to the event loop in which it is joined. Any number of tasks may say something; one
    at a time may iterate.

    Attributes:
        cursor: the place behind the last message that the iteration returned. Kept somewhere, it is
            what `join(…, after=cursor)` goes on from.
    """

    def __init__(
        self,
        connector: Connector,
        outbox: Outbox,
        place: Cursor | None,
        buffer: int,
        grace: float,
        keep_trying: bool,
        on_event: Callable[[Event], None],
    ) -> None:
        self._connector = connector
        self._outbox = outbox
        self._unread = Unread(buffer, place)
        self._incoming = Incoming(self._unread, outbox, on_event)
        self.cursor = "" if place is None else str(place)
        self._grace = grace
        self._keep_trying = keep_trying
        self._on_event = on_event
        self._socket: ClientConnection | None = None
        self._running: asyncio.Task[None] | None = None
        self._ended: Exception | None = None
        self._arrived = asyncio.Event()
        self._iterating = False
        self._resuming = False

    async def __aenter__(self) -> Self:
        if self._running is not None:
            raise RuntimeError("this room was joined already; call join(…) again for another one")
        self._running = asyncio.create_task(self._run(), name="chatlib room")
        try:
            await self._outbox.ready()
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._end(LeftError("the room was left: its `async with` block has ended"))
        try:
            if self._socket is not None:
                await self._socket.close()  # with 1000, so that one's name goes at once
        finally:
            await self._stop()

    async def _stop(self) -> None:
        assert self._running is not None
        self._running.cancel()
        await asyncio.wait([self._running])

    def _end(self, error: Exception) -> None:
        """Have all who wait know that there will be nothing more, because of `error`."""
        if self._ended is None:
            self._ended = error
            self._outbox.end(error)
            self._arrived.set()

    @property
    def name(self) -> str:
        """The room's name; of an inbox, `@` and the name of the person."""
        return self._expect_joined().room

    @property
    def you(self) -> str:
        """Your name, from the token."""
        return self._expect_joined().you

    @property
    def history(self) -> str:
        """What the newest welcome said: `"new"`, `"complete"`, `"trimmed"` or `"diverged"`."""
        return self._expect_joined().history

    @property
    def people(self) -> frozenset[str] | None:
        """The names of those present, by the newest word of the server; None above 200."""
        return self._incoming.people

    @property
    def count(self) -> int:
        """How many are present."""
        return self._incoming.count

    @property
    def connected(self) -> bool:
        """Whether there is a connection just now."""
        return self._socket is not None

    @property
    def unread(self) -> int:
        """How many messages are held in memory until they are iterated over."""
        return len(self._unread)

    def _expect_joined(self) -> Welcome:
        if self._incoming.welcome is None:
            raise RuntimeError("this room was not joined: write `async with join(…) as room:`")
        return self._incoming.welcome

    async def say(self, text: str, *, to: str | None = None, key: str | None = None) -> Receipt:
        """Say something; return once the server has kept it.

        It is sent again, with the same key, over as many connections as it takes, and if the server
        asks to wait. The server keeps one message for a key. What is said by several tasks is sent
        one after the other, in the order of the calls.

        Cancelling this leaves doubt: it may be kept. To say it again with the same `key` is safe,
        and tells. So give a key of your own where you may want to, `secrets.token_hex(16)` say.

        Args:
            text: what to say.
            to: the person to say it to, alone. It goes to that person's inbox and your own.
            key: what you call it: 1 to 64 letters, digits, `_` and `-`. None: a random one.

        Raises:
            ValueError: the server would not take it: it is empty or too long, or a name or the key
                cannot be. Nothing was sent.
            SayError: the server refused it: there is nobody with the name `to`, say.
            UnsureError: the room ended before the answer: it may be kept.
            RoomError: the room has ended. It is not kept.
        """
        self._expect_joined()
        return await self._outbox.say(text, to, key)

    async def typing(self) -> None:
        """Tell the others that you are typing, if there is a connection just now.

        Call it as often as you like: one a second is sent.
        """
        await self._outbox.typing()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        """Return the next message: of those before you joined, then of those since.

        Cancelling this loses none, so `asyncio.timeout` may be put around `anext(room)`.

        Raises:
            IncompleteHistoryError: messages are missing in this place. Iterate again to go on.
            StopAsyncIteration: the room was left.
            RoomError: the server will not have you back. What was in memory was returned before.
        """
        self._expect_joined()
        if self._iterating:
            raise RuntimeError("another task waits for the next message of this room already")
        self._iterating = True
        try:
            while not self._unread:
                if isinstance(self._ended, LeftError):
                    raise StopAsyncIteration
                if self._ended is not None:
                    raise self._ended
                self._resume()
                self._arrived.clear()
                await self._arrived.wait()
        finally:
            self._iterating = False
        item = self._unread.take()
        if isinstance(item, IncompleteHistoryError):
            self.cursor = item.after
            raise item
        self.cursor = item.cursor
        return item

    def _resume(self) -> None:
        """Connect anew, if messages were dropped for lack of room: they come again."""
        if self._unread.dropped and self._socket is not None:
            self._resuming = True
            self._socket.transport.abort()  # no close with 1000: that would mean to leave

    async def _run(self) -> None:
        """Have a connection until the room is left, or there is no use in trying."""
        try:
            while self._ended is None:
                try:
                    await self._talk()
                except (OSError, WebSocketException, BreachError) as error:
                    await self._wait(error)
        except Exception as error:
            self._end(error)
            if isinstance(error, RoomError):
                self._on_event(Lost(str(error), None))

    async def _talk(self) -> None:
        """Take what comes over one connection. The end of that is an exception."""
        after = self._unread.place
        socket = await self._connector.connect(after)
        try:
            welcome = self._incoming.begin(await receive(socket, WELCOME_SECONDS), after)
            self._connector.welcomed(welcome.retry / 1000)
            self.cursor = self.cursor or welcome.after
            self._socket = socket
            self._outbox.connected(socket, welcome.max.frame)
            while True:
                self._arrived.set()
                self._incoming.take(await receive(socket, welcome.beat + self._grace))
        finally:
            self._socket = None
            self._outbox.disconnected()
            socket.transport.abort()
            await socket.wait_closed()

    async def _wait(self, error: Exception) -> None:
        """Wait before the next connection, after `error`; raise if there is to be none."""
        if self._ended is not None or self._resuming:
            self._resuming = False
            return
        first = self._incoming.welcome is None and not self._keep_trying
        seconds = self._connector.wait(error, first=first)
        logger.info("no connection, next try in %.1f s: %s", seconds, error)
        self._on_event(Lost(str(error), seconds))
        await asyncio.sleep(seconds)
