"""The client of the rooms: it comes back by itself, misses nothing, and tells what is missing."""

import asyncio
import contextlib
import functools
import itertools
import json
import os
import random
import socket
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta

import pytest
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from ports import reserved_port

from chatlib.client import (
    BlockingRoom,
    IncompleteHistoryError,
    LeftError,
    Lost,
    Message,
    People,
    RefusedError,
    SayError,
    TokenError,
    Typing,
    UnreachableError,
    UnsureError,
    Welcome,
    connector,
    join,
)
from chatlib.client.outbox import Outbox
from chatlib.client.unread import Unread
from chatlib.core.hub import attendance, recent
from chatlib.core.rooms.identity import Tokens
from chatlib.core.rooms.protocol import Ack
from chatlib.core.rooms.talk import Limits
from chatlib.echo import app as echo
from chatlib.lab import FaultProxy, Server
from chatlib.rooms import create_app
from chatlib.stores import Cursor, NotKept, Unsure
from chatlib.stores.memory import MemoryStore
from chatlib.stores.retention import Retention

GUARD_SECONDS = 60.0
SECRET = "a secret of at least thirty-two bytes"
MANY = Limits(messages=100_000)
NUMBERS = itertools.count(1)
START = "0.00000000"


def soon():
    """Seconds between tries that no test has to wait for."""
    return itertools.repeat(0.01)


def gently():
    """The same, where a process starts meanwhile."""
    return itertools.repeat(0.1)


def token(name, seconds=3600.0):
    return Tokens(SECRET).sign(name, seconds)


class Lobby:
    """The room of the test that runs."""

    name = path = ""


@pytest.fixture(autouse=True)
def _fresh_lobby():
    Lobby.name = f"lobby-{next(NUMBERS)}"
    Lobby.path = f"/rooms/{Lobby.name}"


def joined(where, name="ana", path=None, **options):
    """A room at `where`, a server or a network."""
    options = {"token": token(name), "reconnect_delays": soon} | options
    return join(where.ws_url(path or Lobby.path), **options)


def in_a_loop(test):
    """Run an async test, with a guard against a hang."""

    @functools.wraps(test)
    def run(*args, **kwargs):
        async def guarded():
            async with asyncio.timeout(GUARD_SECONDS):
                await test(*args, **kwargs)

        asyncio.run(guarded())

    return run


@contextlib.contextmanager
def serving(store="memory:", *, port=0, **options):
    """A server of rooms."""
    app = create_app(store, secret=SECRET, **{"limits": MANY} | options)
    with Server(app, port=port) as server:
        yield server


@pytest.fixture(scope="module")
def server():
    with serving() as server:
        yield server


@pytest.fixture
def network(server):
    with FaultProxy(server) as network:
        yield network


class Told:
    """What a room's `on_event` was told."""

    def __init__(self):
        self.events = asyncio.Queue()

    def __call__(self, event):
        self.events.put_nowait(event)

    async def next(self, kind):
        """Return the next event of a kind."""
        while not isinstance(event := await self.events.get(), kind):
            pass
        return event


async def texts(room, number):
    """Return what the next messages say, which have to come in order."""
    messages = [await anext(room) for _ in range(number)]
    assert [message.id for message in messages] == [messages[0].id + n for n in range(number)]
    return [message.text for message in messages]


async def say_all(room, *said):
    return [await room.say(text) for text in said]


# What is said, and heard


@in_a_loop
async def test_what_is_said_is_kept_when_say_returns_and_comes_as_a_message(server):
    async with joined(server) as room:
        receipt = await room.say("hello", key="k1")
        message = await anext(room)
    assert (receipt.key, receipt.room) == ("k1", Lobby.name)
    assert (receipt.id, receipt.again) == (1, False)
    assert message == Message(1, receipt.tag, "k1", "ana", "hello", message.at)
    assert message.cursor == f"1.{receipt.tag}" == room.cursor
    assert message.at.tzinfo is UTC
    assert abs(datetime.now(UTC) - message.at) < timedelta(minutes=1)


@in_a_loop
async def test_a_newcomer_gets_the_last_messages_and_a_cursor_goes_on_behind_it(server):
    async with joined(server) as room:
        assert (room.name, room.you) == (Lobby.name, "ana")
        assert (room.history, room.cursor) == ("new", START)
        await say_all(room, "one", "two", "three")
    async with joined(server, "bob", last=2) as room:
        assert await texts(room, 2) == ["two", "three"]
    async with joined(server, "bob", after=room.cursor) as room:
        assert room.history == "complete"
        await room.say("four")
        assert await texts(room, 1) == ["four"]


