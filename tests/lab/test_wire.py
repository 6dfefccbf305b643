"""What the recorder reads off a connection, on real sockets, and that it never disturbs one."""

import asyncio
import base64
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest
import uvicorn
import websockets
from fastapi import FastAPI, WebSocket, WebSocketException
from starlette.responses import PlainTextResponse
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Close, Frame, Opcode

from chatlib.chat import app as chat
from chatlib.echo import app as echo
from chatlib.lab.serve import Server
from chatlib.lab.wire import Event, Wire

DEADLINE = 20.0  # seconds; a guard against a hang, which decides nothing
SMALL_MESSAGES = ["hello", "hello", "hello hello hello", "é☃😀"]


class Seen(list[Event]):
    """The events at a server, from now on."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        self.loop = asyncio.get_running_loop()
        self.changed = asyncio.Event()
        server.observers.append(self.observe)

    def observe(self, event: Event) -> None:
        self.append(event)
        self.loop.call_soon_threadsafe(self.changed.set)

    async def until(self, kind: str) -> Event:
        """Wait for the first event of `kind`."""
        while True:
            for event in self:
                if event.kind == kind:
                    return event
            self.changed.clear()
            await self.changed.wait()

    def payloads(self, kind: str, to_server: bool) -> list[str | bytes]:
        return [e.payload for e in self if e.kind == kind and e.to_server is to_server]

    def kinds(self) -> list[tuple[str, str]]:
        return [("→" if event.to_server else "←", event.kind) for event in self]


def run(
    app: Any, body: Callable[[Server, Seen], Coroutine[Any, Any, None]], **options: Any
) -> None:
    """Run `body` against a server of `app`."""

    async def guarded() -> None:
        async with asyncio.timeout(DEADLINE):
            with Server(app, **options) as server:
                await body(server, Seen(server))

    asyncio.run(guarded())


@contextlib.asynccontextmanager
async def raw(
    server: Server, path: str = "/ws"
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection that has been upgraded and offers no compression."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    key = base64.b64encode(bytes(16)).decode()
    writer.write(
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    await reader.readuntil(b"\r\n\r\n")
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def sent(opcode: Opcode, data: bytes, **bits: bool) -> bytes:
    """A client's frame."""
    return Frame(opcode, data, **bits).serialize(mask=True)


def test_a_connection_is_seen_from_request_to_close():
    async def body(server: Server, seen: Seen) -> None:
        async with websockets.connect(server.ws_url("/ws?x=1")) as client:
            await client.send("hello")
            await client.recv()
        await server.settled()
        assert seen == [
            Event(1, "request", True, "/ws?x=1"),
            Event(1, "accept", False, "/ws?x=1", "101 Switching Protocols", 101),
            Event(1, "text", True, "/ws?x=1", "hello"),
            Event(1, "text", False, "/ws?x=1", "Message text was: hello"),
            Event(1, "close", True, "/ws?x=1", code=1000),
            Event(1, "close", False, "/ws?x=1", code=1000),
        ]

    run(echo, body)


def test_it_is_the_same_on_the_event_loop_of_asyncio(monkeypatch):
    monkeypatch.setattr(uvicorn.Config, "get_loop_factory", lambda _: asyncio.SelectorEventLoop)
    test_a_connection_is_seen_from_request_to_close()


def test_connections_are_counted_in_the_order_in_which_they_come():
    async def body(server: Server, seen: Seen) -> None:
        for _ in range(3):
            async with websockets.connect(server.ws_url("/ws")):
                pass
        assert [event.connection for event in seen if event.kind == "request"] == [1, 2, 3]

    run(echo, body)


@pytest.mark.parametrize(
    "extension",
    [
        None,
        ClientPerMessageDeflateFactory(),
        ClientPerMessageDeflateFactory(server_no_context_takeover=True),
        ClientPerMessageDeflateFactory(client_no_context_takeover=True),
        ClientPerMessageDeflateFactory(server_max_window_bits=9, client_max_window_bits=9),
    ],
    ids=["none", "default", "server_forgets", "client_forgets", "small_windows"],
)
def test_messages_are_read_whatever_compression_was_agreed_on(extension):
    messages = [*SMALL_MESSAGES, "0123456789" * 5000]

    async def body(server: Server, seen: Seen) -> None:
        extensions = None if extension is None else [extension]
        async with websockets.connect(
            server.ws_url("/ws"), compression=None, extensions=extensions
        ) as client:
            assert len(client.protocol.extensions) == (extension is not None)
            for message in messages:
                await client.send(message)
                await client.recv()
        assert seen.payloads("text", to_server=True) == messages
        assert seen.payloads("text", to_server=False) == [
            f"Message text was: {m}" for m in messages
        ]

    run(echo, body)


