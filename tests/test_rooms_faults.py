"""The rooms when something fails: the store, a client at any moment, a client that means harm."""

import asyncio
import contextlib
import sqlite3
import struct

import pytest
from guests import TOKENS, play
from starlette.websockets import WebSocket
from websockets.exceptions import ConnectionClosed

from chatlib.core.rooms.talk import Limits
from chatlib.rooms import create_app
from chatlib.stores import NotKept, Unsure
from chatlib.stores.memory import MemoryStore
from chatlib.stores.sqlite import SQLiteStore

WHERE = "/var/lib/chat.db"
CALLS = ("append", "read", "heads", "people", "enter", "leave")


class Faulty(MemoryStore):
    """A store in memory whose calls fail, or wait, when a test says so.

    Attributes:
        fails: by the name of a call, what is raised; or what says that, given its arguments.
        held: the names of the calls that wait until `let_go`.
        waiting: how many wait.
    """

    def __init__(self):
        super().__init__()
        self.fails, self.held, self.waiting = {}, set(), 0
        self.gate = asyncio.Event()

    def hold(self, *calls):
        self.held = set(calls)
        self.gate = asyncio.Event()

    def let_go(self):
        self.held = set()
        self.gate.set()


def faulty(name):
    """Return the call `name` of a store, which fails when it is told to."""

    async def call(self, *args, **options):
        if name in self.held:
            self.waiting += 1
            try:
                await self.gate.wait()
            finally:
                self.waiting -= 1
        error = self.fails.get(name)
        error = error(*args) if callable(error) else error
        if error is not None:
            raise error
        return await getattr(MemoryStore, name)(self, *args, **options)

    return call


for call in CALLS:
    setattr(Faulty, call, faulty(call))


def errors(house):
    """Return what the log has of faults of the server's."""
    return [line for line in house.server.log if line.level in {"ERROR", "CRITICAL"}]


async def is_empty(house):
    """Wait until nobody is left anywhere."""
    await house.call(house.hub._attendance.stop())  # those who are lost leave at once
    await house.until(
        lambda: (
            house.health() == {"members": 0, "rooms": 0}
            and not house.hub.store._people
            and not house.server.handlers
        )
    )


# The store fails.


@pytest.mark.parametrize("call", ["read", "heads", "people", "enter"])
def test_who_cannot_be_let_in_by_the_store_is_told_to_come_back(call):
    async def scenario(house):
        ana = await house.join("lobby", "ana")
        await ana.said("before")
        store = house.hub.store
        store.fails = {call: OSError(f"cannot read {WHERE}")}
        rooms = {"read": "lobby?after=1.00000000", "enter": "lobby"}
        end = await house.refusal(rooms.get(call, "garden"), "ben")
        assert end == (1011, "the store cannot be used just now")
        assert (await ana.said("meanwhile"))["type"] == "ack"
        store.fails = {}
        ben = await house.join(rooms.get(call, "garden"), "ben")
        assert (await ben.said("in"))["type"] == "ack"
        logged = [line.text for line in house.server.log if line.level == "WARNING"]
        assert f"the store cannot be used: cannot read {WHERE}" in logged
        assert not errors(house)

    play(scenario, Faulty())


@pytest.mark.parametrize(
    ("error", "code"),
    [(NotKept("the disk is full"), "try_again"), (Unsure("the commit failed"), "unsure")],
)
def test_what_is_not_kept_is_told_and_kept_once_when_it_comes_again(error, code):
    async def scenario(house):
        ana, ben = await house.join("lobby", "ana"), await house.join("lobby", "ben")
        house.hub.store.fails = {"append": error}
        refused = await ana.said("hello", "k1")
        assert (refused["code"], refused["retry"], refused["wait"]) == (code, True, 1)
        assert refused["text"] == str(error)
        posted = await house.post("/rooms/lobby/messages", {"text": "hello", "key": "k2"}, "cy")
        assert (posted.status_code, posted.headers["retry-after"]) == (503, "1")
        assert ("may be kept" in posted.json()["detail"]) == (code == "unsure")
        house.hub.store.fails = {}
        assert not (await ana.said("hello", "k1"))["again"]
        await ana.said("last")
        assert await ben.texts(2) == ["hello", "last"]

    play(scenario, Faulty())


def test_what_is_in_one_inbox_only_is_not_said_to_be_lost():
    async def scenario(house):
        ana, his = await house.join("lobby", "ana"), await house.join("@me", "ben")

        def full(room, *more):
            return NotKept("the disk is full") if room == "@ana" else None

        house.hub.store.fails = {"append": full}
        refused = await ana.said("psst", "k1", to="ben")
        assert (refused["code"], refused["retry"]) == ("unsure", True)
        assert await his.texts(1) == ["psst"]
        house.hub.store.fails = {}
        assert (await ana.said("psst", "k1", to="ben"))["room"] == "@ana"
        await ana.said("last", to="ben")
        assert await his.texts(1) == ["last"]
        mine = (await house.get("/rooms/@me/messages", "ana")).json()["messages"]
        assert [message["text"] for message in mine] == ["psst", "last"]

    play(scenario, Faulty())