@in_a_loop
async def test_a_message_to_a_person_goes_to_both_inboxes_and_not_to_the_room(server):
    async with (
        joined(server, "bob", "/rooms/@me") as inbox,
        joined(server) as room,
        joined(server, path="/rooms/@me") as own,
    ):
        assert inbox.name == "@bob"
        receipt = await room.say("psst", to="bob")
        assert receipt.room == "@ana"
        for heard in (await anext(inbox), await anext(own)):
            assert (heard.sender, heard.to, heard.text) == ("ana", "bob", "psst")
        await room.say("aloud")
        assert await texts(room, 1) == ["aloud"]


@in_a_loop
async def test_a_room_knows_who_is_there_and_whoever_leaves_goes_at_once(server, monkeypatch):
    monkeypatch.setattr(attendance, "STAYS_SECONDS", 3600.0)  # but for those who leave with 1000
    told = Told()
    async with joined(server, on_event=told) as room:
        async with joined(server, "bob"):
            while room.people != {"ana", "bob"}:
                await told.next(People)
            assert room.count == 2
        while room.people != {"ana"}:
            await told.next(People)
        assert room.count == 1


@in_a_loop
async def test_typing_is_told_to_the_others(server):
    ana, bob = Told(), Told()
    async with (
        joined(server, on_event=ana) as room,
        joined(server, "bob", on_event=bob) as other,
    ):
        await room.typing()
        assert (await bob.next(Typing)).sender == "ana"
        await other.typing()
        assert (await ana.next(Typing)).sender == "bob"  # and not ana, who was first


@in_a_loop
async def test_two_clients_with_one_name_hear_the_same_and_one_key_is_one_message(server):
    async with joined(server) as one, joined(server) as other:
        receipts = [await room.say("mine", key="k") for room in (one, other)]
        assert [(receipt.id, receipt.again) for receipt in receipts] == [(1, False), (1, True)]
        await other.say("end")
        assert await texts(one, 2) == await texts(other, 2) == ["mine", "end"]


@in_a_loop
async def test_what_several_tasks_say_is_in_the_order_of_the_calls(server):
    async with joined(server) as room:
        said = [str(number) for number in range(50)]
        await asyncio.gather(*map(room.say, said))
        assert await texts(room, 50) == said


# What is no message


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"text": ""}, "text"),
        ({"text": "x" * 4001}, "text"),
        ({"text": "\ud800"}, "unicode"),
        ({"text": "\x01" * 4000}, "at most 16384 bytes"),
        ({"text": "x", "key": "a b"}, "key"),
        ({"text": "x", "to": "@bob"}, "name"),
        ({"text": b"x"}, "JSON"),
    ],
)
@in_a_loop
async def test_what_the_server_would_not_take_is_not_sent(server, said, why):
    async with joined(server) as room:
        with pytest.raises((ValueError, TypeError), match=why):
            await room.say(**said)
        assert (await room.say("x" * 4000)).id == 1


@in_a_loop
async def test_the_longest_text_may_be_of_any_characters(server):
    async with joined(server) as room:
        await room.say("😀" * 4000)
        assert await texts(room, 1) == ["😀" * 4000]


@in_a_loop
async def test_what_the_server_refuses_is_raised_and_the_room_goes_on(server):
    async with joined(server) as room:
        with pytest.raises(SayError, match="nobody: there is no eve") as refused:
            await room.say("psst", to="eve")
        assert refused.value.code == "nobody"
        assert (await room.say("hello")).id == 1


# Connections that are lost


@in_a_loop
async def test_after_a_cut_the_iteration_goes_on_behind_the_last_message(network):
    told = Told()
    async with joined(network, on_event=told) as room:
        await room.say("before")
        assert await texts(room, 1) == ["before"]
        network.cut()
        lost = await told.next(Lost)
        assert (lost.seconds, room.connected) == (0.0, False)
        await room.say("after")
        assert await texts(room, 1) == ["after"]
        assert (room.history, room.connected) == ("complete", True)


@in_a_loop
async def test_a_message_whose_acknowledgement_is_cut_off_is_kept_once(network):
    async with joined(network) as room:
        await room.say("first")
        network.cut_reply(b'"ack"')
        receipt = await room.say("second")
        assert (receipt.id, receipt.again) == (2, True)
        assert (await room.say("third")).id == 3
        assert await texts(room, 3) == ["first", "second", "third"]


@pytest.mark.parametrize("seed", range(3))
@in_a_loop
async def test_cut_at_any_moment_clients_have_every_message_once_and_in_order(seed):
    """What is acknowledged is in the log once; and all clients have the log."""
    dice = random.Random(seed)
    names, number = ("ana", "bob", "eve"), 40
    acked = {}

    async def talk(room):
        for _ in range(number):
            if dice.random() < 0.5:
                network.cut_after(dice.randrange(1500), dice.choice(["up", "down"]))
            receipt = await room.say(f"{room.you} {len(acked)}")
            acked[receipt.id] = receipt.key

    async def listen(room):
        return [await anext(room) for _ in range(number * len(names))]

    with serving() as server, FaultProxy(server) as network:
        async with contextlib.AsyncExitStack() as stack:
            rooms = [
                await stack.enter_async_context(joined(network, name, keep_trying=True))
                for name in names
            ]
            *_, one, two, three = await asyncio.gather(*map(talk, rooms), *map(listen, rooms))
            network.heal()
        async with joined(server, "log", after=START) as room:
            log = await listen(room)
    assert one == two == three == log
    assert [message.id for message in log] == [*range(1, number * len(names) + 1)]
    assert {message.id: message.key for message in log} == acked
    assert network.connections > 2 * len(names)