@pytest.mark.parametrize("compression", [None, "deflate"])
def test_a_fragmented_message_is_seen_once_and_whole(compression):
    async def body(server: Server, seen: Seen) -> None:
        async with websockets.connect(server.ws_url("/ws"), compression=compression) as client:
            await client.send(["Hel", "lo", ""])
            await client.recv()
        assert seen.payloads("text", to_server=True) == ["Hello"]

    run(echo, body)


def test_a_ping_between_two_fragments_is_seen_before_their_message():
    async def body(server: Server, seen: Seen) -> None:
        async with raw(server) as (_, writer):
            writer.write(
                sent(Opcode.TEXT, b"Hel", fin=False)
                + sent(Opcode.PING, b"p")
                + sent(Opcode.CONT, b"lo")
            )
            await seen.until("pong")
            assert seen.kinds()[2:5] == [("→", "ping"), ("→", "text"), ("←", "pong")]
            assert seen.payloads("pong", to_server=False) == [b"p"]

    run(echo, body)


def test_a_refusal_shows_the_status_that_left_and_the_code_that_the_app_raised():
    app = FastAPI()

    @app.websocket("/ws")
    async def refuse(websocket: WebSocket) -> None:
        raise WebSocketException(1008, "no ticket")

    async def body(server: Server, seen: Seen) -> None:
        with pytest.raises(websockets.InvalidStatus):
            await websockets.connect(server.ws_url("/ws"))
        assert seen[1:] == [Event(1, "refuse", False, "/ws", "403 Forbidden", 403, raised=1008)]

    run(app, body)


def test_a_refusal_with_a_body_shows_the_body():
    app = FastAPI()

    @app.websocket("/ws")
    async def refuse(websocket: WebSocket) -> None:
        await websocket.send_denial_response(PlainTextResponse("sign in first", 401))

    async def body(server: Server, seen: Seen) -> None:
        with pytest.raises(websockets.InvalidStatus):
            await websockets.connect(server.ws_url("/ws"))
        assert seen[1:] == [
            Event(1, "refuse", False, "/ws", "401 Unauthorized", 401, "sign in first")
        ]

    run(app, body)


def test_an_app_that_fails_before_it_accepts_is_a_refusal_with_500():
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("out of order")

    async def body(server: Server, seen: Seen) -> None:
        with pytest.raises(websockets.InvalidStatus):
            await websockets.connect(server.ws_url("/ws"))
        assert (seen[1].kind, seen[1].code, seen[1].raised) == ("refuse", 500, None)

    run(app, body)


@pytest.mark.parametrize(
    "frame",
    [
        b"\x81\x02hi",
        b"\xa1\x80\0\0\0\0",
        b"\x83\x80\0\0\0\0",
        b"\x09\x80\0\0\0\0",
        b"\x80\x80\0\0\0\0",
        b"\x01\x80\0\0\0\0\x81\x80\0\0\0\0",
        b"\x88\x81\0\0\0\0\x03",
    ],
    ids=[
        "not masked",
        "reserved bit",
        "reserved opcode",
        "fragmented ping",
        "continues nothing",
        "not continued",
        "half a close code",
    ],
)
def test_a_frame_that_breaks_the_protocol_is_bad_and_the_answer_is_seen(frame):
    async def body(server: Server, seen: Seen) -> None:
        async with raw(server) as (_, writer):
            writer.write(frame)
            close = await seen.until("close")
            assert (await seen.until("bad")).to_server
            assert (close.to_server, close.code) == (False, 1002)

    run(echo, body)


def test_a_message_larger_than_the_server_takes_is_bad():
    async def body(server: Server, seen: Seen) -> None:
        async with websockets.connect(server.ws_url("/ws"), compression=None) as client:
            with contextlib.suppress(websockets.ConnectionClosed):
                await client.send(["x" * 40_000, "x" * 40_000])
            await client.wait_closed()
        assert "40000 bytes exceeds limit" in str((await seen.until("bad")).payload)
        assert (await seen.until("close")).code == 1009

    run(echo, body)


