"""How a connection ends: its last words are heard, and who waits on it is told, on any server."""

import asyncio
import contextlib
import copy
import select
import socket
import sys
import threading

import pytest
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from live import GUARD_SECONDS, app_on
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.testclient import TestClient

from chatlib import ConnectionManager, Room
from chatlib.core import transportline
from chatlib.core.fanout import FanoutProtocol
from chatlib.core.line import EXTENSION

SMALL = 16 * 1024  # a kernel buffer that is soon full
FOR_EVER = 1e6
KILOBYTE = "x" * 1000
STOCK = ["websockets-sansio", "wsproto"]

on_stock = pytest.mark.parametrize("ws", STOCK)
on_each = pytest.mark.parametrize("ws", [FanoutProtocol, *STOCK])
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")


def route(path, endpoint, manager):
    """Return an app where one can listen at /ws, with `endpoint` at `path`."""
    app = app_on(manager)
    app.add_api_websocket_route(path, endpoint)
    return app


async def stay(websocket):
    while (await websocket.receive())["type"] != "websocket.disconnect":
        pass


def read_at_its_pace(server, client, total, piece, until):
    """Read a `piece` in each turn of the server's event loop, to `total` or until `until()`.

    So the client is as steady for the server's clock as the machine is slow.
    """
    client.socket.setblocking(False)
    got = bytearray(client.rest)

    def read():
        with contextlib.suppress(BlockingIOError, ConnectionResetError):
            got.extend(client.socket.recv(piece))
        return len(got) >= total or until()

    server.until(read)
    return len(got)


# The last words.


async def by_return(websocket):
    pass


async def by_raising(websocket):
    raise ValueError("on purpose")


async def by_being_cancelled(websocket):
    asyncio.current_task().cancel()
    await asyncio.Event().wait()


async def by_closing(websocket):
    await websocket.close(4000)


ENDS = {end.__name__: end for end in (by_return, by_raising, by_being_cancelled, by_closing)}
OWN = ["broadcast", "personal"]  # what a handler says itself
WHAT = [*OWN, "a broadcast of another task", "a message of another task"]
each_end = pytest.mark.parametrize("how", ENDS)


def endpoint_that_ends(manager):
    """Return an endpoint that says a last word, and ends at once, both as its path says."""

    async def endpoint(websocket: WebSocket):
        what, how = websocket.path_params["what"], websocket.path_params["how"]
        await manager.connect(websocket)
        try:
            if "broadcast" in what:
                saying = manager.broadcast("the last word")
            else:
                saying = manager.send_personal_message("the last word", websocket)
            await (saying if what in OWN else asyncio.create_task(saying))
            await ENDS[how](websocket)
        finally:
            manager.disconnect(websocket)

    return endpoint


def fastapi_app():
    app = FastAPI()
    app.add_api_websocket_route("/{what}/{how}", endpoint_that_ends(ConnectionManager()))
    return app


def starlette_app():
    endpoint = endpoint_that_ends(ConnectionManager())
    return Starlette(routes=[WebSocketRoute("/{what}/{how}", endpoint)])


@on_each
@each_end
def test_what_is_said_before_a_handler_ends_is_heard(serve, raw, ws, how):
    server = serve(fastapi_app(), ws=ws)
    for what in WHAT:
        client = raw(server, f"/{what}/{how}".replace(" ", "%20"))
        assert client.text() == "the last word"
        assert client.closed() == (4000 if how == "by_closing" else None)


@on_each
@each_end
def test_what_a_handler_says_before_it_ends_is_heard_on_bare_starlette(serve, raw, ws, how):
    server = serve(starlette_app(), ws=ws)
    for what in WHAT if ws is FanoutProtocol or how == "by_closing" else OWN:
        client = raw(server, f"/{what}/{how}".replace(" ", "%20"))
        assert client.text() == "the last word"
        assert client.closed() == (4000 if how == "by_closing" else None)