@in_a_loop
async def test_a_connection_on_which_no_beat_comes_is_given_up():
    told = Told()
    with serving(beat=0.2) as server, FaultProxy(server) as network:
        async with joined(network, grace=0.3, on_event=told) as room:
            rule = network.stall("down")
            assert "nothing came for 0.5 s" in (await told.next(Lost)).reason
            await rule.hit()
            network.heal()
            assert (await room.say("here again")).id == 1


@in_a_loop
async def test_after_a_restart_clients_come_back_within_the_time_that_the_server_said(tmp_path):
    told, store = Told(), f"sqlite:///{tmp_path}/chat.db"
    async with contextlib.AsyncExitStack() as stack:
        with serving(store, retry=100) as server:
            room = await stack.enter_async_context(joined(server, on_event=told))
            await room.say("before")
            await asyncio.to_thread(server.stop)
            lost = await told.next(Lost)
            assert "1012" in lost.reason
            assert 0 < lost.seconds <= 0.1
        with serving(store, port=server.port):
            await room.say("after")
            assert await texts(room, 2) == ["before", "after"]


class Worker:
    """A server of rooms in a process of its own, on a file."""

    def __init__(self, path, port):
        self.port = port
        self.environment = os.environ | {
            "CHATLIB_STORE": f"sqlite:///{path}",
            "CHATLIB_SECRET": SECRET,
        }

    def ws_url(self, path):
        return f"ws://127.0.0.1:{self.port}{path}"

    def start(self):
        command = [sys.executable, "-m", "uvicorn", "chatlib.rooms:app", "--log-level", "warning"]
        self.process = subprocess.Popen([*command, "--port", str(self.port)], env=self.environment)

    def kill(self):
        self.process.kill()
        self.process.wait(GUARD_SECONDS)


@pytest.fixture
def worker(tmp_path):
    with reserved_port() as port:
        yield Worker(tmp_path / "chat.db", port)


@in_a_loop
async def test_clients_of_a_server_that_is_killed_lose_nothing_that_was_acknowledged(worker):
    """It is killed while they talk, and started again on the same file."""
    acked = {}

    async def talk(room, number):
        for _ in range(number):
            receipt = await room.say(f"{room.you} {len(acked)}")
            acked[receipt.id] = receipt.key
            if len(acked) == 15:
                worker.kill()
                worker.start()

    worker.start()
    try:
        async with (
            joined(worker, keep_trying=True, reconnect_delays=gently) as ana,
            joined(worker, "bob", keep_trying=True, reconnect_delays=gently) as bob,
        ):
            await asyncio.gather(talk(ana, 15), talk(bob, 15))
            one, two = [[await anext(room) for _ in range(30)] for room in (ana, bob)]
    finally:
        worker.kill()
    assert one == two
    assert [message.id for message in one] == [*range(1, 31)]
    assert {message.id: message.key for message in one} == acked


@in_a_loop
async def test_too_many_connections_are_a_reason_to_wait_for_five_seconds():
    told = Told()
    with serving(limits=Limits(connections_per_name=1)) as server:
        async with joined(server):
            with pytest.raises(UnreachableError, match="1013 too many connections of ana"):
                await joined(server).__aenter__()
            trying = asyncio.create_task(
                joined(server, keep_trying=True, on_event=told).__aenter__()
            )
            assert (await told.next(Lost)).seconds >= 5
            before = asyncio.all_tasks()
            trying.cancel()
            with pytest.raises(asyncio.CancelledError):
                await trying
            assert len(before - asyncio.all_tasks()) == 2  # and the one that held the connection


# A server that answers otherwise


class Refusing(MemoryStore):
    """A store whose next appends fail, with these errors."""

    def __init__(self, *errors):
        super().__init__()
        self.errors = [*errors]
        self.keys = []

    async def append(self, room, key, body):
        self.keys.append(key)
        if self.errors:
            error = self.errors.pop(0)
            if isinstance(error, Unsure):
                await super().append(room, key, body)
            raise error
        return await super().append(room, key, body)


