"""A client of an app under check."""

import asyncio
import contextlib
from dataclasses import dataclass

import websockets
from websockets.asyncio.client import ClientConnection

from chatlib.lab.check.tools.wrong import Wrong, shorten

PATIENCE = 1.0  # seconds that a client waits for anything to come
PING_SECONDS = 2.0  # how long a server may take to answer a ping, which it does by itself


class Client:
    """A real WebSocket client, which says what it expected when something else comes."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def send(self, message: str | bytes, *, text: bool | None = None) -> None:
        """Send a message; `text=True` sends bytes in a text frame."""
        with contextlib.suppress(websockets.ConnectionClosed):  # what comes next says so
            await self.connection.send(message, text=text)

    async def hears(self, *expected: str) -> None:
        """Wait for exactly these messages, in this order."""
        for message in expected:
            got = await self.next_message()
            if got != message:
                raise Wrong(shorten(message), shorten(got), hint=hint_on_kind(got))

    async def is_closed_with(
        self, code: int, reason: str | None = None, *, hint: str | None = None
    ) -> None:
        """Wait for the server to close this connection with `code`, and `reason` if it is given."""
        expected = f"close {code}" + (f" with the reason {reason!r}" if reason is not None else "")
        got = await self.next_message()
        if not isinstance(got, Outcome):
            raise Wrong(expected, f"the message {shorten(got)}", hint=hint)
        if got.code != code or (reason is not None and got.reason != reason):
            raise Wrong(expected, got, hint=hint)

    async def stays_connected(self) -> None:
        """Expect that the server answers a ping, and has not closed this connection."""
        try:
            async with asyncio.timeout(PING_SECONDS):
                await (await self.connection.ping())
        except (TimeoutError, websockets.ConnectionClosed) as error:
            raise Wrong("to stay connected", str(error) or "no answer to a ping") from None

    async def next_message(self) -> "str | bytes | Outcome":
        """Return the next message, or how it came that there is none."""
        try:
            for _ in range(2):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(PATIENCE / 2):
                        return await self.connection.recv()
                with contextlib.suppress(TimeoutError):  # a machine that is slow answers it late
                    async with asyncio.timeout(PING_SECONDS):
                        await (await self.connection.ping())
            return Outcome(f"nothing within {PATIENCE:.0f} s")
        except websockets.ConnectionClosed as closed:
            if closed.rcvd is None:
                return Outcome("the connection ended without a close frame", 1006)
            code, reason = closed.rcvd.code, closed.rcvd.reason
            return Outcome(f"close {code}" + (f" {reason!r}" if reason else ""), code, reason)

    async def vanish(self) -> None:
        """Cut the connection without a close frame, as a lost network does."""
        self.connection.transport.abort()
        await self.connection.wait_closed()


@dataclass(frozen=True)
class Outcome:
    """What a client met in place of a message, in words."""

    words: str
    code: int | None = None
    reason: str = ""

    def __str__(self) -> str:
        return self.words

    __repr__ = __str__


def hint_on_kind(got: object) -> str | None:
    """Return a hint where a message is bytes and should have been text."""
    if isinstance(got, bytes):
        return "that is a binary message: send_text(…) sends text"
    return None
