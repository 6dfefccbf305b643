"""A chat in which one client does not read: who speaks, what each hears, and when.

Chapter 04 shows the experiments themselves: who joins, who speaks, who is asleep. This is what they
are made of.
"""

import asyncio
import contextlib
import inspect
import socket
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, Self, cast

import websockets
from starlette.types import ASGIApp
from uvicorn.protocols.websockets.auto import AutoWebSocketsProtocol as StockProtocol
from websockets.asyncio.client import ClientConnection

from chatlib.core.fanout import FanoutProtocol
from chatlib.lab.loopback import HOST
from chatlib.lab.serve import Server, serve
from chatlib.lab.wire import Event

MESSAGES, TEXT = 200, "x" * 4096  # what Ana says, and how often
SMALL_BYTES = 4096  # asked for, as room in the system of a client that is asleep
SEND_BYTES = 16 * 1024  # and for each client in the server's system
LOOK_SECONDS, LOOKS = 0.025, 20  # short looks: a busy computer is not taken for a chat that is calm
MOST_SECONDS = 20.0  # a guard: every experiment is over long before

PROTOCOLS = {"uvicorn's": StockProtocol, "chatlib's": FanoutProtocol}


def serve_small(app: ASGIApp, protocol: Any, **options: Any) -> Server:
    """Serve `app` on `protocol`, with little room for data on its way to a client."""

    class SmallBuffers(cast(type[Any], protocol)):  # type: ignore[misc]
        def connection_made(self, transport: Any) -> None:
            connection = transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)
            super().connection_made(transport)

    return serve(app, ws=SmallBuffers, **options)


def join(server: Server, client_id: int, **options: Any) -> websockets.connect:
    """Connect to the chat as `client_id`, without compression, and leave it without a long wait."""
    url = server.ws_url(f"/ws/{client_id}")
    return websockets.connect(url, compression=None, close_timeout=0.2, **options)


def join_asleep(server: Server, client_id: int) -> websockets.connect:
    """Connect likewise, with little room for what this client has not read yet."""
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BYTES)
    narrow.connect((HOST, server.port))
    return join(server, client_id, sock=narrow, max_queue=1)


async def who_hears_itself(clients: Mapping[str, ClientConnection]) -> list[str]:
    """Have each of `clients` say hello; return the names of those to whom that comes back."""
    names = []
    for name, client in clients.items():
        with contextlib.suppress(websockets.ConnectionClosed):
            await client.send("Hello")
            while not str(await client.recv()).endswith("says: Hello"):
                pass
            names.append(name)
    return names


class Scene:
    """What clients say and hear in a chat, and when. An async context manager, which ends it.

    Attributes:
        heard: for each name the broadcasts, each with its moment by `time.perf_counter`.
    """

    def __init__(self) -> None:
        self.heard: dict[str, list[tuple[float, str]]] = {}
        self._readers: list[asyncio.Task[None]] = []
        self._talkers: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        tasks = [*self._readers, *self._talkers]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def talk(self, client: ClientConnection, pause: float = 0.002) -> None:
        """Have `client` say `TEXT`, `MESSAGES` times, as fast as the server takes it or slower."""
        self._talkers.append(asyncio.create_task(self._talk(client, pause)))

    async def _talk(self, client: ClientConnection, pause: float) -> None:
        with contextlib.suppress(websockets.ConnectionClosed):
            for _ in range(MESSAGES):
                await client.send(TEXT)
                await asyncio.sleep(pause)

    def listen(self, name: str, client: ClientConnection, count: int = MESSAGES) -> None:
        """Note from now on what `client` hears, up to `count` broadcasts or the end."""
        heard = self.heard.setdefault(name, [])
        self._readers.append(asyncio.create_task(self._listen(client, heard, count)))

    async def _listen(
        self, client: ClientConnection, heard: list[tuple[float, str]], count: int
    ) -> None:
        with contextlib.suppress(websockets.ConnectionClosed):
            while len(heard) < count:
                text = str(await client.recv())
                if not text.startswith("You wrote: "):
                    heard.append((time.perf_counter(), text))

    async def calm(self, after: asyncio.Event | None = None) -> None:
        """Wait until all have heard what they listen for, or nobody hears a thing any more.

        The latter means 20 looks, a fortieth of a second apart and, if `after` is given, once that
        is set. A message that will not come cannot be seen: one can only stop waiting for it.
        """
        before = quiet = 0
        async with asyncio.timeout(MOST_SECONDS):
            while quiet < LOOKS:
                waiting = [reader for reader in self._readers if not reader.done()]
                if not waiting:
                    return
                await asyncio.wait(
                    waiting, timeout=LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED
                )
                now = sum(map(len, self.heard.values()))
                still = now == before and (after is None or after.is_set())
                before, quiet = now, quiet + 1 if still else 0

    @property
    def moments(self) -> dict[str, list[float]]:
        """When each one heard something."""
        return {name: [when for when, _ in what] for name, what in self.heard.items()}

    def count(self, name: str, until: float = float("inf")) -> int:
        """Return how many broadcasts `name` had heard at the moment `until`, or at the end."""
        return sum(when < until for when in self.moments[name])

    def moment(self, name: str, text: str) -> float | None:
        """Return when `name` heard `text`, or None."""
        return next((when for when, what in self.heard[name] if what == text), None)

    def tell(self, moment: float, before: str, after: str) -> None:
        """Print how much each one had heard at `moment`, and at the end."""
        for name in self.heard:
            early, late = in_words(self.count(name, moment)), in_words(self.count(name))
            print(f"{name:<5} {before}: {early:<14}  {after}: {late}")