@in_a_loop
async def test_a_message_that_may_not_be_kept_is_sent_again_with_its_key(monkeypatch):
    monkeypatch.setattr("chatlib.core.rooms.talk.TRY_SECONDS", 0.01)
    store = Refusing(NotKept("locked"), Unsure("cut"))
    with serving(store) as server:
        async with joined(server) as room:
            receipt = await room.say("hello", key="k")
            await room.say("end")
            assert await texts(room, 2) == ["hello", "end"]
    assert (receipt.id, receipt.again) == (1, True)
    assert store.keys[:3] == ["ana:k"] * 3


@in_a_loop
async def test_whoever_is_told_to_slow_down_does_and_loses_nothing():
    with serving(limits=Limits(messages=2, seconds=0.2)) as server:
        async with joined(server) as room:
            said = [str(number) for number in range(6)]
            receipts = await say_all(room, *said)
            assert await texts(room, 6) == said
    assert not any(receipt.again for receipt in receipts)


def scripted(*talks):
    """A server that does what each of `talks` says, for one connection after the other.

    Each that a client has ended can be taken from its semaphore `ended`.
    """
    app, waiting = FastAPI(), [*talks]

    @app.websocket("/rooms/{room}")
    async def endpoint(websocket: WebSocket, room: str):
        await websocket.accept("chatlib.rooms.1")
        with contextlib.suppress(WebSocketDisconnect):
            await waiting.pop(0)(websocket)
            while True:
                await websocket.receive_text()
        server.ended.release()

    server = Server(app)
    server.ended = threading.Semaphore(0)
    return server


async def welcome(websocket, history="complete", **more):
    """Send a welcome for what was asked for."""
    after = websocket.query_params.get("after", START)
    limits = {"text": 4000, "frame": 16384}
    frame = {"type": "welcome", "room": "lobby", "you": "ana", "history": history, "after": after}
    frame |= {"head": 9, "people": [], "count": 0, "beat": 25, "retry": 0, "max": limits}
    await websocket.send_json(frame | more)


async def message(websocket, number, **more):
    """Send a message."""
    frame = {"type": "message", "room": "lobby", "id": number, "tag": f"{number:08x}", "key": "k"}
    await websocket.send_json(frame | {"from": "bob", "text": str(number), "at": 0} | more)


def wrong(*frames):
    """A talk that begins well, and goes on with `frames`."""

    async def talk(websocket):
        await welcome(websocket, "new")
        await message(websocket, 1)
        for frame in frames:
            await websocket.send_text(frame if isinstance(frame, str) else json.dumps(frame))

    return talk


async def right(websocket):
    """A talk that goes on well."""
    assert websocket.query_params["after"] == "1.00000001"
    await welcome(websocket)
    await message(websocket, 2)


MESSAGE = {"type": "message", "room": "lobby", "key": "k", "from": "bob", "text": "?", "at": 0}


@pytest.mark.parametrize(
    "frame",
    [
        MESSAGE | {"id": 3, "tag": "00000003"},
        MESSAGE | {"id": 1, "tag": "00000001"},
        {"type": "message", "id": 2},
        {"type": "beat", "room": "lobby", "head": 2},
        "[]",
        "hello",
    ],
    ids=["a gap", "a double", "a part", "a beat ahead", "no object", "no JSON"],
)
@in_a_loop
async def test_if_the_server_breaks_its_word_the_client_reconnects_at_its_cursor(frame):
    told = Told()
    with scripted(wrong(frame), right) as server:
        async with joined(server, on_event=told) as room:
            assert await texts(room, 2) == ["1", "2"]
            assert (await told.next(Lost)).seconds == 0.0
            await asyncio.to_thread(server.ended.acquire)


@in_a_loop
async def test_what_is_new_in_the_protocol_is_ignored():
    new = {"type": "edited", "room": "lobby", "id": 1}
    more = MESSAGE | {"id": 2, "tag": "00000002", "text": "2", "colour": "red"}
    told = Told()
    with scripted(wrong(new, more)) as server:
        async with joined(server, on_event=told) as room:
            assert await texts(room, 2) == ["1", "2"]
    assert isinstance(told.events.get_nowait(), Welcome)
    assert told.events.empty()


@pytest.mark.parametrize(
    "more", [{"history": "new"}, {"after": "7.00000007"}, {"after": "seven"}, {"history": None}]
)
@in_a_loop
async def test_a_welcome_that_does_not_fit_the_cursor_is_not_believed(more):
    async def unfit(websocket):
        await welcome(websocket, **more)
        await message(websocket, 8)

    with scripted(unfit, right) as server:
        async with joined(server, after="1.00000001", keep_trying=True) as room:
            assert await texts(room, 1) == ["2"]


@in_a_loop
async def test_a_connection_with_beats_alone_is_kept():
    async def beats(websocket):
        await welcome(websocket, "new", beat=0.5)
        for _ in range(14):  # for longer than the client would wait for the first one
            await asyncio.sleep(0.2)
            await websocket.send_json({"type": "beat", "room": "lobby", "head": 0})
        await message(websocket, 1)

    with scripted(beats) as server:
        async with joined(server, grace=2) as room:
            assert await texts(room, 1) == ["1"]


