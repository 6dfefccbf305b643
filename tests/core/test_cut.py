"""A member that a room cuts off in its first second: what happens until its connection is cut."""

import asyncio
import contextlib
import socket
import struct
import threading

import pytest
import uvicorn
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from live import CLOSE, GUARD_SECONDS, PONG, Served, frame
from uvicorn.server import ServerState

from chatlib import Room
from chatlib.core.fanout import FanoutProtocol
from chatlib.core.taskline import known_line
from chatlib.core.transportline import TransportLine, kernel_counts

SMALL = 16 * 1024
NORMAL = struct.pack("!H", 1000)


class App:
    """An app with a room that waits for nobody. Its clients stall, all of them.

    Attributes:
        lines: of the connections, in the order in which they came.
        cut_off: set when a member was cut off.
        ended: set when a handler has ended.
    """

    def __init__(self, closes=False):
        self.room = Room(limit=100_000, on_full="evict")
        self.lines, self.cut_off, self.ended = [], asyncio.Event(), threading.Event()
        self.asgi = FastAPI()

        @self.asgi.websocket("/ws")
        async def endpoint(websocket: WebSocket):
            await websocket.accept()
            self.room.join(websocket)
            self.lines.append(known_line(websocket))
            with contextlib.suppress(WebSocketDisconnect):
                if closes:
                    await self.cut_off.wait()
                    await websocket.close(1008)
                else:
                    await websocket.receive_text()
            self.ended.set()

    async def fill(self):
        """Publish until the first member is cut off."""
        while not self.room.stats.evicted:
            await self.room.publish("x" * 1000)
            await asyncio.sleep(0)
        self.cut_off.set()


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_connection_that_has_ended_before_it_was_cut_is_cut_without_an_error(serve, raw, loop):
    app = App()
    server = serve(app.asgi, loop=loop, send_buffer=SMALL)
    client = raw(server, receive_buffer=4096)
    server.until(lambda: app.lines)
    server.run(app.fill())
    client.close()
    server.until(lambda: not server.uvicorn.server_state.connections)

    async def cut():
        app.lines[0].abort()

    server.run(cut())


@pytest.mark.parametrize("ws", ["websockets-sansio", "wsproto"])
def test_on_stock_a_handler_that_closes_meanwhile_does_not_wait_for_its_client(serve, raw, ws):
    app = App(closes=True)
    server = serve(app.asgi, ws=ws, send_buffer=SMALL)
    raw(server, receive_buffer=4096)
    server.until(lambda: app.lines)
    server.run(app.fill())
    assert app.ended.wait(GUARD_SECONDS)


def test_the_log_has_the_code_with_which_the_client_closed_meanwhile(serve, raw, logged):
    app = App()
    server = serve(app.asgi, send_buffer=SMALL)
    client = raw(server, receive_buffer=4096)
    server.until(lambda: app.lines)
    server.run(app.fill())
    client.send(NORMAL, CLOSE)
    client.close()
    server.until(lambda: not server.uvicorn.server_state.connections)
    assert "[closed] cut off by a room, " in logged[-1].getMessage()
    assert logged[-1].code == 1000


def test_a_pong_that_is_missed_meanwhile_is_not_why_it_was_cut(serve, raw, logged):
    app = App()
    server = serve(app.asgi, send_buffer=SMALL)
    raw(server, receive_buffer=4096)
    server.until(lambda: app.lines)
    server.run(app.fill())
    (protocol,) = server.uvicorn.server_state.connections
    server.loop.call_soon_threadsafe(protocol.keepalive_timeout)
    server.until(lambda: not server.uvicorn.server_state.connections)
    assert "[closed] cut off by a room, " in logged[-1].getMessage()


def test_what_a_client_takes_is_counted_on_a_socket_that_was_given_as_a_unix_socket(raw):
    app = App()
    served = Served(app.asgi)
    # As uvicorn has it with --fd.
    served.socket = socket.socket(socket.AF_UNIX, fileno=served.socket.detach())
    with served as server:
        raw(server)
        server.until(lambda: app.lines)
        assert app.lines[0].counted == kernel_counts()


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_what_is_delivered_after_a_connection_is_lost_is_ignored(serve, raw, loop):
    app = App()
    server = serve(app.asgi, loop=loop)
    client = raw(server)
    server.until(lambda: app.lines)
    (protocol,) = server.uvicorn.server_state.connections
    client.close()
    server.until(lambda: not server.uvicorn.server_state.connections)

    async def deliver():
        protocol.data_received(frame("", PONG))

    server.run(deliver())


def test_a_transport_that_tells_nothing_of_its_buffer_counts_as_empty():
    class Mute:
        def get_extra_info(self, name):
            return None

        def write(self, data):
            pass

    async def taken():
        line = TransportLine(asyncio.get_running_loop(), asyncio.Event(), Mute())
        line.write(b"abc")
        return line.progress(), line.backlog()

    assert asyncio.run(taken()) == (3, 0)


def test_a_transport_that_does_not_tell_its_protocol_will_do():
    class Transport(asyncio.Transport):  # as mocks are, which people test their servers with
        pass

    async def connect():
        config = uvicorn.Config("chatlib.chat:app", log_config=None)
        config.load()
        protocol = FanoutProtocol(config, ServerState(), {}, asyncio.get_running_loop())
        protocol.connection_made(Transport())

    asyncio.run(connect())
