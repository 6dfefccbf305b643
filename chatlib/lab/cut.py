"""A bad network between clients and a server: a TCP proxy that injects faults.

with FaultProxy(server) as network:
    async with websockets.connect(network.ws_url("/ws")) as client:
        rule = network.cut_reply()
        await client.send("hello")
        await rule.hit()
"""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Coroutine, Mapping
from concurrent.futures import Future
from typing import Any, Literal, Protocol, Self, TypeVar

from chatlib.lab.faults import CutAfter, CutReply, Direction, Rule, Stall
from chatlib.lab.forwarder import RESET, Forwarder
from chatlib.lab.loopback import HOST, ServerError, except_loopback_from_proxies
from chatlib.lab.show import Page

CALL_SECONDS = 10.0  # a guard: its thread never does anything long
Result = TypeVar("Result")
RuleKind = TypeVar("RuleKind", bound=Rule)


class HasPort(Protocol):
    """What listens at a port of this machine: a `Server`, say."""

    port: int


class FaultProxy:
    """A TCP proxy on 127.0.0.1 that injects faults between clients and a server behind it.

    It forwards as soon as it exists, in a thread of its own. It is a context manager, which stops
    it. A method that sets a rule returns once the rule holds, for open connections and new ones; it
    replaces the rule before. No data waits in the proxy but one chunk for each connection and
    direction: what one side does not take, the other side cannot send.

    Args:
        server: where to forward to: a port of 127.0.0.1, or what has one, such as a `Server`.

    Attributes:
        port: where it listens.
        connections: how many it has accepted.
    """

    def __init__(self, server: HasPort | int) -> None:
        self._target = port_of(server)
        self._forwarder = Forwarder((HOST, self._target))
        self.connections = 0
        self._links: set[asyncio.Task[None]] = set()
        self._listener: socket.socket | None = None
        except_loopback_from_proxies()
        # Bound but not listening, it keeps the port while `refuse` has closed the listener.
        self._reserved = bound(0)
        self.port: int = self._reserved.getsockname()[1]
        started: Future[None] = Future()
        self._thread = threading.Thread(
            target=self._run, args=(started,), name="chatlib network", daemon=True
        )
        self._thread.start()
        started.result(CALL_SECONDS)

    @property
    def forwarded(self) -> Mapping[Direction, int]:
        """How many bytes have been forwarded `"up"`, to the server, and `"down"`, to clients."""
        return dict(self._forwarder.forwarded)

    @property
    def open(self) -> int:
        """How many connections are open."""
        return len(self._links)

    def http_url(self, path: str = "/") -> str:
        """Return the address of `path` for a browser or an HTTP client."""
        return f"http://{HOST}:{self.port}{path}"

    def ws_url(self, path: str = "/ws") -> str:
        """Return the address of `path` for a WebSocket client."""
        return f"ws://{HOST}:{self.port}{path}"

    def show(self, path: str = "/", height: int = 420) -> Page:
        """Return the page at `path`, to be shown inside the notebook, as the network brings it."""
        return Page(self.http_url(""), self.port, path, height)

    def forward_to(self, server: HasPort | int) -> None:
        """Forward new connections to another server from now on, as a load balancer would."""
        self._target = port_of(server)
        self._forwarder.target = (HOST, self._target)

    def heal(self) -> None:
        """Forward everything again, and accept connections."""
        self._call(self._set(Rule()))
        self._call(self._listen())

    def stall(self, direction: Literal["up", "down", "both"] = "both") -> Rule:
        """Forward nothing, not even that a side has closed; keep all connections open.

        The rule hits when it first holds something back. Of what was on its way before, a chunk may
        still arrive at a side that is slow to read.
        """
        return self._call(self._set(Stall(direction)))

    def cut(self) -> None:
        """Cut all open connections with RST, on both sides. The rule in force stays."""
        self._call(self._cut())

    def cut_after(
        self, count: int, direction: Direction = "down", *, every: bool = False
    ) -> CutAfter:
        """Cut a connection with RST as soon as `count` more bytes have passed in `direction`.

        Each connection has a count of its own. The first that gets there is cut, and the rule ends;
        with `every`, each is cut, until another rule is set. The rule hits with the first cut.
        """
        return self._call(self._set(CutAfter(count, direction, every)))

    def cut_reply(
        self, containing: bytes = b"", *, to: bytes = b"", every: bool = False
    ) -> CutReply:
        """Let a request through, and cut its connection with RST before the reply gets back.

        A request is whatever goes up from now on, or what contains `to`; and its reply whatever
        comes down after it: from the first byte on, or from where `containing` begins. Both are
        found only where the connection is not compressed. `every` and the hit are as for
        `cut_after`.
        """
        return self._call(self._set(CutReply(containing, to, every)))

    def refuse(self) -> None:
        """Refuse new connections until `heal`, beside whatever rule is in force."""
        self._call(self._refuse())

    def stop(self) -> None:
        """Cut all connections and end the thread. Harmless if it has stopped already."""
        with contextlib.suppress(RuntimeError):  # its loop has closed already
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(CALL_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        if not self._thread.is_alive():
            return "<network: stopped>"
        return f"<network: {self.port} to {self._target}, {self._forwarder.rule}, {self.open} open>"

    def _call(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        """Run `coroutine` in the proxy's thread, and return its result."""
        try:
            return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(CALL_SECONDS)
        except RuntimeError as error:  # the loop has closed
            coroutine.close()
            raise ServerError("the network has stopped; make a new one") from error

    def _run(self, started: "Future[None]") -> None:
        try:
            # Not of the event loop's policy, which a notebook may have changed.
            with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
                self._loop = runner.get_loop()
                runner.run(self._serve(started))
        finally:
            self._reserved.close()

    async def _serve(self, started: "Future[None]") -> None:
        self._stopping = asyncio.Event()
        await self._listen()
        started.set_result(None)
        await self._stopping.wait()
        await self._refuse()
        await self._cut()

    async def _set(self, rule: RuleKind) -> RuleKind:
        self._forwarder.set(rule)
        return rule

    async def _listen(self) -> None:
        if self._listener is None:
            self._listener = bound(self.port)
            self._listener.setblocking(False)
            self._listener.listen(socket.SOMAXCONN)
            self._loop.add_reader(self._listener, self._accept, self._listener)

    async def _refuse(self) -> None:
        if self._listener is not None:
            self._loop.remove_reader(self._listener)
            self._listener.close()
            self._listener = None

    async def _cut(self) -> None:
        links = set(self._links)
        for link in links:
            link.cancel()
        if links:
            await asyncio.wait(links)

    def _accept(self, listener: socket.socket) -> None:
        try:
            client, _ = listener.accept()
        except OSError:  # it has gone again, or there are too many open files
            return
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.connections += 1
        link = asyncio.create_task(self._link(client))
        self._links.add(link)
        link.add_done_callback(self._links.discard)
        link.add_done_callback(lambda _: client.close())  # if it was cancelled before it began

    async def _link(self, client: socket.socket) -> None:
        rule = await self._forwarder.link(client)
        if rule is not None:
            rule.has_hit()


def port_of(server: HasPort | int) -> int:
    """Return where `server` listens."""
    return server if isinstance(server, int) else server.port


def bound(port: int) -> socket.socket:
    """Return a socket at `port` of 127.0.0.1, or at a free one; where it can, beside another."""
    sock = socket.socket()
    if hasattr(socket, "SO_REUSEPORT"):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    else:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((HOST, port))
    return sock