@in_a_loop
async def test_a_connection_is_quiet_for_as_long_as_the_server_said_and_is_kept():
    async def quiet(websocket):
        await welcome(websocket, "new", beat=3600)
        await asyncio.sleep(0.2)
        await message(websocket, 1)

    with scripted(quiet) as server:
        async with joined(server, grace=0.01) as room:
            assert await texts(room, 1) == ["1"]


@pytest.mark.parametrize(
    ("code", "least"), [(1001, 0), (1011, 0.01), (1012, 0), (1013, 5), (4409, 0), (4321, 0)]
)
@in_a_loop
async def test_a_close_code_says_when_to_come_back(code, least):
    async def closing(websocket):
        await welcome(websocket, "new")
        await websocket.close(code)

    told = Told()
    with scripted(closing, closing) as server:
        async with joined(server, on_event=told):
            lost = await told.next(Lost)
    assert str(code) in lost.reason
    assert least <= lost.seconds <= 2 * least


@pytest.mark.parametrize(
    ("steady", "waits"), [(3600.0, [0, 0.01, 0.02, 3600]), (0.0, [0, 0, 0, 0])]
)
@in_a_loop
async def test_connections_that_do_not_last_are_tried_less_and_less_often(
    monkeypatch, steady, waits
):
    monkeypatch.setattr(connector, "STEADY_SECONDS", steady)

    async def closing(websocket):
        await welcome(websocket, "complete" if "after" in websocket.query_params else "new")
        await websocket.close(1001)

    def delays():
        return iter([0.01, 0.02, 3600])

    told = Told()
    with scripted(*[closing] * 5) as server:
        async with joined(server, on_event=told, reconnect_delays=delays):
            assert [(await told.next(Lost)).seconds for _ in range(4)] == waits


@pytest.mark.parametrize("code", [1002, 1003, 1007, 1008, 1009, 4403])
@in_a_loop
async def test_a_server_that_will_not_have_the_client_back_ends_the_room(code):
    async def closing(websocket):
        await wrong()(websocket)
        await websocket.receive_text()
        await websocket.close(code, "no")

    with scripted(closing) as server:
        async with joined(server) as room:
            with pytest.raises(UnsureError, match="'k'") as unsure:
                await room.say("hello", key="k")
            assert unsure.value.key == "k"
            refused = unsure.value.__cause__
            assert isinstance(refused, RefusedError)
            assert (refused.code, refused.reason) == (code, "no")
            assert await texts(room, 1) == ["1"]  # what came before is there
            for waiting in (anext(room), room.say("hello")):
                with pytest.raises(RefusedError):
                    await waiting


# History that is incomplete


def number_of(cursor):
    return int(cursor.partition(".")[0])


async def anything(room):
    """Return what the iteration returns or raises next."""
    try:
        return await anext(room)
    except IncompleteHistoryError as missing:
        return missing


async def gap(room):
    """Return the error that the iteration raises next."""
    with pytest.raises(IncompleteHistoryError) as raised:
        await anext(room)
    return raised.value


@in_a_loop
async def test_messages_that_are_no_longer_kept_are_told_in_their_place(monkeypatch):
    monkeypatch.setattr(recent, "RECENT_BYTES", 0)  # what comes again is from the store
    store, told = MemoryStore(Retention(messages=3)), Told()
    with serving(store) as server, FaultProxy(server) as network:
        async with joined(network, on_event=told) as room, joined(server, "bob") as bob:
            await say_all(bob, "one", "two")
            assert await texts(room, 1) == ["one"]
            assert (await anext(room)).text == "two"
            before = room.cursor
            network.refuse()
            network.cut()
            await told.next(Lost)
            receipts = await say_all(bob, *"345678")
            network.heal()
            missing = await gap(room)
            assert (missing.history, missing.before) == ("trimmed", before)
            assert missing.after == room.cursor == f"5.{receipts[2].tag}"
            assert "messages 3 to 5" in str(missing)
            assert await texts(room, 3) == ["6", "7", "8"]


@in_a_loop
async def test_a_history_that_is_no_more_is_told_and_the_newest_messages_follow():
    told = Told()
    async with contextlib.AsyncExitStack() as stack:
        with serving(retry=0) as server:
            room = await stack.enter_async_context(joined(server, on_event=told))
            await say_all(room, "one", "two")
            assert await texts(room, 2) == ["one", "two"]
            await asyncio.to_thread(server.stop)
        with serving(port=server.port) as other:
            async with joined(other, "bob") as bob:
                await say_all(bob, "uno", "due", "tre")
                missing = await gap(room)
                assert (missing.history, missing.after) == ("diverged", START)
                assert await texts(room, 3) == ["uno", "due", "tre"]


