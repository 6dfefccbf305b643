"""How many connections `Guard` lets in, and how much each may send."""

import asyncio
import contextlib
import http.client
import socket
import struct
from collections import Counter
from types import SimpleNamespace

import pytest
from fastapi import FastAPI, WebSocket
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from live import BINARY, TEXT, Raw
from starlette.testclient import WebSocketDenialResponse

from chatlib import Guard
from chatlib.core import rate
from chatlib.core.caps import address_of
from chatlib.core.fanout import FanoutProtocol
from chatlib.core.log import Seldom, logger
from chatlib.core.rate import Bucket

SELDOM = 1e-9  # a second: a bucket with this rate stays as empty as it is


def app():
    """Return an app whose handlers end in each way that there is."""
    app = FastAPI()

    @app.get("/health")
    def health():
        return "fine"

    @app.websocket("/ws")
    async def echo(websocket: WebSocket):
        await websocket.accept()
        while (message := await websocket.receive())["type"] == "websocket.receive":
            await websocket.send_text(message.get("text") or f"{len(message.get('bytes', b''))}")

    @app.websocket("/raises")
    async def raises(websocket: WebSocket):
        await websocket.accept()
        raise ZeroDivisionError

    @app.websocket("/raises-before")
    async def raises_before(websocket: WebSocket):
        raise ZeroDivisionError

    @app.websocket("/refuses")
    async def refuses(websocket: WebSocket):
        await websocket.close()

    @app.websocket("/returns")
    async def returns(websocket: WebSocket):
        await websocket.accept()

    @app.websocket("/cancelled")
    async def cancelled(websocket: WebSocket):
        await websocket.accept()
        asyncio.current_task().cancel()
        await websocket.receive()

    return app