def in_words(count: int, total: int = MESSAGES) -> str:
    """Return how many that is: what fits into a buffer differs from system to system."""
    if count == 0 or count >= total:
        return "all" if count else "nothing"
    return "not even half" if count < total / 2 else "more than half"


def how_it_is(client: ClientConnection) -> str:
    """Return whether `client` is connected, and if not, how that ended."""
    if client.state is websockets.State.OPEN:
        return "open"
    return f"closed with {client.close_code}, {client.close_reason!r}"


def pings_are_over(
    server: Server, asleep: str = "/ws/2", awake: Collection[str] = ("/ws/1", "/ws/3")
) -> asyncio.Event:
    """Return an event that is set when the pings of `server` can change nothing any more.

    That is when it has given up the client at `asleep`, and each of those at `awake` has answered a
    ping that left after that, or been given up too.
    """
    over, loop = asyncio.Event(), asyncio.get_running_loop()
    asked, left, given_up = set(), set(awake), False

    def observe(event: Event) -> None:  # in the server's thread
        nonlocal given_up
        gone = event.kind in ("close", "lost")
        if event.path == asleep:
            given_up |= gone
        elif gone or (event.kind == "pong" and event.path in asked):
            left.discard(event.path)
        elif given_up and event.kind == "ping":
            asked.add(event.path)
        if given_up and not left:
            loop.call_soon_threadsafe(over.set)

    server.observers.append(observe)
    return over


def print_where(server: Server) -> None:
    """Print for each handler in the middle of a broadcast the functions that it is in now.

    A coroutine that waits knows what it waits for, and if that is a coroutine, so does it.
    """
    for handler in server.handlers:
        names = []
        waiting: Any = handler.get_coro()
        while inspect.iscoroutine(waiting):
            names.append(waiting.cr_code.co_name)
            waiting = waiting.cr_await
        if "broadcast" in names:
            ours = names[names.index("websocket_endpoint") :]
            print("A handler is in", " → ".join([*ours[:3], "…", ours[-1]]))


async def two_by_two(
    lab: Callable[..., Awaitable[str]], *managers: Callable[[], object], **options: object
) -> None:
    """Print what `lab(manager, protocol, **options)` returns, for each manager and protocol."""
    rows = [["protocol:", *PROTOCOLS]]
    for manager in managers:
        results = [await lab(manager(), protocol, **options) for protocol in PROTOCOLS.values()]
        rows.append([getattr(manager, "__name__", str(manager)), *results])
    for name, *results in rows:
        print("  ".join([f"  {name:<17}", *[f"{result:<13}" for result in results]]).rstrip())
