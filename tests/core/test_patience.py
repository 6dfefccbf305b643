"""Whom a room cuts off, and when: by a clock that the test turns."""

import asyncio

import pytest
from fastapi import WebSocketDisconnect
from joining import Clock, in_loop, joined, publish_all, turn

from chatlib import Room
from chatlib.core.patience import Judged, Patience

KILOBYTE = "x" * 1000
FOR_EVER = 1e6


@in_loop
async def test_a_member_who_takes_nothing_is_evicted_at_its_deadline_and_not_before():
    clock, room = Clock(), Room(patience=10)
    stalled, other = joined(room), joined(room)
    stalled.line.fill()
    await clock.pass_by(9.9)
    assert room.members == [stalled, other]
    await clock.pass_by(2)
    assert stalled.line.aborted
    assert room.members == [other]
    assert room.stats.evicted == {"stalled": 1}


@in_loop
async def test_a_member_who_takes_too_little_is_evicted_as_slow():
    clock, room = Clock(), Room(patience=10, min_rate=100)
    slow = joined(room)
    slow.line.fill()
    slow.line.taken += 999
    await clock.pass_by(12)
    assert slow.line.aborted
    assert room.stats.evicted == {"slow": 1}


@in_loop
async def test_a_member_who_takes_just_enough_stays():
    clock, room = Clock(), Room(patience=10, min_rate=100)
    slow = joined(room)
    slow.line.fill()
    for _ in range(2):
        await clock.pass_by(8)
        slow.line.taken += 1000
        await clock.pass_by(1.5)
    assert room.stats.evicted == {}


@in_loop
async def test_filling_up_again_while_behind_gives_no_new_time():
    clock, room = Clock(), Room(patience=10, min_rate=100)
    slow = joined(room)
    slow.line.fill()
    await publish_all(room, [KILOBYTE] * 200)
    for _ in range(3):
        await clock.pass_by(4)
        slow.line.full_after = len(slow.line.writes) + 1
        slow.line.writable.set()
        slow.line.resume()
        await turn()
    assert room.stats.evicted == {"stalled": 1}


@in_loop
async def test_a_member_who_has_caught_up_starts_with_all_its_time_anew():
    clock, room = Clock(), Room(patience=10)
    member = joined(room)
    member.line.fill()
    await clock.pass_by(8)
    member.line.drain()
    await turn()
    member.line.fill()
    await clock.pass_by(8)
    assert room.stats.evicted == {}
    await clock.pass_by(4)
    assert room.stats.evicted == {"stalled": 1}


@in_loop
async def test_an_eviction_frees_who_waits():
    clock, room = Clock(), Room(limit=2000, patience=10)
    stalled, other = joined(room), joined(room)
    stalled.line.fill()
    publishing = asyncio.create_task(publish_all(room, [KILOBYTE] * 5))
    await clock.pass_by(12)
    await publishing
    await turn()
    assert len(other.line.texts) == 5
    assert stalled.line.texts == []


# Those who hold up the others.


async def held_up(room, others=3, **options):
    """Return a clock, a full member, the others, and a task that publishes without end."""
    clock, bad = Clock(), joined(room)
    bad.line.fill()
    good = [joined(room) for _ in range(others)]

    async def feed():
        while True:
            await room.publish(KILOBYTE)

    feeding = asyncio.create_task(feed())
    await turn()
    return clock, bad, good, feeding


@in_loop
async def test_a_member_who_holds_up_the_others_is_cut_off_after_hold():
    room = Room(limit=10_000, hold=2.0)
    clock, bad, good, feeding = await held_up(room)
    await clock.pass_by(1.9)
    assert not bad.line.aborted
    assert len(good[0].line.texts) == 8
    await clock.pass_by(1)
    assert bad.line.aborted
    assert room.stats.evicted == {"stalled": 1}
    assert len(good[0].line.texts) > 100
    feeding.cancel()


async def take_a_log(every, times):
    """Have a member take a log at a time, while others wait. Return who was cut off, by reason."""
    room = Room(limit=10_000)
    clock, bad, _, feeding = await held_up(room)
    for _ in range(times):
        await clock.pass_by(every)
        bad.line.full_after = len(bad.line.writes) + 1
        bad.line.taken += 1000
        bad.line.take()
        await turn()
    feeding.cancel()
    return room.stats.evicted


@in_loop
async def test_one_who_takes_less_than_two_logs_a_second_holds_up_no_longer():
    assert await take_a_log(every=0.55, times=5) == {"slow": 1}


@in_loop
async def test_one_who_takes_two_logs_a_second_is_waited_for():
    assert await take_a_log(every=0.45, times=30) == {}


