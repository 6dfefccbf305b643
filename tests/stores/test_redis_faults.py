"""The Redis store where Redis, the network or its callers do what they should not."""

import asyncio
import contextlib
import logging
import signal
import subprocess
import sys

import pytest
from redis import Redis

from chatlib.lab import FaultProxy
from chatlib.lab.redis_server import RedisServer
from chatlib.stores import redis_writer
from chatlib.stores.contract.tools import Listener, fill, ids, opened
from chatlib.stores.redis import RedisStore
from chatlib.stores.redis_listener import Listener as RedisListener
from chatlib.stores.redis_people import LEASE_SECONDS
from chatlib.stores.store import START, Cursor, NotKept, Unsure

GUARD_SECONDS = 40.0
ACK = b"*3\r\n:"  # how Redis answers an append of one message


def run(scenario):
    async def play():
        async with asyncio.timeout(GUARD_SECONDS):
            return await scenario()

    return asyncio.run(play())


def through(proxy, **options):
    return RedisStore(f"redis://127.0.0.1:{proxy.port}/0", **options)


@pytest.fixture
def cable(redis):
    """What leads to Redis, and can be cut."""
    with FaultProxy(redis.port) as proxy:
        yield proxy


async def until(ask, expected):
    """Wait until `await ask()` is what is expected. The guard of the test ends it otherwise."""
    while await ask() != expected:  # noqa: ASYNC110 - who asks Redis is told of no change
        await asyncio.sleep(0.05)


async def health(store):
    try:
        await store.check()
    except OSError:
        return False
    return True


def test_where_an_answer_is_cut_off_there_is_one_message_and_nobody_notices(cable):
    async def scenario():
        async with opened(through(cable)) as store:
            await fill(store, "lobby", 1)
            rule = cable.cut_reply(ACK)
            receipt = await store.append("lobby", "key", b"x")
            await rule.hit()
            assert receipt[::2] == (2, False)
            assert await store.append("lobby", "key", b"x") == (*receipt[:2], True)
            assert ids(await store.read("lobby")) == [1, 2]

    run(scenario)


def test_of_two_messages_with_one_key_in_a_cut_answer_the_second_is_one_again(cable):
    async def scenario():
        async with opened(through(cable)) as store:
            await fill(store, "lobby", 1)
            cable.cut_reply(b"*6\r\n:")
            both = await asyncio.gather(*(store.append("lobby", "key", b"x") for _ in range(2)))
            assert [receipt[::2] for receipt in both] == [(2, False), (2, True)]

    run(scenario)


def test_a_redis_that_is_killed_and_started_has_all_that_was_acknowledged(redis):
    async def scenario():
        async with opened(RedisStore(redis.url)) as store:
            kept, fifty = [], asyncio.Event()

            async def talk(who):
                for number in range(200):
                    receipt = await store.append("lobby", f"{who}-{number}", b"x")
                    kept.append((receipt.id, receipt.tag))
                    if len(kept) % 50 == 0:
                        fifty.set()

            talking = [asyncio.create_task(talk(who)) for who in range(5)]
            for _ in range(3):
                fifty.clear()
                await fifty.wait()
                await asyncio.to_thread(redis.kill)
                await asyncio.to_thread(redis.start)
            await asyncio.gather(*talking)
            page = await store.read("lobby", after=START, limit=2000)
            assert sorted(kept) == [(entry.id, entry.tag) for entry in page.entries]
            assert len(kept) == 1000

    run(scenario)


def test_what_was_sent_and_not_answered_may_be_kept_and_the_same_key_tells(cable):
    async def scenario():
        async with opened(through(cable, patience=0.3, timeout=0.2)) as store:
            await fill(store, "lobby", 1)
            cable.stall("down")
            with pytest.raises(Unsure, match=r"no answer of Redis within 0\.3 seconds: Timeout"):
                await store.append("lobby", "key", b"x")
            cable.heal()
            assert (await store.append("lobby", "key", b"x"))[::2] == (2, True)

    run(scenario)


