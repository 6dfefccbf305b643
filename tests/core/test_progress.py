"""Nobody waits for what can no longer happen, is overtaken, or keeps an event loop from turning.

On lines without a network, in one event loop or in several.
"""

import asyncio
import itertools
import threading
import tracemalloc
from types import SimpleNamespace

import pytest
from fastapi import WebSocketDisconnect
from joining import in_loop, joined, publish_all, turn
from lines import FakeLine, FakeSocket

from chatlib import Room
from chatlib.core import turn as turn_module
from chatlib.core.frames import encode
from chatlib.core.line import CHUNK
from chatlib.core.turn import TURN_BYTES, TURN_SECONDS, WRITE_BYTES, Turn, turn_here

FOR_EVER = 1e6
KILOBYTE = "x" * 1000


# Who waits to publish.


@in_loop
async def test_who_came_first_to_publish_goes_first_however_big_the_message():
    room = Room(limit=3000)
    slow, other = joined(room), joined(room)
    slow.line.fill()
    await room.publish(KILOBYTE)
    waiting = [
        asyncio.create_task(room.publish(text))
        for text in ("first" + KILOBYTE * 2, "second", "third" + KILOBYTE, "fourth")
    ]
    await turn()
    assert not any(task.done() for task in waiting)
    slow.line.drain()
    await asyncio.gather(*waiting)
    await turn()
    heard = [text.strip("x") for text in other.line.texts]
    assert heard == ["", "first", "second", "third", "fourth"]


@in_loop
async def test_only_those_of_many_who_wait_are_woken_who_fit():
    room = Room(limit=10 * (1004 + 192))
    slow = joined(room)
    slow.line.fill()
    joined(room)
    waiting = [asyncio.create_task(room.publish(KILOBYTE)) for _ in range(200)]
    await turn()
    assert room.stats.waiting == 190
    slow.line.full_after = len(slow.line.writes) + 1
    slow.line.take()
    await turn()
    await turn()
    assert sum(task.done() for task in waiting) == 20
    slow.line.end()
    await asyncio.gather(*waiting)


@in_loop
async def test_when_the_first_who_waits_is_cancelled_the_next_one_that_fits_is_let_in():
    room = Room(limit=5000, patience=FOR_EVER)
    slow, other = joined(room), joined(room)
    slow.line.fill()
    await publish_all(room, [KILOBYTE] * 2)
    big = asyncio.create_task(room.publish(KILOBYTE * 4))
    small = asyncio.create_task(room.publish("small"))
    await turn()
    assert not small.done()
    big.cancel()
    await asyncio.wait_for(small, 10)
    await turn()
    assert other.line.texts[-1] == "small"


@in_loop
async def test_a_feed_gives_way_to_others_though_nothing_makes_it_wait():
    for members in (0, 1):
        room = Room()
        for _ in range(members):
            joined(room)
        turns = 0

        async def feed(room=room):
            for _ in range(30_000):
                await room.publish("1")

        feeding = asyncio.create_task(feed())
        while not feeding.done():
            turns += 1
            await asyncio.sleep(0)
        assert turns > 5, f"with {members} members"


# Who leaves, is gone, or fails.


@in_loop
async def test_a_send_that_waits_for_a_member_who_leaves_is_sent_and_nobody_is_held_up():
    room = Room(limit=200_000, patience=FOR_EVER)
    slow, other = joined(room), joined(room)
    slow.line.fill()
    await publish_all(room, [str(number) + "x" * 60_000 for number in range(3)])
    sending = asyncio.create_task(room.send("s" * 30_000, slow))
    await turn()
    room.leave(slow)
    await room.publish("after")
    slow.line.full_after = 1
    slow.line.take()
    await turn()
    slow.line.drain()
    await asyncio.wait_for(sending, 10)
    await turn()
    assert [text[0] for text in slow.line.texts] == ["0", "1", "2", "s"]
    assert other.line.texts[-1] == "after"
    assert (room.stats.behind, room.stats.waiting_bytes) == (0, 0)


@in_loop
async def test_what_is_published_after_a_leave_from_another_thread_is_not_heard():
    room = Room()
    member, other = joined(room), joined(room)

    async def leave_and_publish():
        await room.publish("before")
        room.leave(member)
        await room.publish("after")

    thread = threading.Thread(target=asyncio.run, args=(leave_and_publish(),))
    thread.start()
    thread.join()  # this loop has not turned meanwhile
    await turn()
    assert member.line.texts == ["before"]
    assert other.line.texts == ["before", "after"]


