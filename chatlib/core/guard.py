"""Protect an app: which pages may open a WebSocket, how many, and how much each may send."""

import asyncio
import contextlib
from collections.abc import Collection, Iterable
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chatlib.core.browsers import difference, expect_sendable, is_same
from chatlib.core.caps import Caps, Limits, address_of
from chatlib.core.line import line_in
from chatlib.core.log import Seldom, cut, logger, name_of

MAX_MESSAGE_BYTES = 64 * 1024
RETRY_SECONDS = b"5"
# Of `websocket.send` and `websocket.close`, what the app may send by now.
BEFORE_ACCEPT = frozenset({"websocket.close"})
ACCEPTED = BEFORE_ACCEPT | {"websocket.send"}
CLOSED: frozenset[str] = frozenset()


class Guard:
    """ASGI middleware in front of the WebSockets of an app.

    A browser names the page that opens a WebSocket in the `Origin` header, and sends the visitor's
    cookies along, whichever page it is (RFC 6455, section 10.2). So a handshake is let in when it
    has no `Origin` (no browser), when the origin is the host and port that the request was sent
    to, or when it stands in `origins`. `localhost`, `127.0.0.1` and `[::1]` are one host. Any other
    is refused before `accept`, which the client sees as HTTP 403; the log says why.

    A message of more than `max_bytes` closes its connection with 1009, even if the server lets
    bigger ones in.

    The caps are for one process, so each worker has its own. Where one of the first three is
    exceeded, the client gets HTTP 503 with `Retry-After` (403, from a server without ASGI's
    *WebSocket Denial Response*). A client that sends too much is closed with 1008, and the reason
    names the cap. Pages and other HTTP requests are not counted.

    The address is the one in the scope. Behind a proxy, the server has to take it from what the
    proxy says, or else all clients have one address: uvicorn believes the `X-Forwarded-For` of the
    proxies in `--forwarded-allow-ips`, by default those at 127.0.0.1. With `*` there it believes
    the clients too, who can then choose an address. IPv6 addresses count by their first 64 bits.
    Connections without an address, such as those at a Unix socket, only count in all.

    Once the server, or the guard, has closed a connection (a message too big, a missed pong), the
    next `send` raises `OSError`, as the ASGI specification asks, where uvicorn raises
    `RuntimeError`. Starlette turns an `OSError` into the `WebSocketDisconnect` that handlers wait
    for.

    Args:
        app: the ASGI app to protect.
        origins: further origins to let in, such as `{"https://example.com"}`, written as a browser
            sends them: in small letters, no path, no closing slash. Those of apps and extensions
            are possible too: `"capacitor://localhost"`, `"file://"`. `"null"` is each file and each
            sandboxed frame, whoever made it. `"*"` lets in every origin.
        max_bytes: how big a message may be, in UTF-8 if it is text.
        max_connections: how many may be open at a time. One counts until its handler ends.
        max_connections_per_address: how many of them from one address.
        new_connections_per_second: how many may come.
        messages_per_second: how many messages each connection may send, on average.
        bytes_per_second: how many bytes of payload each connection may send, on average. A message
            above that is let through if the connection was quiet before, and counts in full.
        burst_seconds: what so many seconds bring may come at once. Raise it where messages of some
            seconds arrive in one go: from a mobile network, or after a handler was busy.

    Raises:
        ValueError: no browser sends an origin of the list, or a cap is not above 0. An app that
            has the guard from `add_middleware` raises it when it starts. uvicorn then starts all
            the same, unless with `--lifespan on`, so the reason is logged too.
    """

    def __init__(
        self,
        app: ASGIApp,
        origins: Iterable[str] = (),
        max_bytes: int = MAX_MESSAGE_BYTES,
        *,
        max_connections: int | None = None,
        max_connections_per_address: int | None = None,
        new_connections_per_second: float | None = None,
        messages_per_second: float | None = None,
        bytes_per_second: float | None = None,
        burst_seconds: float = 1.0,
    ) -> None:
        try:
            self.origins = expect_sendable(origins)
            limits = Limits(
                max_connections,
                max_connections_per_address,
                new_connections_per_second,
                messages_per_second,
                bytes_per_second,
                burst_seconds,
            )
        except (TypeError, ValueError) as error:
            with contextlib.suppress(RuntimeError):
                asyncio.get_running_loop()  # where a server starts the app, and may keep it quiet
                logger.error("Guard cannot start: %s", error)
            raise
        self.app = app
        self.max_bytes = max_bytes
        self.caps = Caps(limits)
        self.lines = Seldom()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            await self.app(scope, receive, send)
            return
        if not lets_in(scope, self.origins):
            self.log_foreign(scope)
            await receive()  # websocket.connect, which comes before any answer
            await send({"type": "websocket.close", "code": 1008, "reason": "foreign origin"})
            return
        address = address_of(scope) if self.caps.by_address else None
        excess = self.caps.enter(address)
        if excess:
            self.log("refused", excess, scope)
            await turn_away(excess, scope, receive, send)
            return
        try:
            guarded = Guarded(self, scope, receive, send)
            await self.app(scope, guarded.receive, guarded.send)
        finally:
            self.caps.leave(address)

    def log(self, what: str, reason: str, scope: Scope) -> None:
        """Log what was done to a connection, and the reason, which is the same for each such."""
        args = (name_of(scope), what, reason)
        self.lines.warning(reason, "%s %s: %s", *args, **fields(scope), reason=reason)

    def log_foreign(self, scope: Scope) -> None:
        """Log that a page may not open a WebSocket, and what to do if it should."""
        origins, hosts = headers_of(scope, b"origin"), headers_of(scope, b"host")
        origin, host = cut(" and ".join(origins)), cut(" and ".join(hosts))
        what = "%s refused: the page has the origin '%s', and the request is for the host '%s'. %s"
        args = (name_of(scope), origin, host, remedy(origin, host))
        extra = {"reason": "foreign origin", "origin": origin, "host": host, **fields(scope)}
        self.lines.warning("foreign origin", what, *args, **extra)


