"""Who is let in at the door, and what a send to a connection that is closed means."""

import asyncio

import pytest
import websockets
from fastapi import FastAPI, WebSocket

from chatlib import Guard
from chatlib.core.guard import is_same
from chatlib.lab.serve import Server


def app_behind(**options):
    app = FastAPI()
    app.add_middleware(Guard, **options)

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket):
        await websocket.accept()
        await websocket.send_text("in")

    return app


def knock(app, origin, **headers):
    """Return what a client with this `Origin` hears, or the HTTP status that refused it."""

    async def connect(server):
        try:
            async with (
                asyncio.timeout(10),
                websockets.connect(server.ws_url(), origin=origin, additional_headers=headers) as c,
            ):
                return await c.recv()
        except websockets.InvalidStatus as refusal:
            return refusal.response.status_code

    with Server(app) as server:
        return asyncio.run(connect(server))


def test_a_client_without_an_origin_is_let_in():
    assert knock(app_behind(), None) == "in"


def test_a_page_from_elsewhere_is_refused():
    assert knock(app_behind(), "https://evil.example") == 403


def test_an_origin_on_the_list_is_let_in():
    assert knock(app_behind(origins={"https://good.example"}), "https://good.example") == "in"


def test_an_origin_that_only_begins_like_one_on_the_list_is_refused():
    app = app_behind(origins={"https://good.example"})
    assert knock(app, "https://good.example.evil.example") == 403


def test_a_star_lets_in_every_origin():
    assert knock(app_behind(origins="*"), "https://evil.example") == "in"


def test_a_second_origin_header_is_refused():
    """Which of the two the browser meant, nobody can say. (uvicorn answers 400 before it asks.)"""
    guard = Guard(app_behind(), origins={"https://good.example"})
    origin = (b"origin", b"https://good.example")
    assert guard.lets_in({"headers": [origin]})
    assert not guard.lets_in({"headers": [origin, (b"origin", b"https://evil.example")]})
    assert not guard.lets_in({"headers": [origin, origin]})


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://localhost:8000", "localhost:8000"),
        ("https://example.com", "example.com"),
        ("https://example.com", "example.com:443"),
        ("https://EXAMPLE.com", "Example.COM"),
        ("http://[::1]:8000", "[::1]:8000"),
    ],
)
def test_the_same_host_and_port_are_the_same(origin, host):
    assert is_same(origin, host)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://localhost:8000", "localhost:8001"),
        ("http://localhost:8000", "127.0.0.1:8000"),
        ("https://example.com", "example.com:8443"),
        ("https://example.com.evil.example", "example.com"),
        ("https://example.com@evil.example", "example.com"),
        ("null", "null"),
        ("", ""),
        ("http://example.com:port", "example.com"),
        ("http://[::1", "[::1"),
    ],
)
def test_anything_else_is_not(origin, host):
    assert not is_same(origin, host)


def test_origins_that_can_never_match_are_refused_with_what_was_expected():
    with pytest.raises(ValueError, match="a scheme, a host"):
        Guard(app_behind(), origins={"example.com"})
    with pytest.raises(ValueError, match="a scheme, a host"):
        Guard(app_behind(), origins={"https://example.com/"})
    with pytest.raises(TypeError, match="collection of strings"):
        Guard(app_behind(), origins="https://example.com")


@pytest.mark.parametrize("text", ["x" * 65_536, "é" * 32_768])
def test_a_message_of_64_kib_passes(text):
    assert answer_to(text) == text


@pytest.mark.parametrize("message", ["x" * 65_537, "é" * 32_769, bytes(65_537)])
def test_a_bigger_message_is_closed_with_1009_on_any_server(message):
    """Here the server would let through 16 MiB."""
    assert answer_to(message) == 1009


def answer_to(message):
    """Return what a client that sends `message` hears, or the code with which it is closed."""
    app = app_behind()

    @app.websocket("/echo")
    async def echo(websocket: WebSocket):
        await websocket.accept()
        async for text in websocket.iter_text():
            await websocket.send_text(text)

    async def talk(server):
        async with asyncio.timeout(10), websockets.connect(server.ws_url("/echo")) as client:
            await client.send(message)
            try:
                return await client.recv()
            except websockets.ConnectionClosed as closed:
                return closed.rcvd.code

    with Server(app, ws_max_size=2**24) as server:
        heard = asyncio.run(talk(server))
        assert server.log.errors == []
    return heard


def send_through(guarded_app, server_send):
    """Run `guarded_app` with a server whose `send` is `server_send`."""

    async def receive():
        return {"type": "websocket.connect"}

    scope = {"type": "websocket", "headers": []}
    return asyncio.run(Guard(guarded_app)(scope, receive, server_send))


def test_a_send_after_the_server_has_closed_is_an_os_error():
    async def server_send(message):
        raise RuntimeError("Unexpected ASGI message 'websocket.send', after 'websocket.close'.")

    async def app(scope, receive, send):
        with pytest.raises(OSError, match="closed this connection"):
            await send({"type": "websocket.send", "text": "late"})

    send_through(app, server_send)


def test_a_send_after_the_apps_own_close_stays_the_mistake_that_it_is():
    async def server_send(message):
        if message["type"] == "websocket.send":
            raise RuntimeError("after sending 'websocket.close'")

    async def app(scope, receive, send):
        await send({"type": "websocket.close"})
        with pytest.raises(RuntimeError):
            await send({"type": "websocket.send", "text": "late"})

    send_through(app, server_send)


def test_a_send_after_the_guard_itself_has_closed_is_an_os_error_too():
    closed = []

    async def server_receive():
        return {"type": "websocket.receive", "text": "too big"}

    async def server_send(message):
        if closed:
            raise RuntimeError("after sending 'websocket.close'")
        closed.append(message["code"])

    async def app(scope, receive, send):
        assert (await receive())["type"] == "websocket.disconnect"
        with pytest.raises(OSError, match="closed this connection"):
            await send({"type": "websocket.send", "text": "late"})

    scope = {"type": "websocket", "headers": []}
    asyncio.run(Guard(app, max_bytes=3)(scope, server_receive, server_send))
    assert closed == [1009]
