"""A client that does not end the head of its request."""

import asyncio
import socket

import pytest
from fastapi import FastAPI, WebSocket

from chatlib.core.head import TimedHead

REQUEST = "GET /page HTTP/1.1\r\nHost: x\r\n\r\n"


class Hasty(TimedHead):
    """One whose time is over at once."""

    head_seconds = 0.2


def app():
    app = FastAPI()

    @app.get("/page")
    async def page():
        return "hello"

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket):
        await websocket.accept()
        await websocket.send_text(await websocket.receive_text())

    return app


def answers(server, *parts):
    """Return all that comes for `parts`, each of which is sent once something came for the last."""
    came = b""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        for part in parts:
            client.sendall(part.encode())
            more = client.recv(65536)
            came += more
        while more and (more := client.recv(65536)):
            came += more
    return came.decode()


@pytest.mark.parametrize(
    "begun", ["", "GET /page HT", "GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n"]
)
def test_a_head_that_does_not_end_is_answered_with_408_and_closed(serve, begun):
    server = serve(app(), http=Hasty)
    assert answers(server, begun).startswith("HTTP/1.1 408 ")


def test_the_head_of_a_later_request_has_the_same_time(serve):
    server = serve(app(), http=Hasty, timeout_keep_alive=1000)
    came = answers(server, REQUEST, "GET /page HT")
    assert came.startswith("HTTP/1.1 200 ")
    assert "HTTP/1.1 408 " in came


def test_an_empty_line_after_a_request_is_the_beginning_of_a_head(serve):
    server = serve(app(), http=Hasty, timeout_keep_alive=1000)
    assert "HTTP/1.1 408 " in answers(server, REQUEST, "\r\n")


def test_a_request_that_is_being_answered_has_all_the_time_it_wants(serve):
    go_on = asyncio.Event()
    slow = FastAPI()

    @slow.get("/page")
    async def page():
        await go_on.wait()
        return "hello"

    server = serve(slow, http=Hasty)
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        client.sendall(REQUEST.encode() + b"GET /page HT")  # and the beginning of a next one
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as other:
            assert other.recv(4096).startswith(b"HTTP/1.1 408 ")  # so as much time has passed
        server.loop.call_soon_threadsafe(go_on.set)
        assert client.recv(4096).startswith(b"HTTP/1.1 200 ")


def test_a_head_that_comes_bit_by_bit_has_no_more_time(serve):
    class Counting(TimedHead):
        """A protocol that counts how often it begins to wait for a head."""

        waits = 0

        def wait_for_head(self):
            Counting.waits += self.head_timer is None
            super().wait_for_head()

    server = serve(app(), http=Counting)
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        for part in ("GET /pa", "ge HTTP/1.1\r\n", "Host: x\r\n\r\n"):
            client.sendall(part.encode())
        assert client.recv(4096).startswith(b"HTTP/1.1 200 ")
    assert Counting.waits == 1


def test_a_connection_with_a_whole_head_has_all_the_time_it_wants(serve, raw):
    server = serve(app(), http=Hasty)
    client = raw(server)
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as other:
        assert other.recv(4096).startswith(b"HTTP/1.1 408 ")  # so the time of `client` is over too
    client.send("still here")
    assert client.text() == "still here"