@in_a_loop
async def test_a_cursor_of_another_history_is_told_at_the_beginning(server):
    async with joined(server) as room:
        await say_all(room, "one", "two", "three")
    async with joined(server, after="2.00000000", last=1) as room:
        assert room.history == "diverged"
        await gap(room)
        assert await texts(room, 1) == ["three"]


@pytest.mark.parametrize("histories", [("diverged", "trimmed"), ("trimmed", "diverged")])
def test_of_two_gaps_with_nothing_between_the_worse_one_is_told(histories):
    unread = Unread(10, Cursor(7, "00000007"))
    for number, history in enumerate(histories, 1):
        unread.go_on(history, Cursor(number, f"0000000{number}"))
    missing = unread.take()
    assert (missing.history, missing.before, missing.after) == (
        "diverged",
        "7.00000007",
        "2.00000002",
    )
    assert not unread


# An app that does not read


def never():
    """Seconds between tries that a test would wait for in vain."""
    return itertools.repeat(3600.0)


@in_a_loop
async def test_an_app_that_does_not_iterate_is_acknowledged_and_misses_nothing(server):
    """What was dropped comes again at once, as often as it takes, as if nothing had happened."""
    told = Told()
    options = {"buffer": 10, "on_event": told, "reconnect_delays": never}
    async with joined(server, **options) as room, joined(server, "bob") as bob:
        assert (await say_all(room, *map(str, range(50))))[-1].id == 50
        assert room.unread == 10
        for number in range(50, 98):
            await bob.say(str(number))
        first = await texts(room, 5)
        await say_all(room, "98", "99")  # there is room for these now, but not in their place
        assert first + await texts(room, 95) == [str(number) for number in range(100)]
        await bob.say("live")
        assert await texts(room, 1) == ["live"]
    while not told.events.empty():
        assert not isinstance(told.events.get_nowait(), Lost)


@in_a_loop
async def test_an_app_that_iterates_late_is_told_of_what_is_no_longer_kept(monkeypatch):
    """However often the connection is lost meanwhile, few are held, and no hole is silent."""
    monkeypatch.setattr(recent, "RECENT_BYTES", 0)
    store, told, last = MemoryStore(Retention(messages=5)), Told(), 0
    with serving(store) as server, FaultProxy(server) as network:
        async with joined(network, buffer=2, on_event=told) as room:
            for _ in range(5):
                await say_all(room, *"0123456789")
                network.cut()
                await told.next(Lost)
            await say_all(room, "end")
            assert room.unread == 3  # two messages, and that some are missing
            while last < 51:
                if isinstance(item := await anything(room), IncompleteHistoryError):
                    assert number_of(item.before) == last
                    last = number_of(item.after)
                else:
                    assert item.id == last + 1
                    last = item.id
            assert item.text == "end"


# Cancelling, and leaving


@in_a_loop
async def test_a_message_whose_say_was_cancelled_may_be_said_again_with_its_key(network):
    async with joined(network) as room:
        rule = network.stall("down")
        saying = asyncio.create_task(room.say("hello", key="k"))
        await rule.hit()  # the answer is on its way
        saying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await saying
        network.heal()
        assert (await room.say("hello", key="k")).id == 1
        assert (await room.say("end")).id == 2
        assert await texts(room, 2) == ["hello", "end"]


@in_a_loop
async def test_a_cancelled_iteration_loses_no_message(server):
    async with joined(server) as room, joined(server, "bob") as bob:
        for number in range(20):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.001):
                    await bob.say("?")  # it may be kept, and come
                    await anext(room)
            await bob.say(str(number))
        await bob.say("end")
        last = 0
        async for message in room:
            assert message.id == (last + 1 if last else message.id)
            last = message.id
            if message.text == "end":
                break


@in_a_loop
async def test_whoever_leaves_does_not_know_of_what_is_not_acknowledged(network):
    async with joined(network) as room:
        rule = network.stall("up")
        sent = asyncio.create_task(room.say("hello", key="k1"))
        waits = asyncio.create_task(room.say("hello", key="k2"))
        listening = asyncio.create_task(anext(room))
        await rule.hit()
        asyncio.get_running_loop().call_later(0.1, network.heal)
    with pytest.raises(UnsureError) as unsure:
        await sent
    assert unsure.value.key == "k1"
    assert isinstance(unsure.value.__cause__, LeftError)
    with pytest.raises(LeftError):
        await waits
    with pytest.raises(StopAsyncIteration):
        await listening
    with pytest.raises(LeftError):
        await room.say("hello")


@in_a_loop
async def test_a_room_without_a_connection_can_be_left(network):
    told = Told()
    async with joined(network, on_event=told, reconnect_delays=lambda: iter([3600.0])) as room:
        await room.say("before")
        network.refuse()
        network.cut()
        while (await told.next(Lost)).seconds != 3600:
            pass
        saying = asyncio.create_task(room.say("hello"))
        await asyncio.sleep(0)
    with pytest.raises(LeftError):
        await saying


