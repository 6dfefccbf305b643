"""What an operator can read in the log about a connection, as it stands there."""

import asyncio
import contextlib
import json
import logging
import socket
import struct
import textwrap
import threading

import pytest
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from joining import Clock, in_loop, joined, turn
from live import CLOSE
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute

from chatlib import Room
from chatlib.core import log, taskline
from chatlib.core.frames import encode
from chatlib.core.hub.beat import keep_beat
from chatlib.core.hub.envelope import text_of
from chatlib.core.hub.feed import Feed
from chatlib.core.hub.hub import Hub
from chatlib.core.hub.ledger import Ledger
from chatlib.core.hub.liveroom import LiveRoom
from chatlib.core.log import log_slow_path
from chatlib.stores.memory import MemoryStore


def app_that(handler):
    app = FastAPI()

    @app.websocket("/{path:path}")
    async def endpoint(websocket: WebSocket):
        await websocket.accept()
        await handler(websocket)

    return app


async def stay(websocket):
    while (await websocket.receive())["type"] != "websocket.disconnect":
        pass


def the_end(server, logged):
    """Return the record of the one connection that there was."""
    server.until(lambda: not server.uvicorn.server_state.connections)
    (record,) = logged
    return record


def test_the_end_of_a_connection_is_a_line_with_its_code_and_its_seconds(serve, raw, logged):
    server = serve(app_that(stay))
    client = raw(server)
    address = "{}:{}".format(*client.socket.getsockname())
    client.send(struct.pack("!H", 4001) + b"bye", CLOSE)
    record = the_end(server, logged)
    assert record.levelname == "INFO"
    assert record.getMessage().startswith(
        f"{address} - \"WebSocket /ws\" [closed] by the client with 4001 'bye' after 0."
    )
    assert (record.code, record.seconds < 10, record.connection > 0) == (4001, True, True)


def test_a_connection_that_the_app_closed_says_so(serve, raw, logged):
    async def close(websocket):
        await websocket.close(4002, "enough")

    server = serve(app_that(close))
    client = raw(server)
    client.closed()
    client.close()
    assert "by the app with 4002 'enough'" in the_end(server, logged).getMessage()


@pytest.mark.parametrize("fails", [False, True], ids=["returns", "raises"])
def test_a_handler_that_ends_without_a_close_is_the_apps_doing(serve, raw, logged, fails):
    async def end(websocket):
        assert not fails

    server = serve(app_that(end))
    assert raw(server).closed() is None
    assert (
        "[closed] by the app, without a close frame after" in the_end(server, logged).getMessage()
    )


def test_a_missed_pong_is_named(serve, raw, logged):
    server = serve(app_that(stay), ws_ping_interval=0.02, ws_ping_timeout=0.02)
    raw(server).closed()
    text = the_end(server, logged).getMessage()
    assert "by the server with 1011 'keepalive ping timeout'" in text


def test_a_connection_that_is_cut_is_lost(serve, raw, logged):
    server = serve(app_that(stay))
    raw(server).reset()
    record = the_end(server, logged)
    assert "[closed] lost after" in record.getMessage()
    assert record.code == 1006


def test_a_refused_handshake_is_no_connection_that_ended(serve, logged):
    async def refuse(scope, receive, send):
        await receive()
        await send({"type": "websocket.close"})

    server = serve(refuse)
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        upgrade = "Host: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        client.sendall(f"GET /ws HTTP/1.1\r\n{upgrade}{key}\r\n".encode())
        while client.recv(65536):
            pass
    server.until(lambda: not server.uvicorn.server_state.connections)
    assert logged == []


def test_neither_the_query_nor_a_line_break_of_the_clients_gets_into_the_log(serve, raw, logged):
    async def accept_and_stay(scope, receive, send):
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            pass

    server = serve(accept_and_stay)
    client = raw(server, "/a%0Ab?token=secret")
    client.send(struct.pack("!H", 4001) + b"x\ny", CLOSE)
    text = the_end(server, logged).getMessage()
    assert "secret" not in text
    assert "\n" not in text
    assert '"WebSocket /a%0Ab"' in text


@in_loop
async def test_a_member_that_a_room_cuts_off_is_named_with_the_reason(logged):
    clock, room = Clock(), Room(patience=1)
    member = joined(room, full_after=1)
    await room.publish("x" * 1000)
    await room.publish("x" * 1000)
    await clock.pass_by(3)
    (record,) = logged
    assert record.levelname == "WARNING"
    assert 'WebSocket /ws" cut off by a room, stalled: ' in record.getMessage()
    assert (record.connection, record.reason) == (member.line.number, "stalled")


def test_connections_have_numbers_of_their_own(serve, raw, logged):
    server = serve(app_that(stay))
    raw(server).reset()
    raw(server).reset()
    server.until(lambda: len(logged) == 2)
    assert len({record.connection for record in logged}) == 2


def test_the_server_without_the_fast_path_is_told_once(serve, raw, logged):
    room = Room()

    async def join(websocket):
        room.join(websocket)
        await stay(websocket)

    log_slow_path.cache_clear()
    server = serve(app_that(join), ws="auto")
    raw(server)
    raw(server)
    server.until(lambda: len(room.members) == 2)
    (record,) = logged
    assert "--ws chatlib.core.fanout:FanoutProtocol" in record.getMessage()