def test_what_was_never_sent_is_not_kept(redis):
    async def scenario():
        async with opened(RedisStore(redis.url, patience=0.3)) as store:
            await fill(store, "lobby", 1)
            await asyncio.to_thread(redis.kill)
            with contextlib.suppress(Unsure):  # the connection had not been seen to be lost
                await store.append("lobby", "a", b"x")
            with pytest.raises(NotKept, match=r"within 0\.3 seconds: Connection refused"):
                await store.append("lobby", "b", b"x")
            await asyncio.to_thread(redis.start)
            assert (await store.append("lobby", "b", b"x")).again is False

    run(scenario)


def test_a_connection_that_was_given_up_does_nothing_later(cable, redis, operator):
    async def scenario():
        async with opened(through(cable, patience=0.3, timeout=0.2)) as store:
            await fill(store, "lobby", 1)
            cable.stall("up")  # what is sent waits in the cable
            with pytest.raises(Unsure):
                await store.append("lobby", "late", b"x")
            cable.heal()
            await store.append("lobby", "next", b"x")
            keys = [entry.key for entry in (await store.read("lobby")).entries]
            await asyncio.sleep(0)
            assert keys[-1] == "next"
            assert [entry.key for entry in (await store.read("lobby")).entries] == keys

    run(scenario)


def test_a_redis_that_stands_still_for_a_moment_costs_nobody_a_message(redis):
    async def scenario():
        async with opened(RedisStore(redis.url, timeout=0.3)) as store:
            await fill(store, "lobby", 1)
            redis.pause()
            append = asyncio.create_task(store.append("lobby", "key", b"x"))
            await asyncio.sleep(1)  # longer than it has for an answer
            redis.wake()
            assert (await append)[::2] == (2, False)
            assert ids(await store.read("lobby")) == [1, 2]

    run(scenario)


def test_who_listens_hears_what_was_published_while_its_connection_was_cut(redis, operator):
    async def scenario():
        async with opened(RedisStore(redis.url)) as store, opened(RedisStore(redis.url)) as other:
            ear = Resynced()
            await store.hear("lobby", ear)
            operator.client_kill_filter(_type="pubsub")
            await ear.resynced.wait()
            await fill(other, "lobby", 1)
            await ear.until(lambda: 1 in ear.heads)

    run(scenario)


class Resynced(Listener):
    """An ear that notes that something may have been missed."""

    def __init__(self):
        super().__init__()
        self.resynced = asyncio.Event()

    def resync(self):
        self.resynced.set()


def test_a_cut_and_a_repair_lose_no_ear(redis, operator):
    async def scenario():
        async with opened(RedisStore(redis.url)) as store:
            ears = [Listener() for _ in range(200)]
            hearing = [store.hear(f"room {n}", ear) for n, ear in enumerate(ears)]
            tasks = [asyncio.create_task(each) for each in hearing]
            for _ in range(5):
                operator.client_kill_filter(_type="pubsub")
                await asyncio.sleep(0)
            await asyncio.gather(*tasks)
            await until(lambda: health(store), True)
            for number, ear in enumerate(ears):
                await fill(store, f"room {number}", 1)
                await ear.until(lambda ear=ear: 1 in ear.heads)

    run(scenario)


def test_scripts_that_redis_has_forgotten_are_given_to_it_again(redis, operator):
    async def scenario():
        async with opened(RedisStore(redis.url)) as store:
            await fill(store, "lobby", 1)
            operator.script_flush()
            assert (await store.append("lobby", "key", b"x"))[::2] == (2, False)
            operator.script_flush()
            assert await store.heads(["lobby"]) != {}
            operator.script_flush()
            await store.enter("lobby", "ana")
            assert await store.people("lobby") == {"ana": 1}

    run(scenario)


def test_a_redis_whose_memory_is_full_refuses_and_says_so(redis, operator):
    async def scenario():
        async with opened(RedisStore(redis.url)) as store:
            await fill(store, "lobby", 1)
            operator.config_set("maxmemory", "1")
            with pytest.raises(NotKept, match=r"Redis refused it: .*maxmemory"):
                await store.append("lobby", "key", b"x")
            await until(lambda: health(store), False)
            operator.config_set("maxmemory", "0")
            assert (await store.append("lobby", "key", b"x"))[::2] == (2, False)
            await until(lambda: health(store), True)

    run(scenario)


