"""A connection that has ended leaves nothing to the garbage collector, however it ended.

What refers to itself is freed when the collector comes by. While a crowd connects, its visits are
half of the cost, so they are made rare.
"""

import gc
import socket
import struct
from weakref import WeakSet

import pytest
from fastapi import FastAPI, WebSocket
from live import CLOSE, app_on
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from chatlib import ConnectionManager, Room
from chatlib.chat import app as chat
from chatlib.core.fanout import FanoutProtocol

COUNT = 5
NORMAL = struct.pack("!H", 1000)
alive, alive_http = WeakSet(), WeakSet()


class Noted(FanoutProtocol):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        alive.add(self)


class NotedHttp(HttpToolsProtocol):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        alive_http.add(self)


@pytest.fixture(autouse=True)
def no_collector():
    alive.clear()
    alive_http.clear()
    gc.disable()
    yield
    gc.enable()


def app_that(ends):
    """Return an app whose handlers hear one message in a room, and then do what `ends` does."""
    app, manager = FastAPI(), ConnectionManager()

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket):
        await manager.connect(websocket)
        await manager.broadcast(await websocket.receive_text())
        await ends(websocket)

    return app


def reset(client):
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.socket.close()


async def close(websocket):
    await websocket.close(1000)


async def end(websocket):
    pass


def closes(client):
    client.send(NORMAL, CLOSE)


def says(client):
    client.send("Hello!")


def sends_too_much(client):
    client.send("x" * 70_000)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize(
    ("app", "path", "how"),
    [
        pytest.param(app_on(ConnectionManager()), "/ws", closes, id="the client closes"),
        pytest.param(app_on(ConnectionManager()), "/ws", reset, id="the client is gone"),
        pytest.param(app_that(close), "/ws", says, id="the app closes"),
        pytest.param(app_that(end), "/ws", says, id="the handler returns"),
        pytest.param(chat, "/ws/1", closes, id="the client of the chat closes"),
        pytest.param(chat, "/ws/1", sends_too_much, id="the guard of the chat closes"),
    ],
)
def test_a_connection_that_has_ended_is_freed_at_once(serve, raw, loop, app, path, how):
    server = serve(app, ws=Noted, http=NotedHttp, loop=loop)
    clients = [raw(server, path) for _ in range(COUNT)]
    server.until(lambda: len(alive) == COUNT)
    for client in clients:
        how(client)
    for client in clients:
        if how is says:
            # What is closed with something unread is reset, and that may overtake what it has said.
            # The handler would raise WebSocketDisconnect then, and Starlette keep it in a cycle.
            client.closed()
        client.close()
    server.until(lambda: not alive)


def test_a_member_that_was_cut_off_is_freed_at_once(serve, raw):
    room = Room(limit=100_000, on_full="evict")
    server = serve(app_on(ConnectionManager(room)), ws=Noted, http=NotedHttp, send_buffer=16 * 1024)
    stalled, speaker = raw(server, receive_buffer=4096), raw(server)
    for _ in range(300):
        speaker.send("x" * 5000)
        speaker.text()
        if room.stats.evicted:
            break
    server.until(lambda: len(alive) == 1)
    stalled.close()


def test_what_spoke_http_before_is_freed_while_the_connection_is_open(serve, raw):
    server = serve(app_on(ConnectionManager()), ws=Noted, http=NotedHttp)
    raw(server)
    server.until(lambda: not alive_http)
    assert len(alive) == 1
