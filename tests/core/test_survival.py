"""What a room survives, on a real server with real clients."""

import asyncio
import random
import threading

import pytest
from fastapi import FastAPI, WebSocket
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from live import BINARY, CLOSE, CONT, PING, Raw, Served, app_on, frame, read_all, size

from chatlib import ConnectionManager, Room
from chatlib.chat import app as chat_app
from chatlib.core.frames import encode

KILOBYTE = "x" * 1000
SMALL = 16 * 1024  # a kernel buffer that is soon full
FOR_EVER = 1e6


def errors(server, cut_off=0):
    """Return what the server logged besides plain information and `cut_off` members cut off."""
    more = [line for line in server.log if line.level not in {"INFO", "DEBUG"}]
    cut = [line for line in more if "cut off by a room" in line.text]
    return more if len(cut) != cut_off else [line for line in more if line not in cut]


async def publish(room, messages):
    for message in messages:
        await room.publish(message)


def test_one_of_101_that_never_reads_holds_up_nobody_and_costs_the_bound_at_most(serve, raw):
    room = Room(patience=FOR_EVER)
    server = serve(app_on(ConnectionManager(room)), send_buffer=SMALL)
    readers = [raw(server) for _ in range(100)]
    stalled = raw(server, receive_buffer=SMALL)
    messages = [f"{number:04}{KILOBYTE}" for number in range(600)]
    expected = b"".join(encode(message) for message in messages)

    sending = asyncio.run_coroutine_threadsafe(publish(room, messages), server.loop)
    assert all(got == expected for got in read_all(readers, len(expected)))
    sending.result(0)  # nobody waited for the one who does not read
    stats = room.stats
    assert (stats.members, stats.behind, stats.evicted) == (101, 1, {})
    assert 0 < stats.waiting_bytes <= room.limit

    # It was not lost either: whoever reads late still gets all.
    assert read_all([stalled], len(expected)) == [expected]
    server.until(lambda: room.stats.behind == 0)
    assert room.stats.waiting_bytes == 0
    assert errors(server) == []


def test_a_member_that_never_reads_is_evicted_at_its_deadline_and_nobody_else_is(serve, raw):
    room = Room(patience=0.5)
    server = serve(app_on(ConnectionManager(room)), send_buffer=SMALL)
    readers = [raw(server) for _ in range(10)]
    stalled = raw(server, receive_buffer=SMALL)
    # More than the room holds, so that whoever publishes waits for the deadline.
    messages = [f"{number:04}{KILOBYTE}" for number in range(3000)]
    expected = b"".join(encode(message) for message in messages)
    took = []

    async def timed():
        began = server.loop.time()
        await publish(room, messages)
        took.append(server.loop.time() - began)

    sending = asyncio.run_coroutine_threadsafe(timed(), server.loop)
    assert all(got == expected for got in read_all(readers, len(expected)))
    sending.result(30)
    assert room.stats.evicted == {"stalled": 1}
    assert room.stats.members == 10
    assert took[0] >= room.patience
    assert stalled.closed() is None  # cut off: it has not been reading, and was told nothing
    assert errors(server, cut_off=1) == []


@pytest.mark.parametrize("stalled", [0, 1])
def test_a_flood_reaches_all_50_who_read_and_slows_its_sender(serve, raw, stalled):
    room = Room(patience=1.0)
    server = serve(app_on(ConnectionManager(room)))
    readers = [raw(server) for _ in range(50)]
    for _ in range(stalled):
        raw(server, receive_buffer=SMALL)
    sender, count = readers[0], 12_000
    text = "x" * 1024
    flood = threading.Thread(target=lambda: sender.socket.sendall(frame(text) * count))
    flood.start()
    total = count * len(encode(text))
    # Nobody reads a byte before the sender was made to wait.
    server.until(lambda: room.stats.waiting)
    assert all(len(got) == total for got in read_all(readers, total))
    flood.join(30)
    server.until(lambda: room.stats.behind == 0)
    assert room.stats.members == 50
    assert sum(room.stats.evicted.values()) == stalled
    assert errors(server, cut_off=stalled) == []


def test_who_reads_slowly_gets_everything_in_order_once(serve, raw):
    room = Room(limit=64 * 1024, patience=20.0)
    server = serve(app_on(ConnectionManager(room)), send_buffer=SMALL)
    fast, slow = raw(server), raw(server, receive_buffer=4096)
    messages = [f"{number}{KILOBYTE}" for number in range(400)]
    sending = asyncio.run_coroutine_threadsafe(publish(room, messages), server.loop)
    reading = threading.Thread(target=read_all, args=([fast], size(messages)))
    reading.start()
    got = b""
    while len(got) < size(messages):
        got += slow.socket.recv(1500)  # a little at a time
    assert got == b"".join(encode(message) for message in messages)
    sending.result(30)
    reading.join(30)
    assert room.stats.evicted == {}