@pytest.mark.parametrize("how", ["by_return", "by_closing"])  # else it forgets what was sent
@pytest.mark.parametrize(("app", "whats"), [(fastapi_app, WHAT), (starlette_app, OWN)])
def test_what_is_said_before_a_handler_ends_is_heard_under_the_test_client(app, whats, how):
    heard = []

    def listen():
        for what in whats:
            with TestClient(app()).websocket_connect(f"/{what}/{how}") as session:
                heard.append(session.receive().get("text"))

    # It waits for ever for what does not come.
    listening = threading.Thread(target=listen, daemon=True)
    listening.start()
    listening.join(GUARD_SECONDS)
    assert heard == ["the last word"] * len(whats)


@each_end
def test_a_slow_client_gets_all_that_waits_for_it_and_then_the_end(serve, raw, how):
    room, go_on, app = Room(patience=FOR_EVER), asyncio.Event(), FastAPI()
    messages = [f"{number} {KILOBYTE}" for number in range(300)]

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket):
        await websocket.accept()
        room.join(websocket)
        for message in messages:
            await room.publish(message)
        await go_on.wait()
        await ENDS[how](websocket)

    client = raw(
        serve(app, send_buffer=SMALL) if False else (server := serve(app, send_buffer=SMALL)),
        receive_buffer=SMALL,
    )
    server.until(lambda: room.stats.behind)
    server.loop.call_soon_threadsafe(go_on.set)
    server.until(lambda: room.stats.members == 0)  # it has left, for its handler has ended
    assert [client.text() for _ in messages] == messages
    assert client.closed() == (4000 if how == "by_closing" else None)


@on_each
def test_a_stop_does_not_wait_for_a_client_that_never_reads(serve, raw, ws):
    room = Room(patience=FOR_EVER)
    server = serve(
        app_on(ConnectionManager(room)), ws=ws, send_buffer=SMALL, timeout_graceful_shutdown=0.1
    )
    raw(server, receive_buffer=SMALL)
    server.until(lambda: room.members)
    server.run(room.publish("x" * 300_000))
    server.run(room.publish("x" * 300_000))
    server.until(lambda: room.stats.behind)
    server.loop.call_soon_threadsafe(server.uvicorn.exit_now)
    server.thread.join(GUARD_SECONDS)
    assert not server.thread.is_alive()


def test_a_stop_gives_a_slow_client_all_that_was_said_and_then_1012(serve, raw):
    room = Room(patience=FOR_EVER)
    server = serve(
        app_on(ConnectionManager(room)),
        send_buffer=SMALL,
        timeout_graceful_shutdown=GUARD_SECONDS,
    )
    slow, bystander = raw(server, receive_buffer=SMALL), raw(server)
    server.until(lambda: len(room.members) == 2)
    messages = [f"{number} {KILOBYTE}" for number in range(300)]
    for message in messages:
        server.run(room.publish(message))
    server.until(lambda: room.stats.behind)
    server.loop.call_soon_threadsafe(server.uvicorn.exit_now)
    assert bystander.closed() == 1012  # so it has begun to stop
    assert [slow.text() for _ in messages] == messages
    assert slow.closed() == 1012
    server.thread.join(GUARD_SECONDS)
    assert not server.thread.is_alive()
    assert not [line for line in server.log if line.level == "ERROR"]  # nobody was cancelled


# Who only speaks.


@on_each
@pytest.mark.parametrize("what", OWN)
def test_a_handler_that_only_speaks_ends_once_its_client_is_gone(serve, raw, ws, what):
    manager, told = ConnectionManager(), []

    async def speak(websocket: WebSocket):
        await manager.connect(websocket)
        try:
            while True:
                if what == "broadcast":
                    await manager.broadcast("tick")
                else:
                    await manager.send_personal_message("tick", websocket)
                await asyncio.sleep(0.001)
        except Exception as error:
            told.append(type(error))
        finally:
            manager.disconnect(websocket)
            await manager.broadcast("it left")

    server = serve(route("/speak", speak, manager), ws=ws)
    listener, speaker = raw(server), raw(server, "/speak")
    assert speaker.text() == "tick"
    speaker.reset()
    assert set(listener.texts_until("it left")) <= {"tick"}
    assert told == [WebSocketDisconnect]
    server.until(lambda: len(server.uvicorn.server_state.tasks) == 1)
    assert manager.room.stats.members == 1