@in_a_loop
async def test_the_iteration_ends_when_another_task_leaves(server):
    heard = asyncio.Queue()

    async def listen(room):
        async for message in room:
            heard.put_nowait(message.text)

    async with joined(server) as room:
        listening = asyncio.create_task(listen(room))
        await room.say("hello")
        assert await heard.get() == "hello"
    await listening


@in_a_loop
async def test_one_task_at_a_time_may_iterate(server):
    async with joined(server) as room:
        waiting = asyncio.create_task(anext(room))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="another task"):
            await anext(room)
        await room.say("hello")
        assert (await waiting).text == "hello"


@in_a_loop
async def test_a_room_is_used_in_its_block_and_joined_once(server):
    room = joined(server)
    for use in (room.say("hello"), anext(room)):
        with pytest.raises(RuntimeError, match="not joined"):
            await use
    async with room:
        pass
    with pytest.raises(RuntimeError, match="already"):
        async with room:
            pass


@in_a_loop
async def test_what_on_event_raises_ends_the_room(server):
    def fail(event):
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        async with joined(server, on_event=fail):
            pass


# Whether one gets in


@in_a_loop
async def test_a_first_connection_that_fails_says_why(server):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        closed = f"ws://127.0.0.1:{nobody.getsockname()[1]}/rooms/lobby"
        for url, kind, why in (
            (closed, UnreachableError, closed),
            ("ws://nowhere.invalid/rooms/lobby", UnreachableError, "nowhere.invalid"),
            (server.ws_url("/elsewhere"), UnreachableError, "HTTP 403"),
            (server.ws_url("/rooms/Lobby"), RefusedError, "1008 expected a room"),
        ):
            with pytest.raises(kind, match=why):
                async with join(url, token=token("ana")):
                    pass
    with Server(echo) as other, pytest.raises(UnreachableError, match="does not speak chatlib"):
        async with joined(other, path="/ws"):
            pass


@pytest.mark.parametrize("url", ["http://127.0.0.1/rooms/lobby", "/rooms/lobby", "ws://", ""])
def test_an_address_that_is_none_is_refused_at_once(url):
    with pytest.raises(ValueError, match="expected an address such as ws://"):
        join(url, token="")


def test_a_cursor_that_is_none_is_refused_at_once():
    with pytest.raises(ValueError, match="expected a cursor"):
        join("ws://127.0.0.1/rooms/lobby", token="", after="seventeen")


@in_a_loop
async def test_with_keep_trying_the_server_may_come_later():
    told = Told()
    with reserved_port() as port:
        url = f"ws://127.0.0.1:{port}{Lobby.path}"
        room = join(url, token=token("ana"), keep_trying=True, reconnect_delays=soon, on_event=told)
        joining = asyncio.create_task(room.__aenter__())
        await told.next(Lost)
        with serving(port=port):
            await joining
            assert (await room.say("hello")).id == 1
            await room.__aexit__()


@in_a_loop
async def test_whoever_may_not_be_in_the_room_is_told():
    async def allow(name, room):
        return name == "bob"

    with serving(allow=allow) as server, pytest.raises(RefusedError, match="4403 ana may not"):
        async with joined(server, keep_trying=True):
            pass


@in_a_loop
async def test_a_token_that_is_not_good_is_an_error_of_its_own(server):
    with pytest.raises(TokenError, match="4401 the token is not good"):
        async with joined(server, token="nonsense", keep_trying=True):
            pass


@in_a_loop
async def test_when_the_token_expires_its_function_gives_another(server):
    asked = []

    def sign_in():
        asked.append("please")
        return token("ana", 3 if len(asked) == 1 else 3600)

    told = Told()
    async with joined(server, token=sign_in, on_event=told) as room:
        await room.say("before")
        assert "4401" in (await told.next(Lost)).reason
        await room.say("after")
        assert await texts(room, 2) == ["before", "after"]
    assert len(asked) == 2


@in_a_loop
async def test_a_token_is_got_for_the_first_connection_and_when_it_is_no_longer_taken():
    seen = []

    async def sign_in():
        return f"token {len(seen)}"

    def until(code):
        async def talk(websocket):
            seen.append(websocket.headers["authorization"])
            await welcome(websocket, "complete" if "after" in websocket.query_params else "new")
            await websocket.close(code)

        return talk

    told = Told()
    with scripted(until(1001), until(4401), until(1001)) as server:
        async with joined(server, token=sign_in, on_event=told):
            for _ in range(3):
                await told.next(Lost)
    assert seen == ["Bearer token 0", "Bearer token 0", "Bearer token 2"]


