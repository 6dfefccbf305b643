"""The room: what it writes when, to whom, how much may wait, and on which servers."""

import asyncio
import socket
import subprocess
import sys
import threading
import time

import pytest
import websockets
from fastapi import WebSocket, WebSocketDisconnect
from hypothesis import given
from hypothesis import strategies as st
from joining import Clock, in_loop, joined, publish_all, turn
from lines import FakeSocket
from live import GUARD_SECONDS, app_on, conversation, read_all, size
from starlette.testclient import TestClient
from starlette.websockets import WebSocketState

from chatlib import ConnectionManager, Room
from chatlib.core import taskline
from chatlib.core import turn as turns
from chatlib.core.frames import decode, encode
from chatlib.core.line import CHUNK
from chatlib.core.ring import OVERHEAD
from chatlib.core.stats import Stats
from chatlib.core.taskline import HIGH_WATER

SMALL = 16 * 1024
FOR_EVER = 1e6
KILOBYTE = "x" * 1000


# Frames.


@given(st.lists(st.text() | st.binary()))
def test_what_is_encoded_can_be_decoded(messages):
    frames = b"".join(encode(message) for message in messages)
    decoded = [message.get("text", message.get("bytes")) for message in decode(frames)]
    assert decoded == messages


@pytest.mark.parametrize("length", [0, 125, 126, 65535, 65536])
def test_a_frame_is_as_rfc_6455_has_it(length):
    frame = encode(b"x" * length)
    assert frame[0] == 0x82
    assert frame.endswith(b"x" * length)
    assert len(frame) - length == (2 if length < 126 else 4 if length < 65536 else 10)


# Flushing.


@in_loop
async def test_what_is_published_in_one_turn_is_written_once():
    room = Room()
    members = [joined(room) for _ in range(3)]
    for number in range(20):
        await room.publish(str(number))
    await turn()
    for member in members:
        assert len(member.line.writes) == 1
        assert member.line.texts == [str(number) for number in range(20)]


@in_loop
async def test_all_members_are_written_the_very_same_bytes():
    room = Room()
    members = [joined(room) for _ in range(3)]
    await room.publish("a")
    await room.publish("b")
    await turn()
    assert len({id(member.line.writes[0]) for member in members}) == 1


@in_loop
async def test_much_at_once_is_written_in_chunks():
    room = Room()
    member = joined(room)
    messages = [f"{number}{KILOBYTE}" for number in range(300)]
    for message in messages:
        await room.publish(message)
    await turn()
    assert member.line.texts == messages
    assert max(map(len, member.line.writes)) <= CHUNK + 2000


@in_loop
async def test_a_member_whom_this_very_write_fills_gets_nothing_twice():
    room = Room()
    member = joined(room, full_after=1)
    await room.publish("a")
    await turn()
    await room.publish("b")
    await turn()
    assert member.line.texts == ["a"]
    member.line.drain()
    await turn()
    assert member.line.texts == ["a", "b"]


@in_loop
async def test_a_member_who_joins_between_a_message_and_its_flush_does_not_get_it():
    room = Room()
    early = joined(room)
    await room.publish("before")
    late = joined(room)
    await room.publish("after")
    await turn()
    assert early.line.texts == ["before", "after"]
    assert late.line.texts == ["after"]


@in_loop
async def test_a_member_who_leaves_between_a_message_and_its_flush_gets_it_still():
    room = Room()
    leaver, other = joined(room), joined(room)
    await room.publish("before")
    room.leave(leaver)
    await room.publish("after")
    await turn()
    assert leaver.line.texts == ["before"]
    assert other.line.texts == ["before", "after"]


@in_loop
async def test_who_leaves_while_behind_and_joins_again_misses_only_what_came_between():
    room = Room()
    member = joined(room)
    member.line.fill()
    await room.publish("before")
    room.leave(member)
    await room.publish("between")
    room.join(member)
    await room.publish("after")
    member.line.drain()
    await turn()
    assert member.line.texts == ["before", "after"]
    assert room.stats.waiting_bytes == 0


