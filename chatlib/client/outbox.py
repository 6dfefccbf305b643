"""What a client says: one message after the other, each until the server has acknowledged it."""

import asyncio
import contextlib
import json
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from chatlib.client.errors import SayError, UnsureError
from chatlib.core.rooms.protocol import FRAME_BYTES, Ack, Error, parse

TYPING_SECONDS = 1.0  # the server passes on no more than one in this time

Answer = Ack | Error


@dataclass(frozen=True, slots=True)
class Receipt:
    """The server has kept a message.

    Attributes:
        key: of the message.
        room: where it is: for one that was said to a person, one's own inbox.
        id: its number there.
        tag: the fingerprint of the history up to and with it.
        again: whether it was there already, from an earlier try with the same key.
    """

    key: str
    room: str
    id: int
    tag: str
    again: bool


class Outbox:
    """The messages that are to be said. They go over whatever connection there is.

    Args:
        delays: make the seconds between two tries where the server does not say how long to wait.
    """

    def __init__(self, delays: Callable[[], Iterator[float]]) -> None:
        self._delays = delays
        self._turn = asyncio.Lock()  # fair: the order of the calls is the order in the room
        self._socket: ClientConnection | None = None
        self._ready = asyncio.Event()  # there is a connection, or there will be none
        self._over = asyncio.Event()
        self._limit = FRAME_BYTES
        self._ended: Exception | None = None
        self._typed = float("-inf")
        self._key = ""
        self._answer: asyncio.Future[Answer | None] | None = None

    def connected(self, socket: ClientConnection, limit: int) -> None:
        """Say what waits over `socket`, whose server takes frames of at most `limit` bytes."""
        self._socket = socket
        self._limit = limit
        self._ready.set()

    def disconnected(self) -> None:
        """Wait for another connection."""
        self._socket = None
        if self._ended is None:
            self._ready.clear()
        self._resolve(None)

    def end(self, error: Exception) -> None:
        """Have all that waits, and all that comes, fail."""
        if self._ended is None:
            self._ended = error
        self._ready.set()
        self._over.set()
        self._resolve(None)

    def take(self, frame: Answer) -> None:
        """Take what the server answered. What is not about the message in hand is ignored."""
        if frame.key == self._key:
            self._resolve(frame)

    def _resolve(self, frame: Answer | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(frame)

    async def ready(self) -> None:
        """Wait until there is a connection; raise the reason if there will be none."""
        while self._socket is None and self._ended is None:  # it may be lost again at once
            await self._ready.wait()
        if self._ended is not None:
            raise self._ended

    async def say(self, text: str, to: str | None, key: str | None) -> Receipt:
        """Say `text`, as `Room.say` has it."""
        key = secrets.token_hex(16) if key is None else key
        frame = {"type": "say", "key": key, "text": text} | ({} if to is None else {"to": to})
        data = json.dumps(frame, ensure_ascii=False)
        parse(data)  # raises what the server would say to it
        if (size := len(data.encode())) > self._limit:
            raise ValueError(f"expected at most {self._limit} bytes as JSON, got {size}")
        return await self._send(key, data)

    async def _send(self, key: str, data: str) -> Receipt:
        """Send a frame until it is acknowledged."""
        sent = False
        delays = self._delays()
        async with self._turn:
            while True:
                try:
                    await self.ready()
                except Exception as ended:
                    if sent:
                        raise UnsureError(key) from ended
                    raise
                sent = True
                frame = await self._try(key, data)
                if isinstance(frame, Ack):
                    return Receipt(key, frame.room, frame.id, frame.tag, frame.again)
                if frame is None:  # the connection is lost
                    continue
                if not frame.retry:
                    raise SayError(frame.code, frame.text)
                seconds = next(delays) if frame.wait is None else frame.wait
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(seconds):
                        await self._over.wait()

    async def _try(self, key: str, data: str) -> Answer | None:
        """Send a frame once; return the answer, or None if the connection ended before it came."""
        assert self._socket is not None
        self._key = key
        self._answer = asyncio.get_running_loop().create_future()
        try:
            with contextlib.suppress(ConnectionClosed):  # so is the answer, in a moment
                await self._socket.send(data)
            return await self._answer
        finally:
            self._answer = None

    async def typing(self) -> None:
        """Tell that one is typing, at most once a second, and if there is a connection."""
        now = time.monotonic()
        if self._socket is not None and now - self._typed >= TYPING_SECONDS:
            self._typed = now
            with contextlib.suppress(ConnectionClosed):
                await self._socket.send('{"type":"typing"}')