def test_who_reads_below_the_stated_rate_is_evicted_and_has_no_gap_until_then(serve, raw):
    room = Room(patience=1.0, min_rate=1e12)
    server = serve(app_on(ConnectionManager(room)), send_buffer=SMALL)
    slow = raw(server, receive_buffer=SMALL)
    server.run(publish(room, [f"{number} {KILOBYTE}" for number in range(500)]))
    server.until(lambda: room.stats.behind)
    numbers = [int(slow.text().split()[0]) for _ in range(40)]
    server.until(lambda: room.stats.evicted)
    assert room.stats.evicted == {"slow": 1}
    assert numbers == list(range(40))


def test_a_thousand_members_reset_during_broadcasts_harm_nobody(serve, raw):
    room = Room()
    server = serve(app_on(ConnectionManager(room)))
    readers = [raw(server) for _ in range(4)]
    sender = readers[0]
    chance = random.Random(5)
    said = []
    for _ in range(50):
        doomed = [Raw(server) for _ in range(20)]
        for member in doomed:
            if chance.random() < 0.7:
                said.append(f"{len(said)} {'x' * chance.choice([1, 100, 60_000])}")
                sender.send(said[-1])
            if said and chance.random() < 0.3:
                member.socket.recv(1 + chance.randrange(2000))
            if chance.random() < 0.2:
                member.send("half a"[: chance.randrange(6)], fin=False)
            member.reset()
        expected = b"".join(map(encode, said))
        assert all(got == expected for got in read_all(readers, len(expected)))
        said.clear()
    sender.send("still here")
    assert [client.text() for client in readers] == ["still here"] * 4
    server.until(lambda: room.stats.members == 4)
    assert errors(server) == []


class ComingAndGoing(RuleBasedStateMachine):
    """Members join, leave, fall behind and catch up, while all sorts of messages go out."""

    clients = st.integers(0, 3)
    sizes = st.sampled_from([1, 200, 70_000])

    @initialize()
    def begin(self):
        self.room = Room(limit=1 << 26, patience=FOR_EVER)
        self.other = Room(limit=1 << 26, patience=FOR_EVER)
        self.sockets, self.expected, self.number = [], [[] for _ in range(4)], 0
        self.inside = {self.room: set(), self.other: set()}
        app = FastAPI()

        @app.websocket("/ws")
        async def endpoint(websocket: WebSocket):
            await websocket.accept()
            self.sockets.append(websocket)
            while (await websocket.receive())["type"] != "websocket.disconnect":
                pass

        self.server = Served(app, send_buffer=SMALL).__enter__()
        self.raws = []
        for number in range(4):
            self.raws.append(Raw(self.server, receive_buffer=SMALL))
            self.server.until(lambda count=number + 1: len(self.sockets) == count)
        self.turn = []

    def message(self, length):
        self.number += 1
        return f"{self.number} {'x' * length}"

    rooms = st.booleans()

    def chosen(self, other):
        return self.other if other else self.room

    @rule(client=clients, other=rooms)
    def join(self, client, other):
        room = self.chosen(other)
        self.inside[room].add(client)
        self.turn.append(lambda: room.join(self.sockets[client]))

    @rule(client=clients, other=rooms)
    def leave(self, client, other):
        room = self.chosen(other)
        self.inside[room].discard(client)
        self.turn.append(lambda: room.leave(self.sockets[client]))

    @rule(length=sizes, other=rooms)
    def publish(self, length, other):
        room, message = self.chosen(other), self.message(length)
        for client in self.inside[room]:
            self.expected[client].append((room, message))
        self.turn.append(lambda: room.publish(message))

    @precondition(lambda self: self.inside[self.room])
    @rule(data=st.data(), length=sizes)
    def send_to_one(self, data, length):
        client, message = (
            data.draw(st.sampled_from(sorted(self.inside[self.room]))),
            self.message(length),
        )
        self.expected[client].append((self.room, message))
        self.turn.append(lambda: self.room.send(message, self.sockets[client]))

    @rule()
    def end_turn(self):
        """Have what was gathered happen, all of it in one turn of the event loop if that can be."""
        turn, self.turn = self.turn, []

        async def run():
            for step in turn:
                result = step()
                if result is not None:
                    await result

        self.server.run(run())

    def teardown(self):
        if not hasattr(self, "server"):
            return
        self.end_turn()
        try:
            # What the app sends by itself comes after all that was published.
            lasts = [
                asyncio.run_coroutine_threadsafe(socket.send_text("the last"), self.server.loop)
                for socket in self.sockets
            ]
            for client, expected in zip(self.raws, self.expected, strict=True):
                got = client.texts_until("the last")
                # Between two rooms there is no order; in each there is.
                for room in (self.room, self.other):
                    texts = [text for where, text in expected if where is room]
                    assert [text for text in got if text in set(texts)] == texts
                assert len(got) == len(expected)
            for last in lasts:
                last.result(30)
            assert errors(self.server) == []
        finally:
            for client in self.raws:
                client.close()
            self.server.__exit__()