@pytest.mark.parametrize("error", [OSError("no route"), TimeoutError("no answer")])
def test_who_cannot_be_looked_up_costs_the_message_and_not_the_connection(error):
    async def known(name):
        raise error

    async def scenario(house):
        ana = await house.join("lobby", "ana")
        refused = await ana.said("psst", "k1", to="ben")
        assert (refused["code"], refused["wait"]) == ("try_again", 1)
        posted = await house.post("/rooms/lobby/messages", {"text": "x", "to": "ben"}, "ana")
        assert posted.status_code == 503
        assert (await ana.said("to all"))["type"] == "ack"

    play(scenario, known=known)


def test_a_store_that_times_out_is_no_token_that_expired():
    async def scenario(house):
        house.hub.store.fails = {"read": TimeoutError()}
        assert (await house.refusal("lobby?after=5.0123abcd", "ana"))[0] == 1011

    play(scenario, Faulty())


def test_a_file_that_is_locked_is_told_in_time_and_harms_nobody(tmp_path):
    path = tmp_path / "chat.db"

    async def scenario(house):
        ana, ben = await house.join("lobby", "ana"), await house.join("lobby", "ben")
        await ana.said("before")
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            refused = await ana.said("hello", "k1")
            assert (refused["code"], refused["retry"]) == ("try_again", True)
            cy = await house.join("lobby?last=1", "cy")  # reading goes on
            assert await cy.texts(1) == ["before"]
            other.execute("ROLLBACK")
        assert (await ana.said("hello", "k1"))["type"] == "ack"
        assert await ben.texts(2) == ["before", "hello"]
        assert not errors(house)

    play(scenario, SQLiteStore(path, patience=0.3))


# A client is gone, at any moment.


@pytest.mark.parametrize("how", ["cut", "closed"])
@pytest.mark.parametrize("call", CALLS)
def test_a_client_that_goes_while_the_server_waits_leaves_nothing(call, how):
    async def scenario(house):
        store = house.hub.store
        await house.call(house.rooms.keep("lobby", "ana", "k", "old", None))
        store.hold(call)
        guest = await house.knock("lobby?after=0.00000000", "ana")
        if call in {"append", "leave"}:
            await guest.next("message")
            await guest.say("hello")
        if how == "cut":
            guest.connection.transport.abort()
        else:
            closing = asyncio.create_task(guest.leave())
        if call == "leave":
            await house.until(lambda: store.waiting or house.hub._attendance._leaving)
            house.server.loop.call_soon_threadsafe(house.hub._attendance._stopped.set)
        await house.until(lambda: store.waiting)
        await house.call(give_way())
        store.let_go()
        if how == "closed":
            await closing
        await is_empty(house)
        ben = await house.join("lobby", "ben")
        assert (await ben.said("still here"))["type"] == "ack"
        assert not errors(house)

    play(scenario, Faulty())


async def give_way():
    """Let the event loop turn some times."""
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.mark.parametrize("call", ["append", "read", "heads", "people", "enter"])
def test_a_token_that_expires_while_the_server_waits_is_told(call):
    async def scenario(house):
        house.hub.store.hold(call)
        guest = await house.knock("lobby", None, token=TOKENS.sign("ana", 0.1))
        if call == "append":
            await guest.say("hello")
        assert (await guest.closed())[0] == 4401
        house.hub.store.let_go()
        await is_empty(house)
        assert not errors(house)

    play(scenario, Faulty())


def test_clients_that_are_cut_in_a_crowd_leave_nothing():
    async def come_and_go(house, number):
        name = [None, "ana", "ben"][number % 3]
        with contextlib.suppress(ConnectionClosed):
            guest = await house.knock("lobby", name)
            if number % 2:
                await guest.say("hello")
            guest.connection.transport.abort()

    async def scenario(house):
        cy = await house.join("lobby", "cy")
        for _ in range(5):
            await asyncio.gather(*(come_and_go(house, number) for number in range(20)))
        await cy.said("last")
        await cy.leave()
        await is_empty(house)
        assert not errors(house)

    play(scenario)


