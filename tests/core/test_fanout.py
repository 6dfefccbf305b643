"""uvicorn with `FanoutProtocol`: still a WebSocket server by the book, and what is new in it."""

import asyncio
import os
import socket
import struct
import subprocess
import sys
import threading
import zlib

import pytest
import uvicorn
import websockets
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from live import BINARY, CLOSE, CONT, OFFER, PING, PONG, TEXT, frame

import chatlib.__main__
from chatlib import Room
from chatlib.core.fanout import FanoutProtocol
from chatlib.core.frames import encode
from chatlib.core.line import EXTENSION
from chatlib.core.transportline import TransportLine
from chatlib.lab.serve import Server

SMALL = 16 * 1024
FOR_EVER = 1e6
KILOBYTE = "x" * 1000


def app_with(handler):
    """Return an app whose one WebSocket endpoint accepts and then does what `handler` does."""
    app = FastAPI()

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket):
        await websocket.accept()
        await handler(websocket)

    return app


async def echo(websocket):
    while (message := await websocket.receive())["type"] == "websocket.receive":
        if message.get("text") is not None:
            await websocket.send_text(message["text"])
        else:
            await websocket.send_bytes(message["bytes"])


async def stay(websocket):
    while (await websocket.receive())["type"] != "websocket.disconnect":
        pass


def deflate(data):
    """Return `data` compressed as RFC 7692 asks."""
    compressor = zlib.compressobj(wbits=-12)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


def inflate(data):
    return zlib.decompressobj(wbits=-12).decompress(data + b"\0\0\xff\xff")


# The book.


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, 200_000])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_messages_of_every_length_come_back_as_they_went(serve, raw, size, opcode):
    client = raw(serve(app_with(echo)))
    client.send(b"x" * size, opcode)
    assert client.frame() == (0x80 | opcode, b"x" * size)


def test_fragments_make_one_message_even_with_a_ping_between_them(serve, raw):
    client = raw(serve(app_with(echo)))
    euro = "€".encode()
    client.send(euro[:1], TEXT, fin=False)
    client.send("still there?", PING)
    client.send(euro[1:2], CONT, fin=False)
    client.send(euro[2:], CONT)
    assert client.frame() == (0x80 | PONG, b"still there?")
    assert client.text() == "€"


def test_a_pong_that_nobody_asked_for_is_ignored(serve, raw):
    client = raw(serve(app_with(echo)))
    client.send("unasked", PONG)
    client.send("well")
    assert client.text() == "well"


def test_frames_that_arrive_byte_by_byte_are_read(serve, raw):
    client = raw(serve(app_with(echo)))
    for byte in frame("slow"):
        client.socket.sendall(bytes([byte]))
    assert client.text() == "slow"


def test_a_mask_is_taken_off(serve, raw):
    client = raw(serve(app_with(echo)))
    client.socket.sendall(b"\x81\x82\x01\x02\x03\x04" + bytes([ord("h") ^ 1, ord("i") ^ 2]))
    assert client.text() == "hi"


@pytest.mark.parametrize("code", [1000, 1001, 1011, 3000, 4999])
def test_a_close_is_answered_with_its_code(serve, raw, code):
    client = raw(serve(app_with(echo)))
    client.send(struct.pack("!H", code) + b"bye", CLOSE)
    assert client.closed() == code
    assert client.frame() is None


def test_a_close_without_a_code_is_answered_without_one(serve, raw):
    client = raw(serve(app_with(echo)))
    client.send("", CLOSE)
    assert client.closed() == 1005


def test_a_message_of_the_size_allowed_passes_and_one_byte_more_is_1009(serve, raw):
    server = serve(app_with(echo), ws_max_size=1000)
    client = raw(server)
    client.send("x" * 1000)
    assert client.text() == "x" * 1000
    client.send("x" * 1001)
    assert client.closed() == 1009


def test_a_small_frame_that_inflates_beyond_the_limit_is_1009(serve, raw):
    client = raw(serve(app_with(echo), ws_max_size=1000), headers=OFFER)
    client.send(deflate(bytes(100_000)), BINARY, rsv=0x40)
    assert client.closed() == 1009


