"""Connecting to a room, again and again: where to, with which token, and when."""

import asyncio
import inspect
import ipaddress
import random
import ssl
import time
from collections.abc import Awaitable, Callable, Iterator
from itertools import chain
from typing import Literal
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from chatlib.client.errors import (
    BreachError,
    RefusedError,
    RoomError,
    TokenError,
    UnreachableError,
)
from chatlib.core.rooms.protocol import FORBIDDEN, SUBPROTOCOL, UNAUTHENTICATED
from chatlib.stores.store import Cursor

Token = str | Callable[[], str | Awaitable[str]]
Delays = Callable[[], Iterator[float]]
Proxy = str | Literal[True] | None

FINAL = {1002, 1003, 1007, 1008, 1009, 1010, FORBIDDEN}  # who comes back is sent away again
CUT, FAILED, RESTART, TOO_MANY = 1006, 1011, 1012, 1013
TOO_MANY_SECONDS = 5.0
STEADY_SECONDS = 5.0  # a connection that lasted this long ends a row of failures
CLOSE_SECONDS = 5.0


class Connector:
    """Makes connections to one room, one after the other.

    websockets' own reconnecting iterator cannot be given a new cursor and token for each
    connection, and begins its back-off anew when a server accepts and then closes. Which errors are
    worth another try, and the back-off, are taken from it.

    Args:
        url, token, last, delays, ssl, proxy: as `chatlib.client.join` has them.

    Raises:
        ValueError: `url` cannot be the address of a WebSocket.

    Attributes:
        retry: over how many seconds clients come back after a restart.
    """

    def __init__(
        self,
        url: str,
        token: Token,
        last: int,
        delays: Delays,
        ssl: ssl.SSLContext | None,
        proxy: Proxy,
    ) -> None:
        self._parts = urlsplit(url)
        if self._parts.scheme not in ("ws", "wss") or not self._parts.hostname:
            raise ValueError(
                f"expected an address such as ws://127.0.0.1:8000/rooms/lobby, got {url!r}"
            )
        self._token = token
        self._last = last
        self._make_delays = delays
        self._delays: Iterator[float] | None = None
        self._ssl = True if ssl is None and self._parts.scheme == "wss" else ssl
        self._proxy = None if proxy is True and loopback(self._parts.hostname) else proxy
        self._now: str | None = None if callable(token) else token
        self._process_exception: Callable[[Exception], Exception | None] | None = None
        self._fresh = False  # whether the token was got for this try, and was not taken yet
        self._welcomed: float | None = None
        self.retry = 0.0

    async def connect(self, after: Cursor | None) -> ClientConnection:
        """Return a connection that goes on after `after`. It was not welcomed yet.

        Raises:
            OSError, WebSocketException: there is none, for now or for good: `wait` tells.
            Exception: what a `token` that is called raises.
        """
        self._welcomed = None
        self._fresh = self._now is None
        if self._now is None:
            assert callable(self._token)
            made = self._token()
            self._now = await made if inspect.isawaitable(made) else made
        attempt = connect(
            self._address(after),
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            additional_headers={"Authorization": f"Bearer {self._now}"},
            compression=None,
            ping_interval=None,  # the server's beat tells that the connection lives
            close_timeout=CLOSE_SECONDS,
            proxy=self._proxy,
            ssl=self._ssl,
        )
        self._process_exception = attempt.process_exception  # elsewhere in each of its versions
        socket = await attempt
        if socket.subprotocol != SUBPROTOCOL:
            socket.transport.abort()
            raise BreachError(f"this server does not speak {SUBPROTOCOL}")
        return socket

    def _address(self, after: Cursor | None) -> str:
        """Return the address that asks for what follows `after`."""
        query = dict(parse_qsl(self._parts.query, keep_blank_values=True))
        query["last"] = str(self._last)
        if after is not None:
            query["after"] = str(after)
        return urlunsplit(self._parts._replace(query=urlencode(query), fragment=""))

    def welcomed(self, retry: float) -> None:
        """Note that the server has let this client in, and spreads a restart over `retry` s."""
        self._welcomed = time.monotonic()
        self._fresh = False
        self.retry = retry

    def wait(self, error: Exception, *, first: bool) -> float:
        """Return for how many seconds to wait after `error` before connecting again.

        Args:
            error: how a connection ended, or why there was none.
            first: whether that is reason enough to give up.

        Raises:
            RoomError: there is no use in it.
        """
        code = code_of(error)
        if code == UNAUTHENTICATED and callable(self._token) and not self._fresh:
            self._now = None
        elif first or code in FINAL or code == UNAUTHENTICATED or self._is_fatal(error):
            raise self._explained(error, code) from error
        if self._welcomed and time.monotonic() - self._welcomed >= STEADY_SECONDS:
            self._delays = None
        if self._delays is None:
            self._delays = chain([0.0], self._make_delays())
        seconds = next(self._delays)
        if code == RESTART:
            return random.uniform(0, self.retry)
        if code == TOO_MANY:
            return max(seconds, random.uniform(TOO_MANY_SECONDS, 2 * TOO_MANY_SECONDS))
        if code == FAILED and not seconds:
            return next(self._delays)
        return seconds

    def _is_fatal(self, error: Exception) -> bool:
        """Return whether another try would end as this one."""
        if isinstance(error, ConnectionClosed | BreachError) or self._process_exception is None:
            return False
        return self._process_exception(error) is not None

    def _explained(self, error: Exception, code: int) -> RoomError:
        """Return `error` as an app is told of it."""
        netloc = self._parts.netloc.rpartition("@")[2]  # without a password
        url = urlunsplit(self._parts._replace(netloc=netloc, query="", fragment=""))
        if isinstance(error, ConnectionClosed) and error.rcvd is not None:
            reason = error.rcvd.reason
            if code == UNAUTHENTICATED:
                return TokenError(code, reason)
            if code in FINAL:
                return RefusedError(code, reason)
            return UnreachableError(f"{url} closed the connection: {code} {reason}".rstrip())
        return UnreachableError(f"cannot join {url}: {error or type(error).__name__}")


def code_of(error: Exception) -> int:
    """Return the code with which the server closed, or 1006."""
    if isinstance(error, ConnectionClosed) and error.rcvd is not None:
        return error.rcvd.code
    return CUT


def loopback(host: str) -> bool:
    """Return whether `host` is this machine, to which no proxy leads."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


async def receive(socket: ClientConnection, seconds: float) -> str | bytes:
    """Return what comes next; `TimeoutError` if that is nothing for so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            return await socket.recv()
    except TimeoutError:
        raise TimeoutError(f"nothing came for {seconds:g} s") from None