@pytest.mark.parametrize("at", ["websocket.close", "websocket.send"])
@pytest.mark.parametrize("name", [None, "ana"])
def test_a_client_that_is_gone_at_a_send_is_no_fault_of_the_server(at, name):
    """As servers do that find out at once: the `send` raises `OSError`."""

    async def run():
        app = create_app(secret="x" * 32)
        entrance = app.state.entrance
        sent = []

        async def receive():
            return {"type": "websocket.connect" if not sent else "websocket.disconnect"}

        async def send(message):
            sent.append(message["type"])
            if message["type"] == at:
                raise OSError("the client has gone")

        headers = []
        if name is not None:
            token = entrance.tokens.sign(name, 3600)
            headers = [(b"authorization", f"Bearer {token}".encode())]
        scope = {"type": "websocket", "path": "/rooms/lobby", "headers": headers}
        scope |= {"query_string": b"", "subprotocols": [], "client": ("testclient", 1)}
        async with app.state.hub:
            await entrance.serve(WebSocket(scope, receive, send), "lobby")
        assert entrance.open == {}
        assert sent

    asyncio.run(asyncio.wait_for(run(), 20))


# A client means harm.


def test_a_client_that_speaks_and_does_not_read_is_cut_off_and_the_others_hear_all():
    async def speak(writer):
        for number in range(1_000_000):
            writer.write(frame(number))
            await writer.drain()  # which waits once nobody takes it

    async def scenario(house):
        ben = await house.join("lobby", "ben")
        _, eve = await asyncio.open_connection("127.0.0.1", house.server.port, limit=1024)
        eve.write(handshake(house, TOKENS.sign("eve", 3600)))
        speaking = asyncio.create_task(speak(eve))
        await ben.next("people", joined=["eve"])
        while house.health()["members"] == 2:
            await ben.said("x" * 4000)
        with pytest.raises(ConnectionError):
            await speaking
        eve.close()
        await ben.said("last")
        heard = await ben.messages(1)
        while heard[-1]["text"] != "last":
            heard += await ben.messages(1)
        assert [message["id"] for message in heard] == [*range(1, len(heard) + 1)]
        assert {message["from"] for message in heard} == {"ben", "eve"}
        assert not errors(house)

    play(scenario, limits=Limits(messages=1_000_000))


def handshake(house, token):
    """Return the request of a client that offers no compression."""
    return (
        f"GET /rooms/lobby HTTP/1.1\r\nHost: 127.0.0.1:{house.server.port}\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        f"Authorization: Bearer {token}\r\n\r\n"
    ).encode()


def frame(number):
    """Return a masked frame that says 4,000 characters."""
    text = f'{{"type":"say","key":"k{number}","text":"{"x" * 4000}"}}'.encode()
    return struct.pack("!BBH", 0x81, 0x80 | 126, len(text)) + bytes(4) + text


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_names_of_rooms_that_are_only_tried_leave_nothing(kind, tmp_path):
    path = tmp_path / "chat.db"
    number = 100

    async def probe(house, name, rooms):
        for room in rooms:
            guest = await house.join(f"{room}?after=5.0123abcd", name)
            await guest.send({"type": "typing"})
            await guest.leave()
            house.open.remove(guest)

    async def scenario(house):
        rooms = [f"room-{n}" for n in range(number)]
        await asyncio.gather(*(probe(house, f"name {n}", rooms[n::10]) for n in range(10)))
        for room in rooms[::10]:
            await house.get(f"/rooms/{room}/messages?before=9", "ana")
            await house.get(f"/rooms/{room}/people", "ana")
        store = house.hub.store
        await house.until(lambda: not house.server.handlers)
        assert house.health() == {"members": 0, "rooms": 0}
        assert store._ears.rooms == []
        if kind == "memory":
            assert (store._logs, store._people) == ({}, {})
        else:
            assert store._present == {}
            with contextlib.closing(sqlite3.connect(path)) as file:
                for table in ("rooms", "messages", "people"):
                    assert file.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)

    play(scenario, "memory:" if kind == "memory" else f"sqlite:///{path}")


def test_several_connections_do_not_share_what_one_may_say_but_posts_do():
    async def scenario(house):
        for _ in range(3):
            ana = await house.join("lobby", "ana")
            assert (await ana.said("x"))["type"] == "ack"
            assert (await ana.said("x"))["code"] == "slow_down"
        answers = [
            await house.post(f"/rooms/{room}/messages", {"text": "x"}, "ana")
            for room in ("lobby", "garden", "lobby")
        ]
        assert [answer.status_code for answer in answers] == [201, 429, 429]

    play(scenario, limits=Limits(messages=1, seconds=100))


def test_what_a_message_pretends_to_be_is_told_as_text():
    async def scenario(house):
        ana = await house.join("lobby", "ana")
        text = '","from":"ben","text":"forged'
        await ana.said(text)
        (message,) = await ana.messages(1)
        assert (message["from"], message["text"]) == ("ana", text)

    play(scenario)
