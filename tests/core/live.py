"""A real uvicorn with the fan-out protocol, and clients on bare sockets that may misbehave."""

import asyncio
import contextlib
import selectors
import socket
import struct
import threading

import uvicorn
from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from chatlib import Room
from chatlib.core.fanout import FanoutProtocol
from chatlib.core.frames import encode
from chatlib.lab.log import Log, logged_by_this_thread
from chatlib.lab.prompt import PromptServer

GUARD_SECONDS = 30.0
OFFER = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
TEXT, BINARY, CONT, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10


class Served:
    """`app` on uvicorn, in a thread; a context manager.

    Unlike `chatlib.lab.serve.Server` it records nothing, and its kernel buffers can be made small,
    so that a client which does not read fills them soon.
    """

    def __init__(self, app, *, send_buffer=None, **options):
        self.log = Log()
        self.ready = threading.Event()
        self.socket = socket.socket()
        if send_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        defaults = {"ws": FanoutProtocol, "timeout_graceful_shutdown": 1, "ws_ping_interval": None}
        config = uvicorn.Config(app, log_config=None, **defaults | options)
        self.uvicorn = PromptServer(config, self.ready)
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        with (
            logged_by_this_thread(self.log),
            asyncio.Runner(loop_factory=self.uvicorn.config.get_loop_factory()) as runner,
        ):
            self.loop = runner.get_loop()
            runner.run(self.uvicorn.serve(sockets=[self.socket]))

    def __enter__(self):
        self.thread.start()
        assert self.ready.wait(GUARD_SECONDS)
        return self

    def __exit__(self, *exc_info):
        with contextlib.suppress(RuntimeError):  # it has stopped already
            self.loop.call_soon_threadsafe(self.uvicorn.exit_now)
        self.thread.join(GUARD_SECONDS)
        self.socket.close()
        assert not self.thread.is_alive()

    def run(self, coroutine):
        """Run `coroutine` in the server's event loop, and return its result."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(GUARD_SECONDS)

    def until(self, condition):
        """Wait until `condition()`, which is looked at once a turn of the server's event loop."""

        async def wait():
            async with asyncio.timeout(GUARD_SECONDS):
                while not condition():  # noqa: ASYNC110 — what it looks at sets no event
                    await asyncio.sleep(0.001)

        self.run(wait())


class Raw:
    """A client on a bare socket, which says and reads exactly what a test wants."""

    def __init__(self, server, path="/ws", *, receive_buffer=None, headers=""):
        self.socket = socket.socket()
        self.socket.settimeout(GUARD_SECONDS)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.connect(("127.0.0.1", server.port))
        self.rest = b""
        self.socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            f"Sec-WebSocket-Version: 13\r\n{headers}\r\n".encode()
        )
        while b"\r\n\r\n" not in self.rest:
            more = self.socket.recv(65536)
            assert more, f"the connection has ended in the handshake: {self.rest!r}"
            self.rest += more
        head, _, self.rest = self.rest.partition(b"\r\n\r\n")
        self.head = head.decode("latin-1")
        assert " 101 " in self.head, self.head

    def send(self, payload, opcode=TEXT, *, fin=True, masked=True, rsv=0):
        self.socket.sendall(frame(payload, opcode, fin=fin, masked=masked, rsv=rsv))

    def frame(self):
        """Return the next frame as (first byte, payload), or None where the stream ends."""
        while (size := whole(self.rest)) is None:
            try:
                data = self.socket.recv(1 << 18)
            except ConnectionResetError:
                data = b""
            if not data:
                return None
            self.rest += data
        start = {126: 4, 127: 10}.get(self.rest[1], 2)
        first, payload, self.rest = self.rest[0], self.rest[start:size], self.rest[size:]
        return first, payload

    def text(self):
        """Return the next message, which has to be text."""
        first, payload = self.frame()
        assert first == 0x80 | TEXT
        return payload.decode()

    def texts_until(self, last):
        """Return the messages up to `last`, without it."""
        texts = []
        while (text := self.text()) != last:
            texts.append(text)
        return texts

    def closed(self):
        """Return the code of the close frame that comes, or None where the stream just ends."""
        while (came := self.frame()) is not None:
            first, payload = came
            if first == 0x80 | CLOSE:
                return struct.unpack_from("!H", payload)[0] if payload else 1005
        return None

    def close(self):
        self.socket.close()

    def reset(self):
        """Cut the connection with RST."""
        linger = struct.pack("ii", 1, 0)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.close()


def frame(payload, opcode=TEXT, *, fin=True, masked=True, rsv=0):
    """Return a frame as a client sends it."""
    payload = payload.encode() if isinstance(payload, str) else payload
    first = (0x80 if fin else 0) | rsv | opcode
    bit = 0x80 if masked else 0
    size = len(payload)
    if size < 126:
        head = bytes((first, bit | size))
    elif size < 65536:
        head = struct.pack("!BBH", first, bit | 126, size)
    else:
        head = struct.pack("!BBQ", first, bit | 127, size)
    return head + (bytes(4) if masked else b"") + payload


def whole(data):
    """Return the size of the first frame in `data`, or None while it is not all there."""
    if len(data) < 2:
        return None
    size, start = data[1] & 0x7F, 2
    if size == 126:
        size, start = int.from_bytes(data[2:4], "big"), 4
    elif size == 127:
        size, start = int.from_bytes(data[2:10], "big"), 10
    return start + size if len(data) >= start + size else None


def read_all(clients, size):
    """Read from all of `clients` at once, until each has `size` bytes. Return them."""
    got = {client: bytearray(client.rest) for client in clients}
    with selectors.DefaultSelector() as selector:
        for client in clients:
            client.rest = b""
            if len(got[client]) < size:
                selector.register(client.socket, selectors.EVENT_READ, client)
        while selector.get_map():
            ready = selector.select(GUARD_SECONDS)
            assert ready, f"nothing came; {[size - len(data) for data in got.values()]} lacking"
            for key, _ in ready:
                data = key.fileobj.recv(1 << 18)
                assert data, "the server has closed a connection"
                got[key.data] += data
                if len(got[key.data]) >= size:
                    selector.unregister(key.fileobj)
    return [bytes(got[client]) for client in clients]


def app_on(manager):
    """Return the smallest app on `manager`: what one says, all hear."""
    app = FastAPI()

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket):
        await manager.connect(websocket)
        try:
            while True:
                await manager.broadcast(await websocket.receive_text())
        except WebSocketDisconnect:
            pass
        finally:
            manager.disconnect(websocket)

    return app


def size(messages):
    """Return the bytes that `messages` come to on the wire."""
    return sum(len(encode(message)) for message in messages)


def conversation_app():
    """Return an app on a room whose handler sends in all three ways."""
    room, crowd, app = Room(), Room(limit=100_000, patience=0.3), FastAPI()

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket):
        await websocket.accept()
        room.join(websocket)
        try:
            while True:
                text = await websocket.receive_text()
                await room.publish(f"all: {text}")
                await room.send(f"one: {text}", websocket)
                await room.publish(text.encode())
                await websocket.send_text(f"self: {text}")
                for other in room.members:
                    if other is not websocket:
                        await other.send_text(f"other: {text}")
        except WebSocketDisconnect:
            pass
        finally:
            room.leave(websocket)

    @app.websocket("/flood")
    async def flood(websocket: WebSocket):
        await websocket.accept()
        crowd.join(websocket)
        try:
            while (await websocket.receive())["type"] == "websocket.receive":
                for number in range(3000):
                    await crowd.publish(f"{number} {'x' * 1000}")
        finally:
            crowd.leave(websocket)

    return app


conversation = conversation_app()