def test_a_redis_whose_memory_is_full_can_be_read(redis, operator):
    async def scenario():
        async with opened(RedisStore(redis.url)) as store:
            await fill(store, "lobby", 3)
            operator.config_set("maxmemory", "1")
            page = await store.read("lobby", after=START)
            assert (page.history, ids(page)) == ("complete", [1, 2, 3])
            assert (await store.heads(["lobby"]))["lobby"] == page.head
            assert await store.people("lobby") == {}
            operator.config_set("maxmemory", "0")

    run(scenario)


def test_a_redis_whose_memory_is_full_takes_no_first_message_of_a_room_either(redis, operator):
    async def scenario():
        async with opened(RedisStore(redis.url)) as store:
            operator.config_set("maxmemory", "1")
            with pytest.raises(NotKept, match="maxmemory"):
                await store.append("new", "k", b"x")
            operator.config_set("maxmemory", "0")
            assert operator.keys("*{new}*") == []

    run(scenario)


def test_a_key_of_another_program_is_refused_for_that_room_alone(redis, operator):
    operator.set("chatlib:{lobby}:log", "a text")
    operator.set("chatlib:{lobby}:meta", "a text")
    operator.set("chatlib:{lobby}:keys", "a text")

    async def scenario():
        async with opened(RedisStore(redis.url)) as store:
            appends = [store.append(room, "key", b"x") for room in ("lobby", "other")]
            refused, kept = await asyncio.gather(*appends, return_exceptions=True)
            assert isinstance(refused, NotKept)
            assert "WRONGTYPE" in str(refused)
            assert kept.id == 1
            with pytest.raises(OSError, match="WRONGTYPE"):
                await store.read("lobby")

    run(scenario)


@pytest.mark.parametrize("part", ["log", "meta", "keys"])
def test_where_redis_has_evicted_a_part_of_a_room_the_room_begins_anew_and_says_so(
    redis, operator, part
):
    async def scenario():
        async with opened(RedisStore(redis.url)) as store:
            receipts = await fill(store, "lobby", 3)
            cursor = Cursor(*receipts[1][:2])
            operator.delete(f"chatlib:{{lobby}}:{part}")
            page = await store.read("lobby", after=cursor)
            assert (page.history, page.entries, page.head) == ("diverged", [], START)
            assert (await store.append("lobby", "new", b"x")).id == 1
            page = await store.read("lobby", after=cursor)
            assert (page.history, ids(page)) == ("diverged", [1])
            if part != "meta":
                assert (await store.heads(["lobby"]))["lobby"].id == 1

    run(scenario)


def test_a_cursor_finds_out_that_all_was_deleted(redis, operator):
    async def scenario():
        async with opened(RedisStore(redis.url)) as store:
            receipts = await fill(store, "lobby", 3)
            operator.flushall()
            await fill(store, "lobby", 5)
            for receipt in receipts:
                page = await store.read("lobby", after=Cursor(*receipt[:2]))
                assert page.history == "diverged"

    run(scenario)


def test_a_cursor_finds_out_that_a_redis_without_a_file_was_killed(needs_redis):
    async def scenario():
        with RedisServer(appendfsync=None) as redis:
            async with opened(RedisStore(redis.url)) as store:
                receipts = await fill(store, "lobby", 3)
                await asyncio.to_thread(redis.kill)
                await asyncio.to_thread(redis.start)
                await fill(store, "lobby", 3)
                page = await store.read("lobby", after=Cursor(*receipts[1][:2]))
                assert page.history == "diverged"

    run(scenario)


def test_health_is_bad_while_redis_is_gone_and_good_when_it_is_back(redis):
    async def scenario():
        async with opened(RedisStore(redis.url)) as store:
            assert await health(store)
            await asyncio.to_thread(redis.kill)
            with pytest.raises(OSError, match=f"redis://127.0.0.1:{redis.port}/0"):
                await store.check()
            await asyncio.to_thread(redis.start)
            await until(lambda: health(store), True)

    run(scenario)