@in_loop
async def test_a_leaver_who_has_had_everything_is_let_go_although_its_line_is_full():
    room = Room(limit=3000, patience=FOR_EVER)
    member = joined(room, full_after=1)
    joined(room)
    await room.publish("the last that it hears")
    await turn()
    room.leave(member)
    await asyncio.wait_for(publish_all(room, [KILOBYTE] * 20), 10)
    assert member.line.sources == []


@in_loop
async def test_a_member_whose_write_fails_while_it_is_behind_costs_the_others_nothing():
    room = Room()
    bad, *good = (joined(room) for _ in range(3))
    for member in (bad, good[0]):
        member.line.fill()
    await room.publish("a")

    def fail(frames):
        raise OSError

    bad.line.write = fail
    bad.line.drain()
    good[0].line.drain()
    await turn()
    assert [member.line.texts for member in good] == [["a"], ["a"]]
    assert bad.line.aborted


@in_loop
async def test_a_cancelled_send_of_the_apps_own_takes_nothing_of_the_rooms_with_it():
    room = Room()
    member = joined(room)
    member.line.fill()
    await room.publish("a")
    said = asyncio.create_task(member.line.say(encode("the app's own")))
    await turn()
    await room.publish("b")
    said.cancel()
    await turn()
    member.line.drain()
    await turn()
    assert member.line.texts == ["a", "b"]


# Several rooms.


@in_loop
async def test_what_one_task_says_to_several_rooms_is_heard_in_that_order_by_a_member_of_all():
    rooms = [Room() for _ in range(3)]
    for full in (False, True):
        member = FakeSocket()
        for room in rooms:
            room.join(member)
        if full:
            member.line.fill()
        said = [f"{number} {number * 7 % 3}" for number in range(30)]
        for text in said:
            await rooms[int(text[-1])].publish(text)
        await rooms[0].send("for it alone", member)
        if full:
            member.line.drain()
        await turn()
        assert member.line.texts == [*said, "for it alone"]
        member.line.end()


@in_loop
async def test_a_quiet_room_is_not_starved_by_a_busy_one():
    busy, quiet = Room(limit=20_000), Room(limit=2000, patience=FOR_EVER)
    member = FakeSocket()
    busy.join(member)
    quiet.join(member)
    member.line.fill()
    feeding = asyncio.create_task(publish_all(busy, [KILOBYTE] * 1000))
    asking = asyncio.create_task(publish_all(quiet, [KILOBYTE] * 3))
    await turn()
    assert not asking.done()
    for _ in range(10):  # it takes one chunk, and is full again
        member.line.full_after = len(member.line.writes) + 1
        member.line.take()
        await turn()
    assert asking.done()
    feeding.cancel()


# How much is done in one turn of the event loop.


class CountingLine(FakeLine):
    """A line that counts what is written to all of its kind."""

    writes_of_all = size_of_all = 0

    def write(self, frames):
        CountingLine.writes_of_all += 1
        CountingLine.size_of_all += len(frames)


@in_loop
async def test_a_burst_to_a_thousand_members_is_written_in_many_turns():
    room = Room()
    for _ in range(1000):
        joined(room, line=CountingLine)
    await publish_all(room, ["x" * 60_000] * 10)
    most = 0
    while room.stats.behind:
        before = (CountingLine.writes_of_all, CountingLine.size_of_all)
        await asyncio.sleep(0)
        writes = CountingLine.writes_of_all - before[0]
        size = CountingLine.size_of_all - before[1]
        most = max(most, size + writes * WRITE_BYTES)
    assert CountingLine.size_of_all == 1000 * 10 * len(encode("x" * 60_000))
    assert most <= TURN_BYTES + 16 * CHUNK


def test_a_turn_goes_on_with_all_that_it_had_to_cut_short():
    async def run():
        turn_, done = Turn(), []

        def job(name):
            for number in range(4):
                done.append((name, number))
                yield TURN_BYTES // 3

        turn_.add(job("a"))
        turn_.add(job("b"))
        while len(done) < 8:  # noqa: ASYNC110 — it sets no event
            await asyncio.sleep(0)
        return done

    done = asyncio.run(run())
    assert sorted(done) == [(name, number) for name in "ab" for number in range(4)]
    assert [number for name, number in done if name == "b"] == [0, 1, 2, 3]


