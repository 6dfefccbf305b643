"""What a rule works with: a real server that runs the app, and real clients for it."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from contextvars import ContextVar
from dataclasses import dataclass

import websockets
from fastapi import WebSocketDisconnect
from starlette.types import ASGIApp
from websockets.asyncio.client import ClientConnection

from chatlib.lab.check.doors import why_not_let_in
from chatlib.lab.check.printed import printed
from chatlib.lab.check.wrong import Wrong, expect, shorten
from chatlib.lab.log import Log
from chatlib.lab.serve import Server
from chatlib.lab.wire import Event

__all__ = ["Bench", "Client", "Outcome", "Wrong", "expect", "serving", "shorten"]

PATIENCE = 1.0  # seconds that a client waits for anything to come
OPEN_SECONDS = 2.0  # that it waits to be let in
PING_SECONDS = 2.0  # how long a server may take to answer a ping, which it does by itself
QUIET_SECONDS = 1.0  # how long handlers may take to end after their clients have left
RUNS_ON = "where WebSocketDisconnect is caught, the loop has to end: catch it around the loop"
PASSES = "a client that leaves is no error: `except WebSocketDisconnect: pass` prints nothing"
ORIGINS = 8  # how many calls back a coroutine that is never awaited tells of

# The logs of the servers that a rule started, for what is in them when it fails.
logs: ContextVar[list[Log]] = ContextVar("logs")


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


@contextlib.asynccontextmanager
async def serving(app: ASGIApp) -> AsyncIterator[Server]:
    """Serve `app` meanwhile, without holding up the event loop of the check."""
    server = await asyncio.to_thread(Server, app)
    logs.get([]).append(server.log)
    notes_origins(server, ORIGINS)
    try:
        yield server
    finally:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(QUIET_SECONDS):
                await server.settled()  # and so its log is complete
        server.ask_to_stop()  # which takes it a tenth of a second, and nobody waits for that


def notes_origins(server: Server, calls: int) -> None:
    """Have a coroutine that is never awaited in `server` tell of its last `calls`; 0 as before."""
    depth = max(calls, ORIGINS if server.loop.get_debug() else 0)
    with contextlib.suppress(RuntimeError):  # it was stopped meanwhile
        server.loop.call_soon_threadsafe(sys.set_coroutine_origin_tracking_depth, depth)


class Bench:
    """What a rule is given: a server that runs the app, and clients for it."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.begins()
        self.quiet_seconds = QUIET_SECONDS
        self.strangers = server.handlers  # of clients that were there before, the reader's page say
        self.own: set[asyncio.Task[None]] = set()  # handlers of clients of this bench

    def begins(self) -> None:
        """Have a rule on tracebacks ask for those alone that come from now on."""
        self.first_line = len(self.server.log)
        self.first_printed = len(printed.get([]))

    @contextlib.asynccontextmanager
    async def client(self, path: str, **headers: str) -> AsyncIterator[Client]:
        """Connect to `path`, with `headers` written with `_` for `-`. Raises `Wrong` if refused."""
        before = self.server.handlers
        try:
            opened = await self.open(path, headers)
        except websockets.InvalidStatus as refusal:
            how, hint = why_not_let_in(self.server.app, path, refusal.response.status_code)
            raise Wrong("to be let in", how, hint=hint) from None
        except TimeoutError:
            how = f"neither accepted nor refused within {OPEN_SECONDS:.0f} s"
            hint = "await websocket.accept() comes before everything that waits"
            raise Wrong("to be let in", how, hint=hint) from None
        except (OSError, websockets.WebSocketException) as error:
            raise Wrong("to be let in", f"no answer ({type(error).__name__})") from None
        self.own |= self.server.handlers - before
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
            if (code := refusal.response.status_code) != 403:
                hint = None if code == 500 else "raise WebSocketException(1008), no HTTPException"
                raise Wrong("HTTP 403", f"HTTP {code}", hint=hint) from None
        except TimeoutError:
            how = f"neither accepted nor refused within {OPEN_SECONDS:.0f} s"
            raise Wrong("HTTP 403", how) from None
        else:
            await opened.close()
            raise Wrong("HTTP 403", "let in")
        finally:
            self.server.observers.remove(seen.append)
        raised = {event.raised for event in seen if event.kind == "refuse"}
        if raised != {1008}:
            codes = ", ".join(str(code) for code in raised if code is not None) or "none"
            hint = "raise WebSocketException(1008), no HTTPException"
            raise Wrong("a refusal with the code 1008", codes, hint=hint)

    async def open(self, path: str, headers: dict[str, str]) -> ClientConnection:
        """Open a connection to `path`."""
        return await websockets.connect(
            self.server.ws_url(path),
            additional_headers={name.replace("_", "-"): value for name, value in headers.items()},
            open_timeout=OPEN_SECONDS,
            close_timeout=0.5,
        )

    async def calm(self) -> None:
        """Wait until the handlers of one rule's clients have ended: the next rule hears nothing."""
        try:
            async with asyncio.timeout(self.quiet_seconds):
                await self.server.settled(besides=self.strangers)
        except TimeoutError:  # the reader's page joined meanwhile, or the app keeps its handlers
            self.strangers = self.server.handlers
            self.quiet_seconds = QUIET_SECONDS / 4  # it may do so in every rule

    async def no_traceback(self) -> None:
        """Wait until the handlers have ended, and expect that they do, and that none raised."""
        self.quiet_seconds = QUIET_SECONDS
        await self.calm()
        if running := self.own & self.server.handlers:
            came = "it runs on" if len(running) == 1 else f"{len(running)} of them run on"
            raise Wrong("a handler to end when its client has left", came, hint=RUNS_ON)
        for line in self.server.log[self.first_line :]:
            if line.error is not None:
                raise Wrong(
                    "no traceback in the log",
                    "one",
                    error=line.error,
                    hint=hint_on_raised(line.error),
                )
        if printed.get([])[self.first_printed :]:
            raise Wrong("no traceback", "one that your code prints or logs", hint=PASSES)


def hint_on_raised(error: BaseException) -> str | None:
    """Return a hint where a handler raised something else than that its client has gone."""
    if isinstance(error, WebSocketDisconnect):
        return None
    return "look at that line: no `except WebSocketDisconnect` catches what it raised"