def test_health_is_bad_while_nothing_is_heard_though_messages_are_kept(redis, operator):
    async def scenario():
        async with opened(RedisStore(redis.url)) as store:
            ear = Listener()
            await store.hear("lobby", ear)
            operator.execute_command("ACL", "SETUSER", "default", "resetchannels")
            operator.client_kill_filter(_type="pubsub")
            await until(lambda: health(store), False)
            with pytest.raises(OSError, match="cannot hear what is published"):
                await store.check()
            operator.execute_command("ACL", "SETUSER", "default", "allchannels")
            await until(lambda: health(store), True)
            await fill(store, "lobby", 1)
            await ear.until(lambda: 1 in ear.heads)

    run(scenario)


def test_a_listener_that_gets_no_answer_connects_anew(cable):
    async def scenario():
        async with opened(through(cable)) as store:
            ear = Resynced()
            await store.hear("lobby", ear)
            cable.stall("down")
            await until(lambda: health(store), False)
            cable.heal()
            await until(lambda: health(store), True)
            await ear.resynced.wait()

    run(scenario)


def test_a_fault_of_our_own_does_not_end_the_listener(redis, monkeypatch, caplog):
    hear = RedisListener._hear
    faults = iter([KeyError("a fault")])

    def faulty(self, room, data):
        for fault in faults:
            raise fault
        hear(self, room, data)

    monkeypatch.setattr(RedisListener, "_hear", faulty)

    async def scenario():
        async with opened(RedisStore(redis.url)) as store:
            ear = Resynced()
            await store.hear("lobby", ear)
            await fill(store, "lobby", 1)
            await ear.resynced.wait()
            await fill(store, "lobby", 1, first=2)
            await ear.until(lambda: 2 in ear.heads)

    with caplog.at_level(logging.WARNING):
        run(scenario)
    assert "a fault" in caplog.text


def test_who_waits_for_a_room_that_cannot_be_heard_is_told(redis, operator):
    async def scenario():
        async with opened(RedisStore(redis.url, patience=0.5)) as store:
            operator.execute_command("ACL", "SETUSER", "default", "resetchannels")
            operator.client_kill_filter(_type="pubsub")
            with pytest.raises(OSError, match="cannot hear what is published"):
                await store.hear("lobby", Listener())

    run(scenario)


def test_an_answer_that_nobody_understands_fails_that_call_and_no_other(redis, monkeypatch):
    settle = redis_writer.settle
    faults = iter([ValueError("not an answer")])

    def faulty(jobs, answer):
        for fault in faults:
            raise fault
        settle(jobs, answer)

    monkeypatch.setattr(redis_writer, "settle", faulty)

    async def scenario():
        async with opened(RedisStore(redis.url)) as store:
            with pytest.raises(Unsure, match="not understood"):
                await store.append("lobby", "key", b"x")
            assert (await store.append("lobby", "key", b"x"))[::2] == (1, True)

    run(scenario)