def test_a_small_message_that_unpacks_to_a_huge_one_is_not_unpacked():
    async def body(server: Server, seen: Seen) -> None:
        async with websockets.connect(server.ws_url("/ws")) as client:
            with contextlib.suppress(websockets.ConnectionClosed):
                await client.send("0" * 10_000_000)
            await client.wait_closed()
        assert (await seen.until("bad")).to_server
        assert not seen.payloads("text", to_server=True)

    run(echo, body)


def test_a_close_without_a_code_has_none():
    async def body(server: Server, seen: Seen) -> None:
        async with raw(server) as (_, writer):
            writer.write(sent(Opcode.CLOSE, b""))
            assert (await seen.until("close")).code is None

    run(echo, body)


def test_a_close_shows_its_code_and_reason():
    async def body(server: Server, seen: Seen) -> None:
        async with websockets.connect(server.ws_url("/ws")) as client:
            await client.close(4001, "off to lunch")
        close = await seen.until("close")
        assert (close.code, close.reason, close.to_server) == (4001, "off to lunch", True)

    run(echo, body)


def test_a_connection_that_is_reset_is_lost():
    async def body(server: Server, seen: Seen) -> None:
        async with raw(server) as (_, writer):
            at_once = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
            writer.transport.abort()
            assert (await seen.until("lost")).to_server
        await server.settled()
        assert [event.kind for event in seen].count("lost") == 1

    run(echo, body)


def test_a_connection_that_ends_within_a_frame_is_lost():
    async def body(server: Server, seen: Seen) -> None:
        async with raw(server) as (_, writer):
            writer.write(sent(Opcode.TEXT, b"hello")[:-1])
            writer.close()
            await seen.until("lost")
            assert not seen.payloads("text", to_server=True)

    run(echo, body)


def test_a_connection_that_the_server_drops_is_lost_by_its_doing():
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})

    async def body(server: Server, seen: Seen) -> None:
        async with websockets.connect(server.ws_url("/ws")) as client:
            await client.wait_closed()
        assert not (await seen.until("lost")).to_server

    run(app, body)


def test_the_close_that_a_stopping_server_sends_is_seen():
    async def body(server: Server, seen: Seen) -> None:
        async with websockets.connect(server.ws_url("/ws")):
            await asyncio.to_thread(server.stop)
        close = await seen.until("close")
        assert (close.to_server, close.code) == (False, 1012)

    run(echo, body)


@pytest.mark.parametrize("header", [b"x-unheard-of; level=3", b'no header; "at all', b""])
def test_an_unknown_extension_leaves_plain_frames_readable(header):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"sec-websocket-extensions", header)]
        await send({"type": "websocket.accept", "headers": headers})
        await send({"type": "websocket.send", "text": "hello"})
        await receive()
        await receive()

    async def body(server: Server, seen: Seen) -> None:
        async with raw(server) as (_, writer):
            writer.write(sent(Opcode.TEXT, b"hi"))
        await server.settled()
        assert seen.payloads("text", to_server=False) == ["hello"]
        assert seen.payloads("text", to_server=True) == ["hi"]

    run(app, body)


class Pushing(WebSocketsSansIOProtocol):
    """Writes a text past the app's back, right to the transport, before each that the app sends."""

    async def send(self, message: Any) -> None:
        if message["type"] == "websocket.send":
            assert not self.transport.is_closing()
            assert self.transport.get_write_buffer_size() == 0
            assert self.transport.get_extra_info("peername") == self.client
            assert self.transport.get_protocol() is self
            self.transport.pause_reading()
            self.transport.resume_reading()
            self.transport.write(bytearray(b"\x81\x04past"))
            self.transport.writelines([b"\x81\x03", memoryview(b"the"), b"\x81\x03app"])
        await super().send(message)


def test_frames_that_are_written_past_the_app_are_seen():
    async def body(server: Server, seen: Seen) -> None:
        async with websockets.connect(server.ws_url("/ws")) as client:
            await client.send("hi")
            came = [await client.recv() for _ in range(4)]
        assert came == ["past", "the", "app", "Message text was: hi"]
        assert seen.payloads("text", to_server=False) == came
        assert not server.log.errors

    run(echo, body, ws=Pushing)


def test_a_connection_that_the_server_aborts_is_lost_by_its_doing():
    class Aborting(WebSocketsSansIOProtocol):
        async def send(self, message: Any) -> None:
            await super().send(message)
            if message["type"] == "websocket.send":
                self.transport.abort()

    async def body(server: Server, seen: Seen) -> None:
        async with websockets.connect(server.ws_url("/ws")) as client:
            await client.send("hi")
            await client.wait_closed()
        assert not (await seen.until("lost")).to_server

    run(echo, body, ws=Aborting)


