"""What the experiments of chapter 04 are made of: who listens, when it is calm, what is printed."""

import asyncio

import pytest
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from uvicorn.protocols.websockets.auto import AutoWebSocketsProtocol

from chatlib import ConnectionManager
from chatlib.core.fanout import FanoutProtocol
from chatlib.lab import asleep
from chatlib.lab.asleep import Scene
from chatlib.lab.plain import MendedManager
from chatlib.lab.wire import Event

DEADLINE = 20.0  # seconds; a guard against a hang, which decides nothing


def chat_with(manager):
    app = FastAPI()

    @app.websocket("/ws/{client_id}")
    async def websocket_endpoint(websocket: WebSocket, client_id: int):
        await manager.connect(websocket)
        try:
            while True:
                text = await websocket.receive_text()
                await manager.send_personal_message(f"You wrote: {text}", websocket)
                await manager.broadcast(f"Client #{client_id} says: {text}")
        except WebSocketDisconnect:
            manager.disconnect(websocket)
            await manager.broadcast(f"Client #{client_id} left the chat")

    return app


def run(body, manager=None, protocol=FanoutProtocol, **options):
    """Run `body(server)` against a chat with small buffers."""

    async def guarded():
        app = chat_with(manager or ConnectionManager())
        with asleep.serve_small(app, protocol, **options) as server:
            async with asyncio.timeout(DEADLINE):
                return await body(server)

    return asyncio.run(guarded())


def test_a_scene_notes_broadcasts_with_their_moments_and_no_personal_message():
    async def body(server):
        async with asleep.join(server, 1) as ana, Scene() as scene:
            scene.listen("Ana", ana, 2)
            await ana.send("one")
            await ana.send("two")
            await scene.calm()
        return scene

    scene = run(body)
    assert [text for _, text in scene.heard["Ana"]] == [
        "Client #1 says: one",
        "Client #1 says: two",
    ]
    first, second = scene.moments["Ana"]
    assert (scene.count("Ana"), scene.count("Ana", until=second)) == (2, 1)
    assert scene.moment("Ana", "Client #1 says: one") == first
    assert scene.moment("Ana", "Client #1 says: three") is None


def test_it_is_calm_when_nobody_hears_a_thing_any_more():
    async def body(server):
        async with asleep.join(server, 1) as ana, Scene() as scene:
            scene.listen("Ana", ana, 2)
            await ana.send("one, and no second")
            await scene.calm()
            return scene.count("Ana")

    assert run(body) == 1


def test_it_is_not_calm_before_what_it_has_to_wait_for(monkeypatch):
    class Looked(asyncio.Event):
        """An event that sets itself, long after it would have been calm."""

        looks = 0

        def is_set(self):
            self.looks += 1
            return self.looks > 2 * asleep.LOOKS

    async def body(server):
        after = Looked()
        async with asleep.join(server, 1) as ana, Scene() as scene:
            scene.listen("Ana", ana, 1)
            await scene.calm(after=after)
        return after.looks

    monkeypatch.setattr(asleep, "LOOK_SECONDS", 0.001)
    assert run(body) == 3 * asleep.LOOKS


def test_after_a_scene_nothing_is_noted_any_more():
    async def body(server):
        async with asleep.join(server, 1) as ana:
            async with Scene() as scene:
                scene.listen("Ana", ana)
            await ana.send("too late")
            assert await ana.recv() == "You wrote: too late"
            assert await ana.recv() == "Client #1 says: too late"
        return scene.count("Ana")

    assert run(body) == 0


@pytest.mark.parametrize("protocol", [AutoWebSocketsProtocol, FanoutProtocol])
def test_who_is_asleep_stops_a_manager_that_sends_in_the_handler(protocol, capsys):
    async def body(server):
        async with (
            asleep.join(server, 1) as ana,
            asleep.join_asleep(server, 2) as ben,
            Scene() as scene,
        ):
            scene.listen("Ana", ana)
            scene.talk(ana)
            await scene.calm()
            asleep.print_where(server)
            stopped = scene.count("Ana")
            scene.listen("Ben", ben)
            await scene.calm()
            return stopped, scene.count("Ana"), scene.count("Ben")

    stopped, ana, ben = run(body, MendedManager(), protocol)
    assert 0 < stopped < asleep.MESSAGES / 2
    assert ana == ben == asleep.MESSAGES
    where = capsys.readouterr().out
    assert where.startswith("A handler is in websocket_endpoint → broadcast → send_text → … → ")
    assert where.count("\n") == 1


