"""The candidates: each a server in a process of its own that sends what one client says to all.

    python -m benchmarks.servers plain

prints the port that it listens at, and serves until it is killed. Every one of them runs on uvloop.
"""

import argparse
import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket, WebSocketDisconnect

from chatlib.lab.plain import PlainManager

FANOUT = "chatlib.core.fanout:FanoutProtocol"


class Gather(PlainManager):
    """The sends of one broadcast at a time, all at once."""

    async def broadcast(self, message: str) -> None:
        sends = [connection.send_text(message) for connection in self.active_connections]
        await asyncio.gather(*sends, return_exceptions=True)


class Queues(PlainManager):
    """A queue and a task for each connection."""

    def __init__(self) -> None:
        super().__init__()
        self.queues: dict[WebSocket, tuple[asyncio.Queue[str], asyncio.Task[None]]] = {}

    async def connect(self, websocket: WebSocket) -> None:
        await super().connect(websocket)
        queue: asyncio.Queue[str] = asyncio.Queue(1000)
        self.queues[websocket] = queue, asyncio.create_task(self.write(websocket, queue))

    async def write(self, websocket: WebSocket, queue: asyncio.Queue[str]) -> None:
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            while True:
                await websocket.send_text(await queue.get())

    def disconnect(self, websocket: WebSocket) -> None:
        super().disconnect(websocket)
        self.queues.pop(websocket)[1].cancel()

    async def broadcast(self, message: str) -> None:
        for queue, _ in list(self.queues.values()):
            await queue.put(message)


def app_of(manager: Any, personal: bool = False) -> ASGIApp:
    """Return the smallest app that broadcasts through `manager`."""

    async def endpoint(websocket: WebSocket) -> None:
        await manager.connect(websocket)
        try:
            while True:
                await manager.broadcast(await websocket.receive_text())
        except WebSocketDisconnect:
            pass
        finally:
            manager.disconnect(websocket)

    return Starlette(routes=[WebSocketRoute("/ws/1", endpoint)])


def chat_app(manager: Any) -> ASGIApp:
    """Return the chat itself, on `manager`."""
    from chatlib import chat

    chat.manager = manager
    return chat.app


def broadcaster_app() -> ASGIApp:
    """Return an app on encode/broadcaster, with its backend in memory."""
    from broadcaster import Broadcast

    broadcast = Broadcast("memory://")

    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        async with broadcast.subscribe(channel="room") as subscriber:

            async def write() -> None:
                async for event in subscriber:
                    await websocket.send_text(event.message)

            writing = asyncio.create_task(write())
            with contextlib.suppress(WebSocketDisconnect):
                while True:
                    await broadcast.publish(channel="room", message=await websocket.receive_text())
            writing.cancel()

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> Any:
        async with broadcast:
            yield

    return Starlette(routes=[WebSocketRoute("/ws/1", endpoint)], lifespan=lifespan)


def socketio_app() -> ASGIApp:
    """Return an app on python-socketio."""
    import socketio

    server = socketio.AsyncServer(async_mode="asgi", ping_interval=3600)

    @server.event
    async def message(sid: str, data: str) -> None:
        await server.emit("message", data)

    app: ASGIApp = socketio.ASGIApp(server)
    return app


def run_uvicorn(app: ASGIApp, ws: str = "auto") -> Callable[[socket.socket], Awaitable[None]]:
    """Return what serves `app` on uvicorn at a socket."""

    async def serve(sock: socket.socket) -> None:
        # The load answers no pings.
        config = uvicorn.Config(app, ws=ws, ws_ping_interval=None, log_level="warning")
        await uvicorn.Server(config).serve(sockets=[sock])

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


def chatlib_manager() -> Any:
    from chatlib import ConnectionManager

    return ConnectionManager()


SERVERS: dict[str, Callable[[], Callable[[socket.socket], Awaitable[None]]]] = {
    "plain": lambda: run_uvicorn(app_of(PlainManager())),
    "gather": lambda: run_uvicorn(app_of(Gather())),
    "queues": lambda: run_uvicorn(app_of(Queues())),
    "broadcaster": lambda: run_uvicorn(broadcaster_app()),
    "socketio": lambda: run_uvicorn(socketio_app()),
    "websockets": lambda: serve_websockets,
    "chatlib": lambda: run_uvicorn(app_of(chatlib_manager()), FANOUT),
    "chat on plain": lambda: run_uvicorn(chat_app(PlainManager())),
    "chat on chatlib": lambda: run_uvicorn(chat_app(chatlib_manager()), FANOUT),
}


def main() -> None:
    """Serve the candidate that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.servers")
    parser.add_argument("name", choices=SERVERS)
    serve = SERVERS[parser.parse_args().name]()
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen(2048)
    print(sock.getsockname()[1], flush=True)
    uvloop.run(serve(sock))


if __name__ == "__main__":
    main()
