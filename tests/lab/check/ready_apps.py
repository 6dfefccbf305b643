"""Apps for the tests of `check.ready`, which some of them start in a process of its own."""

import asyncio
import contextlib
import os
import signal

from fastapi import FastAPI, Response, WebSocket, WebSocketDisconnect
from fastapi.responses import PlainTextResponse

from chatlib import ConnectionManager, add_ops
from chatlib.core.guard import Guard
from chatlib.core.head import TimedHead
from chatlib.core.messages import receive_text
from chatlib.core.redact import redact_logs
from chatlib.lab.plain import PlainManager


class SoonTimedHead(TimedHead):
    """Waits for the head of a request for half a second."""

    head_seconds = 0.5


def add_paths(app, *paths):
    """Add what an operator asks for, each with the answer 200."""
    for path in paths or ("/livez", "/readyz", "/metrics"):
        app.get(path)(lambda: PlainTextResponse("# TYPE chat_messages counter\n"))


def chat(manager, receive=receive_text, **caps):
    """Return an app in which all hear what one says, with `caps` of a guard."""
    app = FastAPI()
    if caps:
        app.add_middleware(Guard, **caps)

    @app.websocket("/ws/{client_id}")
    async def talk(websocket: WebSocket, client_id: int, token: str = ""):
        await manager.connect(websocket)
        try:
            while True:
                await manager.broadcast(await receive(websocket))
        except WebSocketDisconnect:
            pass
        finally:
            manager.disconnect(websocket)

    return app


def echo(handle=receive_text):
    """Return an app that says to each client what `handle(websocket)` returns."""
    app = FastAPI()

    @app.websocket("/ws")
    async def answer(websocket: WebSocket):
        await websocket.accept()
        with contextlib.suppress(WebSocketDisconnect):
            while True:
                await websocket.send_text(await handle(websocket))

    return app


def good():
    """Return an app of which every point holds."""
    redact_logs("token")
    app = chat(ConnectionManager(), max_connections_per_address=60, messages_per_second=200)
    add_ops(app)
    return app


def tutorial():
    """Return the app that FastAPI's documentation has, with a token in its query."""
    app = FastAPI()
    manager = PlainManager()

    @app.websocket("/ws/{client_id}")
    async def websocket_endpoint(websocket: WebSocket, client_id: int, token: str = ""):
        await manager.connect(websocket)
        try:
            while True:
                data = await websocket.receive_text()
                await manager.send_personal_message(f"You wrote: {data}", websocket)
                await manager.broadcast(f"Client #{client_id} says: {data}")
        except WebSocketDisconnect:
            manager.disconnect(websocket)
            await manager.broadcast(f"Client #{client_id} left the chat")

    return app


def hoarder():
    """Return an app that keeps all that a client has not read, without a bound."""
    app, queues = FastAPI(), set()

    @app.websocket("/ws")
    async def talk(websocket: WebSocket):
        await websocket.accept()
        queue = asyncio.Queue()
        queues.add(queue)

        async def tell():
            while True:
                await websocket.send_text(await queue.get())

        telling = asyncio.create_task(tell())
        try:
            while True:
                text = await websocket.receive_text()
                for each in queues:
                    each.put_nowait(text)
        except WebSocketDisconnect:
            pass
        finally:
            queues.discard(queue)
            telling.cancel()

    return app


def told_nothing():
    """Return an app whose process just ends at SIGTERM."""

    @contextlib.asynccontextmanager
    async def lifespan(app):
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
        yield

    app = FastAPI(lifespan=lifespan)
    app.mount("/", echo())
    return app


def ready_to_the_last():
    """Return an app that goes on for two seconds after SIGTERM, and says that it is ready."""

    @contextlib.asynccontextmanager
    async def lifespan(app):
        stop = signal.getsignal(signal.SIGTERM)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(
            signal.SIGTERM, lambda: loop.call_later(2, stop, signal.SIGTERM, None)
        )
        yield

    app = FastAPI(lifespan=lifespan)
    add_paths(app, "/readyz")
    app.mount("/", echo())
    return app


def drains():
    """Return one that goes on for a second, and says 503 meanwhile."""
    stopping = []

    @contextlib.asynccontextmanager
    async def lifespan(app):
        stop = signal.getsignal(signal.SIGTERM)
        loop = asyncio.get_running_loop()

        def drain():
            stopping.append(True)
            loop.call_later(1, stop, signal.SIGTERM, None)

        loop.add_signal_handler(signal.SIGTERM, drain)
        yield

    app = FastAPI(lifespan=lifespan)

    @app.get("/readyz")
    def readyz(response: Response):
        response.status_code = 503 if stopping else 200

    app.mount("/", echo())
    return app
