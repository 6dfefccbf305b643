"""The manager with the five names that everybody's code uses, on a room."""

import asyncio
import copy
import json
import threading
from collections import defaultdict
from typing import Annotated
from unittest.mock import AsyncMock

import pytest
from fastapi import Depends, FastAPI, WebSocket, WebSocketDisconnect
from live import BINARY, CLOSE, app_on
from pydantic import BaseModel
from starlette.testclient import TestClient

from chatlib import ConnectionManager, Room, chat
from chatlib.lab.plain import PlainManager


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
    before = list(manager.active_connections)
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


def test_a_personal_message_reaches_an_accepted_socket_that_is_no_connection(serve, manager, raw):
    app = FastAPI()

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket):
        await websocket.accept()
        await manager.send_personal_message("hello", websocket)
        await manager.send_personal_message(b"hello", websocket)
        await manager.send_personal_message({"hello": 1}, websocket)
        await websocket.receive()

    client = raw(serve(app))
    assert client.text() == "hello"
    assert client.frame() == (0x80 | BINARY, b"hello")
    assert client.text() == '{"hello":1}'


def unaccepted():
    """Return a WebSocket that nobody has accepted."""
    return WebSocket({"type": "websocket", "headers": []}, None, None)


def test_a_personal_message_before_accept_is_starlette_s_own_error(manager):
    with pytest.raises(RuntimeError, match=r'Expected ASGI message "websocket\.accept"'):
        asyncio.run(manager.send_personal_message("hello", unaccepted()))


def test_a_message_may_be_bytes_or_what_is_sent_as_json(server, manager, raw):
    class Said(BaseModel):
        text: str

    (client,) = join(server, manager, raw)
    (connection,) = manager.active_connections
    messages = [b"\0", {"a": [1, None]}, Said(text="é")]
    for message in messages:
        server.run(manager.broadcast(message))
        server.run(manager.send_personal_message(message, connection))
    expected = [(0x80 | BINARY, b"\0"), (0x81, b'{"a":[1,null]}'), (0x81, '{"text":"é"}'.encode())]
    for frame in expected:
        assert [client.frame(), client.frame()] == [frame, frame]


@pytest.mark.parametrize(
    ("message", "error", "says"),
    [
        (None, TypeError, "a message is text .* got NoneType: None"),
        (3, TypeError, "a message is text .* got int: 3"),
        ([float("nan")], ValueError, "not JSON compliant"),
        ("\ud800", ValueError, "surrogates not allowed"),
    ],
    ids=ascii,
)
def test_a_message_that_cannot_be_sent_is_refused(manager, message, error, says):
    websocket = unaccepted()
    with pytest.raises(error, match=says):
        asyncio.run(manager.broadcast(message))
    if error is TypeError:
        with pytest.raises(error, match=says):
            asyncio.run(manager.send_personal_message(message, websocket))


def test_it_stands_on_the_room_that_it_is_given():
    room = Room(limit=10)
    assert ConnectionManager(room).room is room


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


# --- coming in ------------------------------------------------------------------------------------


def test_connect_hands_on_what_accept_takes(serve, manager, raw):
    app = FastAPI()

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket):
        await manager.connect(websocket, "chat", [(b"x-room", b"lobby")])
        await manager.broadcast("hello")
        await websocket.receive()

    client = raw(serve(app), headers="Sec-WebSocket-Protocol: chat\r\n")
    assert "sec-websocket-protocol: chat" in client.head.lower()
    assert "x-room: lobby" in client.head.lower()
    assert client.text() == "hello"


def test_one_connection_can_be_connected_to_two_managers(serve, raw):
    one, other, app = ConnectionManager(), ConnectionManager(), FastAPI()

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket):
        await one.connect(websocket)
        await other.connect(websocket)
        await one.broadcast("from one")
        await other.broadcast("from the other")
        await websocket.receive()

    client = raw(serve(app))
    assert {client.text(), client.text()} == {"from one", "from the other"}


def test_an_accepted_socket_can_be_added(serve, manager, raw):
    app = FastAPI()

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket):
        await websocket.accept()
        manager.add(websocket)
        await manager.broadcast("hello")
        await websocket.receive()

    assert raw(serve(app)).text() == "hello"


def test_a_socket_that_is_not_accepted_cannot_be_added(manager):
    async def run():
        manager.add(unaccepted())

    with pytest.raises(RuntimeError, match=r"first `await websocket\.accept\(\)`"):
        asyncio.run(run())
    assert manager.active_connections == []