@in_loop
async def test_a_turn_is_of_its_event_loop():
    async def elsewhere():
        return turn_here()

    assert turn_here() is turn_here()
    assert await asyncio.to_thread(asyncio.run, elsewhere()) is not turn_here()


# Several event loops.


async def member_in(room, ready, stop, *, full):
    """Be a member of `room` in this event loop, which turns no more once it is ready."""
    member = FakeSocket()
    room.join(member)
    if full:
        member.line.fill()
    ready.append(member)
    stop.wait()


@pytest.mark.parametrize("due", [False, True])
def test_a_publisher_does_not_wait_for_a_member_whose_event_loop_is_closed(due):
    async def publish(room):
        here = joined(room)
        if due:
            await room.publish("the flush for the other loop is due")
        other.close()
        await asyncio.wait_for(publish_all(room, [KILOBYTE] * 100), 10)
        await turn()
        return len(here.line.texts), room.stats.members

    room, other = Room(limit=10_000, patience=FOR_EVER), asyncio.new_event_loop()

    async def join():
        joined(room).line.fill()

    other.run_until_complete(join())
    assert asyncio.run(publish(room)) == (100 + due, 1)


@pytest.mark.parametrize("how", ["ends while it waits", "is closed before it comes", "is closed"])
def test_a_send_to_a_member_whose_event_loop_ends_is_a_disconnect(how):
    room, members, go_on = Room(limit=2000), [], threading.Event()

    async def stay():
        members.append(joined(room))
        members[0].line.fill()
        await asyncio.to_thread(go_on.wait)

    async def send():
        if how == "ends while it waits":
            thread = threading.Thread(target=asyncio.run, args=(stay(),))
            thread.start()
            while not members:  # noqa: ASYNC110 — it sets no event
                await asyncio.sleep(0)
            await room.send("x" * 1500, members[0])
            sending = asyncio.create_task(room.send("y" * 1500, members[0]))
            while not room.stats.waiting:  # noqa: ASYNC110 — likewise
                await asyncio.sleep(0)
            go_on.set()
            await asyncio.to_thread(thread.join)
        else:
            other = asyncio.new_event_loop()
            go_on.set()
            await asyncio.to_thread(other.run_until_complete, stay())
            if how == "is closed":
                other.close()
            sending = asyncio.create_task(room.send("hello", members[0]))
            await asyncio.sleep(0)
            other.close()
        with pytest.raises(WebSocketDisconnect):
            await asyncio.wait_for(sending, 10)
        assert not sending.cancelled()

    asyncio.run(send())


def test_the_members_of_a_blocked_event_loop_hold_up_others_no_longer_than_hold():
    room, ready, stop = Room(limit=10_000, hold=0.2), [], threading.Event()
    blocked = threading.Thread(target=asyncio.run, args=(member_in(room, ready, stop, full=False),))

    async def publish():
        here = joined(room)
        await asyncio.wait_for(publish_all(room, [KILOBYTE] * 100), 10)
        await turn()
        return len(here.line.texts)

    blocked.start()
    while not ready:
        pass
    try:
        assert asyncio.run(publish()) == 100
    finally:
        stop.set()
        blocked.join()
    assert ready[0] not in room.members  # and its own loop, when it turned again, has cut it off
    assert ready[0].line.ended
    assert room.stats.evicted == {"blocked": 1}


def test_the_members_of_a_blocked_event_loop_are_waited_for_where_nobody_else_is():
    room, ready, stop = Room(limit=10_000, hold=0.1), [], threading.Event()
    blocked = threading.Thread(target=asyncio.run, args=(member_in(room, ready, stop, full=False),))

    async def publish():
        publishing = asyncio.create_task(publish_all(room, [KILOBYTE] * 30))
        for _ in range(10):  # looks at the other loop
            await asyncio.sleep(room._rules.interval)
        assert not publishing.done()
        stop.set()
        await asyncio.wait_for(publishing, 10)

    blocked.start()
    while not ready:
        pass
    asyncio.run(publish())
    blocked.join()
    assert room.stats.evicted == {}


# Memory.


def test_the_limit_is_what_a_full_log_takes_of_memory_however_short_the_messages():
    limit = 1024 * 1024

    async def fill(size):
        room = Room(limit=limit)
        joined(room).line.fill()
        tracemalloc.start()
        text = "x" * size
        publishing = asyncio.create_task(publish_all(room, itertools.repeat(text)))
        while not room.stats.waiting:  # noqa: ASYNC110 — it sets no event
            await asyncio.sleep(0)
        taken, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        publishing.cancel()
        return taken

    for size in (0, 10, 1000):
        assert asyncio.run(fill(size)) < 1.3 * limit