# What is new.


def test_the_extension_is_in_the_scope(serve, raw):
    async def tell(websocket):
        line = websocket.scope["extensions"][EXTENSION]["line"]
        line.write(encode("ready"))
        await stay(websocket)

    assert raw(serve(app_with(tell))).text() == "ready"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts it")
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_line_knows_how_much_its_client_has_taken(serve, raw, loop):
    lines = []

    async def note(websocket):
        lines.append(websocket.scope["extensions"][EXTENSION]["line"])
        await stay(websocket)

    server = serve(app_with(note), loop=loop, send_buffer=SMALL)
    client = raw(server, receive_buffer=SMALL)
    server.until(lambda: lines)
    (line,) = lines
    frames = encode("x" * 1_000_000)

    async def look():
        before = line.progress()
        line.write(frames)
        return before

    before = server.run(look())
    assert line.progress() - before < 200_000
    assert client.text() == "x" * 1_000_000
    server.until(lambda: line.progress() - before == len(frames))


def test_a_browser_is_offered_compression_that_keeps_nothing_between_messages(serve, raw):
    client = raw(serve(app_with(echo)), headers=OFFER)
    accepted = client.head.lower().partition("sec-websocket-extensions: ")[2].splitlines()[0]
    assert "server_no_context_takeover" in accepted
    assert "client_no_context_takeover" in accepted
    for _ in range(2):
        client.send(deflate(b"again and again"), rsv=0x40)
        first, payload = client.frame()
        assert (first, inflate(payload)) == (0xC1, b"again and again")


def test_who_offers_no_compression_gets_none(serve, raw):
    client = raw(serve(app_with(echo)))
    assert "extensions" not in client.head.lower()
    client.send("plain")
    assert client.text() == "plain"


def test_a_client_library_reads_compressed_and_ready_frames_on_one_connection(serve):
    room = Room()

    async def both(websocket):
        room.join(websocket)
        for number in range(100):
            await room.publish(f"published {number}")
            await websocket.send_text(f"sent {number}")
        await stay(websocket)

    async def read(server):
        async with (
            asyncio.timeout(20),
            websockets.connect(f"ws://127.0.0.1:{server.port}/ws", proxy=None) as client,
        ):
            return [await client.recv() for _ in range(200)]

    got = asyncio.run(read(serve(app_with(both))))
    assert got == [f"{what} {number}" for number in range(100) for what in ("published", "sent")]


def test_what_the_app_sends_itself_waits_behind_what_a_slow_member_has_yet_to_get(serve, raw):
    room = Room(patience=FOR_EVER)
    messages = [f"{number} {KILOBYTE}" for number in range(500)]

    async def burst(websocket):
        room.join(websocket)
        for message in messages:
            await room.publish(message)
        await websocket.send_text("the last")
        await websocket.close(4000)

    client = raw(serve(app_with(burst), send_buffer=SMALL), receive_buffer=SMALL)
    assert client.texts_until("the last") == messages
    assert client.closed() == 4000


def test_nothing_is_published_to_a_connection_after_its_close_frame(serve, raw):
    room = Room()

    async def leave(websocket):
        room.join(websocket)
        await websocket.close(4000)
        await room.publish("too late")
        await stay(websocket)

    client = raw(serve(app_with(leave)))
    assert client.frame() == (0x80 | CLOSE, struct.pack("!H", 4000))
    client.send(struct.pack("!H", 4000), CLOSE)
    assert client.frame() is None


def test_a_send_after_the_server_closed_by_itself_is_a_disconnect_to_the_handler(serve, raw):
    raised = []

    async def send_late(websocket):
        await stay(websocket)
        try:
            await websocket.send_text("too late")
        except BaseException as error:
            raised.append(error)

    server = serve(app_with(send_late), ws_max_size=10)
    client = raw(server)
    client.send("x" * 11)
    assert client.closed() == 1009
    server.until(lambda: raised)
    assert [type(error) for error in raised] == [WebSocketDisconnect]