def test_fastapi_can_be_asked_for_one(serve, raw):
    app = FastAPI()

    class Own(ConnectionManager):
        pass

    @app.websocket("/ws")
    async def endpoint(
        websocket: WebSocket,
        manager: Annotated[ConnectionManager, Depends(ConnectionManager)],
        own: Annotated[Own, Depends()],
    ):
        await manager.connect(websocket)
        await manager.broadcast("hello")
        await own.connect(websocket)
        await own.broadcast("hello again")
        await websocket.receive()

    client = raw(serve(app), "/ws?room=attic")
    assert {client.text(), client.text()} == {"hello", "hello again"}


# --- its list, its copies -------------------------------------------------------------------------


def test_the_list_cannot_be_replaced_and_what_to_write_is_said(manager):
    for value in ([], {}, ConnectionManager().active_connections):
        with pytest.raises(AttributeError, match=r"cannot be replaced: write \.append"):
            manager.active_connections = value


def test_the_list_can_be_extended_in_place(server, manager, raw):
    join(server, manager, raw)
    other = ConnectionManager()

    async def extend():
        other.active_connections += manager.active_connections

    server.run(extend())
    assert other.active_connections == manager.active_connections


def test_a_subclass_cannot_put_a_list_in_the_place_of_the_list():
    with pytest.raises(AttributeError, match="cannot be replaced"):

        class Own(ConnectionManager):
            active_connections = []  # noqa: RUF012


def test_a_subclass_may_have_a_property_in_the_place_of_the_list():
    class Own(ConnectionManager):
        @property
        def active_connections(self):
            return sorted(super().active_connections, key=id)

    assert Own().active_connections == []


def test_a_deep_copy_without_connections_has_a_room_of_its_own_with_the_same_settings():
    class Named(ConnectionManager):
        def __init__(self, room):
            super().__init__(room)
            self.names = {"ana": 1}

    manager = Named(Room(limit=5000, patience=3.0, min_rate=7.0))
    twin = copy.deepcopy(manager)
    assert type(twin) is Named
    assert twin.room is not manager.room
    assert (twin.room.limit, twin.room.patience, twin.room.min_rate) == (5000, 3.0, 7.0)
    assert twin.names == manager.names
    assert twin.names is not manager.names


def test_a_deep_copy_with_connections_is_refused(server, manager, raw):
    join(server, manager, raw)
    with pytest.raises(TypeError, match="room"):
        copy.deepcopy(manager)


def test_a_shallow_copy_shares_the_room(manager):
    assert copy.copy(manager).room is manager.room


# --- as people write theirs: the same on the plain manager and on ours ----------------------------


@pytest.fixture(params=[PlainManager, ConnectionManager])
def base(request):
    return request.param


def names_of(manager):
    """Return the names of the connections, as `serving` has them in the path."""
    return [websocket.path_params["name"] for websocket in manager.active_connections]


@pytest.fixture
def serving(serve, raw):
    """Serve the usual endpoint on a manager: `server, come = serving(manager)`.

    `come("ana")` connects a client and returns it once it is among the connections. A handler
    leaves the connection on the list where `forgetful` is true. The messages of clients go to
    `hear(websocket, text)`, which broadcasts them unless it is given.
    """

    def serving(manager, *, hear=None, forgetful=False):
        app, gone = FastAPI(), []

        @app.websocket("/ws/{name}")
        async def endpoint(websocket: WebSocket, name: str):
            await manager.connect(websocket)
            try:
                while True:
                    text = await websocket.receive_text()
                    if hear is None:
                        await manager.broadcast(f"{name}: {text}")
                    else:
                        await hear(websocket, text)
            except WebSocketDisconnect:
                if not forgetful:
                    manager.disconnect(websocket)
                gone.append(name)

        server = serve(app)

        def come(name, **options):
            client = raw(server, f"/ws/{name}", **options)
            server.until(lambda: name in names_of(manager))
            return client

        def go(client, name):
            client.reset()
            server.until(lambda: name in gone)

        return server, come, go

    return serving


def test_a_broadcast_of_their_own_that_drops_the_dead_as_it_goes(base, serving):
    class Dropping(base):
        async def broadcast(self, message):
            for connection in list(self.active_connections):
                try:
                    await connection.send_text(message)
                except Exception:
                    self.active_connections.remove(connection)

    manager = Dropping()
    server, come, go = serving(manager, forgetful=True)
    ana, ben, cleo = come("ana"), come("ben"), come("cleo")
    go(ben, "ben")
    server.run(manager.broadcast("hello"))
    assert [ana.text(), cleo.text()] == ["hello", "hello"]
    assert names_of(manager) == ["ana", "cleo"]