@in_loop
async def test_a_line_that_ends_while_others_are_written_disturbs_nobody():
    room = Room()
    first, second, third = (joined(room) for _ in range(3))
    first.line.write = lambda frames: second.line.end()
    room.leave(first)
    room.join(first)
    await room.publish("a")
    await turn()
    assert third.line.texts == ["a"]
    assert room.members == [third, first]


@in_loop
async def test_a_line_that_fails_at_a_write_costs_nobody_else_the_message():
    def fail(frames):
        raise OSError("broken")

    room = Room()
    broken = FakeSocket()
    broken.line.write = fail
    room.join(broken)
    other = joined(room)
    await room.publish("a")
    await turn()
    assert broken.line.aborted
    assert other.line.texts == ["a"]
    assert room.members == [other]


@in_loop
async def test_what_is_sent_to_one_member_keeps_its_place_between_broadcasts():
    room = Room()
    one, other = joined(room), joined(room)
    await room.publish("a")
    await room.send("for one", one)
    await room.publish("b")
    await turn()
    assert one.line.texts == ["a", "for one", "b"]
    assert other.line.texts == ["a", "b"]


@in_loop
async def test_what_is_sent_to_one_member_is_written_at_once_where_its_line_takes_it():
    room = Room()
    member = joined(room)
    await room.publish("a")
    await room.send("for one", member)
    assert member.line.texts == ["a", "for one"]


@in_loop
async def test_what_is_sent_to_one_member_is_one_write_with_what_it_has_to_hear_before():
    room = Room()
    member = joined(room)
    await room.publish("a")
    await room.send("for one", member)
    assert len(member.line.writes) == 1


@in_loop
async def test_a_connection_in_several_rooms_hears_each_in_its_order():
    rooms = [Room() for _ in range(5)]
    member = FakeSocket()
    for room in rooms:
        room.join(member)
    for number in range(10):
        for place, room in enumerate(rooms):
            await room.publish(f"{place} {number}")
    await turn()
    for place in range(5):
        of_room = [text for text in member.line.texts if text.startswith(f"{place} ")]
        assert of_room == [f"{place} {number}" for number in range(10)]
    member.line.end()
    assert [room.members for room in rooms] == [[]] * 5


@in_loop
async def test_an_empty_room_keeps_nothing():
    room = Room()
    await room.publish("to nobody")
    member = joined(room)
    await room.publish("to one")
    await turn()
    room.leave(member)
    await turn()
    await room.publish("to nobody")
    assert member.line.texts == ["to one"]
    assert room.stats.waiting_bytes == 0


# Bounds and back pressure.


@in_loop
async def test_a_publisher_waits_while_a_member_is_a_ring_behind():
    room = Room(limit=10_000)
    slow, fast = joined(room), joined(room)
    slow.line.fill()
    publishing = asyncio.create_task(publish_all(room, [KILOBYTE] * 12))
    await turn()
    assert not publishing.done()
    assert len(fast.line.texts) == 8  # of 1,004 bytes, and 192 for what Python needs
    assert room.stats.waiting_bytes <= 10_000
    slow.line.drain()
    await publishing
    await turn()
    assert len(slow.line.texts) == len(fast.line.texts) == 12


@in_loop
async def test_a_publisher_who_is_cancelled_while_waiting_has_published_to_nobody():
    room = Room(limit=3000)
    member = joined(room)
    member.line.fill()
    await publish_all(room, ["a" * 1000, "b" * 1000])
    waiting = asyncio.create_task(room.publish("c" * 1000))
    await turn()
    waiting.cancel()
    member.line.drain()
    await turn()
    assert waiting.cancelled()
    assert [text[0] for text in member.line.texts] == ["a", "b"]


@in_loop
async def test_a_handler_that_never_yields_cannot_fill_the_memory():
    room = Room(limit=100_000)
    member = joined(room)
    most = 0
    for number in range(1000):
        await room.publish(f"{number}{KILOBYTE}")
        most = max(most, room.stats.waiting_bytes)
    await turn()
    assert most <= 100_000
    assert len(member.line.texts) == 1000


