"""How a connection ends: its last words are heard, and who waits on it is told, on any server."""

import asyncio
import contextlib
import copy
import select
import sys
import threading

import pytest
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from live import GUARD_SECONDS, app_on
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.testclient import TestClient

from chatlib import ConnectionManager, Room
from chatlib.core import transportline, turn
from chatlib.core.fanout import FanoutProtocol
from chatlib.core.line import EXTENSION

SMALL = 16 * 1024  # a kernel buffer that is soon full
FOR_EVER = 1e6
MESSAGES = [f"{number} {'x' * 1000}" for number in range(300)]
STOCK = ["websockets-sansio", "wsproto"]

on_stock = pytest.mark.parametrize("ws", STOCK)
on_each = pytest.mark.parametrize("ws", [FanoutProtocol, *STOCK])


@pytest.fixture
def slow(serve, raw):
    """Serve a chat on `room` to a client with small buffers: `server, client = slow(room)`."""

    def start(room, **options):
        server = serve(app_on(ConnectionManager(room)), send_buffer=SMALL, **options)
        client = raw(server, receive_buffer=SMALL)
        server.until(lambda: room.members)
        return server, client

    return start


def app_with(manager, **endpoints):
    """Return an app on `manager` where one can listen at /ws, with `endpoints` by name."""
    app = app_on(manager)
    for name, endpoint in endpoints.items():
        app.add_api_websocket_route(f"/{name}", endpoint)
    return app


async def publish(room, messages=MESSAGES):
    for message in messages:
        await room.publish(message)


async def stay(websocket):
    while (await websocket.receive())["type"] != "websocket.disconnect":
        pass


def stop(server):
    """Stop `server` as Ctrl-C does, and wait until it has."""
    server.loop.call_soon_threadsafe(server.uvicorn.exit_now)
    server.thread.join(GUARD_SECONDS)
    assert not server.thread.is_alive()


# The last words.


async def end(websocket, how):
    """End the handler that this is called in, as `how` says."""
    if how == "by_raising":
        raise ValueError("on purpose")
    if how == "by_being_cancelled":
        asyncio.current_task().cancel()
        await asyncio.sleep(0)
    if how == "by_closing":
        await websocket.close(4000)


ENDS = ["by_returning", "by_raising", "by_being_cancelled", "by_closing"]
OWN = ["broadcast", "message"]  # what a handler says itself
ALL = [*OWN, "broadcast-by-another-task", "message-by-another-task"]
each_end = pytest.mark.parametrize("how", ENDS)


def app_that_ends(framework):
    """Return an app whose handler says a last word and ends at once, both as its path says."""
    manager = ConnectionManager()

    async def endpoint(websocket: WebSocket):
        what, how = websocket.path_params["what"], websocket.path_params["how"]
        await manager.connect(websocket)
        try:
            if what.startswith("broadcast"):
                saying = manager.broadcast("the last word")
            else:
                saying = manager.send_personal_message("the last word", websocket)
            await (saying if what in OWN else asyncio.create_task(saying))
            await end(websocket, how)
        finally:
            manager.disconnect(websocket)

    if framework is Starlette:
        return Starlette(routes=[WebSocketRoute("/{what}/{how}", endpoint)])
    app = FastAPI()
    app.add_api_websocket_route("/{what}/{how}", endpoint)
    return app


@on_each
@each_end
@pytest.mark.parametrize("framework", [FastAPI, Starlette])
def test_what_is_said_before_a_handler_ends_is_heard(serve, raw, framework, ws, how):
    server = serve(app_that_ends(framework), ws=ws)
    # Bare Starlette on a stock server says to nobody that a handler ends.
    hooked = framework is FastAPI or ws is FanoutProtocol or how == "by_closing"
    for what in ALL if hooked else OWN:
        client = raw(server, f"/{what}/{how}")
        assert client.text() == "the last word"
        assert client.closed() == (4000 if how == "by_closing" else None)


def test_a_handler_hears_what_it_said_however_little_is_left_of_the_turn(serve, raw, monkeypatch):
    monkeypatch.setattr(turn, "TURN_BYTES", 1)  # one write is more than that
    room = Room()

    async def say_and_return(websocket: WebSocket):
        await websocket.accept()
        room.join(websocket)
        await publish(room, ["one", "two", "three"])

    app = Starlette(routes=[WebSocketRoute("/", say_and_return)])
    client = raw(serve(app, ws="websockets-sansio"), "/")
    assert [client.text() for _ in range(3)] == ["one", "two", "three"]