def ask(server, path="/ws", headers=""):
    """Send a handshake, and return the answer to it, up to where its stream or its head ends."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        client.sendall(
            f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
            f"{headers}\r\n".encode()
        )
        data = b""
        while b"\r\n\r\n" not in data or b"101" not in data:
            more = client.recv(65536)
            if not more:
                break
            data += more
    return data.decode()


@pytest.fixture(params=[FanoutProtocol, "websockets-sansio", "wsproto"], ids=str)
def guarded(request, serve):
    """Serve the app behind a guard with the caps given, on each of the protocols."""

    def guarded(**caps):
        guard = Guard(app(), **caps)
        server = serve(guard, ws=request.param)
        server.empty = lambda: server.until(lambda: not guard.caps.open)
        return server

    return guarded


@pytest.fixture
def clock(monkeypatch):
    """A clock that goes on when a test says so."""
    clock = SimpleNamespace(now=100.0, monotonic=lambda: clock.now)
    monkeypatch.setattr(rate, "time", clock)
    return clock


def test_one_too_many_gets_503_before_the_handshake(guarded, raw):
    server = guarded(max_connections=2)
    raw(server)
    raw(server)
    head, _, body = ask(server).partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 503 ")
    assert "\r\nretry-after: 5" in head.lower()
    assert body == "too many connections, at most 2\n"


def test_pages_are_served_while_the_sockets_are_full(guarded, raw):
    server = guarded(max_connections=1, new_connections_per_second=SELDOM)
    raw(server)
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    with contextlib.closing(connection):
        for _ in range(3):
            connection.request("GET", "/health")
            assert connection.getresponse().read() == b'"fine"'


ENDS = {
    "the client closes": lambda server: close(Raw(server)),
    "the client vanishes": lambda server: Raw(server).reset(),
    "the handler raises": lambda server: ask(server, "/raises"),
    "the handler raises before it accepts": lambda server: ask(server, "/raises-before"),
    "the handler returns": lambda server: ask(server, "/returns"),
    "the handler is cancelled": lambda server: ask(server, "/cancelled"),
    "the app refuses": lambda server: ask(server, "/refuses"),
    "there is no such path": lambda server: ask(server, "/nowhere"),
    "a message is too big": lambda server: shout(Raw(server)),
    "the guard refuses its origin": lambda server: ask(server, headers="Origin: http://evil\r\n"),
}


def close(client):
    with client:
        client.send(struct.pack("!H", 1000), 8)
        client.closed()


def shout(client):
    with client:
        client.send("x" * 101)
        assert client.closed() == 1009


@pytest.mark.parametrize("end", ENDS)
def test_a_place_is_free_again_however_a_connection_ends(guarded, raw, end):
    server = guarded(max_connections=1, max_connections_per_address=1, max_bytes=100)
    for _ in range(2):
        ENDS[end](server)
        server.empty()
    raw(server)
    assert "too many connections, at most 1" in ask(server)


def test_an_address_is_full_for_itself_alone(guarded, raw):
    """uvicorn takes the address from the proxy at 127.0.0.1."""
    server = guarded(max_connections_per_address=1)
    ann, bob = ("X-Forwarded-For: 192.0.2.1\r\n", "X-Forwarded-For: 192.0.2.2\r\n")
    raw(server, headers=ann)
    assert "503" in ask(server, headers=ann)
    assert "too many connections from one address, at most 1" in ask(server, headers=ann)
    raw(server, headers=bob)


@pytest.mark.parametrize(
    ("client", "address"),
    [
        (("192.0.2.1", 5), "192.0.2.1"),
        (["2001:db8:1:2:3:4:5:6", 5], "2001:db8:1:2::/64"),
        (("2001:db8:1:2::7", 5), "2001:db8:1:2::/64"),
        (("fe80::1%eth0", 5), "fe80::/64"),
        (("::ffff:192.0.2.1", 5), "192.0.2.1"),
        (("testclient", 5), "testclient"),
        (("", 0), None),
        (None, None),
    ],
)
def test_an_address_is_what_one_customer_has(client, address):
    assert address_of({"client": client}) == address


def test_connections_without_an_address_are_not_one_clients():
    guard = Guard(app(), max_connections_per_address=1, max_connections=3)
    assert [guard.caps.enter(None) for _ in range(4)] == [
        "",
        "",
        "",
        "too many connections, at most 3",
    ]


def test_no_address_is_kept_after_its_last_connection():
    caps = Guard(app(), max_connections_per_address=2).caps
    for number in range(10):
        assert caps.enter(f"192.0.2.{number}") == ""
        caps.leave(f"192.0.2.{number}")
    assert not caps.open_from


def test_those_that_come_too_fast_are_refused(guarded, raw):
    server = guarded(new_connections_per_second=SELDOM, burst_seconds=2 / SELDOM)
    raw(server)
    raw(server)
    assert "too many new connections" in ask(server)


def test_one_that_sends_too_many_messages_is_closed_with_1008(guarded, raw):
    server = guarded(messages_per_second=SELDOM, burst_seconds=3 / SELDOM)
    client = raw(server)
    for text in "abcd":
        client.send(text)
    assert [client.text() for _ in range(3)] == ["a", "b", "c"]
    first, payload = client.frame()
    assert (first, payload[:2]) == (0x88, struct.pack("!H", 1008))
    assert payload[2:] == b"too many messages, at most 1e-09 per second"


def test_one_that_sends_too_many_bytes_is_closed_with_1008(guarded, raw):
    server = guarded(bytes_per_second=SELDOM, burst_seconds=100 / SELDOM)
    client = raw(server)
    for text in ("é" * 30, "x" * 39, "x" * 50, "x"):
        client.send(text, TEXT)
    assert [len(client.text()) for _ in range(3)] == [30, 39, 50]
    assert client.closed() == 1008


def test_binary_messages_count_too(guarded, raw):
    server = guarded(bytes_per_second=SELDOM)
    client = raw(server)
    client.send(b"xx", BINARY)
    assert client.text() == "2"
    client.send(b"x", BINARY)
    assert client.closed() == 1008


def test_what_one_client_sends_costs_another_nothing(guarded, raw):
    server = guarded(messages_per_second=SELDOM)
    for _ in range(3):
        client = raw(server)
        client.send("a")
        assert client.text() == "a"


def test_a_closing_client_is_not_said_to_send_too_much(guarded, raw):
    server = guarded(messages_per_second=SELDOM)
    client = raw(server)
    client.send("a")
    client.text()
    client.send(struct.pack("!H", 1000), 8)
    assert client.closed() == 1000
    server.empty()
    assert "too" not in str(server.log)


def test_threads_with_loops_of_their_own_share_one_count():
    """TestClient runs each socket in an event loop of its own."""
    client = TestClient(Guard(app(), max_connections=2))
    with client.websocket_connect("/ws"), client.websocket_connect("/ws"):
        with pytest.raises(WebSocketDenialResponse) as refusal:
            client.websocket_connect("/ws").__enter__()
        assert refusal.value.status_code == 503
    with client.websocket_connect("/ws"):
        pass


def test_one_thread_at_a_time_counts():
    class Watched(Counter):
        def __getitem__(self, address):
            assert caps.lock.locked()
            return super().__getitem__(address)

    caps = Guard(app(), max_connections_per_address=1).caps
    caps.open_from = Watched()
    assert caps.enter("192.0.2.1") == ""
    assert caps.enter("192.0.2.1") == "too many connections from one address, at most 1"
    caps.leave("192.0.2.1")
    assert not caps.lock.locked()


def test_a_server_that_cannot_answer_a_handshake_with_http_closes_with_1013():
    sent = []

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        sent.append(message)

    guard = Guard(app(), new_connections_per_second=SELDOM)
    guard.caps.enter(None)
    scope = {"type": "websocket", "headers": [], "client": ("192.0.2.1", 5), "extensions": None}
    asyncio.run(guard(scope, receive, send))
    assert [(message["type"], message["code"]) for message in sent] == [("websocket.close", 1013)]


@pytest.mark.parametrize(
    "caps",
    [
        *({"max_connections": 0}, {"max_connections_per_address": -1}),
        *({"new_connections_per_second": float("nan")}, {"messages_per_second": "10"}),
        *({"bytes_per_second": float("inf")}, {"burst_seconds": None}, {"burst_seconds": 0}),
    ],
)
def test_a_cap_that_lets_nothing_through_is_refused(caps):
    ((name, value),) = caps.items()
    with pytest.raises(ValueError, match=f"{name} is .*; got {value!r}"):
        Guard(app(), **caps)


def test_a_refusal_and_a_close_are_a_line_of_the_log_each(serve, raw):
    server = serve(Guard(app(), max_connections=1, messages_per_second=SELDOM))
    client = raw(server, "/ws?token=s3cret")
    ask(server, "/ws?token=s3cret")
    client.send("a")
    client.send("b")
    client.text()
    assert client.closed() == 1008
    refused, closed = [line for line in server.log if "too many" in line.text]
    name = '"WebSocket /ws"'
    assert refused.text.endswith(f"{name} refused: too many connections, at most 1")
    assert f"{name} closed with 1008: too many messages, at most 1e-09 " in closed.text
    assert (refused.level, closed.level) == ("WARNING", "WARNING")


def test_the_records_say_who_and_why(serve, raw, monkeypatch):
    logged = []
    monkeypatch.setattr(logger, "filters", [logged.append])
    server = serve(Guard(app(), max_connections=1))
    raw(server)
    ask(server)
    ask(server, headers="Origin: https://evil.example\r\n")
    full, foreign = logged
    assert (full.client, full.reason) == ("127.0.0.1", "too many connections, at most 1")
    assert (foreign.client, foreign.reason) == ("127.0.0.1", "foreign origin")
    assert (foreign.origin, foreign.host) == ("https://evil.example", "x")
    assert full.connection < foreign.connection


def test_a_flood_is_ten_lines_and_then_one_a_second_with_a_count(clock, monkeypatch):
    logged = []
    monkeypatch.setattr(logger, "filters", [lambda record: logged.append(record.getMessage())])
    seldom = Seldom()
    for number in range(30):
        seldom.warning("a kind", "line %d", number)
    assert logged == [f"line {number}" for number in range(10)]
    seldom.warning("another kind", "line of another kind")
    assert logged.pop() == "line of another kind"
    clock.now += 1
    seldom.warning("a kind", "line %d", 30)
    assert logged.pop() == "line 30 (20 more like this one were not logged)"
    clock.now += 1
    seldom.warning("a kind", "line %d", 31)
    assert logged.pop() == "line 31"


def test_a_bucket_holds_what_its_seconds_bring_and_at_least_one(clock):
    assert [Bucket(2, 1.5).take() for _ in range(1)] == [True]
    bucket = Bucket(2, 1.5)
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]
    clock.now += 0.5
    assert [bucket.take() for _ in range(2)] == [True, False]
    slow = Bucket(0.1, 1)
    assert [slow.take() for _ in range(2)] == [True, False]


@given(st.lists(st.tuples(st.floats(0, 10), st.integers(0, 50))), st.floats(0.1, 20))
def test_a_bucket_lets_through_no_more_than_its_rate_and_what_it_holds(steps, per_second):
    clock = SimpleNamespace(now=100.0, monotonic=lambda: clock.now)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rate, "time", clock)
        bucket, taken = Bucket(per_second, 3), 0
        for seconds, amount in steps:
            clock.now += seconds
            if bucket.take(amount):
                before, taken = taken, taken + amount
                held = bucket.capacity + per_second * (clock.now - 100)
                assert before <= held - 1 + 1e-6