@in_loop
async def test_who_has_taken_much_has_no_right_to_stall_later():
    room = Room(limit=10_000, patience=FOR_EVER)
    clock, bad, _, feeding = await held_up(room)
    for _ in range(100):
        await clock.pass_by(0.1)
        bad.line.full_after = len(bad.line.writes) + 1
        bad.line.take()
        await turn()
    assert room.stats.evicted == {}
    await clock.pass_by(1.3)
    assert bad.line.ended
    feeding.cancel()


@in_loop
async def test_two_who_take_turns_do_not_hold_up_the_others_for_longer_than_two_seconds():
    room = Room(limit=10_000, patience=FOR_EVER)
    clock, first, good, feeding = await held_up(room, others=7)
    second, longest = good.pop(), 0.0
    for number in range(12):
        holds, flows = (first, second) if number % 2 else (second, first)
        holds.line.fill()
        flows.line.drain()
        began = clock.now
        while not holds.line.ended and clock.now - began < 0.4 * 1.4**number:
            await clock.pass_by(0.05)
        longest = max(longest, clock.now - began)
        if holds.line.ended:
            break
    assert longest < 2.0
    feeding.cancel()


@in_loop
async def test_with_a_hold_of_nothing_a_member_that_holds_up_the_others_is_cut_off_in_a_second():
    clock, bad, _, feeding = await held_up(Room(limit=10_000, hold=0.0, patience=FOR_EVER))
    await clock.pass_by(1)
    assert bad.line.ended
    feeding.cancel()


@in_loop
async def test_that_another_event_loop_looks_as_often_gives_a_member_no_more_time():
    room = Room(limit=10_000, hold=1.0)
    clock, bad, _, feeding = await held_up(room)
    elsewhere = Judged()
    for _ in range(150):
        await clock.pass_by(0.01)
        room._rules.judge([], room._ring.wanted, clock.now, elsewhere)
    assert bad.line.ended
    feeding.cancel()


async def come_and_go(hold_up, quiet, times):
    """Have a member hold up the others, and then nobody speak, for so many seconds each."""
    clock, room = Clock(), Room(limit=10_000, patience=FOR_EVER)
    bad, _ = joined(room), joined(room)
    for _ in range(times):
        bad.line.fill()
        saying = asyncio.create_task(publish_all(room, [KILOBYTE] * 12))
        await clock.pass_by(hold_up)
        if not bad.line.ended:
            bad.line.drain()
        await saying
        await clock.pass_by(quiet)
    return room.stats.evicted


@in_loop
async def test_one_who_holds_up_the_others_for_less_than_half_of_the_time_is_waited_for():
    assert await come_and_go(hold_up=0.4, quiet=0.6, times=20) == {}


@in_loop
async def test_one_who_does_so_for_more_than_half_of_the_time_is_cut_off():
    assert await come_and_go(hold_up=0.6, quiet=0.3, times=20) == {"stalled": 1}


@in_loop
async def test_members_who_are_served_one_after_the_other_hold_up_nobody_for_long():
    clock, room = Clock(), Room(limit=10_000)
    members = [joined(room, full_after=1) for _ in range(8)]
    feeding = asyncio.create_task(publish_all(room, [KILOBYTE] * 100_000))
    await turn()
    for number in range(20):  # as in one process that is busy: all have a turn in 0.8 seconds
        for member in members[number % 8 :] + members[: number % 8]:
            await clock.pass_by(0.1)
            member.line.full_after = len(member.line.writes) + 2  # the next log fills it up again
            member.line.take()
            await turn()
    assert room.stats.evicted == {}
    assert room.stats.delivered > 1000
    feeding.cancel()


@in_loop
async def test_a_member_for_whom_nobody_waits_is_not_cut_off_for_holding_up():
    room = Room(limit=10_000, hold=0.5, patience=100)
    clock, bad, good, feeding = await held_up(room, others=4)
    for member in good:
        member.line.fill()  # these take no more either, so nobody has had all and waits
    room.leave(bad)
    bad.line.drain()
    await clock.pass_by(5)
    assert room.stats.evicted == {}
    feeding.cancel()


@in_loop
async def test_once_the_patience_is_used_up_a_newcomer_gets_none():
    room = Room(limit=10_000, hold=1.0)
    clock, bad, _, feeding = await held_up(room)
    await clock.pass_by(2)
    assert bad.line.aborted
    again = joined(room, full_after=1)
    await turn()
    await turn()
    assert again.line.ended  # and no time has passed
    feeding.cancel()