def test_a_send_after_the_app_closed_is_still_the_apps_mistake(serve, raw):
    raised = []

    async def send_late(websocket):
        await websocket.close()
        try:
            await websocket._send({"type": "websocket.send", "text": "too late"})
        except BaseException as error:
            raised.append(error)

    server = serve(app_with(send_late))
    assert raw(server).closed() == 1000
    server.until(lambda: raised)
    assert [type(error) for error in raised] == [RuntimeError]


@pytest.mark.parametrize("headers", ["x: y\r\n" * 130, f"cookie: {'x' * 9000}\r\n"])
def test_a_handshake_that_cannot_be_read_is_answered_and_closed(serve, headers):
    server = serve(app_with(echo))
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        upgrade = "Host: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        client.sendall(f"GET /ws HTTP/1.1\r\n{upgrade}{headers}\r\n".encode())
        answer = b""
        while more := client.recv(65536):
            answer += more
    assert answer.startswith(b"HTTP/1.1 431 ")


def test_no_time_runs_between_the_head_of_a_refusal_and_its_body(serve):
    timers = []

    async def refuse(scope, receive, send):
        await receive()
        await send({"type": "websocket.http.response.start", "status": 401, "headers": []})
        (protocol,) = server.uvicorn.server_state.connections
        timers.append(protocol.abort_timer)
        await send({"type": "websocket.http.response.body", "body": b"log in first"})

    server = serve(refuse)
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        upgrade = "Host: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        client.sendall(f"GET /ws HTTP/1.1\r\n{upgrade}{key}\r\n".encode())
        answer = b""
        while more := client.recv(65536):
            answer += more
    assert answer.endswith(b"log in first")
    assert timers == [None]


if sys.version_info >= (3, 12):  # which has eager tasks

    def test_a_room_finds_the_line_of_the_server_in_a_task_that_begins_at_once(serve, raw):
        room, lines = Room(), []

        async def join_at_once(websocket):
            room.join(websocket)
            lines.append(websocket.scope["extensions"][EXTENSION]["line"])
            await room.publish("in")
            await stay(websocket)

        server = serve(app_with(join_at_once), loop="asyncio")
        factory = asyncio.eager_task_factory
        server.loop.call_soon_threadsafe(server.loop.set_task_factory, factory)
        client = raw(server)
        assert client.text() == "in"
        assert [type(line) for line in lines] == [TransportLine]


@pytest.mark.parametrize(
    "body", ["Content-Length: 10\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n"]
)
def test_a_handshake_with_a_body_is_answered_and_closed(serve, body):
    server = serve(app_with(echo))
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        upgrade = "Host: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        client.sendall(f"GET /ws HTTP/1.1\r\n{upgrade}{body}".encode())
        answer = b""
        while more := client.recv(65536):
            answer += more
    assert answer.startswith(b"HTTP/1.1 400 ")


def test_it_can_be_imported_whatever_the_environment_says_of_workers():
    command = [sys.executable, "-W", "error", "-c", "import chatlib.core.fanout"]
    subprocess.run(command, env={**os.environ, "WEB_CONCURRENCY": "many"}, check=True)


@pytest.mark.parametrize("room", [None, Room()], ids=["alone", "in a room"])
def test_a_send_of_nothing_sends_nothing(serve, raw, room):
    async def send_nothing(websocket):
        if room is not None:
            room.join(websocket)
        await websocket.send({"type": "websocket.send"})
        await websocket.send_text("something")
        await stay(websocket)

    assert raw(serve(app_with(send_nothing))).text() == "something"


def test_a_send_from_another_event_loop_is_sent_in_that_of_the_connection(serve, raw):
    room, loops = Room(), []

    class Noting(FanoutProtocol):
        """A protocol that notes in which event loop it sends."""

        async def say(self, line, message):
            loops.append(asyncio.get_running_loop())
            await super().say(line, message)

    async def send_from_a_thread(websocket):
        room.join(websocket)
        await asyncio.to_thread(lambda: asyncio.run(websocket.send_text("from elsewhere")))
        await stay(websocket)

    server = serve(app_with(send_from_a_thread), ws=Noting)
    assert raw(server).text() == "from elsewhere"
    assert loops == [server.loop]