def test_a_broadcast_of_their_own_that_drops_the_dead_at_the_end(base, serving):
    class Dropping(base):
        def disconnect(self, websocket):
            self.active_connections.remove(websocket)

        async def broadcast(self, message):
            dead = []
            for connection in self.active_connections:
                try:
                    await connection.send_json({"said": message})
                except (WebSocketDisconnect, RuntimeError):
                    dead.append(connection)
            for connection in dead:
                self.disconnect(connection)

    manager = Dropping()
    server, come, go = serving(manager, forgetful=True)
    ben, ana = come("ben"), come("ana")
    go(ben, "ben")
    server.run(manager.broadcast("hello"))
    assert json.loads(ana.text()) == {"said": "hello"}
    assert names_of(manager) == ["ana"]


def test_a_broadcast_of_their_own_to_all_at_once(base, serving):
    class Gathering(base):
        async def broadcast(self, message):
            connections = self.active_connections[:]
            sending = (connection.send_text(message) for connection in connections)
            results = await asyncio.gather(*sending, return_exceptions=True)
            for connection, result in zip(connections, results, strict=True):
                if isinstance(result, Exception):
                    self.disconnect(connection)

    manager = Gathering()
    server, come, go = serving(manager, forgetful=True)
    ana, ben = come("ana"), come("ben")
    go(ben, "ben")
    server.run(manager.broadcast("hello"))
    assert ana.text() == "hello"
    assert names_of(manager) == ["ana"]


def test_a_disconnect_of_their_own_that_removes_and_counts(base, serving):
    class Counting(base):
        def __init__(self):
            super().__init__()
            self.counts = []

        async def connect(self, websocket):
            await super().connect(websocket)
            self.counts.append(len(self.active_connections))

        def disconnect(self, websocket):
            self.active_connections.remove(websocket)
            self.counts.append(len(self.active_connections))

    manager = Counting()
    _, come, go = serving(manager)
    ana, _ben = come("ana"), come("ben")
    go(ana, "ana")
    come("cleo")
    assert manager.counts == [1, 2, 1, 2]


def test_a_connect_of_their_own_with_a_name_and_a_dict_of_users_beside(base, serve, raw):
    class Named(base):
        def __init__(self):
            super().__init__()
            self.users = {}

        async def connect(self, websocket, name):
            await super().connect(websocket)
            self.users[name] = websocket

        def disconnect(self, websocket, name):
            super().disconnect(websocket)
            self.users.pop(name, None)

        async def whisper(self, message, name):
            if name in self.users:
                await self.send_personal_message(message, self.users[name])

    manager, app = Named(), FastAPI()

    @app.websocket("/ws/{name}")
    async def endpoint(websocket: WebSocket, name: str):
        await manager.connect(websocket, name)
        try:
            while True:
                to, _, text = (await websocket.receive_text()).partition(" ")
                await manager.whisper(f"{name} whispers: {text}", to)
        except WebSocketDisconnect:
            manager.disconnect(websocket, name)
            await manager.broadcast(f"{name} left")

    server = serve(app)
    ana, ben = raw(server, "/ws/ana"), raw(server, "/ws/ben")
    server.until(lambda: len(manager.users) == 2)
    ana.send("ben hello")
    assert ben.text() == "ana whispers: hello"
    ana.send("zoe hello")
    ana.reset()
    assert ben.text() == "ana left"
    assert list(manager.users) == ["ben"]


def test_a_user_with_several_tabs(base, serve, raw):
    class Tabs(base):
        def __init__(self):
            super().__init__()
            self.tabs = defaultdict(set)

        async def connect(self, websocket, user):
            await super().connect(websocket)
            self.tabs[user].add(websocket)

        def disconnect(self, websocket, user):
            super().disconnect(websocket)
            self.tabs[user].discard(websocket)
            if not self.tabs[user]:
                del self.tabs[user]

        async def tell(self, user, message):
            for tab in self.tabs.get(user, set()).copy():
                await tab.send_text(message)

    manager, app = Tabs(), FastAPI()

    @app.websocket("/ws/{user}")
    async def endpoint(websocket: WebSocket, user: int):
        await manager.connect(websocket, user)
        try:
            await websocket.receive_text()
        except WebSocketDisconnect:
            manager.disconnect(websocket, user)

    server = serve(app)
    clients = [raw(server, f"/ws/{user}") for user in (7, 7, 8)]
    server.until(lambda: len(manager.active_connections) == 3)
    server.run(manager.tell(7, "for 7"))
    server.run(manager.broadcast("for all"))
    assert [clients[0].text(), clients[1].text(), clients[2].text()] == ["for 7"] * 2 + ["for all"]
    for client in clients[:2]:
        client.reset()
    server.until(lambda: list(manager.tabs) == [8])
    assert len(manager.active_connections) == 1