async def cut_off_after(seconds):
    """Have a member cut off so long after it joined. Return the clock, the room, it and another."""
    room = Room(limit=10_000, on_full="evict")
    clock, bad, good = Clock(), joined(room), joined(room)
    await clock.pass_by(seconds)
    bad.line.fill()
    await publish_all(room, [KILOBYTE] * 100)
    await turn()
    return clock, room, bad, good


@in_loop
async def test_who_is_cut_off_soon_after_it_came_is_out_at_once_and_let_go_a_second_after_it_came():
    clock, room, bad, good = await cut_off_after(0.25)
    assert room.members == [good]
    assert len(good.line.texts) == 100
    await clock.pass_by(0.5)
    assert not bad.line.aborted
    await clock.pass_by(0.5)
    assert bad.line.aborted


@in_loop
async def test_who_is_cut_off_later_is_let_go_at_once():
    _, _, bad, _ = await cut_off_after(1.5)
    assert bad.line.aborted


@in_loop
async def test_the_patience_comes_back_slowly():
    room = Room(limit=10_000, hold=1.0)
    clock, bad, _, feeding = await held_up(room)
    await clock.pass_by(2)
    assert bad.line.aborted
    feeding.cancel()
    await clock.pass_by(25)
    again = joined(room)
    again.line.fill()
    feeding = asyncio.create_task(publish_all(room, [KILOBYTE] * 100))
    await clock.pass_by(0.5)
    assert not again.line.aborted
    await clock.pass_by(1)
    assert again.line.aborted
    await feeding


def test_over_any_time_the_others_are_held_up_for_hold_and_a_twentieth_of_it():
    rules = Patience(limit=1, patience=10.0, min_rate=0.0, hold=0.5, on_full="wait")
    now = held = 0.0
    for _ in range(6000):
        now += 0.0625
        if not rules.spend(now, 0.0) and not rules.spend(now, 0.0625):
            held += 0.0625
    assert held <= 0.5 + 0.05 * now + 0.0625


def test_two_event_loops_that_note_the_same_time_count_it_once():
    rules = Patience(limit=1, patience=10.0, min_rate=0.0, hold=0.5, on_full="wait")
    for now in (0.1, 0.2, 0.3, 0.4):
        assert not rules.spend(now, 0.1)
        assert not rules.spend(now, 0.1)


@in_loop
async def test_with_evict_nobody_waits_for_a_client():
    room = Room(limit=10_000, on_full="evict")
    bad, good = joined(room), joined(room)
    bad.line.fill()
    await publish_all(room, [KILOBYTE] * 100)
    await turn()
    assert bad.line.ended
    assert len(good.line.texts) == 100
    assert room.stats.evicted == {"stalled": 1}


@in_loop
async def test_with_evict_whoever_takes_more_is_written_first():
    room = Room(limit=10_000, on_full="evict")
    members = [joined(room) for _ in range(3)]
    await publish_all(room, [KILOBYTE] * 500)
    await turn()
    assert [len(member.line.texts) for member in members] == [500] * 3


@in_loop
async def test_with_evict_who_sends_to_a_member_a_log_behind_cuts_it_off():
    room = Room(limit=3000, on_full="evict")
    member = joined(room)
    member.line.fill()
    await room.send(KILOBYTE, member)
    await room.send(KILOBYTE, member)
    with pytest.raises(WebSocketDisconnect):
        await room.send(KILOBYTE, member)
    assert member.line.ended


@in_loop
async def test_with_no_end_of_hold_the_others_wait_for_who_takes_the_least_rate():
    room = Room(limit=10_000, hold=float("inf"), patience=10, min_rate=100)
    clock, bad, _, feeding = await held_up(room)
    for _ in range(30):
        bad.line.taken += 200
        await clock.pass_by(1)
    assert room.stats.evicted == {}
    await clock.pass_by(12)
    assert room.stats.evicted == {"stalled": 1}
    feeding.cancel()


@in_loop
async def test_the_time_in_which_the_event_loop_was_blocked_is_nobodys_fault():
    clock, room = Clock(), Room(patience=10)
    member = joined(room)
    member.line.fill()
    await clock.pass_by(5)
    clock.now += 60  # as when a handler computes for a minute
    await turn()
    await clock.pass_by(4)
    assert room.stats.evicted == {}
    await clock.pass_by(2)
    assert room.stats.evicted == {"stalled": 1}


@in_loop
async def test_who_took_all_there_was_is_not_slow_however_little_that_is():
    clock, room = Clock(), Room(patience=10, min_rate=1024)
    member = joined(room)
    for _ in range(60):
        member.line.fill()
        await room.publish("20 bytes a second, no more")
        await clock.pass_by(0.5)
        member.line.drain()
        await clock.pass_by(0.5)
    assert room.stats.evicted == {}
