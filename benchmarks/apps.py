"""What the candidates serve: apps that send what one client says to all."""

import asyncio
import contextlib
import os
from typing import Any

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket, WebSocketDisconnect

from chatlib import Hub, Room
from chatlib.lab.plain import PlainManager


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


def app_of(manager: Any) -> ASGIApp:
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


def room_app() -> ASGIApp:
    """Return an app on a `Room`, which forgets what was said."""
    room = Room()

    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        room.join(websocket)
        try:
            while True:
                await room.publish(await websocket.receive_text())
        except WebSocketDisconnect:
            pass
        finally:
            room.leave(websocket)

    return Starlette(routes=[WebSocketRoute("/ws/1", endpoint)])


def hub_app() -> ASGIApp:
    """Return the same on a `Hub` in memory.

    Its ids have six digits from the first on, so that all frames are of one size.
    """
    hub = Hub("memory:", beat=3600)

    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        with contextlib.suppress(WebSocketDisconnect):
            async with hub.join(websocket, "lobby"):
                while True:
                    await hub.publish("lobby", await websocket.receive_text())

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> Any:
        async with hub:
            for _ in range(100_000):
                await hub.publish("lobby", "")
            yield

    return Starlette(routes=[WebSocketRoute("/ws/1", endpoint)], lifespan=lifespan)


def rooms_app() -> ASGIApp:
    """Return the finished rooms, for clients that say much, as the environment has it."""
    from chatlib.core.rooms.talk import Limits
    from chatlib.rooms import SECRET, STORE, create_app

    limits = Limits(messages=1_000_000)
    return create_app(os.environ[STORE], secret=os.environ[SECRET], limits=limits, beat=3600)


def fastapi_app() -> ASGIApp:
    """Return the chat of FastAPI's documentation, on the plain manager."""
    app, manager = FastAPI(), PlainManager()

    @app.websocket("/ws/{client_id}")
    async def endpoint(websocket: WebSocket, client_id: int) -> None:
        await manager.connect(websocket)
        try:
            while True:
                text = await websocket.receive_text()
                await manager.send_personal_message(f"You wrote: {text}", websocket)
                await manager.broadcast(f"Client #{client_id} says: {text}")
        except WebSocketDisconnect:
            manager.disconnect(websocket)
            await manager.broadcast(f"Client #{client_id} left the chat")

    return app


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
