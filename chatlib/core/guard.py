"""Protect an app: which pages may open a WebSocket, and what a send to a closed one means."""

import contextlib
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chatlib.core.line import line_in

MAX_MESSAGE_BYTES = 64 * 1024
DEFAULT_PORTS = {"http": 80, "https": 443}


class Guard:
    """ASGI middleware in front of the WebSockets of an app.

    A browser names the page that opens a WebSocket in the `Origin` header, and sends the visitor's
    cookies along, whichever page it is (RFC 6455, section 10.2). So a handshake is let in when it
    has no `Origin` (no browser), when the origin is the host and port that the request was sent
    to, or when it stands in `origins`. Any other is refused before `accept`, which the client sees
    as HTTP 403.

    A message of more than `max_bytes` closes its connection with 1009, even if the server lets
    bigger ones in.

    Once the server has closed a connection by itself (a message too big, a missed pong), the next
    `send` raises `OSError`, as the ASGI specification asks, where uvicorn raises `RuntimeError`.
    Starlette turns an `OSError` into the `WebSocketDisconnect` that handlers wait for.

    Args:
        app: the ASGI app to protect.
        origins: further origins to let in, such as `{"https://example.com"}`, written as a browser
            writes them: no path and no closing slash. `"*"` lets in every origin.
        max_bytes: how big a message may be, in UTF-8 if it is text.
    """

    def __init__(
        self,
        app: ASGIApp,
        origins: Collection[str] = (),
        max_bytes: int = MAX_MESSAGE_BYTES,
    ) -> None:
        if isinstance(origins, str) and origins != "*":
            raise TypeError(
                f"origins is a collection of strings, or '*'; got the string {origins!r}"
            )
        for origin in origins:
            if origin != "*" and (origin.endswith("/") or "://" not in origin):
                raise ValueError(
                    f"an origin is a scheme, a host and, if it needs one, a port, such as "
                    f"'https://example.com'; got {origin!r}"
                )
        self.app = app
        self.origins = origins
        self.max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            await self.app(scope, receive, send)
        elif not self.lets_in(scope):
            await receive()  # websocket.connect, which comes before any answer
            await send({"type": "websocket.close", "code": 1008, "reason": "foreign origin"})
        else:
            # The close of the guard counts as the server's, not as the app's.
            receive = self.only_small(scope, receive, send)
            await self.app(scope, receive, closed_is_os_error(send))

    def lets_in(self, scope: Scope) -> bool:
        """Return whether the handshake that `scope` describes may go on to the app."""
        origins = [value.decode("latin-1") for name, value in scope["headers"] if name == b"origin"]
        if not origins or "*" in self.origins:
            return True
        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        if len(origins) > 1 or len(hosts) > 1:
            return False  # nobody can say which of them is true
        return origins[0] in self.origins or any(is_same(origins[0], host) for host in hosts)

    def only_small(self, scope: Scope, receive: Receive, send: Send) -> Receive:
        """Wrap `receive` so that it answers a message that is too big, and gives a disconnect."""

        async def guarded_receive() -> Message:
            message = await receive()
            if size_of(message) <= self.max_bytes:
                return message
            closing = {"code": 1009, "reason": f"a message may have {self.max_bytes} bytes"}
            line = line_in(scope)
            if line is not None:
                await line.finish()  # what was said before the close is heard before it
            with contextlib.suppress(OSError):  # the client has gone meanwhile
                await send({"type": "websocket.close", **closing})
            return {"type": "websocket.disconnect", **closing}

        return guarded_receive


def size_of(message: Message) -> int:
    """Return how many bytes of payload a `websocket.receive` brings; 0 for any other message."""
    text: str = message.get("text") or ""
    return len(message.get("bytes") or b"") or (len(text) if text.isascii() else len(text.encode()))


def is_same(origin: str, host: str) -> bool:
    """Return whether an `Origin` header names the same host and port as a `Host` header.

    The scheme is left out: behind a proxy that ends TLS the app sees http where the browser has
    https.
    """
    try:
        page, server = urlsplit(origin), urlsplit(f"//{host}")
        default = DEFAULT_PORTS.get(page.scheme)
        same_port = (page.port or default) == (server.port or default)
        return page.hostname is not None and page.hostname == server.hostname and same_port
    except ValueError:  # a port that is no number, a broken IPv6 address
        return False


def closed_is_os_error(send: Send) -> Send:
    """Wrap `send` so that sending on a connection which the server has closed raises `OSError`."""
    closed_by_app = False

    async def guarded_send(message: Message) -> None:
        nonlocal closed_by_app
        try:
            await send(message)
        except RuntimeError as error:
            # After the app's own close a further send is the app's mistake, and stays one.
            if closed_by_app or message["type"] not in {"websocket.send", "websocket.close"}:
                raise
            raise ConnectionError("the server has closed this connection") from error
        if message["type"] == "websocket.close":
            closed_by_app = True

    return guarded_send
