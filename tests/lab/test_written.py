"""To wait until what was published is written: what `Server.written` waits for, and what not."""

import asyncio
import contextlib
import threading

import pytest
import websockets
from fastapi import FastAPI, WebSocket

from chatlib import Room
from chatlib.core import turn
from chatlib.core.fanout import FanoutProtocol
from chatlib.lab.asleep import join_asleep, serve_small
from chatlib.lab.loopback import ServerError
from chatlib.lab.server import Server

DEADLINE = 20.0  # seconds; a guard against a hang, which decides nothing


def app_on(room):
    """Return an app whose clients are members of `room` until they leave."""
    app = FastAPI()

    @app.websocket("/ws/{client_id}")
    async def stay(websocket: WebSocket, client_id: int):
        await websocket.accept()
        room.join(websocket)
        while (await websocket.receive())["type"] != "websocket.disconnect":
            pass
        room.leave(websocket)

    return app


def run(body):
    async def guarded():
        async with asyncio.timeout(DEADLINE):
            await body()

    asyncio.run(guarded())


@contextlib.asynccontextmanager
async def joined(server, count=1):
    """Connect `count` clients, who are members by then."""
    async with contextlib.AsyncExitStack() as stack:
        clients = []
        for number in range(count):
            url = server.ws_url(f"/ws/{number}")
            clients.append(await stack.enter_async_context(websockets.connect(url)))
            await (await clients[-1].ping())
        yield clients


def written_by(server):
    """Return the list to which each text that leaves `server` is appended."""
    texts = []

    def observe(event):
        if event.kind == "text" and not event.to_server:
            texts.append(event.payload)

    server.observers.append(observe)
    return texts


async def publish(server, room, *messages):
    """Have the server's event loop publish `messages`, all in one turn."""

    async def publish_there():
        for message in messages:
            await room.publish(message)

    await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(publish_there(), server.loop))


async def publish_and_wait(server, room, *messages):
    """Publish, and call `written` before the server's event loop has had a turn for writing."""
    published, asked = threading.Event(), threading.Event()

    async def publish_there():
        for message in messages:
            await room.publish(message)
        published.set()
        asked.wait(DEADLINE)

    publishing = asyncio.run_coroutine_threadsafe(publish_there(), server.loop)
    await asyncio.to_thread(published.wait, DEADLINE)
    waiting = asyncio.create_task(server.written())
    await asyncio.sleep(0)  # it has asked
    asked.set()
    await waiting
    publishing.result()


def test_what_was_published_in_one_turn_is_written_when_it_returns():
    room = Room()

    async def body():
        with Server(app_on(room)) as server:
            texts = written_by(server)
            async with joined(server):
                await publish_and_wait(server, room, "one", "two", "three")
                assert texts == ["one", "two", "three"]

    run(body)


def test_the_pong_of_a_ping_that_is_sent_then_comes_after_it():
    room = Room()

    async def body():
        with Server(app_on(room)) as server:
            async with joined(server, 3) as clients:
                for number in range(50):
                    await publish(server, room, f"{number}a", f"{number}b")
                    await server.written()
                    for client in clients:
                        await (await client.ping())
                        assert [await now(client), await now(client)] == [
                            f"{number}a",
                            f"{number}b",
                        ]

    async def now(client):
        """Return the next message, which has come already."""
        receiving = asyncio.ensure_future(client.recv())
        await asyncio.sleep(0)
        assert receiving.done()
        return await receiving

    run(body)


def test_what_takes_many_turns_is_waited_for(monkeypatch):
    monkeypatch.setattr(turn, "TURN_BYTES", 1)
    room = Room()

    async def body():
        with Server(app_on(room)) as server:
            texts = written_by(server)
            async with joined(server, 5):
                await publish_and_wait(server, room, "x" * 60_000, "y" * 60_000, "z")
                assert sorted(text[0] for text in texts) == sorted("xyz" * 5)

    run(body)


def test_what_another_thread_has_published_is_waited_for():
    room = Room()

    async def body():
        with Server(app_on(room)) as server:
            texts = written_by(server)
            async with joined(server):
                thread = threading.Thread(target=lambda: asyncio.run(room.publish("from afar")))
                thread.start()
                await asyncio.to_thread(thread.join)
                await server.written()
                assert texts == ["from afar"]

    run(body)


def test_two_may_wait_at_the_same_time():
    room = Room()

    async def body():
        with Server(app_on(room)) as server:
            texts = written_by(server)
            async with joined(server):
                await publish(server, room, "one", "two")
                await asyncio.gather(server.written(), server.written())
                assert texts == ["one", "two"]

    run(body)


def test_where_nothing_was_published_it_returns():
    async def body():
        with Server(app_on(Room())) as server:
            await server.written()

    run(body)


def test_a_member_that_does_not_read_is_not_waited_for():
    room = Room()

    async def body():
        with serve_small(app_on(room), FanoutProtocol) as server:
            async with join_asleep(server, 1) as ben:
                await (await ben.ping())
                for _ in range(10):
                    await publish(server, room, "x" * 60_000)
                await server.written()
                assert room.stats.behind == 1
                ben.transport.abort()

    run(body)


def test_on_a_server_that_has_stopped_it_says_so():
    async def body():
        server = Server(app_on(Room()))
        server.stop()
        with pytest.raises(ServerError, match="start the server again"):
            await server.written()

    run(body)