def test_what_came_before_a_violation_in_one_read_is_received(serve, raw):
    received = []

    async def note(websocket):
        while (message := await websocket.receive())["type"] == "websocket.receive":
            received.append(message["text"])

    server = serve(app_with(note))
    client = raw(server)
    client.socket.sendall(frame("a") + frame("b") + frame("c", masked=False))
    assert client.closed() == 1002
    server.until(lambda: not server.uvicorn.server_state.tasks)
    assert received == ["a", "b"]


def test_a_ping_before_a_violation_is_answered_and_the_close_comes_once(serve, raw):
    client = raw(serve(app_with(stay)))
    client.socket.sendall(frame("here", PING) + frame("c", masked=False))
    assert client.frame() == (0x80 | PONG, b"here")
    assert client.closed() == 1002
    assert client.frame() is None


class CountingProtocol(FanoutProtocol):
    """A protocol that counts the pongs it missed, and gives a closing client little time."""

    missed = 0

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.close_timeout = -0.9

    def keepalive_timeout(self):
        CountingProtocol.missed += 1
        super().keepalive_timeout()


def test_the_client_of_a_busy_handler_is_not_closed_for_a_pong_that_nobody_reads(serve, raw):
    go_on = asyncio.Event()

    async def busy(websocket):
        await websocket.receive_text()
        await go_on.wait()
        await websocket.send_text(await websocket.receive_text())
        await stay(websocket)

    CountingProtocol.missed = 0
    server = serve(app_with(busy), ws=CountingProtocol, ws_ping_interval=0.02, ws_ping_timeout=0.02)
    client = raw(server)
    unread = [f"{number}{KILOBYTE}" for number in range(100)]  # more than is read ahead
    client.socket.sendall(b"".join(map(frame, ["work", "more work", *unread])))
    server.until(lambda: CountingProtocol.missed >= 3)
    server.loop.call_soon_threadsafe(go_on.set)
    while (came := client.frame()) != (0x80 | TEXT, b"more work"):
        assert came is not None
        assert came[0] == 0x80 | PING
        client.send(came[1], PONG)


def test_a_client_that_answers_is_not_closed_although_its_handler_is_busy(serve, raw):
    go_on = asyncio.Event()

    async def busy(websocket):
        await websocket.receive_text()
        await go_on.wait()
        await websocket.send_text(await websocket.receive_text())

    CountingProtocol.missed = 0
    server = serve(app_with(busy), ws=CountingProtocol, ws_ping_interval=0.02, ws_ping_timeout=20)
    client = raw(server)
    client.socket.sendall(frame("work") + frame("more work"))
    for _ in range(3):  # the next ping comes once the pong before it was seen
        first, payload = client.frame()
        assert first == 0x80 | PING
        client.send(payload, PONG)
    server.loop.call_soon_threadsafe(go_on.set)
    while (came := client.frame()) != (0x80 | TEXT, b"more work"):
        assert came[0] == 0x80 | PING
    assert CountingProtocol.missed == 0


def test_a_client_that_answers_no_ping_is_closed_although_its_handler_is_busy(serve, raw):
    async def busy(websocket):
        await websocket.receive_text()
        await asyncio.Event().wait()

    server = serve(app_with(busy), ws_ping_interval=0.02, ws_ping_timeout=0.05)
    client = raw(server)
    client.socket.sendall(frame("work") + frame("more work"))
    assert client.closed() == 1011


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts what a client takes")
def test_a_pong_that_stands_behind_much_is_missed_once_the_client_takes_too_little(serve, raw):
    room, lines = Room(limit=4_000_000, patience=FOR_EVER), []

    async def burst(websocket):
        lines.append(websocket.scope["extensions"][EXTENSION]["line"])
        room.join(websocket)
        for _ in range(2000):
            await room.publish(KILOBYTE)
        await stay(websocket)

    server = serve(app_with(burst), send_buffer=SMALL)
    client = raw(server, receive_buffer=SMALL)
    server.until(lambda: lines and not lines[0].writable.is_set())
    (line,), (protocol,) = lines, server.uvicorn.server_state.connections

    async def call(method):
        method()

    server.run(call(protocol.send_keepalive_ping))  # as every 20 seconds
    for _ in range(3):
        before = line.progress()
        while line.progress() - before < 100_000:
            client.socket.recv(1000)
        server.run(call(protocol.keepalive_timeout))  # as 20 seconds later
        assert not line.ended
    server.until(lambda: not line.writable.is_set())
    server.run(call(protocol.keepalive_timeout))
    server.run(call(protocol.keepalive_timeout))
    assert line.ended