@in_a_loop
async def test_a_token_that_expires_and_cannot_be_renewed_ends_the_room(server):
    told = Told()
    async with joined(server, token=token("ana", 3), on_event=told) as room:
        with pytest.raises(TokenError, match="has expired"):
            await anext(room)
        assert (await told.next(Lost)).seconds is None


@in_a_loop
async def test_a_function_whose_new_token_is_refused_too_is_not_asked_for_ever(server):
    asked = []

    def sign_in():
        asked.append("once more")
        return "nonsense"

    with pytest.raises(TokenError):
        async with joined(server, token=sign_in, keep_trying=True):
            pass
    assert len(asked) == 1


@in_a_loop
async def test_what_the_function_of_the_token_raises_is_raised(server):
    def sign_in():
        raise LookupError("no password")

    with pytest.raises(LookupError, match="no password"):
        async with joined(server, token=sign_in):
            pass


@in_a_loop
async def test_no_proxy_leads_to_this_machine_unless_it_is_given(server, monkeypatch):
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "https_proxy", "all_proxy", "ws_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with joined(server) as room:
        await room.say("hello")
    with pytest.raises(UnreachableError):
        async with joined(server, proxy="http://127.0.0.1:1"):
            pass


# Without an event loop


def blocking(*args, **options):
    return BlockingRoom(joined(*args, **options))


@in_a_loop
async def test_the_blocking_room_works_where_a_loop_runs_already(server):
    with blocking(server) as room:
        receipt = room.say("hello")
        message = room.receive(GUARD_SECONDS)
        assert (message.id, message.text, message.cursor) == (receipt.id, "hello", room.cursor)
        room.say("there")
        assert next(room).text == "there"


def test_a_blocking_receive_that_times_out_loses_no_message(server):
    with blocking(server) as room, blocking(server, "bob") as bob:
        with pytest.raises(TimeoutError):
            room.receive(0.01)
        bob.say("hello")
        assert room.receive(GUARD_SECONDS).text == "hello"


def test_a_blocking_say_that_times_out_may_be_said_again_with_its_key(server, network):
    with blocking(network) as room:
        network.stall("down")
        with pytest.raises(TimeoutError):
            room.say("hello", key="k", timeout=0.05)
        network.heal()
        room.say("hello", key="k")
        room.say("end")
        assert [room.receive(GUARD_SECONDS).text for _ in range(2)] == ["hello", "end"]


def test_a_blocking_say_that_times_out_is_not_tried_again(network):
    with blocking(network) as room:
        network.stall("up")
        with pytest.raises(TimeoutError):
            room.say("hello", timeout=0.05)
        network.cut()
        network.heal()
        room.say("end")
        assert room.receive(GUARD_SECONDS).text == "end"


def test_a_blocking_iteration_tells_of_gaps_and_ends_when_the_room_is_left(server):
    with blocking(server) as room:
        room.say("one")
    with pytest.raises(RuntimeError, match="not joined"):
        room.say("two")
    with blocking(server, after="1.00000000") as room:
        with pytest.raises(IncompleteHistoryError) as missing:
            next(room)
        assert missing.value.after == room.cursor
        assert next(room).text == "one"


def test_a_blocking_room_that_cannot_be_joined_says_why(server):
    with pytest.raises(TokenError), blocking(server, token="nonsense"):
        pass


def test_the_client_needs_nothing_of_the_server_but_the_protocol():
    script = (
        "import sys; sys.modules['jwt'] = None; import chatlib.client; "
        "print(sorted({'uvicorn', 'chatlib.rooms', 'chatlib.lab'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


# What an app publishes, and what is lost at once


@in_a_loop
async def test_what_an_app_publishes_is_a_message_without_a_sender(server):
    async with joined(server) as room:
        publishing = server.app.state.hub.publish(Lobby.name, "Maintenance at 5")
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(publishing, server.loop))
        await room.say("after it")
        message, after = await anext(room), await anext(room)
        assert (message.sender, message.text) == ("", "Maintenance at 5")
        assert (after.sender, after.text) == ("ana", "after it")
        assert room.connected


class Wire:
    """A connection that takes what is sent."""

    def __init__(self):
        self.sent = asyncio.Queue()

    async def send(self, data):
        self.sent.put_nowait(json.loads(data))


@in_a_loop
async def test_what_is_said_waits_for_the_next_connection_if_one_is_lost_as_soon_as_it_is_there():
    outbox, wire = Outbox(soon), Wire()
    saying = asyncio.create_task(outbox.say("hello", None, "k"))
    await asyncio.sleep(0)
    outbox.connected(wire, 1000)
    outbox.disconnected()
    await asyncio.sleep(0)
    outbox.connected(wire, 1000)
    assert (await wire.sent.get())["text"] == "hello"
    outbox.take(Ack(type="ack", room="lobby", key="k", id=1, tag="00000001", again=False))
    assert (await saying).id == 1