@pytest.mark.parametrize("how", ["by_returning", "by_closing"])  # else it forgets what it was sent
@pytest.mark.parametrize(("framework", "words"), [(FastAPI, ALL), (Starlette, OWN)])
def test_what_is_said_before_a_handler_ends_is_heard_under_the_test_client(framework, words, how):
    heard = []

    def listen():
        for what in words:
            client = TestClient(app_that_ends(framework))
            with client.websocket_connect(f"/{what}/{how}") as session:
                heard.append(session.receive().get("text"))

    listening = threading.Thread(target=listen, daemon=True)  # for what does not come, for ever
    listening.start()
    listening.join(GUARD_SECONDS)
    assert heard == ["the last word"] * len(words)


@each_end
def test_a_slow_client_gets_all_that_waits_for_it_and_then_the_end(serve, raw, how):
    room, go_on = Room(patience=FOR_EVER), asyncio.Event()
    manager = ConnectionManager(room)

    async def endpoint(websocket: WebSocket):
        await manager.connect(websocket)
        await publish(room)
        await go_on.wait()
        await end(websocket, how)

    server = serve(app_with(manager, end=endpoint), send_buffer=SMALL)
    client = raw(server, "/end", receive_buffer=SMALL)
    server.until(lambda: room.stats.behind)
    server.loop.call_soon_threadsafe(go_on.set)
    server.until(lambda: not room.members)  # its handler has ended
    assert [client.text() for _ in MESSAGES] == MESSAGES
    assert client.closed() == (4000 if how == "by_closing" else None)


def test_a_stop_gives_a_slow_client_all_that_was_said_and_then_1012(slow, raw):
    room = Room(patience=FOR_EVER)
    server, client = slow(room, timeout_graceful_shutdown=GUARD_SECONDS)
    bystander = raw(server)
    server.until(lambda: len(room.members) == 2)
    server.run(publish(room))
    server.until(lambda: room.stats.behind)
    server.loop.call_soon_threadsafe(server.uvicorn.exit_now)
    assert bystander.closed() == 1012  # so it has begun to stop
    assert [client.text() for _ in MESSAGES] == MESSAGES
    assert client.closed() == 1012
    stop(server)
    assert [line for line in server.log if line.level == "ERROR"] == []  # nobody was cancelled


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
            told.append("and nothing was raised")

    server = serve(app_with(manager, speak=speak), ws=ws)
    listener, speaker = raw(server), raw(server, "/speak")
    assert speaker.text() == "tick"
    speaker.reset()
    server.until(lambda: len(told) == 2)
    assert set(listener.texts_until("it left")) <= {"tick"}
    assert told == [WebSocketDisconnect, "and nothing was raised"]
    server.until(lambda: len(server.uvicorn.server_state.tasks) == 1)
    assert len(manager.active_connections) == 1


@on_each
@pytest.mark.parametrize("way", ["speaks", "reads"])
def test_a_handler_is_told_once_that_its_client_has_gone(serve, raw, ws, way):
    manager, told = ConnectionManager(), []

    async def endpoint(websocket: WebSocket):
        await manager.connect(websocket)
        with contextlib.suppress(WebSocketDisconnect):
            while True:
                await (manager.broadcast("tick") if way == "speaks" else websocket.receive_text())
                await asyncio.sleep(0.001)
        await manager.broadcast("it has gone")
        told.append("and nothing was raised")

    server = serve(app_with(manager, visit=endpoint), ws=ws)
    listener, visitor = raw(server), raw(server, "/visit")
    server.until(lambda: len(manager.active_connections) == 2)
    visitor.reset()
    server.until(lambda: told)
    assert set(listener.texts_until("it has gone")) <= {"tick"}


@on_each
def test_a_background_task_that_publishes_goes_on_when_others_leave(serve, raw, ws):
    manager, ticking, ticks = ConnectionManager(), [], []

    async def tick():
        while True:
            await manager.broadcast("tick")
            ticks.append("tick")
            await asyncio.sleep(0.001)

    async def visit(websocket: WebSocket):
        await manager.connect(websocket)
        if not ticking:
            ticking.append(asyncio.create_task(tick()))
        await asyncio.Event().wait()  # it does not read, so that nobody tells it

    server = serve(app_with(manager, visit=visit), ws=ws, timeout_graceful_shutdown=0.1)
    raw(server)
    for _ in range(3):
        visitor = raw(server, "/visit")
        assert visitor.text() == "tick"
        visitor.reset()
        server.until(lambda: len(manager.active_connections) == 1)
    before = len(ticks)
    server.until(lambda: len(ticks) > before + 3 or ticking[0].done())
    assert not ticking[0].done()
    server.loop.call_soon_threadsafe(ticking[0].cancel)


# Who does not read, and who reads slowly.