def test_a_client_that_does_not_read_is_cut_off_at_a_missed_pong(serve, raw):
    ended = threading.Event()

    async def flood(websocket):
        try:
            while True:
                await websocket.send_text(KILOBYTE)
        finally:
            ended.set()

    server = serve(app_with(flood), send_buffer=SMALL, ws_ping_interval=0.05, ws_ping_timeout=0.05)
    raw(server, receive_buffer=SMALL)
    assert ended.wait(20)
    server.until(lambda: not server.uvicorn.server_state.connections)


@pytest.mark.parametrize(
    "who", ["the app", "the app, in no room", "its return", "the client", "the client, halfway"]
)
def test_a_closing_connection_whose_client_does_not_read_is_not_waited_for(serve, raw, who):
    behind = asyncio.Event()
    # What the app closes by itself is closed after the rest, and that has the room's patience.
    room = Room(patience=0.2 if who == "the app" else FOR_EVER)

    async def close(websocket):
        room.join(websocket)
        for _ in range(500):
            await room.publish(KILOBYTE)
        await behind.wait()
        if who == "the app, in no room":
            websocket.scope["extensions"][EXTENSION]["line"].sources.clear()
        if "app" in who:
            await websocket.close()
        elif who != "its return":
            await stay(websocket)

    server = serve(app_with(close), ws=CountingProtocol, send_buffer=SMALL)
    client = raw(server, receive_buffer=SMALL)
    server.until(lambda: room.stats.behind)
    server.loop.call_soon_threadsafe(behind.set)
    if who == "the client":
        client.send(b"\x03\xe8", CLOSE)
    elif who == "the client, halfway":
        client.socket.shutdown(1)
    server.until(lambda: not server.uvicorn.server_state.connections)
    assert room.stats.members == (who == "the app, in no room")


FALLBACK = """
import sys, warnings
from uvicorn.protocols.websockets import auto, websockets_sansio_impl as uvicorns
LACK
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    from chatlib.core import fanout
    import chatlib.core.fanout
assert fanout.FanoutProtocol is auto.AutoWebSocketsProtocol
print(*[f"{w.category.__name__}: {w.message}" for w in caught], sep="\\n")
"""


@pytest.mark.parametrize(
    ("lack", "named"),
    [
        ("del uvicorns.WebSocketsSansIOProtocol.handle_close", "handle_close"),
        (
            "sys.modules[uvicorns.__name__] = None\n"
            "auto.AutoWebSocketsProtocol = type('New', (), {'__init__': lambda *given: None})",
            "close_sent",
        ),
        ("uvicorns.WebSocketsSansIOProtocol.__init__ = lambda self: None", "its constructor"),
    ],
)
def test_a_uvicorn_that_lacks_what_is_needed_gets_its_own_protocol_and_one_warning(lack, named):
    program = FALLBACK.replace("LACK", lack)
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    (warning,) = ran.stdout.splitlines()
    assert warning.startswith("RuntimeWarning: uvicorn ")
    assert named in warning


def test_serve_and_the_command_use_it(monkeypatch):
    offered = []

    async def look(websocket):
        offered.append(EXTENSION in websocket.scope["extensions"])

    async def visit(server):
        async with asyncio.timeout(20), websockets.connect(server.ws_url()) as client:
            await client.wait_closed()

    with Server(app_with(look)) as server:
        asyncio.run(visit(server))
    assert offered == [True]

    given = {}
    monkeypatch.setattr(uvicorn, "run", lambda app, **options: given.update(options))
    chatlib.__main__.main(["chat"])
    config = uvicorn.Config("chatlib.chat:app", ws=given["ws"], log_config=None)
    config.load()
    assert config.ws_protocol_class is FanoutProtocol
