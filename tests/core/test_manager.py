"""The manager with the five names that everybody's code uses, on a room."""

import asyncio
import threading

import pytest
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from live import BINARY, app_on
from starlette.testclient import TestClient

from chatlib import ConnectionManager, Room, chat


@pytest.fixture
def manager():
    return ConnectionManager()


@pytest.fixture
def server(serve, manager):
    return serve(app_on(manager))


def join(server, manager, raw, count=1):
    """Connect `count` clients, one after the other, and return them."""
    clients = []
    for _ in range(count):
        expected = len(manager.active_connections) + 1
        clients.append(raw(server))
        server.until(lambda expected=expected: len(manager.active_connections) == expected)
    return clients


def test_a_broadcast_reaches_all_and_a_personal_message_one(server, manager, raw):
    ana, ben = join(server, manager, raw, 2)
    server.run(manager.send_personal_message("for Ben", manager.active_connections[1]))
    server.run(manager.broadcast("for all"))
    assert ana.text() == "for all"
    assert [ben.text(), ben.text()] == ["for Ben", "for all"]


def test_the_chat_is_what_it_was(serve, raw):
    server = serve(chat.app)
    ana = raw(server, "/ws/1")
    ben = raw(server, "/ws/2")
    ben.send("hello")
    assert [ben.text(), ben.text()] == ["You wrote: hello", "Client #2 says: hello"]
    assert ana.text() == "Client #2 says: hello"
    ben.send(b"\0", BINARY)
    assert ben.closed() == 1003
    assert ana.text() == "Client #2 left the chat"
    assert not server.log.errors


def test_old_code_that_sends_to_each_in_the_list_keeps_its_place_in_the_order(server, manager, raw):
    clients = join(server, manager, raw, 3)

    async def old_code():
        for number in range(50):
            await manager.broadcast(f"new {number}")
            for connection in manager.active_connections:
                await connection.send_text(f"old {number}")

    server.run(old_code())
    expected = [f"{kind} {number}" for number in range(50) for kind in ("new", "old")]
    for client in clients:
        assert [client.text() for _ in expected] == expected


def test_the_list_keeps_the_order_in_which_they_came_and_loses_who_goes(server, manager, raw):
    first, second, third = join(server, manager, raw, 3)
    before = manager.active_connections
    assert isinstance(before, list)
    second.reset()
    server.until(lambda: len(manager.active_connections) == 2)
    assert manager.active_connections == [before[0], before[2]]
    first.close()
    server.until(lambda: manager.active_connections == [before[2]])
    assert len(before) == 3
    server.run(manager.broadcast("well"))
    assert third.text() == "well"


def test_the_list_may_change_while_old_code_walks_through_it(server, manager, raw):
    join(server, manager, raw, 3)
    seen = []

    async def walk():
        for connection in manager.active_connections:
            seen.append(connection)
            manager.disconnect(connection)

    server.run(walk())
    assert len(seen) == 3
    assert manager.active_connections == []


def test_who_is_disconnected_hears_nothing_more_and_stays_connected(server, manager, raw):
    (client,) = join(server, manager, raw)
    (connection,) = manager.active_connections

    async def part():
        await manager.broadcast("before")
        manager.disconnect(connection)
        await manager.broadcast("after")
        await connection.send_text("still here")

    server.run(part())
    assert [client.text(), client.text()] == ["before", "still here"]


def test_disconnect_is_harmless_twice_and_for_a_stranger(server, manager, raw):
    join(server, manager, raw)
    (connection,) = manager.active_connections
    for _ in range(2):
        manager.disconnect(connection)
    manager.disconnect(WebSocket({"type": "websocket"}, None, None))
    assert manager.active_connections == []


def test_a_broadcast_to_clients_who_have_all_gone_raises_nothing(server, manager, raw):
    for client in join(server, manager, raw, 3):
        client.reset()
    server.run(manager.broadcast("to nobody"))
    server.until(lambda: not manager.active_connections)
    server.run(manager.broadcast("to nobody"))


def test_sending_to_who_has_gone_is_the_disconnect_that_handlers_wait_for(server, manager, raw):
    (client,) = join(server, manager, raw)
    (connection,) = manager.active_connections
    client.reset()
    server.until(lambda: not manager.active_connections)
    with pytest.raises(WebSocketDisconnect):
        server.run(manager.send_personal_message("hello", connection))


def test_sending_to_who_never_joined_says_so(serve, manager, raw):
    raised = []
    app = FastAPI()

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket):
        await websocket.accept()
        try:
            await manager.send_personal_message("hello", websocket)
        except LookupError as error:
            raised.append(str(error))

    server = serve(app)
    raw(server)
    server.until(lambda: raised)
    assert raised == ["this connection is not in the room: it never joined, or has left"]


@pytest.mark.parametrize(
    ("message", "says"),
    [
        (b"abc", r"got bytes: b'abc'\. For bytes use manager\.room\.publish"),
        ({"a": 1}, r"got dict: {'a': 1}\. json\.dumps\(\)"),
        (None, "got NoneType: None"),
    ],
)
def test_a_message_that_is_no_text_is_refused_by_what_it_is(manager, message, says):
    with pytest.raises(TypeError, match=says):
        asyncio.run(manager.broadcast(message))
    with pytest.raises(TypeError, match=says):
        asyncio.run(manager.send_personal_message(message, None))


def test_it_stands_on_the_room_that_it_is_given():
    room = Room(limit=10)
    with pytest.raises(ValueError, match="limit of 10"):
        asyncio.run(ConnectionManager(room).broadcast("more than that"))


def test_a_member_whose_event_loop_has_closed_is_dropped(manager):
    """As happens to a test's `TestClient` that was never closed."""
    app, ended = FastAPI(), threading.Event()

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket):
        await manager.connect(websocket)
        await websocket.receive()
        ended.set()

    with TestClient(app).websocket_connect("/ws"):
        assert len(manager.active_connections) == 1
    assert ended.is_set()
    asyncio.run(manager.broadcast("to nobody"))
    assert manager.active_connections == []
    assert manager.room.stats.waiting_bytes == 0