@in_loop
async def test_what_waits_for_one_member_counts_against_the_bound():
    room = Room(limit=10_000)
    slow, fast = joined(room), joined(room)
    slow.line.fill()
    await publish_all(room, [KILOBYTE] * 4)
    sending = asyncio.create_task(send_all(room, slow, [KILOBYTE] * 10))
    await turn()
    assert not sending.done()
    await room.send("others need not wait", fast)
    await room.publish("nor does who publishes")
    slow.line.drain()
    await sending
    await turn()
    assert len(slow.line.texts) == 15
    assert fast.line.texts[-2:] == ["others need not wait", "nor does who publishes"]


async def send_all(room, member, messages):
    for message in messages:
        await room.send(message, member)


@in_loop
async def test_who_waited_to_send_to_a_member_that_has_caught_up_meanwhile_does_send():
    room = Room(limit=2000)
    member = joined(room)
    member.line.fill()
    await room.publish(KILOBYTE)
    sending = asyncio.create_task(room.send("x" * 1500, member))
    await turn()
    assert not sending.done()
    member.line.drain()
    await sending
    await turn()
    assert [len(text) for text in member.line.texts] == [1000, 1500]


@in_loop
async def test_what_the_app_sends_itself_waits_for_all_that_was_sent_to_this_member_before():
    room = Room()
    member = joined(room)
    member.line.fill()
    for number in range(3):
        await room.send(str(number) * CHUNK, member)
    waiting = asyncio.create_task(member.line.say(encode("the last")))
    for count in range(1, 5):
        await turn()
        assert not waiting.done()
        member.line.full_after = count
        member.line.writable.set()
        member.line.resume()
    await waiting
    assert [text[0] for text in member.line.texts] == ["0", "1", "2", "t"]


@in_loop
async def test_who_waits_to_send_to_a_member_is_told_that_it_has_gone():
    room = Room(limit=2000)
    member = joined(room)
    member.line.fill()
    sending = asyncio.create_task(send_all(room, member, [KILOBYTE] * 3))
    await turn()
    member.line.end()
    with pytest.raises(WebSocketDisconnect):
        await sending


@in_loop
async def test_what_the_app_sends_itself_waits_while_the_line_is_full():
    member = joined(Room())
    member.line.fill()
    waiting = asyncio.create_task(member.line.say(encode("hello")))
    await turn()
    assert not waiting.done()
    member.line.drain()
    await waiting
    assert member.line.texts == ["hello"]


@in_loop
async def test_one_who_was_cancelled_while_others_waited_before_it_keeps_nobody_waiting_after():
    room = Room(limit=3000)
    member = joined(room)
    member.line.fill()
    await room.publish("x" * 1000)
    await room.publish("x" * 1000)
    first, big = (asyncio.create_task(room.publish("x" * size)) for size in (500, 2800))
    await turn()
    big.cancel()
    await turn()
    member.line.full_after = 1  # it takes what there is, and no more
    member.line.take()
    await first
    await turn()
    assert room.stats.waiting_bytes < 1000
    await room.publish("there is room for this")


# Metrics and errors.


@in_loop
async def test_the_stats_say_what_was_done():
    room = Room()
    first, second = joined(room), joined(room)
    await publish_all(room, ["a", b"bc"])
    await room.send("d", first)
    await turn()
    second.line.fill()
    await room.publish("e")
    await turn()
    delivered, sent = 2 + 2 + 1 + 1, 2 * (3 + 4) + 3 + 3
    times = room.stats.times
    assert room.stats == Stats(2, 1, delivered, sent, 0, 3 + OVERHEAD, {}, 2, 0, 0, times)
    room.leave(first)
    second.line.end()
    await turn()
    assert room.stats == Stats(0, 0, delivered, sent, 0, 0, {}, 2, 2, 0, times)