def test_without_small_buffers_the_same_messages_stop_nobody():
    async def body(server):
        async with (
            asleep.join(server, 1) as ana,
            asleep.join(server, 2) as ben,
            Scene() as scene,
        ):
            scene.listen("Ana", ana)
            scene.listen("Ben", ben)
            scene.talk(ana, pause=0)
            await scene.calm()
            return scene.count("Ana")

    assert run(body, MendedManager()) == asleep.MESSAGES


def test_who_is_closed_does_not_hear_itself_and_the_others_do():
    async def body(server):
        async with asleep.join(server, 1) as ana, asleep.join(server, 2) as ben:
            await ben.send(b"\x00")  # its handler ends with an error
            await ben.wait_closed()
            names = await asleep.who_hears_itself({"Ben": ben, "Ana": ana})
            return names, asleep.how_it_is(ana), asleep.how_it_is(ben)

    assert run(body) == (["Ana"], "open", "closed with 1006, ''")


class Wire:
    """What `pings_are_over` needs of a server; `tell` is what crosses there."""

    def __init__(self):
        self.observers = []

    def tell(self, client, kind, *, to_server=False):
        for observe in self.observers:
            observe(Event(client, kind, to_server, f"/ws/{client}"))


async def is_set(event):
    await asyncio.sleep(0)  # it is set by a call of its own
    return event.is_set()


@pytest.mark.parametrize("end", ["close", "lost"])
def test_the_pings_are_over_once_the_others_have_answered_after_the_end_of_the_first(end):
    async def body():
        wire = Wire()
        over = asleep.pings_are_over(wire)
        for kind in ("ping", "pong"):
            for client in (1, 3):
                wire.tell(client, kind, to_server=kind == "pong")
        wire.tell(2, end)
        assert not await is_set(over)  # they answered before
        for client in (1, 3):
            wire.tell(client, "pong", to_server=True)
        assert not await is_set(over)  # to a ping that left before
        for client in (1, 3):
            assert not await is_set(over)
            wire.tell(client, "ping")
            wire.tell(client, "pong", to_server=True)
        assert await is_set(over)

    asyncio.run(body())


def test_the_pings_are_over_for_one_that_is_given_up_as_well():
    async def body():
        wire = Wire()
        over = asleep.pings_are_over(wire)
        wire.tell(1, "close")
        wire.tell(2, "close")
        wire.tell(3, "ping")
        assert not await is_set(over)
        wire.tell(3, "pong", to_server=True)
        assert await is_set(over)

    asyncio.run(body())


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "nothing"),
        (1, "not even half"),
        (4, "not even half"),
        (5, "more than half"),
        (9, "more than half"),
        (10, "all"),
        (11, "all"),
    ],
)
def test_counts_in_words(count, words):
    assert asleep.in_words(count, 10) == words


def test_a_scene_tells_in_words_what_each_has_heard(capsys):
    scene = Scene()
    scene.heard = {"Ana": [(1.0, "")] * asleep.MESSAGES, "Ben": [(3.0, "")]}
    scene.tell(2.0, "asleep", "awake")
    assert capsys.readouterr().out.splitlines() == [
        "Ana   asleep: all             awake: all",
        "Ben   asleep: nothing         awake: not even half",
    ]


def test_a_table_has_each_manager_on_each_protocol_once_and_a_new_one_each_time(capsys):
    made = []

    async def lab(manager, protocol, word):
        made.append(manager)
        ours = "chatlib" if protocol is FanoutProtocol else "uvicorn"
        return f"{ours} {word}"

    asyncio.run(asleep.two_by_two(lab, MendedManager, ConnectionManager, word="here"))
    assert capsys.readouterr().out.splitlines() == [
        "  protocol:          uvicorn's      chatlib's",
        "  MendedManager      uvicorn here   chatlib here",
        "  ConnectionManager  uvicorn here   chatlib here",
    ]
    assert [type(manager) for manager in made] == [MendedManager] * 2 + [ConnectionManager] * 2
    assert len(set(map(id, made))) == 4