def test_what_is_written_once_the_transport_is_closing_is_not_shown():
    class Late(WebSocketsSansIOProtocol):
        async def send(self, message: Any) -> None:
            await super().send(message)
            if message["type"] == "websocket.send":
                self.transport.close()
                self.transport.write(b"\x81\x04late")

    async def body(server: Server, seen: Seen) -> None:
        async with websockets.connect(server.ws_url("/ws")) as client:
            await client.send("hi")
            assert await client.recv() == "Message text was: hi"
            await client.wait_closed()
        await seen.until("lost")
        assert seen.payloads("text", to_server=False) == ["Message text was: hi"]

    run(echo, body, ws=Late)


def test_an_observer_that_fails_disturbs_nobody_and_is_logged():
    async def body(server: Server, seen: Seen) -> None:
        def failing(event: Event) -> None:
            raise RuntimeError("the observer is broken")

        server.observers.append(failing)
        async with websockets.connect(server.ws_url("/ws")) as client:
            await client.send("hello")
            assert await client.recv() == "Message text was: hello"
        assert "the observer is broken" in str(server.log.errors[0].error)

    run(echo, body)


def test_a_recorder_that_fails_says_so_and_disturbs_nobody(monkeypatch):
    def failing(*args: object) -> None:
        raise RuntimeError("the recorder is broken")

    monkeypatch.setattr(Wire, "tell_message", failing)

    async def body(server: Server, seen: Seen) -> None:
        async with websockets.connect(server.ws_url("/ws")) as client:
            for _ in range(3):
                await client.send("hello")
                assert await client.recv() == "Message text was: hello"
        assert seen.kinds()[2:] == [("→", "bad"), ("←", "bad")]
        assert "the recorder is broken" in str(seen[2].payload)
        assert not server.log.errors

    run(echo, body)


def test_clients_that_cross_are_told_apart():
    async def body(server: Server, seen: Seen) -> None:
        async with (
            websockets.connect(server.ws_url("/ws/1")) as ana,
            websockets.connect(server.ws_url("/ws/2")) as ben,
        ):
            await ana.send("hello")
            await ana.recv()
            await ana.recv()
            await ben.recv()
            texts = [(e.path, e.to_server, e.payload) for e in seen if e.kind == "text"]
        assert texts == [
            ("/ws/1", True, "hello"),
            ("/ws/1", False, "You wrote: hello"),
            ("/ws/1", False, "Client #1 says: hello"),
            ("/ws/2", False, "Client #1 says: hello"),
        ]

    run(chat, body)


REQUEST = b"GET /ws HTTP/1.1\r\nHost: here\r\n\r\n"
ANSWER = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
TALK = [("→", "request"), ("←", "accept"), ("←", "text"), ("→", "text"), ("→", "close")]


def wire() -> tuple[Wire, list[Event]]:
    events: list[Event] = []
    return Wire(1, events.append), events


def kinds(events: list[Event]) -> list[tuple[str, str]]:
    return [("→" if event.to_server else "←", event.kind) for event in events]


def test_what_comes_with_the_request_waits_for_the_answer():
    one, events = wire()
    one.received(REQUEST + sent(Opcode.TEXT, b"early") + sent(Opcode.CLOSE, b""))
    assert kinds(events) == [("→", "request")]
    one.sent(ANSWER + b"\x81\x02hi")
    assert kinds(events) == TALK


def test_bytes_may_come_one_at_a_time():
    one, events = wire()
    for byte in REQUEST:
        one.received(bytes([byte]))
    for byte in ANSWER + b"\x81\x02hi":
        one.sent(bytes([byte]))
    for byte in sent(Opcode.TEXT, b"hello") + sent(Opcode.CLOSE, Close(1000, "").serialize()):
        one.received(bytes([byte]))
    assert kinds(events) == TALK


def test_nothing_is_kept_of_what_follows_a_bad_frame():
    one, events = wire()
    one.received(REQUEST)
    one.sent(ANSWER)
    for _ in range(3):
        one.received(b"\x83\x80\0\0\0\0" + bytes(1000))
    assert [event.kind for event in events] == ["request", "accept", "bad"]
    assert not one.incoming.buffer


def test_what_is_no_http_at_all_is_bad():
    one, events = wire()
    one.received(b"hello\r\n\r\n")
    assert [event.kind for event in events] == ["bad"]