ComingAndGoing.TestCase.settings = settings(
    max_examples=25, stateful_step_count=30, deadline=None, derandomize=True, database=None
)
TestComingAndGoing = ComingAndGoing.TestCase


def test_500_clients_leave_at_once(serve, raw):
    server = serve(chat_app)
    stays = raw(server, "/ws/1000")
    leavers = [Raw(server, f"/ws/{number}") for number in range(500)]
    for number, leaver in enumerate(leavers):
        if number % 3 == 0:
            leaver.send(b"\x03\xe8", CLOSE)
        leaver.reset() if number % 3 == 1 else leaver.close()
    left = sorted(stays.text() for _ in range(500))
    assert left == sorted(f"Client #{number} left the chat" for number in range(500))
    assert errors(server) == []


def test_a_stop_tells_every_client_1012_after_all_that_was_said(serve, raw):
    room = Room()
    server = serve(app_on(ConnectionManager(room)))
    clients = [raw(server) for _ in range(20)]

    async def say_and_stop():
        await room.publish("the last words")
        for connection in list(server.uvicorn.server_state.connections):
            connection.shutdown()  # as uvicorn does at a stop, and in this very turn
        server.uvicorn.exit_now()

    server.run(say_and_stop())
    assert [client.text() for client in clients] == ["the last words"] * 20
    assert [client.closed() for client in clients] == [1012] * 20
    server.thread.join(30)
    assert errors(server) == []


NONSENSE = {
    "a reserved bit": (frame("x", rsv=0x40), 1002),
    "a reserved opcode": (frame("x", 3), 1002),
    "a frame without a mask": (frame("x", masked=False), 1002),
    "a ping in fragments": (frame("x", PING, fin=False), 1002),
    "a ping of 126 bytes": (frame("x" * 126, PING), 1002),
    "a continuation of nothing": (frame("x", CONT), 1002),
    "a message within a message": (frame("x", fin=False) + frame("x"), 1002),
    "a close frame of one byte": (frame("x", CLOSE), 1002),
    "a close code that nobody may send": (frame(b"\x03\xed", CLOSE), 1002),
    "a close reason that is not UTF-8": (frame(b"\x03\xe8\xff", CLOSE), 1007),
    "text that is not UTF-8": (frame(b"\xff"), 1007),
    "text that is not UTF-8 and a close": (frame(b"\xff") + frame(b"\x03\xe8", CLOSE), 1000),
    "a message too big": (frame(b"x" * 2000, BINARY), 1009),
    "fragments that are too big": (
        frame(b"x" * 900, BINARY, fin=False) + frame(b"x" * 900, CONT),
        1009,
    ),
}


@pytest.mark.parametrize("what", NONSENSE)
def test_what_breaks_the_protocol_closes_its_client_alone(serve, raw, what):
    sent, code = NONSENSE[what]
    server = serve(app_on(ConnectionManager(Room())), ws_max_size=1000)
    bystander, culprit = raw(server), raw(server)
    culprit.socket.sendall(sent)
    assert culprit.closed() == code
    bystander.send("well")
    assert bystander.text() == "well"
    assert errors(server) == []


def test_random_bytes_close_their_client_alone(serve, raw):
    server = serve(app_on(ConnectionManager(Room())), ws_max_size=1000)
    bystander, chance = raw(server), random.Random(6)
    for _ in range(100):
        with Raw(server) as culprit:
            culprit.socket.sendall(b"\x7f" + chance.randbytes(chance.randrange(1, 300)))
            assert culprit.closed() == 1002
    bystander.send("well")
    assert bystander.text() == "well"
    assert errors(server) == []


def test_half_a_frame_and_then_silence_is_closed_with_1011(serve, raw):
    room = Room()
    server = serve(app_on(ConnectionManager(room)), ws_ping_interval=0.05, ws_ping_timeout=0.2)
    silent = raw(server)
    silent.socket.sendall(frame("hello")[:5])
    assert silent.closed() == 1011
    server.until(lambda: room.stats.members == 0)
    assert errors(server) == []