def lets_in(scope: Scope, allowed: Collection[str]) -> bool:
    """Return whether a request is of no page, or of one of its own origin, or one of `allowed`."""
    origins, hosts = headers_of(scope, b"origin"), headers_of(scope, b"host")
    if not origins or "*" in allowed:
        return True
    if len(origins) > 1 or len(hosts) > 1:
        return False  # nobody can say which of them is true
    return origins[0] in allowed or any(is_same(origins[0], host) for host in hosts)


def remedy(origin: str, host: str) -> str:
    """Return what to do where a page of this `origin` shall open a WebSocket at this `host`."""
    try:
        expect_sendable([origin])
    except ValueError:
        return "No browser sends such an origin"
    if origin == "null":
        return "It is a page from a file or in a sandbox; serve it from a web address"
    if difference(origin, host) == "port":
        proxy = "a proxy in front must not drop the port (nginx: proxy_set_header Host $http_host)"
    else:
        proxy = "a proxy in front has to pass the Host header on"
    return f"If the page is yours, write Guard(origins=['{origin}']); {proxy}"


def fields(scope: Scope) -> dict[str, Any]:
    """Return what a record of the log has about a connection, besides its text."""
    line = line_in(scope)
    number, room = (line.number, line.room or None) if line else (None, None)
    return {"client": address_of(scope), "connection": number, "room": room}


def headers_of(scope: Scope, name: bytes) -> list[str]:
    """Return the values of the headers `name`, which is in small letters."""
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


async def turn_away(reason: str, scope: Scope, receive: Receive, send: Send) -> None:
    """Refuse a handshake for now, before it is accepted."""
    await receive()  # websocket.connect, which comes before any answer
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": 1013, "reason": reason})
        return
    body = f"{reason}\n".encode()
    headers = [(b"content-type", b"text/plain"), (b"retry-after", RETRY_SECONDS)]
    headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "websocket.http.response.start", "status": 503, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})


def size_of(message: Message) -> int:
    """Return how many bytes of payload a `websocket.receive` brings; 0 for any other message."""
    text: str = message.get("text") or ""
    return len(message.get("bytes") or b"") or (len(text) if text.isascii() else len(text.encode()))


class Guarded:
    """One connection that a guard has let in: its `receive` and its `send`."""

    __slots__ = ("_receive", "_send", "allowed", "guard", "meter", "scope")

    def __init__(self, guard: Guard, scope: Scope, receive: Receive, send: Send) -> None:
        self.guard = guard
        self.scope = scope
        self._receive = receive
        self._send = send
        self.meter = guard.caps.meter()
        self.allowed = BEFORE_ACCEPT

    async def receive(self) -> Message:
        """Receive; to a message that is too big, or one too many, answer with a close."""
        message = await self._receive()
        size = size_of(message)
        if size > self.guard.max_bytes:
            code, reason = 1009, f"a message may have {self.guard.max_bytes} bytes"
        elif self.meter is None or message["type"] != "websocket.receive":
            return message
        elif reason := self.meter(size):
            code = 1008
            self.guard.log("closed with 1008", reason, self.scope)
        else:
            return message
        line = line_in(self.scope)
        if line is not None:
            await line.finish()  # what was said before the close is heard before it
        closing = {"code": code, "reason": reason}
        # The client has gone meanwhile, or the app has closed already. It goes past `send`: this
        # close counts as the server's, not as the app's.
        with contextlib.suppress(OSError, RuntimeError):
            await self._send({"type": "websocket.close", **closing})
        return {"type": "websocket.disconnect", **closing}

    async def send(self, message: Message) -> None:
        """Send; raise `OSError` on a connection that the server has closed."""
        kind = message["type"]
        try:
            await self._send(message)
        except RuntimeError as error:
            # A send before `accept`, or after the app's own close, is the app's mistake.
            if kind not in self.allowed:
                raise
            raise ConnectionError("the server has closed this connection") from error
        if kind == "websocket.accept":
            self.allowed = ACCEPTED
        elif kind != "websocket.send":
            self.allowed = CLOSED
