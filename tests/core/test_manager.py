"""What the connection manager does where the one that everybody copies slips."""

import asyncio

import pytest
import websockets
from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from chatlib import ConnectionManager
from chatlib.lab.serve import Server


class Member:
    """What the manager needs of a WebSocket, without a network, to break in given ways."""

    def __init__(self, error=None, then=lambda: None):
        self.error, self.then, self.got = error, then, []

    async def accept(self):
        pass

    async def send_text(self, text):
        if self.error is not None:
            raise self.error
        self.got.append(text)
        self.then()


def broadcast_to(*members, text="hello"):
    async def run():
        for member in members:
            await manager.connect(member)
        await manager.broadcast(text)

    manager = ConnectionManager()
    asyncio.run(run())
    return manager


@pytest.mark.parametrize("error", [WebSocketDisconnect(1006), RuntimeError("closed")])
def test_a_dead_member_stops_nobody_and_is_dropped(error):
    first, dead, last = Member(), Member(error), Member()
    manager = broadcast_to(first, dead, last)
    assert first.got == last.got == ["hello"]
    assert manager.active_connections == [first, last]


def test_a_member_that_leaves_during_a_broadcast_makes_it_skip_nobody():
    manager = ConnectionManager()
    leaver = Member(then=lambda: manager.disconnect(leaver))
    second, third = Member(), Member()

    async def run():
        for member in (leaver, second, third):
            await manager.connect(member)
        await manager.broadcast("hello")

    asyncio.run(run())
    assert [member.got for member in (leaver, second, third)] == [["hello"]] * 3
    assert manager.active_connections == [second, third]


def test_a_member_that_comes_during_a_broadcast_is_not_sent_it():
    late = Member()
    manager = ConnectionManager()
    first = Member(then=lambda: manager.active_connections.append(late))

    async def run():
        await manager.connect(first)
        await manager.broadcast("hello")

    asyncio.run(run())
    assert late.got == []
    assert manager.active_connections == [first, late]


def test_disconnect_is_harmless_twice_and_for_a_stranger():
    manager = broadcast_to(member := Member())
    manager.disconnect(member)
    manager.disconnect(member)
    manager.disconnect(Member())
    assert manager.active_connections == []


def test_a_mistake_of_the_apps_own_is_not_hidden():
    with pytest.raises(ValueError, match="not a disconnection"):
        broadcast_to(Member(ValueError("not a disconnection")))


def test_a_member_whose_event_loop_has_closed_is_dropped():
    manager = ConnectionManager()
    gone, here = Member(), Member()
    asyncio.run(manager.connect(gone))

    async def run():
        await manager.connect(here)
        await manager.broadcast("hello")

    asyncio.run(run())
    assert manager.active_connections == [here]
    assert (gone.got, here.got) == ([], ["hello"])


def test_a_member_of_another_event_loop_is_sent_to_in_its_own():
    """asyncio's objects are not safe to touch from another thread."""
    manager = ConnectionManager()
    loops = []
    app = FastAPI()

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket):
        send_text = websocket.send_text

        async def noting_send(text):
            loops.append(asyncio.get_running_loop())
            await send_text(text)

        websocket.send_text = noting_send
        await manager.connect(websocket)
        await websocket.send_text("in")
        await websocket.receive()

    async def talk(one, other):
        async with (
            asyncio.timeout(10),
            websockets.connect(one.ws_url()) as ana,
            websockets.connect(other.ws_url()) as ben,
        ):
            assert [await ana.recv(), await ben.recv()] == ["in", "in"]
            loops.clear()
            await manager.broadcast("from a third loop")
            assert [await ana.recv(), await ben.recv()] == ["from a third loop"] * 2

    with Server(app) as one, Server(app) as other:
        asyncio.run(talk(one, other))
        assert loops == [one.loop, other.loop]
