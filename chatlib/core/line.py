"""A line: one connection as a room sees it, whatever server holds it."""

import asyncio
import contextlib
from collections import deque
from typing import Any, Protocol

from fastapi import WebSocket
from starlette.types import Message

from chatlib.core.frames import decode

EXTENSION = "chatlib.fanout"
GIVE_UP_SECONDS = 1.0


class Listener(Protocol):
    """Who writes to a line and has to know how it fares: a member of a room."""

    def on_pause(self) -> None:
        """The line takes no more for now."""

    def on_resume(self) -> None:
        """The line takes more again."""

    def on_end(self) -> None:
        """The line takes no more for ever."""

    def feed(self) -> None:
        """Write what waits, as far as the line takes it."""

    def place(self) -> int:
        """Return a mark that says how much there is to write now."""

    def has_had(self, place: int) -> bool:
        """Return whether all that there was at `place` has been written."""


class Line:
    """One connection, to which ready frames can be written.

    `write` takes whole frames, never waits, and is called in the event loop of the connection.

    Attributes:
        loop: the event loop of the connection.
        writable: set while the line takes more.
        listeners: the members that write to it, one for each room that the connection is in.
        ended: whether it will never take anything again.
    """

    __slots__ = ("ended", "listeners", "loop", "writable")

    def __init__(self, loop: asyncio.AbstractEventLoop, writable: asyncio.Event) -> None:
        self.loop = loop
        self.writable = writable
        self.listeners: list[Listener] = []
        self.ended = False

    def write(self, frames: bytes) -> None:
        """Send `frames`, or hold them until that can be done."""
        raise NotImplementedError

    def progress(self) -> int:
        """Return a number that grows by 1 for each byte that the client has taken."""
        raise NotImplementedError

    def abort(self) -> None:
        """Cut the connection, without a word to the client and without waiting for it."""
        raise NotImplementedError

    def pause(self) -> None:
        """Tell the listeners that the line takes no more for now."""
        for listener in tuple(self.listeners):
            listener.on_pause()

    def resume(self) -> None:
        """Tell the listeners that the line takes more again."""
        for listener in tuple(self.listeners):
            listener.on_resume()

    def end(self) -> None:
        """Tell the listeners that the line takes no more for ever. Harmless a second time."""
        self.ended = True
        listeners, self.listeners = self.listeners, []
        for listener in listeners:
            listener.on_end()

    async def catch_up(self) -> None:
        """Wait until the rooms have written all that they held for this line at the call.

        What is then written, without an `await` in between, stands in its right place. Cancelling
        it loses nothing.
        """
        places = [(listener, listener.place()) for listener in self.listeners]
        await self.writable.wait()
        for listener, place in places:
            listener.feed()
            while not listener.has_had(place):
                await self.writable.wait()
                listener.feed()


class TaskLine(Line):
    """A line on a server that offers no better way: a task sends one message after the other.

    It puts itself before the `send` of `websocket`, so that what the app sends by itself keeps
    its place among what the rooms send.
    """

    __slots__ = ("_frames", "_send", "_sent", "_task", "_turn")

    def __init__(self, websocket: WebSocket) -> None:
        super().__init__(asyncio.get_running_loop(), asyncio.Event())
        self.writable.set()
        self._frames: deque[bytes] = deque()
        self._sent = 0
        self._task: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()
        self._send = websocket.send
        websocket.send = self.send  # type: ignore[method-assign]

    def write(self, frames: bytes) -> None:
        self._frames.append(frames)
        if self.writable.is_set():
            self.writable.clear()
            self._task = self.loop.create_task(self._send_all())
            self.pause()

    def progress(self) -> int:
        return self._sent

    def abort(self) -> None:
        """As far as an app can: stop sending, and ask the server to close."""
        self.end()
        if self._task is not None:
            self._task.cancel()
        self._task = self.loop.create_task(self._close())

    async def send(self, message: Message) -> None:
        """Send what the app sends by itself, in its place. In for `WebSocket.send`."""
        if asyncio.get_running_loop() is not self.loop:
            sending = asyncio.run_coroutine_threadsafe(self.send(message), self.loop)
            await asyncio.wrap_future(sending)
            return
        await self.catch_up()
        if message["type"] == "websocket.close":
            self.end()
        async with self._turn:
            await self._send_frames()
            await self._send(message)

    async def _send_frames(self) -> None:
        while self._frames:
            for frame in decode(self._frames.popleft()):
                await self._send(frame)
                self._sent += len(frame.get("text") or frame.get("bytes") or "?")

    async def _send_all(self) -> None:
        try:
            async with self._turn:
                await self._send_frames()
        except Exception:
            # Servers differ in what they raise here. Whatever it is, this client is gone, and its
            # own handler will be told.
            self.end()
        self.writable.set()
        self.resume()

    async def _close(self) -> None:
        with contextlib.suppress(Exception):
            async with asyncio.timeout(GIVE_UP_SECONDS):
                await self._send({"type": "websocket.close", "code": 1013, "reason": "too slow"})


def line_of(websocket: WebSocket) -> Line:
    """Return the line of `websocket`: its server's, or else a `TaskLine` of ours."""
    scope = websocket.scope
    extensions: dict[str, Any] = scope.get("extensions") or {}
    if EXTENSION not in extensions:
        # A new dict: Granian has one for all its connections.
        extensions = scope["extensions"] = {**extensions, EXTENSION: {"line": TaskLine(websocket)}}
    line: Line = extensions[EXTENSION]["line"]
    return line
