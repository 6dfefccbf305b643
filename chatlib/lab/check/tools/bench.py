"""What a rule works with: a real server that runs the app, and real clients for it."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from contextvars import ContextVar

import websockets
from fastapi import WebSocketDisconnect
from starlette.types import ASGIApp
from websockets.asyncio.client import ClientConnection

from chatlib.lab.check.tools.client import Client, Outcome
from chatlib.lab.check.tools.doors import why_not_let_in
from chatlib.lab.check.tools.printed import printed
from chatlib.lab.check.tools.watch import is_alive
from chatlib.lab.check.tools.wrong import Blocked, Wrong, expect, shorten
from chatlib.lab.serve import Server
from chatlib.lab.wire import Event

__all__ = ["Bench", "Client", "Outcome", "Wrong", "expect", "serving", "shorten"]

OPEN_SECONDS = 2.0  # that a client waits to be let in
QUIET_SECONDS = 1.0  # how long handlers may take to end after their clients have left
ALIVE_SECONDS = 1.0  # how long a server's event loop may take to answer at all
RUNS_ON = "where WebSocketDisconnect is caught, the loop has to end: catch it around the loop"
NO_END = "what your code waits for here does not come: raise WebSocketException(1008) at once"
NO_HTTP = "raise WebSocketException(1008): HTTPException is for HTTP, and sends a response instead"
CODE = "the code is in the exception: raise WebSocketException(1008)"
PASSES = "a client that leaves is no error: `except WebSocketDisconnect: pass` prints nothing"
ORIGINS = 8  # how many calls back a coroutine that is never awaited tells of

# The servers that a rule works with, for what is in their logs when it fails.
servers: ContextVar[list[Server]] = ContextVar("servers")


@contextlib.asynccontextmanager
async def serving(app: ASGIApp) -> AsyncIterator[Server]:
    """Serve `app` meanwhile, without holding up the event loop of the check.

    Raises:
        Blocked: something went wrong meanwhile, and it is since `app` blocks its event loop.
    """
    server = await asyncio.to_thread(Server, app)
    servers.get([]).append(server)
    notes_origins(server, ORIGINS)
    alive = True
    try:
        yield server
    except BaseException:
        try:
            alive = await is_alive(server, ALIVE_SECONDS)
        except asyncio.CancelledError:  # who watches the loops has found out meanwhile
            alive = False
        if alive:
            raise
        raise blocked(server) from None
    finally:
        if alive:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(QUIET_SECONDS):
                    await server.settled()  # and so its log is complete
        server.ask_to_stop()  # which takes it a tenth of a second, and nobody waits for that


def blocked(server: Server) -> Blocked:
    """Return that code blocks the event loop of `server`, and where."""
    return Blocked(f"your code blocks the server: {server.where_blocked()}")


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
        before, there = self.server.handlers, self.server.client_ports
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
        own = self.server.handlers - before
        others = self.server.client_ports - there - {opened.local_address[1]}
        # The reader's page may have come meanwhile: nobody knows whose handler is whose then.
        self.own |= own if not others else set()
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
            answer = refusal.response
        except TimeoutError:
            how = f"neither accepted nor refused within {OPEN_SECONDS:.0f} s"
            raise Wrong("HTTP 403", how, hint=NO_END) from None
        else:
            await opened.close()
            raise Wrong("HTTP 403", "let in")
        finally:
            self.server.observers.remove(seen.append)
        codes = {event.raised for event in seen if event.kind == "refuse"}
        if answer.status_code == 500:  # what the code raised says more than a hint here
            raise Wrong("HTTP 403", "HTTP 500")
        if codes == {None}:
            body = shorten(answer.body.decode(errors="replace"))
            came = f"HTTP {answer.status_code} with the body {body}"
            raise Wrong("HTTP 403 with no body, from the code 1008", came, hint=NO_HTTP)
        if codes != {1008}:
            came = ", ".join(map(repr, codes)) or "none"
            raise Wrong("a refusal with the code 1008", came, hint=CODE)

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

    async def no_handler_runs_on(self, hint: str = RUNS_ON) -> None:
        """Expect that the handlers of this bench's clients, who have left, come to their end."""
        self.quiet_seconds = QUIET_SECONDS
        await self.calm()
        if running := self.own & self.server.handlers:
            came = "it runs on" if len(running) == 1 else f"{len(running)} of them run on"
            raise Wrong("a handler to end when its client has left", came, hint=hint)

    async def no_traceback(self) -> None:
        """Wait until the handlers have ended, and expect that they do, and that none raised."""
        await self.no_handler_runs_on()
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