def test_a_client_that_leaves_a_handler_which_only_speaks_is_no_failure(
    serve, raw, logged, monkeypatch
):
    monkeypatch.setattr(taskline, "GIVE_UP_SECONDS", 0.0)
    room, closed = Room(), threading.Event()

    class Noting(taskline.TaskLine):
        """A line that says when it has tried to close its connection."""

        async def _close(self, message, after):
            await super()._close(message, after)
            closed.set()

    async def speak(websocket):
        await websocket.accept()
        room.join(websocket)
        with contextlib.suppress(WebSocketDisconnect):
            while True:
                await room.publish("hello")
                await asyncio.sleep(0.001)
        await asyncio.to_thread(closed.wait, 20)

    monkeypatch.setattr(taskline, "TaskLine", Noting)
    server = serve(Starlette(routes=[WebSocketRoute("/ws", speak)]), ws="auto")
    raw(server).reset()
    assert closed.wait(20)
    assert [record for record in logged if "a send failed" in record.msg] == []


def test_the_test_client_is_told_nothing(logged):
    from fastapi.testclient import TestClient

    room = Room()

    async def join(websocket):
        room.join(websocket)
        await room.publish("in")

    log_slow_path.cache_clear()
    with TestClient(app_that(join)).websocket_connect("/ws") as client:
        assert client.receive_text() == "in"
    assert logged == []


# Records for programs.


@pytest.fixture
def as_json(logged):
    """Render the records with the formatter that the docstring of `chatlib.core.log` shows."""
    block = log.__doc__.partition("    FIELDS = ")[2].partition("    handler = ")[0]
    names = {"json": json, "logging": logging}
    exec(textwrap.dedent("    FIELDS = " + block), names)
    formatter = names["JSONFormatter"]()
    return lambda: [json.loads(formatter.format(record)) for record in logged]


def test_a_record_is_a_line_of_json_with_its_connection_and_its_room(serve, raw, as_json, logged):
    hub = Hub("memory:")
    app = FastAPI(lifespan=hub.lifespan)

    @app.websocket("/ws")
    async def follow(websocket: WebSocket):
        await websocket.accept()
        await hub.follow(websocket, "lobby", "garden", name="ana")

    server = serve(app)
    client = raw(server)
    for _ in range(3):
        client.text()
    client.send(struct.pack("!H", 4001) + '\u2028"\n'.encode(), CLOSE)
    record = the_end(server, logged)
    (line,) = as_json()
    assert line.pop("seconds") == record.seconds
    assert line.pop("time")
    assert line == {
        "level": "INFO",
        "logger": "uvicorn.error.chatlib",
        "message": record.getMessage(),
        "connection": record.connection,
        "room": "lobby",
        "code": 4001,
    }


def test_a_connection_that_was_in_no_room_of_a_hub_has_none(serve, raw, as_json):
    server = serve(app_that(stay))
    raw(server).reset()
    server.until(lambda: not server.uvicorn.server_state.connections)
    (line,) = as_json()
    assert line["room"] is None


@in_loop
async def test_a_member_that_a_room_of_a_hub_cuts_off_has_that_room(as_json):
    clock, room = Clock(), LiveRoom(2000, "lobby")
    member = joined(room, full_after=1)
    for _ in range(4):
        room.post(encode("x" * 1000))
        await turn()
    await clock.pass_by(1)
    (line,) = as_json()
    assert (line["room"], line["connection"]) == ("lobby", member.line.number)
    assert line["reason"] in {"slow", "stalled"}


@in_loop
async def test_a_traceback_is_in_the_line(as_json):
    try:
        raise ValueError("a fault")
    except ValueError:
        log.log_of(room="lobby").exception("it went wrong")
    (line,) = as_json()
    assert line["room"] == "lobby"
    assert line["traceback"].endswith("ValueError: a fault")


@in_loop
async def test_a_failed_send_has_the_connection_and_the_room(as_json):
    room = LiveRoom(2000, "lobby")
    member = joined(room)
    log.log_failure(member.line, ValueError("a fault"))
    (line,) = as_json()
    assert (line["connection"], line["room"]) == (member.line.number, "lobby")


class Broken(MemoryStore):
    """A store in which nothing can be read from some time on."""

    broken = False

    async def read(self, *arguments, **options):
        if self.broken:
            raise OSError("cannot read")
        return await super().read(*arguments, **options)

    async def people(self, room):
        if self.broken:
            raise OSError("cannot read")
        return await super().people(room)

    async def heads(self, rooms):
        if self.broken:
            raise OSError("cannot read")
        return await super().heads(rooms)


@in_loop
async def test_what_a_hub_says_of_a_room_has_its_name(as_json, logged):
    store = Broken()
    await store.append("lobby", "k1", b'"data":1}')
    feed = Feed("lobby", store, text_of, 1000)
    await feed.start()
    store.broken = True
    feed.repair()
    feed.people()
    await turn()
    store.broken = False
    store._logs.clear()  # it has no history any more
    feed.repair()
    while len(logged) < 3:  # noqa: ASYNC110 - there is no event to wait for
        await asyncio.sleep(0.01)
    await feed.stop()
    lines = as_json()
    assert [line["room"] for line in lines] == ["lobby"] * 3
    assert [line["message"] for line in lines] == [
        "room 'lobby' cannot be read: cannot read",
        "the people of room 'lobby' cannot be read: cannot read",
        "room 'lobby': its history is diverged; members read it anew",
    ]


@in_loop
async def test_what_is_of_all_rooms_says_of_how_many(as_json, logged):
    store = Broken()
    feed = Feed("lobby", store, text_of, 1000)
    await feed.start()
    store.broken = True
    beating = asyncio.create_task(keep_beat(0.001, store, {"lobby": feed}, Ledger()))
    while not logged:  # noqa: ASYNC110 - there is no event to wait for
        await asyncio.sleep(0.001)
    beating.cancel()
    await feed.stop()
    assert as_json()[0]["room"] is None
    assert logged[0].rooms == 1
