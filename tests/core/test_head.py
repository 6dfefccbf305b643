"""A client that does not end the head of its request."""

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


def test_a_connection_with_a_whole_head_has_all_the_time_it_wants(serve, raw):
    server = serve(app(), http=Hasty)
    client = raw(server)
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as other:
        assert other.recv(4096).startswith(b"HTTP/1.1 408 ")  # so the time of `client` is over too
    client.send("still here")
    assert client.text() == "still here"