@on_each
def test_a_handler_is_told_once_that_its_client_has_gone(serve, raw, ws):
    manager, told = ConnectionManager(), []

    async def speak(websocket: WebSocket):
        await manager.connect(websocket)
        while not told:
            try:
                await manager.broadcast("tick")
                await asyncio.sleep(0.001)
            except WebSocketDisconnect:
                told.append("by speaking")
        await manager.broadcast("still in the room, as far as it knows")
        manager.disconnect(websocket)
        await manager.broadcast("it left")

    async def read(websocket: WebSocket):
        await manager.connect(websocket)
        await stay(websocket)
        await manager.broadcast("was told by reading")
        manager.disconnect(websocket)
        await manager.broadcast("it left")

    app = route("/speak", speak, manager)
    app.add_api_websocket_route("/read", read)
    server = serve(app, ws=ws)
    listener = raw(server)
    for path, last in (
        ("/speak", "still in the room, as far as it knows"),
        ("/read", "was told by reading"),
    ):
        server.until(lambda: manager.room.stats.members == 1)
        visitor = raw(server, path)
        server.until(lambda: manager.room.stats.members == 2)
        visitor.reset()
        assert set(listener.texts_until(last)) <= {"tick"}
        assert listener.text() == "it left"


@on_each
def test_a_background_task_that_publishes_goes_on_when_others_leave(serve, raw, ws):
    manager, started, said = ConnectionManager(), [], []

    async def tick():
        while True:
            await manager.broadcast("tick")
            said.append("tick")
            await asyncio.sleep(0.001)

    async def visit(websocket: WebSocket):
        await manager.connect(websocket)
        if not started:
            started.append(asyncio.create_task(tick()))
        await stay(websocket)  # nobody calls disconnect()

    server = serve(route("/visit", visit, manager), ws=ws)
    raw(server)
    for _ in range(3):
        visitor = raw(server, "/visit")
        assert visitor.text() == "tick"
        visitor.reset()
        server.until(lambda: manager.room.stats.members == 1)
    before = len(said)
    server.until(lambda: len(said) > before + 3 or started[0].done())
    assert not started[0].done()
    server.loop.call_soon_threadsafe(started[0].cancel)


# Who does not read, and who reads slowly.


@on_stock
@pytest.mark.parametrize("waits_in", ["receive_text", "send_text"])
def test_on_stock_a_stalled_client_is_evicted_and_its_handler_ends(serve, raw, ws, waits_in):
    room, ended = Room(limit=100_000, patience=0.3), asyncio.Event()
    manager = ConnectionManager(room)
    messages = [f"{number} {KILOBYTE}" for number in range(300)]

    async def stall(websocket: WebSocket):
        await manager.connect(websocket)
        try:
            while True:
                if waits_in == "receive_text":
                    await websocket.receive_text()
                else:
                    await websocket.send_text(KILOBYTE)
        except WebSocketDisconnect:
            pass
        finally:
            manager.disconnect(websocket)
            await manager.broadcast("it left")
            ended.set()

    async def publish():
        for message in messages:
            await manager.broadcast(message)
        await ended.wait()
        await manager.broadcast("the end")

    server = serve(
        route("/stall", stall, manager),
        ws=ws,
        send_buffer=SMALL,
        timeout_graceful_shutdown=0.1,
    )
    reader = raw(server)
    raw(server, "/stall", receive_buffer=SMALL)
    server.until(lambda: len(room.members) == 2)
    publishing = asyncio.run_coroutine_threadsafe(publish(), server.loop)
    heard = reader.texts_until("the end")
    publishing.result(GUARD_SECONDS)
    assert heard.count("it left") == 1
    assert [text for text in heard if text != "it left"] == messages
    assert sum(room.stats.evicted.values()) == 1
    server.until(lambda: len(server.uvicorn.server_state.tasks) == 1)
    server.loop.call_soon_threadsafe(server.uvicorn.exit_now)
    server.thread.join(GUARD_SECONDS)
    assert not server.thread.is_alive()