@in_loop
async def test_the_stats_say_how_long_each_write_waited(monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    room = Room()
    first, second = joined(room), joined(room)
    await room.publish("a")
    clock[0] += 0.3
    await turn()
    assert (room.stats.times.total, room.stats.times.seconds) == (2, pytest.approx(0.6))
    second.line.fill()
    await room.publish("b")
    await turn()
    assert (room.stats.times.total, room.stats.times.seconds) == (3, pytest.approx(0.6))
    clock[0] += 5
    await room.publish("c")
    await turn()
    clock[0] += 2
    second.line.drain()
    await turn()
    # What the second one had to wait for is its oldest message: 5 s and 2 s.
    assert (room.stats.times.total, room.stats.times.seconds) == (5, pytest.approx(7.6))
    await room.send("for one alone", first)
    await turn()
    assert room.stats.times.total == 5


@in_loop
async def test_what_is_too_much_for_one_write_has_waited_since_it_was_published(monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    room = Room()
    member, other = joined(room), joined(room)
    keep = other.line.write

    def write(frames):
        clock[0] += 1  # of all members, that takes a second
        keep(frames)

    other.line.write = write
    await publish_all(room, [KILOBYTE] * (2 * CHUNK // len(KILOBYTE)))
    for _ in range(4):
        await turn()
    rounds = len(member.line.writes)
    assert rounds > 1
    assert room.stats.times.seconds == pytest.approx(2 * sum(range(1, rounds + 1)))
    await room.publish("later")
    await turn()
    assert room.stats.times.counts[0] == 0
    assert room.stats.times.seconds == pytest.approx(2 * sum(range(1, rounds + 1)) + 2)


@in_loop
async def test_who_catches_up_between_two_writes_of_a_flush_has_waited_until_then(monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    room = Room()
    first, second, _ = joined(room), joined(room), joined(room)
    first.line.fill()
    second.line.fill()
    second.line.writable.set()
    keep = second.line.write

    def write(frames):
        keep(frames)
        first.line.writable.set()
        first.line.feed()  # as when the app says something to it

    second.line.write = write
    await room.publish("a")
    await turn()
    assert (room.stats.behind, room.stats.times.total) == (0, 3)
    clock[0] += 3600
    await room.send("for one alone", first)
    await room.publish("b")
    await turn()
    assert (room.stats.times.total, room.stats.times.seconds) == (6, 0)


@in_loop
async def test_the_stats_time_a_member_that_is_in_two_rooms():
    one, two = Room(), Room()
    websocket = joined(one)
    two.join(websocket)
    await one.publish("a")
    await two.publish("b")
    await turn()
    assert (one.stats.times.total, two.stats.times.total) == (1, 1)


@in_loop
async def test_a_member_that_takes_more_and_was_told_nothing_meanwhile_counts_as_no_wait():
    room = Room()
    websocket = joined(room)
    await room.publish("a")
    await turn()
    websocket.line.fill()
    websocket.line.drain()
    await turn()
    assert room.stats.times.total == 1
    await room.publish("b")
    await turn()
    assert room.stats.times.total == 2


@in_loop
async def test_who_joins_in_another_thread_while_the_stats_are_read_has_not_left():
    room, told = Room(), threading.Event()

    class Watched:
        """A lock that says that somebody waits for it."""

        def __init__(self, lock):
            self.lock = lock

        def __enter__(self):
            if self.lock.locked():
                told.set()
            self.lock.acquire()

        def __exit__(self, *exc_info):
            self.lock.release()

    async def join():
        joined(room)
        told.set()

    class Members(dict):
        def __iter__(self):
            if not told.is_set():
                other.start()
                assert told.wait(GUARD_SECONDS)
            return super().__iter__()

    other = threading.Thread(target=lambda: asyncio.run(join()))
    room._lock, room._members = Watched(room._lock), Members()
    assert room.stats.left == 0
    other.join(GUARD_SECONDS)
    assert (room.stats.joined, room.stats.members, room.stats.left) == (1, 1, 0)


@in_loop
async def test_the_stats_count_who_came_and_who_left():
    room = Room()
    first, second = joined(room), joined(room)
    room.join(first)  # harmless
    room.leave(second)
    room.leave(second)
    third = joined(room)
    third.line.end()
    assert (room.stats.members, room.stats.joined, room.stats.left) == (1, 3, 2)


@in_loop
async def test_the_stats_count_a_flush_in_which_all_members_end():
    room = Room()
    members = [joined(room, full_after=1, then="end") for _ in range(10)]
    await room.publish("abc")
    await turn()
    assert room.members == []
    assert sum(len(member.line.writes) for member in members) == room.stats.delivered == 10


@pytest.mark.parametrize("message", [None, 1, {1, 2}])
def test_what_is_no_message_is_refused_by_name(message):
    with pytest.raises(TypeError, match=f"got {type(message).__name__}: "):
        asyncio.run(Room().publish(message))


@in_loop
async def test_a_message_bigger_than_the_bound_passes_alone():
    room = Room(limit=1000)
    slow, other = joined(room), joined(room)
    slow.line.fill()
    await room.publish(KILOBYTE * 2)
    small = asyncio.create_task(room.publish("small"))
    await turn()
    assert not small.done()
    assert other.line.texts == [KILOBYTE * 2]
    slow.line.drain()
    await small
    big = asyncio.create_task(room.publish(KILOBYTE * 2))
    await big
    await turn()
    assert slow.line.texts == other.line.texts == [KILOBYTE * 2, "small", KILOBYTE * 2]


@pytest.mark.parametrize("bad", [{"limit": 0}, {"patience": 0}, {"min_rate": -1}, {"hold": -1}])
def test_bounds_that_bound_nothing_are_refused(bad):
    with pytest.raises(ValueError, match="limit and patience are above 0"):
        Room(**bad)


def test_an_unknown_way_to_treat_a_full_log_is_refused():
    with pytest.raises(ValueError, match="on_full is 'wait' or 'evict'; got 'drop'"):
        Room(on_full="drop")


@in_loop
async def test_sending_to_who_never_joined_says_so():
    with pytest.raises(LookupError, match="never joined"):
        await Room().send("hello", FakeSocket())


@in_loop
async def test_sending_to_who_has_gone_is_a_disconnect():
    room = Room()
    member = joined(room)
    member.line.end()
    with pytest.raises(WebSocketDisconnect):
        await room.send("hello", member)


def test_joining_from_another_event_loop_is_refused():
    async def make():
        return FakeSocket()

    async def join(member):
        Room().join(member)

    with pytest.raises(RuntimeError, match="event loop of the connection"):
        asyncio.run(join(asyncio.run(make())))


# Threads, event loops and servers.


def test_anybody_may_publish_from_any_thread(serve, raw):
    room = Room(limit=20_000)
    app = app_on(ConnectionManager(room))
    clients = [raw(server) for server in (serve(app), serve(app)) for _ in range(2)]

    async def publish(who):
        for number in range(200):
            await room.publish(f"{who} {number} {KILOBYTE}")

    threads = [threading.Thread(target=asyncio.run, args=(publish(who),)) for who in range(4)]
    for thread in threads:
        thread.start()
    heard = [[client.text().split()[:2] for _ in range(800)] for client in clients]
    for thread in threads:
        thread.join(GUARD_SECONDS)
    assert heard[0] == heard[1] == heard[2] == heard[3]  # one order for all
    for who in "0123":
        assert [number for said, number in heard[0] if said == who] == list(map(str, range(200)))


def test_a_member_may_be_sent_to_and_removed_from_any_thread(serve, raw):
    room = Room()
    server = serve(app_on(ConnectionManager(room)))
    client = raw(server)
    server.until(lambda: room.members)
    (member,) = room.members

    async def part():
        await room.publish("a")
        await room.send("b", member)
        room.leave(member)
        await room.publish("c")

    asyncio.run(part())
    assert [client.text(), client.text()] == ["a", "b"]
    server.run(member.send_text("d"))
    assert client.text() == "d"


class PlainServer:
    """A server that offers no extension: it takes one message at a time, or none while stuck."""

    def __init__(self):
        self.sent, self.stuck = [], False
        self.websocket = WebSocket({"type": "websocket"}, self.receive, self.send)
        self.websocket.application_state = WebSocketState.CONNECTED
        self.websocket.client_state = WebSocketState.CONNECTED

    async def receive(self):
        await asyncio.Event().wait()

    async def send(self, message):
        if self.stuck and message["type"] == "websocket.send":
            await asyncio.Event().wait()
        self.sent.append((asyncio.get_running_loop(), message))


@in_loop
async def test_without_the_extension_an_evicted_member_s_handler_is_told_and_its_server_asked():
    clock, room, server = Clock(), Room(patience=1, min_rate=1e5), PlainServer()
    room.join(server.websocket)
    server.stuck = True
    await asyncio.create_task(room.publish("x" * 2 * HIGH_WATER))
    reading = asyncio.create_task(server.websocket.receive_text())
    await clock.pass_by(2)  # a second, and those that 128 KB take at the least rate are not over
    assert room.stats.evicted == {}
    await clock.pass_by(1)
    assert room.stats.evicted == {"stalled": 1}
    assert [message.get("code") for _, message in server.sent] == [1013]
    with pytest.raises(WebSocketDisconnect):
        await reading
    with pytest.raises(WebSocketDisconnect):
        await server.websocket.send_text("hello")


@in_loop
async def test_without_the_extension_what_another_thread_sends_is_sent_in_the_right_loop():
    room, server = Room(), PlainServer()
    room.join(server.websocket)
    await asyncio.to_thread(lambda: asyncio.run(server.websocket.send_text("from elsewhere")))
    message = {"type": "websocket.send", "text": "from elsewhere"}
    assert server.sent == [(asyncio.get_running_loop(), message)]


@in_loop
async def test_without_the_extension_a_send_of_nothing_sends_nothing():
    room, server = Room(), PlainServer()
    room.join(server.websocket)
    await server.websocket.send({"type": "websocket.send"})
    await server.websocket.send_text("something")
    assert [message["text"] for _, message in server.sent] == ["something"]


@in_loop
async def test_without_the_extension_no_room_is_written_within_the_writing_of_another(monkeypatch):
    rooms, servers = [Room() for _ in range(400)], [PlainServer() for _ in range(400)]
    for room, server in zip(rooms, servers, strict=True):
        room.join(server.websocket)
    monkeypatch.setattr(turns, "TURN_SECONDS", FOR_EVER)  # all is said in one turn
    for text in ("one", "two"):
        for room in rooms:
            await room.publish(text)
    monkeypatch.setattr(turns, "TURN_SECONDS", 0.0)  # and then the turn is late at once
    while any(len(server.sent) < 2 for server in servers):
        await turn()
    texts = {tuple(message["text"] for _, message in server.sent) for server in servers}
    assert texts == {("one", "two")}
    assert [room.stats.evicted for room in rooms] == [{}] * 400


class Failing(PlainServer):
    """A server whose `send` raises once, at the message "2", after some turns of the loop."""

    def __init__(self, error, turns):
        super().__init__()
        self.error, self.turns = error, turns

    async def send(self, message):
        if message.get("text") == "2":
            for _ in range(self.turns):
                await asyncio.sleep(0)
            raise self.error
        await super().send(message)


@pytest.mark.parametrize("turns", [0, 1])
@pytest.mark.parametrize(
    "error", [asyncio.CancelledError(), TimeoutError(), ValueError()], ids=repr
)
@in_loop
async def test_without_the_extension_a_send_that_fails_ends_its_own_connection_alone(
    error, turns, monkeypatch
):
    monkeypatch.setattr(taskline, "GIVE_UP_SECONDS", 0.01)
    room, failing, other = Room(), Failing(error, turns), PlainServer()
    room.join(failing.websocket)
    room.join(other.websocket)
    reading = asyncio.create_task(failing.websocket.receive_text())
    for text in "12345":
        await room.publish(text)
        await turn()
    assert [message["text"] for _, message in other.sent] == list("12345")
    with pytest.raises(WebSocketDisconnect) as told:
        await reading
    await turn()
    assert told.value.code == 1011
    assert failing.sent[-1][1]["code"] == 1011
    assert room.members == [other.websocket]


def heard(text):
    """Return what the speaker hears of `text` on that app, and what the other does."""
    return (
        [f"all: {text}", f"one: {text}", text.encode(), f"self: {text}"],
        [f"all: {text}", text.encode(), f"other: {text}"],
    )


def receive(session):
    message = session.receive()
    return message["text"] if message.get("text") is not None else message["bytes"]


@pytest.mark.parametrize("bare", [True, False])
def test_it_holds_under_the_test_client(bare):
    client = TestClient(conversation)
    # Bare, each socket has a thread and an event loop of its own.
    if not bare:
        client.__enter__()
    try:
        for _ in range(20):
            with client.websocket_connect("/ws") as one, client.websocket_connect("/ws") as two:
                for speaker, other in ((one, two), (two, one)):
                    speaker.send_text("hello")
                    to_speaker, to_other = heard("hello")
                    assert [receive(speaker) for _ in to_speaker] == to_speaker
                    assert [receive(other) for _ in to_other] == to_other
    finally:
        if not bare:
            client.__exit__()


@pytest.mark.parametrize("protocol", ["websockets-sansio", "wsproto"])
def test_without_the_extension_a_stalled_member_is_evicted_and_the_rest_get_everything(
    serve, raw, protocol
):
    room = Room(limit=100_000, patience=0.3)
    server = serve(app_on(ConnectionManager(room)), ws=protocol, send_buffer=SMALL)
    readers = [raw(server) for _ in range(3)]
    raw(server, receive_buffer=SMALL)
    messages = [f"{number}{KILOBYTE}" for number in range(300)]
    sending = asyncio.run_coroutine_threadsafe(publish_all(room, messages), server.loop)
    total = size(messages)
    assert read_all(readers, total) == [b"".join(map(encode, messages))] * 3
    sending.result(GUARD_SECONDS)
    server.until(lambda: room.stats.evicted == {"stalled": 1})
    assert room.stats.members == 3


SERVERS = {
    "uvicorn without the extension": ["uvicorn", "--uds", "UDS"],
    "hypercorn": ["hypercorn", "--bind", "unix:UDS"],
    "granian": ["granian", "--interface", "asgi", "--workers-kill-timeout", "1", "--uds", "UDS"],
}


def answers(path):
    """Return whether a server accepts connections at `path`: Granian says so before it does."""
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(path) == 0


@pytest.fixture(params=SERVERS)
def other_server(request, socket_path):
    """A server without the extension, in a process of its own: the path of its Unix socket."""
    command = [part.replace("UDS", socket_path) for part in SERVERS[request.param]]
    pytest.importorskip(command[0])
    process = subprocess.Popen(
        [sys.executable, "-m", *command, "live:conversation"],
        cwd=request.path.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    said = []
    for line in process.stdout:
        said.append(line)
        if "running on" in line.lower() or "Started worker" in line:
            break
    while not answers(socket_path):
        assert process.poll() is None
    try:
        yield socket_path
    finally:
        process.terminate()
        said.append(process.communicate(timeout=GUARD_SECONDS)[0])
        assert "Traceback" not in "".join(said)


def test_it_holds_on_other_servers(other_server):
    async def talk():
        async with (
            asyncio.timeout(GUARD_SECONDS),
            websockets.unix_connect(other_server, "ws://localhost/ws") as one,
            websockets.unix_connect(other_server, "ws://localhost/ws") as two,
        ):
            for speaker, other in ((one, two), (two, one)) * 20:
                await speaker.send("hello")
                to_speaker, to_other = heard("hello")
                assert [await speaker.recv() for _ in to_speaker] == to_speaker
                assert [await other.recv() for _ in to_other] == to_other

    asyncio.run(talk())


def test_on_other_servers_too_who_does_not_read_keeps_nobody_from_anything(other_server):
    async def talk():
        async with (
            asyncio.timeout(GUARD_SECONDS),
            websockets.unix_connect(other_server, "ws://localhost/flood") as reader,
        ):
            stalled = websockets.unix_connect(
                other_server, "ws://localhost/flood", max_queue=1, close_timeout=0.1
            )
            async with stalled:
                await reader.send("go")
                return [await reader.recv() for _ in range(3000)]

    assert asyncio.run(talk()) == [f"{number} {KILOBYTE}" for number in range(3000)]
