"""What a rule works with: a real server that runs the app, and real clients for it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TypeVar

import websockets
from starlette.types import ASGIApp
from websockets.asyncio.client import ClientConnection

from chatlib.lab.serve import Server
from chatlib.lab.wire import Event

PATIENCE = 2.0  # seconds that a client waits for anything to come
QUIET_SECONDS = 1.0  # how long handlers may take to end after their clients have left

T = TypeVar("T")


class Wrong(Exception):  # noqa: N818 - what an app did, and no error of the check's
    """An app did otherwise than a rule says."""

    def __init__(self, expected: object, got: object) -> None:
        super().__init__(f"expected {expected}, got: {got}")


def expect(got: T, expected: T) -> None:
    """Raise `Wrong` unless `got` equals `expected`."""
    if got != expected:
        raise Wrong(repr(expected), repr(got))


class Client:
    """A real WebSocket client, which says what it expected when something else comes."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def send(self, message: str | bytes, *, text: bool | None = None) -> None:
        """Send a message; `text=True` sends bytes in a text frame."""
        await self.connection.send(message, text=text)

    async def hears(self, *expected: str) -> None:
        """Wait for exactly these messages, in this order."""
        for message in expected:
            got = await self.next_message()
            if got != message:
                raise Wrong(repr(message), got if isinstance(got, Outcome) else shorten(got))

    async def is_closed_with(self, code: int, reason: str | None = None) -> None:
        """Wait for the server to close this connection with `code`, and `reason` if it is given."""
        expected = f"close {code}" + (f" with the reason {reason!r}" if reason is not None else "")
        got = await self.next_message()
        if not isinstance(got, Outcome):
            raise Wrong(expected, f"the message {shorten(got)}")
        if got.code != code or (reason is not None and got.reason != reason):
            raise Wrong(expected, got)

    async def stays_connected(self) -> None:
        """Expect that the server answers a ping, and has not closed this connection."""
        try:
            async with asyncio.timeout(PATIENCE):
                await (await self.connection.ping())
        except (TimeoutError, websockets.ConnectionClosed) as error:
            raise Wrong("to stay connected", str(error) or "no answer to a ping") from None

    async def next_message(self) -> "str | bytes | Outcome":
        """Return the next message, or how it came that there is none."""
        try:
            async with asyncio.timeout(PATIENCE):
                return await self.connection.recv()
        except TimeoutError:
            return Outcome(f"nothing within {PATIENCE:.0f} s")
        except websockets.ConnectionClosed as closed:
            if closed.rcvd is None:
                return Outcome("the connection was lost without a close frame", 1006)
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


@contextlib.asynccontextmanager
async def serving(app: ASGIApp) -> AsyncIterator[Server]:
    """Serve `app` meanwhile; start and stop it without holding up the event loop of the check."""
    server = await asyncio.to_thread(Server, app)
    try:
        yield server
    finally:
        await asyncio.to_thread(server.stop)


class Bench:
    """What a rule is given: a server that runs the app, and clients for it."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.first_line = len(server.log)
        self.strangers = server.handlers  # of clients that were there before, the reader's page say

    @contextlib.asynccontextmanager
    async def client(self, path: str, **headers: str) -> AsyncIterator[Client]:
        """Connect to `path`, with `headers` written with `_` for `-`. Raises `Wrong` if refused."""
        try:
            opened = await self.open(path, headers)
        except websockets.InvalidStatus as refusal:
            status = refusal.response.status_code
            how = "never accepted, so HTTP 500" if status == 500 else f"HTTP {status}"
            raise Wrong("to be let in", how) from None
        except (OSError, websockets.WebSocketException, TimeoutError) as error:
            raise Wrong("to be let in", f"no answer ({type(error).__name__})") from None
        try:
            yield Client(opened)
        finally:
            await opened.close()

    async def is_refused(self, path: str, **headers: str) -> None:
        """Expect a refusal before accept: HTTP 403 on the wire, 1008 in the code."""
        seen: list[Event] = []
        self.server.observers.append(seen.append)
        try:
            opened = await self.open(path, headers)
        except websockets.InvalidStatus as refusal:
            if refusal.response.status_code != 403:
                raise Wrong("HTTP 403", f"HTTP {refusal.response.status_code}") from None
        else:
            await opened.close()
            raise Wrong("HTTP 403", "let in")
        finally:
            self.server.observers.remove(seen.append)
        raised = {event.raised for event in seen if event.kind == "refuse"}
        if raised != {1008}:
            raise Wrong("the code 1008 to be raised", raised or "none")

    async def open(self, path: str, headers: dict[str, str]) -> ClientConnection:
        """Open a connection to `path`."""
        return await websockets.connect(
            self.server.ws_url(path),
            additional_headers={name.replace("_", "-"): value for name, value in headers.items()},
            open_timeout=PATIENCE,
            close_timeout=0.5,
        )

    async def calm(self) -> None:
        """Wait until the handlers of one rule's clients have ended: the next rule hears nothing."""
        try:
            async with asyncio.timeout(QUIET_SECONDS):
                await self.server.settled(besides=self.strangers)
        except TimeoutError:  # the reader's page joined meanwhile, or the app keeps its handlers
            self.strangers = self.server.handlers

    async def no_traceback(self) -> None:
        """Wait until the handlers have ended, and expect that none of them raised."""
        await self.calm()
        for line in self.server.log[self.first_line :]:
            if line.error is not None:
                raise Wrong("no traceback in the log", f"{type(line.error).__name__}: {line.error}")


def shorten(message: object) -> str:
    """Return the repr of `message`, cut where it is long."""
    text = repr(message)
    return text if len(text) <= 80 else f"{text[:60]}… ({len(text)} characters)"