@on_stock
def test_on_stock_who_reads_a_big_message_steadily_is_not_evicted(serve, raw, ws):
    room = Room(patience=0.05)
    server = serve(app_on(ConnectionManager(room)), ws=ws, send_buffer=SMALL)
    client = raw(server, receive_buffer=SMALL)
    server.until(lambda: room.members)

    async def publish():
        for _ in range(3):
            await room.publish("x" * 400_000)

    publishing = asyncio.run_coroutine_threadsafe(publish(), server.loop)
    read_at_its_pace(server, client, 1_200_000, 2000, lambda: room.stats.evicted)
    assert room.stats.evicted == {}
    publishing.result(GUARD_SECONDS)


@linux_only
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_an_evicted_client_gets_a_reset_before_all_that_it_has_not_read(serve, raw, loop):
    room = Room(patience=0.1)
    server = serve(app_on(ConnectionManager(room)), send_buffer=SMALL, loop=loop)
    client = raw(server, receive_buffer=SMALL)
    server.until(lambda: room.members)
    server.run(room.publish("x" * 500_000))
    server.until(lambda: room.stats.evicted)
    poll = select.poll()
    poll.register(client.socket, 0)  # nothing but an error or the end of both directions
    assert [events for _, events in poll.poll(GUARD_SECONDS * 1000)] == [
        select.POLLERR | select.POLLHUP
    ]
    with pytest.raises(ConnectionResetError):
        while client.socket.recv(1 << 18):
            pass


def test_who_reads_is_not_evicted_where_the_kernel_counts_nothing(serve, raw, monkeypatch):
    monkeypatch.setattr(transportline, "acknowledged", lambda sock: 0)
    transportline.kernel_counts.cache_clear()
    try:
        room = Room(limit=3_000_000, patience=0.3)
        server = serve(app_on(ConnectionManager(room)), send_buffer=SMALL)
        client = raw(server, receive_buffer=SMALL)
        server.until(lambda: room.members)
        for _ in range(20):
            server.run(room.publish("x" * 100_000))
        read_at_its_pace(server, client, 2_000_000, 2000, lambda: room.stats.evicted)
        assert room.stats.evicted == {}
    finally:
        transportline.kernel_counts.cache_clear()


# The beginning and the scope.


def test_a_middleware_may_copy_the_scope_deeply(serve, raw):
    manager, copies = ConnectionManager(), []

    class Copying:
        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            if scope["type"] == "websocket":
                copies.append(scope)
                scope = copy.deepcopy(scope)
            await self.app(scope, receive, send)

    server = serve(Copying(app_on(manager)))
    one, two = raw(server), raw(server)
    server.until(lambda: len(manager.active_connections) == 2)
    assert all(EXTENSION in scope["extensions"] for scope in copies)
    # One with members in its line, and in the middle of a conversation.
    copy.deepcopy(manager.active_connections[0].scope["extensions"])
    one.send("hello")
    assert [one.text(), two.text()] == ["hello", "hello"]


def test_a_join_before_accept_names_accept_and_writes_nothing(serve, raw):
    room, said, app = Room(), [], FastAPI()

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket):
        try:
            room.join(websocket)
        except RuntimeError as error:
            said.append(str(error))
        await room.publish("too early")
        await asyncio.sleep(0)
        await websocket.accept()
        room.join(websocket)
        await room.publish("in time")
        await stay(websocket)

    client = raw(serve(app))
    assert client.head.startswith("HTTP/1.1 101 ")
    assert client.text() == "in time"
    assert len(said) == 1
    assert "accept()" in said[0]


def test_a_join_without_asyncio_says_in_one_sentence_what_it_needs():
    with pytest.raises(RuntimeError, match=r"^[^.]*\basyncio\b[^.]*$") as caught:
        Room().join(WebSocket({"type": "websocket"}, stay, stay))
    assert caught.value.__suppress_context__