PERSON = """
import asyncio, sys
from chatlib.stores.redis import RedisStore

async def main():
    store = RedisStore(sys.argv[1])
    await store.open()
    await store.enter("lobby", "ben")
    print("in", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@contextlib.contextmanager
def another_process(redis):
    """Have ben in the lobby, through a process of its own."""
    command = [sys.executable, "-c", PERSON, redis.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "in\n"
            yield process
        finally:
            process.kill()


def test_the_people_of_a_process_that_is_killed_are_gone_in_time(redis, operator):
    async def scenario():
        async with opened(RedisStore(redis.url)) as store:
            ear = Listener()
            await store.hear("lobby", ear)
            await store.enter("lobby", "ana")
            with another_process(redis) as process:
                await ear.until(lambda: people(store, {"ana": 1, "ben": 1}))
                killed = asyncio.get_running_loop().time()
                process.kill()
                await ear.until(lambda: people(store, {"ana": 1}))
            assert asyncio.get_running_loop().time() - killed < 10

    run(scenario)
    rest = {key for key in operator.keys("*") if "people" in key or ":worker:" in key}
    assert {key.rpartition(":")[0] for key in rest} == {"chatlib:{lobby}:people", "chatlib:worker"}


async def people(store, expected):
    return await store.people("lobby") == expected


def test_the_people_of_a_process_that_stood_still_are_back(redis):
    async def scenario():
        async with opened(RedisStore(redis.url)) as store:
            ear = Listener()
            await store.hear("lobby", ear)
            with another_process(redis) as process:
                await ear.until(lambda: people(store, {"ben": 1}))
                process.send_signal(signal.SIGSTOP)
                await ear.until(lambda: people(store, {}))
                process.send_signal(signal.SIGCONT)
                await ear.until(lambda: people(store, {"ben": 1}))

    run(scenario)


def test_people_are_there_again_after_all_was_deleted(redis, operator):
    async def scenario():
        async with opened(RedisStore(redis.url)) as store:
            await store.enter("lobby", "ana")
            operator.flushall()
            await until(lambda: store.people("lobby"), {"ana": 1})

    run(scenario)


def test_who_comes_while_redis_is_gone_is_there_when_it_is_back(redis):
    async def scenario():
        async with opened(RedisStore(redis.url, patience=0.2)) as store:
            await asyncio.to_thread(redis.kill)
            await store.enter("lobby", "ana")
            await asyncio.to_thread(redis.start)
            await until(lambda: store.people("lobby"), {"ana": 1})

    run(scenario)


def test_who_leaves_while_redis_is_gone_is_gone_when_it_is_back(redis):
    async def scenario():
        async with opened(RedisStore(redis.url, patience=0.2)) as store:
            await store.enter("lobby", "ana")
            await asyncio.to_thread(redis.kill)
            await store.leave("lobby", "ana")
            await asyncio.to_thread(redis.start)
            await until(lambda: store.people("lobby"), {})

    run(scenario)


def test_a_person_who_is_cancelled_on_the_way_in_is_not_there(redis):
    async def scenario():
        async with opened(RedisStore(redis.url)) as store:
            redis.pause()
            entering = asyncio.create_task(store.enter("lobby", "ana"))
            await asyncio.sleep(0.05)  # so that it is on its way
            entering.cancel()
            await asyncio.wait([entering])
            redis.wake()
            await until(lambda: store.people("lobby"), {})
            await store.enter("lobby", "ana")
            await store.leave("lobby", "ana")
            assert await store.people("lobby") == {}

    run(scenario)


def test_a_process_with_another_clock_has_the_lease_that_redis_gives(redis, operator):
    async def scenario():
        async with opened(RedisStore(redis.url)):
            ((_, until_when),) = operator.zrange("chatlib:workers", 0, -1, withscores=True)
            seconds, microseconds = operator.time()
            left = until_when / 1000 - (seconds + microseconds / 1e6)
            assert 0 < left <= LEASE_SECONDS

    run(scenario)


def test_a_store_that_is_closed_while_redis_is_gone_ends(redis):
    async def scenario():
        store = RedisStore(redis.url, timeout=0.2)
        await store.open()
        await store.enter("lobby", "ana")
        await asyncio.to_thread(redis.kill)
        append = asyncio.create_task(store.append("lobby", "k", b"x"))
        await asyncio.sleep(0)
        await store.close()
        with pytest.raises((NotKept, Unsure)):
            await append

    run(scenario)


def test_redis_can_be_asked_while_it_is_far_behind(redis):
    """More who read at a time than there are connections."""

    async def scenario():
        async with opened(RedisStore(redis.url)) as store:
            await fill(store, "lobby", 5)
            pages = await asyncio.gather(*(store.read("lobby", after=START) for _ in range(500)))
            assert {len(page.entries) for page in pages} == {5}

    run(scenario)


def test_connections_are_closed_with_the_store(redis):
    async def scenario():
        async with opened(RedisStore(redis.url)) as store:
            await store.hear("lobby", Listener())
            await asyncio.gather(*(store.read("lobby") for _ in range(20)))

    run(scenario)
    with Redis.from_url(redis.url) as operator:
        assert len(operator.client_list()) == 1