def test_accepting_by_themselves_and_appending(base, serving):
    class Appending(base):
        async def connect(self, websocket):
            await websocket.accept(subprotocol="chat")
            self.active_connections.append(websocket)

    server, come, _ = serving(Appending())
    client = come("ana", headers="Sec-WebSocket-Protocol: chat\r\n")
    assert "sec-websocket-protocol: chat" in client.head.lower()
    client.send("hi")
    assert client.text() == "ana: hi"
    assert not server.log.errors


def test_telling_all_but_the_one_who_spoke(base, serving):
    manager = base()

    async def hear(websocket, text):
        for connection in manager.active_connections:
            if connection != websocket:
                await manager.send_personal_message(text, connection)
        await manager.send_personal_message("you said it", websocket)

    _, come, _ = serving(manager, hear=hear)
    ana, ben = come("ana"), come("ben")
    ana.send("hi")
    assert ana.text() == "you said it"
    assert ben.text() == "hi"


def test_a_manager_for_each_room(base, serve, raw):
    rooms, app = defaultdict(base), FastAPI()

    @app.websocket("/ws/{room}")
    async def endpoint(websocket: WebSocket, room: str):
        await rooms[room].connect(websocket)
        try:
            while True:
                await rooms[room].broadcast(await websocket.receive_text())
        except WebSocketDisconnect:
            rooms[room].disconnect(websocket)
            if not rooms[room].active_connections:
                del rooms[room]

    server = serve(app)
    ana, ben = raw(server, "/ws/attic"), raw(server, "/ws/cellar")
    ana.send("up here")
    ben.send("down here")
    assert (ana.text(), ben.text()) == ("up here", "down here")
    ana.reset()
    server.until(lambda: list(rooms) == ["cellar"])


def test_closing_all_and_clearing_the_list(base, serving):
    class Closing(base):
        async def close_all(self):
            for connection in list(self.active_connections):
                await connection.close(code=1001, reason="bye")
            self.active_connections.clear()

    manager = Closing()
    server, come, _ = serving(manager, forgetful=True)
    clients = [come("ana"), come("ben")]
    server.run(manager.broadcast("last words"))
    server.run(manager.close_all())
    for client in clients:
        assert client.text() == "last words"
        assert client.frame() == (0x80 | CLOSE, b"\x03\xe9bye")
    assert not manager.active_connections


def test_the_oldest_has_to_go_where_there_are_too_many(base, serving):
    class AtMostTwo(base):
        async def connect(self, websocket):
            await super().connect(websocket)
            if len(self.active_connections) > 2:
                oldest = self.active_connections.pop(0)
                await oldest.close(4000)

    manager = AtMostTwo()
    _, come, _ = serving(manager, forgetful=True)
    clients = [come(name) for name in ("ana", "ben", "cleo")]
    assert clients[0].closed() == 4000
    assert names_of(manager) == ["ben", "cleo"]


def test_a_disconnect_of_their_own_that_closes_first(base, serving):
    class Closing(base):
        async def kick(self, websocket):
            await websocket.close(4001)
            self.active_connections.remove(websocket)

    manager = Closing()
    server, come, _ = serving(manager, forgetful=True)
    client = come("ana")
    server.run(manager.kick(manager.active_connections[0]))
    assert client.closed() == 4001
    assert names_of(manager) == []


def test_what_was_said_is_told_to_those_who_come_later(base, serving):
    class Remembering(base):
        def __init__(self):
            super().__init__()
            self.history = []

        async def connect(self, websocket):
            await super().connect(websocket)
            for message in self.history:
                await websocket.send_text(message)

        async def broadcast(self, message):
            self.history.append(message)
            await super().broadcast(message)

    server, come, _ = serving(manager := Remembering())
    ana = come("ana")
    for number in range(3):
        server.run(manager.broadcast(f"{number}"))
    ben = come("ben")
    server.run(manager.broadcast("3"))
    for client in (ana, ben):
        assert [client.text() for _ in range(4)] == ["0", "1", "2", "3"]


def test_a_lock_around_every_change_and_a_loop_that_broadcasts(base, serving):
    class Locking(base):
        def __init__(self):
            super().__init__()
            self.lock = asyncio.Lock()

        async def connect(self, websocket):
            async with self.lock:
                await super().connect(websocket)

        async def broadcast(self, message):
            async with self.lock:
                for connection in [*self.active_connections]:
                    await connection.send_text(message)

        async def tick(self, count):
            for number in range(count):
                if not self.active_connections:
                    continue
                await self.broadcast(f"tick {number} for {len(self.active_connections)}")

    manager = Locking()
    server, come, _ = serving(manager)
    server.run(manager.tick(2))
    ana = come("ana")
    server.run(manager.tick(2))
    assert [ana.text(), ana.text()] == ["tick 0 for 1", "tick 1 for 1"]