@on_stock
@pytest.mark.parametrize("waits_in", ["receive_text", "send_text"])
def test_on_stock_a_stalled_client_is_evicted_and_its_handler_ends(serve, raw, ws, waits_in):
    room, ended = Room(limit=100_000, patience=0.3), asyncio.Event()
    manager = ConnectionManager(room)

    async def stall(websocket: WebSocket):
        await manager.connect(websocket)
        with contextlib.suppress(WebSocketDisconnect):
            while True:
                await getattr(websocket, waits_in)(*(["x" * 1000] if "send" in waits_in else []))
        manager.disconnect(websocket)
        await manager.broadcast("it left")
        ended.set()

    async def speak():
        await publish(room)
        await ended.wait()
        await manager.broadcast("the end")

    app = app_with(manager, stall=stall)
    server = serve(app, ws=ws, send_buffer=SMALL, timeout_graceful_shutdown=0.1)
    reader, _ = raw(server), raw(server, "/stall", receive_buffer=SMALL)
    server.until(lambda: len(room.members) == 2)
    speaking = asyncio.run_coroutine_threadsafe(speak(), server.loop)
    heard = reader.texts_until("the end")
    speaking.result(GUARD_SECONDS)
    assert heard.count("it left") == 1
    assert [text for text in heard if text != "it left"] == MESSAGES
    assert sum(room.stats.evicted.values()) == 1
    server.until(lambda: len(server.uvicorn.server_state.tasks) == 1)
    stop(server)


def read_at_its_pace(server, client, total, room):
    """Read a little in each turn of the server's event loop: as steadily as that has time."""
    client.socket.setblocking(False)
    got = bytearray(client.rest)

    def read():
        with contextlib.suppress(BlockingIOError, ConnectionResetError):
            got.extend(client.socket.recv(2000))
        return len(got) >= total or room.stats.evicted

    server.until(read)


@on_stock
def test_on_stock_who_reads_a_big_message_steadily_is_not_evicted(slow, ws):
    room = Room(patience=0.05)
    server, client = slow(room, ws=ws)
    publishing = asyncio.run_coroutine_threadsafe(publish(room, ["x" * 400_000] * 3), server.loop)
    read_at_its_pace(server, client, 1_200_000, room)
    assert room.stats.evicted == {}
    publishing.result(GUARD_SECONDS)


def test_who_reads_is_not_evicted_where_the_kernel_counts_nothing(slow, monkeypatch):
    monkeypatch.setattr(transportline, "acknowledged", lambda sock: 0)
    monkeypatch.setattr(transportline, "kernel_counts", transportline.kernel_counts.__wrapped__)
    room = Room(limit=3_000_000, patience=0.3)
    server, client = slow(room)
    server.run(publish(room, ["x" * 100_000] * 20))
    read_at_its_pace(server, client, 2_000_000, room)
    assert room.stats.evicted == {}


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a poll says it in other words")
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_an_evicted_client_gets_a_reset_before_all_that_it_has_not_read(slow, loop):
    room = Room(patience=0.1)
    server, client = slow(room, loop=loop)
    server.run(room.publish("x" * 500_000))
    server.until(lambda: room.stats.evicted)
    poll = select.poll()
    poll.register(client.socket, 0)  # nothing but an error and the end of both directions
    events = [event for _, event in poll.poll(GUARD_SECONDS * 1000)]
    assert events == [select.POLLERR | select.POLLHUP]


# The scope, and the beginning.


def test_a_middleware_may_copy_the_scope_deeply(serve, raw):
    manager, lines = ConnectionManager(), []
    app = app_on(manager)

    async def copying(scope, receive, send):
        if scope["type"] == "websocket":
            lines.append(scope["extensions"][EXTENSION]["line"])
            scope = copy.deepcopy(scope)
        await app(scope, receive, send)

    server = serve(copying)
    one, two = raw(server), raw(server)
    server.until(lambda: len(manager.active_connections) == 2)
    for line in lines:
        assert copy.deepcopy(line) is line  # with a member in it
    one.send("hello")
    assert [one.text(), two.text()] == ["hello", "hello"]


def test_a_join_before_accept_names_accept_and_writes_nothing(serve, raw):
    room = Room()

    async def early(websocket: WebSocket):
        with pytest.raises(RuntimeError, match=r"accept\(\)"):
            room.join(websocket)
        await room.publish("too early")
        await asyncio.sleep(0)
        await websocket.accept()
        room.join(websocket)
        await room.publish("in time")
        await stay(websocket)

    client = raw(serve(app_with(ConnectionManager(), early=early)), "/early")
    assert client.head.startswith("HTTP/1.1 101 ")
    assert client.text() == "in time"


def test_a_join_without_asyncio_says_in_one_sentence_what_it_needs():
    with pytest.raises(RuntimeError, match=r"^[^.]*\basyncio\b[^.]*$") as caught:
        Room().join(WebSocket({"type": "websocket"}, stay, stay))
    assert caught.value.__suppress_context__
