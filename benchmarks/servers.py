"""The candidates: each a server in a process of its own that sends what one client says to all.

    python -m benchmarks.servers plain

prints the port that it listens at, and serves until its stdin ends. Every one runs on uvloop. It
does what it is told on stdin: `watch` has it look after how long its event loop stops; any other
line prints the longest of these stops, in seconds.
"""

import argparse
import asyncio
import gc
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import uvicorn
import uvloop
from starlette.types import ASGIApp

from benchmarks import apps, floor
from benchmarks.others.candidates import CANDIDATES as ON_REDIS
from benchmarks.others.candidates import FANOUT, Candidate
from chatlib import ConnectionManager
from chatlib.__main__ import GC_THRESHOLDS
from chatlib.lab.plain import PlainManager

TICK_SECONDS = 0.005

Serve = Callable[[socket.socket], Awaitable[Any]]


class SettledServer(uvicorn.Server):
    """uvicorn, with a garbage collector that leaves alone what is there once it has started."""

    async def startup(self, *args: Any, **kwargs: Any) -> None:
        await super().startup(*args, **kwargs)
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)


def on_uvicorn(
    app: ASGIApp, ws: str = "auto", server: type[uvicorn.Server] = uvicorn.Server
) -> Serve:
    """Return what serves `app` on uvicorn at a socket."""

    async def serve(sock: socket.socket) -> None:
        # The load answers no pings.
        config = uvicorn.Config(app, ws=ws, ws_ping_interval=None, log_level="critical")
        await server(config).serve(sockets=[sock])

    return serve


def be_quiet() -> None:
    """Let rooms not warn of a server that takes no ready frames: this is what is measured."""
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)


def on_hypercorn(app: ASGIApp) -> Serve:
    """Return what serves `app` on Hypercorn at a socket."""
    import hypercorn.asyncio

    async def serve(sock: socket.socket) -> None:
        be_quiet()
        config = hypercorn.Config.from_mapping(bind=f"fd://{sock.detach()}", errorlog=None)
        await hypercorn.asyncio.serve(app, config)

    return serve


def on_granian(app: ASGIApp) -> Serve:
    """Return what serves `app` on Granian at a socket."""
    from granian.constants import Interfaces
    from granian.net import SocketHolder
    from granian.server.embed import Server

    class SocketServer(Server):
        """Granian, at a socket that is open. By itself it opens one, and cannot say which."""

        def __init__(self, sock: socket.socket) -> None:
            super().__init__(app, interface=Interfaces.ASGI, backlog=2048, log_enabled=False)
            self.sock = sock

        def _init_shared_socket(self) -> None:
            self._shd = SocketHolder(self.sock.detach(), False, 2048)

    async def serve(sock: socket.socket) -> None:
        be_quiet()
        await SocketServer(sock).serve()

    return serve


async def serve_websockets(sock: socket.socket) -> None:
    """Serve with `websockets`, and its own broadcast()."""
    from websockets.asyncio.server import ServerConnection, broadcast, serve

    logging.getLogger("websockets").setLevel(logging.CRITICAL)

    connections: set[ServerConnection] = set()

    async def handler(connection: ServerConnection) -> None:
        connections.add(connection)
        try:
            async for message in connection:
                broadcast(connections, message)
        finally:
            connections.remove(connection)

    async with serve(handler, sock=sock, ping_interval=None) as server:
        await server.serve_forever()


async def serve_writes(sock: socket.socket) -> None:
    """Serve the floor of this event loop."""
    async with await asyncio.get_running_loop().create_server(floor.Writes, sock=sock) as server:
        await server.serve_forever()


def on_redis(candidate: Candidate) -> Serve:
    """Return what serves a candidate of `benchmarks.others`."""
    logging.disable(logging.CRITICAL)  # their Redis is killed: what they say of that is known
    return on_uvicorn(candidate.app(), candidate.ws)


def plain() -> ASGIApp:
    return apps.app_of(PlainManager())


def chatlib() -> ASGIApp:
    return apps.app_of(ConnectionManager())


def chat() -> ASGIApp:
    return apps.chat_app(ConnectionManager())


SERVERS: dict[str, Callable[[], Serve]] = {
    "plain": lambda: on_uvicorn(plain()),
    "plain on hypercorn": lambda: on_hypercorn(plain()),
    "plain on granian": lambda: on_granian(plain()),
    "gather": lambda: on_uvicorn(apps.app_of(apps.Gather())),
    "queues": lambda: on_uvicorn(apps.app_of(apps.Queues())),
    "broadcaster": lambda: on_uvicorn(apps.broadcaster_app()),
    "socketio": lambda: on_uvicorn(apps.socketio_app()),
    "websockets": lambda: serve_websockets,
    "writes": lambda: serve_writes,
    "fastapi": lambda: on_uvicorn(apps.fastapi_app()),
    "chatlib": lambda: on_uvicorn(chatlib(), FANOUT),
    "chatlib on uvicorn": lambda: on_uvicorn(chatlib()),
    "chatlib on hypercorn": lambda: on_hypercorn(chatlib()),
    "chatlib on granian": lambda: on_granian(chatlib()),
    "room": lambda: on_uvicorn(apps.room_app(), FANOUT),
    "hub": lambda: on_uvicorn(apps.hub_app(), FANOUT),
    "rooms": lambda: on_uvicorn(apps.rooms_app(), FANOUT),
    "chat on plain": lambda: on_uvicorn(apps.chat_app(PlainManager())),
    "chat on chatlib": lambda: on_uvicorn(chat(), FANOUT),
    "chat, settled": lambda: on_uvicorn(chat(), FANOUT, SettledServer),
    **{name: partial(on_redis, candidate) for name, candidate in ON_REDIS.items()},
}


class Stops:
    """How long an event loop does not get to what is due.

    Attributes:
        longest: the longest that it did not, in seconds, beyond the time between two ticks.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop, self.longest = loop, 0.0

    def tick(self, last: float | None = None) -> None:
        """Look how late this is after `last`, and again and again."""
        now = time.monotonic()
        if last is not None:
            self.longest = max(self.longest, now - last - TICK_SECONDS)
        self.loop.call_later(TICK_SECONDS, self.tick, now)


def obey(loop: asyncio.AbstractEventLoop) -> None:
    """Do what stdin says, and end this process with it."""
    stops = Stops(loop)
    for line in sys.stdin:
        if line == "watch\n":
            loop.call_soon_threadsafe(stops.tick)
        else:
            print(stops.longest, flush=True)
    os._exit(0)


async def run(serve: Serve, sock: socket.socket) -> None:
    """Serve, and obey."""
    threading.Thread(target=obey, args=(asyncio.get_running_loop(),), daemon=True).start()
    await serve(sock)


def main() -> None:
    """Serve the candidate that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.servers")
    parser.add_argument("name", choices=SERVERS)
    serve = SERVERS[parser.parse_args().name]()
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen(2048)
    print(sock.getsockname()[1], flush=True)
    uvloop.run(run(serve, sock))


if __name__ == "__main__":
    main()