def test_who_is_here_with_numbers_by_place(base, serving):
    manager = base()

    async def hear(websocket, text):
        place = manager.active_connections.index(websocket) + 1
        people = ", ".join(names_of(manager))
        await manager.broadcast(f"#{place} of {len(manager.active_connections)} ({people}): {text}")

    _, come, _ = serving(manager, hear=hear)
    _ana, ben = come("ana"), come("ben")
    ben.send("hi")
    assert ben.text() == "#2 of 2 (ana, ben): hi"


# --- the mocks of people's unit tests: the room has to know what is no WebSocket of a server ------


class Fake:
    """A WebSocket as people write them by hand: what their manager calls, and no more."""

    def __init__(self):
        self.accepted, self.sent = False, []

    async def accept(self):
        self.accepted = True

    async def send_text(self, message):
        self.sent.append(message)


def mock():
    return AsyncMock()


def mock_of_websocket():
    return AsyncMock(spec=WebSocket)


mocks = pytest.mark.parametrize("mock", [mock, mock_of_websocket])


@mocks
def test_a_mock_is_accepted_and_on_the_list_until_it_is_disconnected(manager, mock):
    async def run():
        websocket = mock()
        await manager.connect(websocket)
        websocket.accept.assert_awaited_once_with()
        assert websocket in manager.active_connections
        assert len(manager.active_connections) == 1
        manager.disconnect(websocket)
        assert websocket not in manager.active_connections

    asyncio.run(run())


@mocks
def test_a_mock_is_sent_a_broadcast_as_soon_as_that_returns(manager, mock):
    async def run():
        one, other = mock(), mock()
        for websocket in (one, other):
            await manager.connect(websocket)
        await manager.broadcast("hi")
        one.send_text.assert_awaited_once_with("hi")
        other.send_text.assert_awaited_once_with("hi")

    asyncio.run(run())


@mocks
def test_a_mock_is_sent_a_personal_message_and_another_is_not(manager, mock):
    async def run():
        one, other = mock(), mock()
        for websocket in (one, other):
            await manager.connect(websocket)
        await manager.send_personal_message("hi", one)
        one.send_text.assert_awaited_once_with("hi")
        other.send_text.assert_not_awaited()

    asyncio.run(run())


@mocks
def test_a_mock_that_never_connected_is_sent_a_personal_message(manager, mock):
    async def run():
        websocket = mock()
        await manager.send_personal_message("hi", websocket)
        websocket.send_text.assert_awaited_once_with("hi")

    asyncio.run(run())


@mocks
def test_a_mock_is_sent_bytes_as_bytes_and_json_as_text(manager, mock):
    async def run():
        websocket = mock()
        await manager.connect(websocket)
        await manager.broadcast(b"hi")
        websocket.send_bytes.assert_awaited_once_with(b"hi")
        await manager.broadcast({"a": 1})
        websocket.send_text.assert_awaited_once_with('{"a":1}')

    asyncio.run(run())


@mocks
def test_a_mock_that_was_disconnected_is_sent_no_broadcast(manager, mock):
    async def run():
        websocket = mock()
        await manager.connect(websocket)
        await manager.broadcast("one")
        manager.disconnect(websocket)
        await manager.broadcast("two")
        websocket.send_text.assert_awaited_once_with("one")

    asyncio.run(run())


@mocks
def test_a_mock_that_raises_keeps_nobody_else_from_hearing(manager, mock):
    async def run():
        bad, good = mock(), mock()
        bad.send_text.side_effect = RuntimeError("closed")
        for websocket in (bad, good):
            await manager.connect(websocket)
        await manager.broadcast("hi")
        good.send_text.assert_awaited_once_with("hi")

    asyncio.run(run())


def test_a_fake_written_by_hand_hears_what_is_said(manager):
    async def run():
        one, other = Fake(), Fake()
        for websocket in (one, other):
            await manager.connect(websocket)
        assert one.accepted
        await manager.broadcast("hi")
        await manager.send_personal_message("you", one)
        assert one.sent == ["hi", "you"]
        assert other.sent == ["hi"]
        manager.disconnect(one)
        manager.disconnect(Fake())
        assert manager.active_connections == [other]

    asyncio.run(run())