@in_loop
async def test_a_message_alone_is_written_in_the_next_turn():
    room = Room()
    member = joined(room)
    await turn()
    await room.publish("a")
    await asyncio.sleep(0)
    assert member.line.texts == ["a"]


@in_loop
async def test_where_several_are_published_in_a_turn_those_of_the_next_go_with_them_in_one_write():
    room = Room()
    member = joined(room)
    await turn()
    await publish_all(room, "ab")
    await asyncio.sleep(0)
    assert member.line.writes == []
    await publish_all(room, "cd")
    await asyncio.sleep(0)
    assert member.line.texts == ["a", "b", "c", "d"]
    assert len(member.line.writes) == 1


@in_loop
async def test_in_the_turn_that_a_flush_waits_for_nobody_is_late(monkeypatch):
    now = 0.0
    monkeypatch.setattr(turn_module, "time", SimpleNamespace(monotonic=lambda: now))
    room = Room()
    member = joined(room)
    await turn()
    await publish_all(room, "ab")
    await asyncio.sleep(0)
    now += 2 * TURN_SECONDS  # handlers had much to do in the turn before
    await publish_all(room, "cd")
    assert member.line.writes == []
    await turn()
    assert len(member.line.writes) == 1


@in_loop
async def test_a_flush_of_many_turns_waits_once():
    crowd, quiet = Room(), Room()
    for _ in range(5 * TURN_BYTES // WRITE_BYTES):
        last = joined(crowd)
    joined(quiet)
    await turn()
    await crowd.publish("a")
    turns = 0
    while not last.line.writes:
        await publish_all(quiet, "bc")  # which has a flush wait
        await asyncio.sleep(0)
        turns += 1
    assert turns <= 5 + 2


# Found by the model of test_model.py, or missed by it.


@in_loop
async def test_whoever_waits_for_a_message_whose_write_fails_is_told():
    room = Room(limit=2000)
    member = joined(room)
    member.line.fill()
    sending = asyncio.create_task(publish_and_send(room, member))
    saying = asyncio.create_task(member.line.say(encode("the app's own")))
    await turn()

    def fail(frames):
        raise OSError

    member.line.write = fail
    member.line.drain()
    with pytest.raises(WebSocketDisconnect):
        await asyncio.wait_for(sending, 10)
    with pytest.raises(OSError, match="ended"):
        await asyncio.wait_for(saying, 10)
    assert room.stats.waiting == 0


async def publish_and_send(room, member):
    await room.publish(KILOBYTE)
    await room.send(KILOBYTE, member)


@in_loop
async def test_the_log_is_trimmed_when_the_last_one_in_step_has_caught_up_by_speaking():
    crowd, room = Room(), Room(limit=200_000, patience=FOR_EVER)
    for _ in range(TURN_BYTES // WRITE_BYTES - 2):
        joined(crowd)  # their writes leave a turn of one write more
    member = joined(room)
    await turn()
    await crowd.publish("a")
    await publish_all(room, ["x" * 60_000] * 3)
    waiting = asyncio.create_task(room.publish("y" * 150_000))
    await asyncio.sleep(0)
    await asyncio.sleep(0)  # where several are published, they are written in the next turn
    assert len(member.line.writes) == 1
    await room.send("for one", member)
    await asyncio.wait_for(waiting, 10)


@in_loop
async def test_what_is_for_one_alone_is_written_after_it_has_left_its_last_room():
    room = Room()
    member = joined(room)
    member.line.fill()
    for number in range(3):
        await room.send(str(number) * CHUNK, member)
    room.leave(member)
    await turn()
    for count in range(1, 4):
        member.line.full_after = count
        member.line.take()
        await turn()
    assert [text[0] for text in member.line.texts] == ["0", "1", "2"]


@in_loop
async def test_a_leaver_hears_nothing_of_what_was_joined_for_those_who_stay():
    room = Room()
    stays, leaves = joined(room), joined(room)
    for member in (stays, leaves):
        member.line.fill()
    await room.publish("before")
    room.leave(leaves)
    await room.publish("after")
    stays.line.drain()  # in the same round, and from the same place
    leaves.line.drain()
    await turn()
    assert stays.line.texts == ["before", "after"]
    assert leaves.line.texts == ["before"]
