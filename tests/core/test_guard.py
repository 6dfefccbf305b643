"""Who is let in at the door, and what a send to a connection that is closed means."""

import asyncio
import socket

import pytest
import websockets
import websockets.sync.client
from fastapi import FastAPI, WebSocket
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from chatlib import Guard
from chatlib.core.fanout import FanoutProtocol
from chatlib.core.guard import lets_in
from chatlib.lab.serve import Server


def app_behind(**options):
    app = FastAPI()
    app.add_middleware(Guard, **options)

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket):
        await websocket.accept()
        await websocket.send_text("in")

    return app


def knock(app, origin):
    """Return what a client with this `Origin` hears, or the HTTP status that refused it."""

    async def connect(server):
        try:
            async with (
                asyncio.timeout(10),
                websockets.connect(server.ws_url(), origin=origin) as client,
            ):
                return await client.recv()
        except websockets.InvalidStatus as refusal:
            return refusal.response.status_code

    with Server(app) as server:
        return asyncio.run(connect(server))


def status(server, path, origin, host):
    """Return the HTTP status that a handshake with these headers gets."""
    hello = (
        f"GET {path} HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        client.sendall(hello.encode("latin-1"))
        return int(client.recv(65536).split()[1])


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
    assert lets_in({"headers": [origin]}, guard.origins)
    assert not lets_in({"headers": [origin, (b"origin", b"https://evil.example")]}, guard.origins)
    assert not lets_in({"headers": [origin, origin]}, guard.origins)


def test_origins_that_no_browser_sends_are_refused():
    with pytest.raises(ValueError, match=r"write 'https://example\.com'"):
        Guard(app_behind(), origins={"https://example.com/"})
    with pytest.raises(TypeError, match="collection of strings"):
        Guard(app_behind(), origins="https://example.com")


def test_what_is_wrong_with_them_is_logged_where_the_server_keeps_quiet_about_it():
    """uvicorn takes an app that raises as it starts for one without a lifespan."""
    with Server(app_behind(origins={"https://example.com/"})) as server:
        (line,) = server.log.errors
    assert line.text.startswith("Guard cannot start: ")
    assert "write 'https://example.com'" in line.text


@pytest.mark.parametrize("origin", ["file://", "null", "capacitor://localhost"])
def test_a_page_that_is_no_web_sites_is_let_in_by_name(origin):
    assert knock(app_behind(), origin) == 403
    assert knock(app_behind(origins=[origin]), origin) == "in"


def refused(origin, host):
    """Return the one line that the log has about a refusal."""
    with Server(app_behind()) as server:
        assert status(server, "/a%0Ab?token=s3cret", origin, host) == 403
        (line,) = [line for line in server.log if "origin" in line.text]
    assert line.level == "WARNING"
    return line.text


def test_a_refusal_is_logged_with_the_origin_the_host_the_path_and_the_remedy():
    text = refused("https://evil.example", "chat.example")
    assert '"WebSocket /a%0Ab" refused: ' in text
    assert "the origin 'https://evil.example'" in text
    assert "the host 'chat.example'" in text
    assert "Guard(origins=['https://evil.example'])" in text
    assert "http_host" not in text
    assert "s3cret" not in text


def test_a_refusal_for_the_port_alone_names_what_nginx_needs():
    text = refused("https://chat.example:8443", "chat.example")
    assert "proxy_set_header Host $http_host" in text


def test_nobody_is_advised_to_let_in_all_sandboxed_pages():
    text = refused("null", "chat.example")
    assert "serve it from a web address" in text
    assert "Guard(origins" not in text


def test_an_origin_of_the_clients_own_making_cannot_fill_the_log_or_break_its_lines():
    text = refused("\x85é" + "x" * 4000, "chat.example")
    assert r"'\x85\xe9xxx" in text
    assert "No browser sends such an origin" in text
    assert "Guard(origins" not in text
    assert len(text) < 700


def test_the_page_of_the_tutorial_is_let_in_by_each_name_of_this_machine():
    """uvicorn prints 127.0.0.1, and the page opens a socket to localhost."""
    with Server(app_behind()) as server:
        for page, host in (("127.0.0.1", "localhost"), ("localhost", "[::1]")):
            origin, host = f"http://{page}:{server.port}", f"{host}:{server.port}"
            assert status(server, "/ws", origin, host) == 101
            assert status(server, "/ws", f"http://{page}:1", host) == 403


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
        if message["type"] == "websocket.send":
            raise RuntimeError("Unexpected ASGI message 'websocket.send', after 'websocket.close'.")

    async def app(scope, receive, send):
        await send({"type": "websocket.accept"})
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


def test_a_refusal_after_the_server_has_closed_is_an_os_error():
    async def server_send(message):
        raise RuntimeError("Unexpected ASGI message 'websocket.close', after 'websocket.close'.")

    async def app(scope, receive, send):
        with pytest.raises(OSError, match="closed this connection"):
            await send({"type": "websocket.close"})

    send_through(app, server_send)


DENIAL = {"type": "websocket.http.response.start", "status": 401, "headers": []}


@pytest.mark.parametrize("ws", [FanoutProtocol, WebSocketsSansIOProtocol])
@pytest.mark.parametrize(
    "messages",
    [
        [{"type": "websocket.send", "text": "too early"}],
        [DENIAL, {"type": "websocket.close"}],
        [DENIAL, {"type": "websocket.send", "text": "instead of a body"}],
    ],
)
def test_what_an_app_sends_in_the_wrong_order_gets_the_servers_own_words(messages, ws):
    errors = []

    async def app(scope, receive, send):
        if scope["type"] == "websocket":
            try:
                for message in messages:
                    await send(message)
            except Exception as error:
                errors.append(error)
                raise

    with Server(Guard(app), ws=ws) as server:
        with pytest.raises(websockets.InvalidHandshake):
            websockets.sync.client.connect(server.ws_url(), open_timeout=10, proxy=None)
        asyncio.run(server.settled())
    (error,) = errors
    assert type(error) is RuntimeError
    assert "Expected ASGI message" in str(error)


def test_a_send_after_the_guard_itself_has_closed_is_an_os_error_too():
    closed = []

    async def server_receive():
        return {"type": "websocket.receive", "text": "too big"}

    async def server_send(message):
        if closed:
            raise RuntimeError("after sending 'websocket.close'")
        if message["type"] == "websocket.close":
            closed.append(message["code"])

    async def app(scope, receive, send):
        await send({"type": "websocket.accept"})
        assert (await receive())["type"] == "websocket.disconnect"
        with pytest.raises(OSError, match="closed this connection"):
            await send({"type": "websocket.send", "text": "late"})

    scope = {"type": "websocket", "headers": []}
    asyncio.run(Guard(app, max_bytes=3)(scope, server_receive, server_send))
    assert closed == [1009]


def test_a_message_that_is_too_big_after_the_apps_own_close_is_a_disconnect_and_no_error():
    closed = []

    async def server_receive():
        return {"type": "websocket.receive", "text": "too big"}

    async def server_send(message):
        if closed:
            raise RuntimeError("after sending 'websocket.close'")
        closed.append(message["code"])

    async def app(scope, receive, send):
        await send({"type": "websocket.close", "code": 4000})
        assert (await receive())["type"] == "websocket.disconnect"

    scope = {"type": "websocket", "headers": []}
    asyncio.run(Guard(app, max_bytes=3)(scope, server_receive, server_send))
    assert closed == [4000]
