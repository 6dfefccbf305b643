"""A line on a server that offers no better way than `send`, one message after the other."""

import asyncio
import contextlib
from collections import deque
from contextlib import AsyncExitStack
from typing import Any

from fastapi import WebSocket
from starlette.types import Message

from chatlib.core.atonce import AtOnce
from chatlib.core.frames import encode, messages_of
from chatlib.core.line import EXTENSION, EndedError, Line, line_in
from chatlib.core.log import log_failure, log_slow_path
from chatlib.core.ring import Waiter, wake
from chatlib.core.turn import turn_here

LOW_WATER, HIGH_WATER = 16 * 1024, 64 * 1024  # as transports have it
GIVE_UP_SECONDS = 1.0
LOOK_EVERY = 16  # messages: to look at the time costs as much as a tenth of sending one
STUCK_SECONDS = 0.25  # after so long at one message of a server the line counts as full
FINISH_SECONDS = 10.0  # at the end, the rest is given up after so long without progress
TEST_CLIENT = ("testclient", 50000)  # what Starlette's calls itself: it is no server
TOO_SLOW: Message = {"type": "websocket.close", "code": 1013, "reason": "too slow"}
FAILED: Message = {"type": "websocket.close", "code": 1011, "reason": "a send failed"}


class TaskLine(Line):
    """One queue, and one coroutine that sends what is in it: nothing else sends on this connection.

    It puts itself before `send` and `receive` of `websocket`: what the app sends by itself keeps
    its place among what the rooms send, and the handler is told when its client is cut off (an app
    can ask a server to close a connection, but not to cut it).
    """

    __slots__ = (
        *("_closing", "_cut", "_error", "_queue", "_receive", "_receiver", "_send", "_sender"),
        *("_sent", "_size", "_told", "_waiters", "_watched", "hooked"),
    )

    def __init__(self, websocket: WebSocket) -> None:
        super().__init__(asyncio.get_running_loop(), asyncio.Event())
        self.writable.set()
        self._size = self._sent = 0
        # Most lines never hold any of these: a send is done at once, or else the client is slow.
        self._queue: deque[bytes] | tuple[()] = ()
        self._waiters: deque[tuple[int, Waiter]] | tuple[()] = ()
        self._sender = AtOnce(self.loop)
        self._closing: asyncio.Task[None] | None = None
        self._receiver: asyncio.Task[Any] | None = None
        self._cut: Message | None = None  # what it was closed with, where this end cut it
        self._watched = self._told = False  # told: the handler knows, or need not know, of the end
        self._error: Exception | None = None
        self._send, self._receive = websocket._send, websocket._receive  # below Starlette's state
        websocket._send, websocket._receive = self.send, self.receive
        # FastAPI closes this when the handler ends, however it ends; Starlette has no such thing.
        stack = websocket.scope.get("fastapi_inner_astack")
        self.hooked = isinstance(stack, AsyncExitStack)
        if isinstance(stack, AsyncExitStack):
            stack.push_async_callback(self.finish)

    def write(self, frames: bytes) -> None:
        self._size += len(frames)
        if self._sender.busy:
            self._queue = self._queue or deque()
            self._queue.append(frames)
        else:
            self._sender.run(self._send_all(frames))
        if self._size > HIGH_WATER:
            self._fill()
        if self._sender.busy and not self._watched:
            self._watched = True
            self.loop.call_later(STUCK_SECONDS, self._look, self._sent)

    def _fill(self) -> None:
        if self.writable.is_set():
            self.writable.clear()
            self.pause()

    def _look(self, before: int) -> None:
        """Count the line as full where the server has been at one message all this time."""
        self._watched = self._sender.busy and not self.ended
        if self._watched:
            if self._sent == before:
                self._fill()
            self.loop.call_later(STUCK_SECONDS, self._look, self._sent)

    def progress(self) -> int:
        return self._sent

    def abort(self, after: float = 0.0) -> None:
        """As far as an app can: stop sending, tell the handler, and ask the server to close."""
        self._close_with(TOO_SLOW, after)

    def _close_with(self, message: Message, after: float = 0.0) -> None:
        if self._cut is None:
            self._cut = message
            self.end()
            self._queue = ()
            self._closing = self.loop.create_task(self._close(message, after))

    def end(self) -> None:
        super().end()
        self._sender.stop()
        waiters, self._waiters = self._waiters, ()
        for _, waiter in waiters:
            wake(waiter, self._error or EndedError("the connection has ended"))

    async def send(self, message: Message) -> None:
        """Send what the app sends by itself, in its place. It replaces the `send` of the server."""
        if asyncio.get_running_loop() is not self.loop:
            sending = asyncio.run_coroutine_threadsafe(self.send(message), self.loop)
            await asyncio.wrap_future(sending)
        elif message["type"] == "websocket.send":
            content = message.get("text") if message.get("bytes") is None else message["bytes"]
            if content is not None:
                await self.say(encode(content))
            await self._all_sent()
        elif message["type"] == "websocket.close":
            if self._cut is None:
                await self.finish()
                await self._send(message)
        else:
            await self._send(message)

    async def receive(self) -> Message:
        """Receive for the app; once the client is cut off, that is a disconnect."""
        if self._cut is None:
            self._receiver = asyncio.current_task()
            try:
                message = await self._receive()
                if message["type"] == "websocket.disconnect":
                    self._told = True
                    self.end()
                return message
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if self._cut is None or task is None or task.uncancel():
                    raise
            finally:
                self._receiver = None
        self._told = True
        return {**(self._cut or FAILED), "type": "websocket.disconnect"}

    async def spoken(self) -> None:
        """Wait until all is sent, where this line is not told when the handler has ended."""
        if not self.hooked:
            turn_here().run()
            with contextlib.suppress(OSError):
                if not self.idle:  # little was left of this turn
                    await self.say(b"")
                await self._all_sent()

    async def _all_sent(self) -> None:
        if self._size and not self.ended:
            waiter: Waiter = self.loop.create_future()
            self._waiters = self._waiters or deque()
            self._waiters.append((self._sent + self._size, waiter))
            await waiter
        elif self._error is not None:
            raise self._error

    async def _drained(self) -> None:
        with contextlib.suppress(OSError):
            await self.drain()
            await self._all_sent()

    async def finish(self) -> None:
        """Send all that was said until now, as long as the client takes it; then end."""
        self._told = True
        before = -1
        while not self.ended and self._sent > before:
            before = self._sent
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FINISH_SECONDS):
                    await self._drained()
                    break
        self.end()

    async def _send_all(self, frames: bytes) -> None:
        """Send `frames`, and then what is in the queue."""
        number = 0
        try:
            while True:
                for size, message in messages_of(frames):
                    self.in_flight = size
                    await self._send(dict(message))
                    self._sent += size
                    self._size -= size
                    while self._waiters and self._waiters[0][0] <= self._sent:
                        wake(self._waiters.popleft()[1])
                    if self._size <= LOW_WATER and not self.writable.is_set():
                        self.writable.set()
                        self.resume()
                    number += 1
                    if self._size and number % LOOK_EVERY == 0 and turn_here().is_late():
                        await asyncio.sleep(0)
                if not self._queue:
                    break
                frames = self._queue.popleft()
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if self.ended or (task is not None and task.cancelling()):
                raise
            self._fail(error)  # something that a middleware's `send` awaited was cancelled
        except Exception as error:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        """End, since a send failed. Servers differ in what they raise where a client has gone.

        In that case the server tells the handler, in a moment. Else the error is the app's own, in
        the `send` of a middleware: then the connection is closed, and the handler told.
        """
        self._error = error if isinstance(error, OSError) else EndedError(repr(error))
        self._queue = ()
        self.end()
        self.loop.call_later(GIVE_UP_SECONDS, self._close_if_open)

    def _close_if_open(self) -> None:
        if not self._told:
            self._close_with(FAILED)

    async def _close(self, message: Message, after: float) -> None:
        await asyncio.sleep(after)
        if self._receiver is not None:
            self._receiver.cancel()
        with contextlib.suppress(Exception):
            async with asyncio.timeout(GIVE_UP_SECONDS):
                await self._send(message)
                if message is FAILED:
                    log_failure(self, self._error)


def known_line(websocket: object) -> Line | None:
    """Return the line of `websocket`, if it has one."""
    return line_in(getattr(websocket, "scope", None))


def line_of(websocket: WebSocket) -> Line:
    """Return the line of `websocket`: its server's, or else a `TaskLine` of ours."""
    line = known_line(websocket)
    if line is None:
        line, scope = TaskLine(websocket), websocket.scope
        if scope.get("client") != TEST_CLIENT:
            log_slow_path()
        # A new dict: Granian has one for all its connections.
        scope["extensions"] = {**(scope.get("extensions") or {}), EXTENSION: {"line": line}}
    return line
