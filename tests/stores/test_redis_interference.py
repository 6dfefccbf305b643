"""The Redis store where an operator, or Python itself, interferes with what it does."""

import asyncio
import contextlib
import logging

import pytest
from redis import Redis

from chatlib.lab import FaultProxy
from chatlib.lab.redis_server import RedisServer
from chatlib.stores import redis_people
from chatlib.stores.contract.tools import Listener, fill, ids, opened
from chatlib.stores.redis import RedisStore
from chatlib.stores.redis_people import People
from chatlib.stores.redis_place import READERS, script
from chatlib.stores.store import START, Cursor, NotKept, Unsure

GUARD_SECONDS = 30.0


def run(scenario):
    async def play():
        async with asyncio.timeout(GUARD_SECONDS):
            return await scenario()

    return asyncio.run(play())


async def until(ask, expected):
    """Wait until `await ask()` is what is expected. The guard of the test ends it otherwise."""
    while await ask() != expected:  # noqa: ASYNC110 - who asks Redis is told of no change
        await asyncio.sleep(0.05)


async def health(store):
    with contextlib.suppress(OSError):
        await store.check()
        return True
    return False


async def connections(operator):
    return len(operator.client_list())


async def rooms_in(operator):
    return len(operator.keys("*}:log"))


def kill(operator, kind):
    """Have Redis close the connections of a kind, save that of `operator`."""
    operator.client_kill_filter(_type=kind, skipme=True)


def test_a_user_who_may_not_use_client_writes_on_after_a_fault(redis, operator):
    operator.execute_command("ACL", "SETUSER", "ana", "on", ">pw", "~*", "&*", "+@all", "-client")
    url = redis.url.replace("redis://", "redis://ana:pw@")

    async def scenario():
        async with opened(RedisStore(url)) as store:
            for number in range(1, 4):
                assert (await store.append("lobby", f"{number}", b"x"))[::2] == (number, False)
                kill(operator, "normal")

    run(scenario)


def test_a_full_redis_says_of_a_key_that_it_has_that_it_has_it(redis, operator):
    async def scenario():
        async with opened(RedisStore(redis.url)) as store:
            await fill(store, "lobby", 1)
            operator.config_set("maxmemory", "1")
            appends = [store.append("lobby", key, b"1") for key in ("new", "k1", "other")]
            new, old, other = await asyncio.gather(*appends, return_exceptions=True)
            operator.config_set("maxmemory", "0")
            assert old[::2] == (1, True)
            assert [type(each) for each in (new, other)] == [NotKept, NotKept]
            assert ids(await store.read("lobby")) == [1]

    run(scenario)


def test_what_is_not_kept_is_not_there_where_messages_were_removed_by_hand(redis, operator):
    async def scenario():
        async with opened(RedisStore(redis.url)) as store:
            await fill(store, "lobby", 5)
            operator.xtrim("chatlib:{lobby}:log", maxlen=2, approximate=False)
            appends = [store.append("lobby", key, b"x") for key in ("new", "k1")]
            assert [receipt.id for receipt in await asyncio.gather(*appends)] == [6, 7]
            assert (await store.append("lobby", "k5", b"x"))[::2] == (5, True)
            assert ids(await store.read("lobby")) == [4, 5, 6, 7]

    run(scenario)


def test_a_cursor_finds_out_that_the_oldest_messages_were_removed_by_hand(redis, operator):
    async def scenario():
        async with opened(RedisStore(redis.url)) as store:
            receipts = await fill(store, "lobby", 5)
            operator.xtrim("chatlib:{lobby}:log", maxlen=2, approximate=False)
            page = await store.read("lobby", after=START)
            assert (page.history, page.first, page.before.id, ids(page)) == (
                "trimmed",
                4,
                3,
                [4, 5],
            )
            page = await store.read("lobby", after=Cursor(*receipts[3][:2]))
            assert (page.history, ids(page)) == ("complete", [5])
            page = await store.read("lobby")
            assert (page.before.id, ids(page)) == (3, [4, 5])

    run(scenario)


def test_a_cursor_finds_out_that_a_message_after_it_was_removed_by_hand(redis, operator):
    async def scenario():
        async with opened(RedisStore(redis.url)) as store:
            receipts = await fill(store, "lobby", 6)
            operator.xdel("chatlib:{lobby}:log", "4-0")
            page = await store.read("lobby", after=Cursor(*receipts[0][:2]))
            assert (page.history, ids(page)) == ("complete", [2, 3])
            page = await store.read("lobby", after=Cursor(*receipts[2][:2]))
            assert (page.history, page.before.id, ids(page)) == ("trimmed", 4, [5, 6])
            page = await store.read("lobby")
            assert (page.before.id, ids(page)) == (4, [5, 6])
            assert ids(await store.read("lobby", before=5)) == [1, 2, 3]

    run(scenario)


def test_a_cursor_finds_out_that_all_messages_were_removed_by_hand(redis, operator):
    async def scenario():
        async with opened(RedisStore(redis.url)) as store:
            receipts = await fill(store, "lobby", 3)
            operator.xtrim("chatlib:{lobby}:log", maxlen=0, approximate=False)
            head = Cursor(*receipts[-1][:2])
            page = await store.read("lobby", after=START)
            assert (page.history, page.before, page.entries) == ("trimmed", head, [])
            assert (await store.read("lobby", after=head)).history == "complete"
            assert (await store.append("lobby", "k1", b"x"))[::2] == (4, False)

    run(scenario)


def test_what_somebody_else_adds_to_a_log_is_no_message_and_stops_that_room_alone(redis, operator):
    async def scenario():
        async with opened(RedisStore(redis.url)) as store:
            receipts = await fill(store, "lobby", 3)
            operator.xadd("chatlib:{lobby}:log", {"text": "by hand"})
            page = await store.read("lobby", after=START)
            assert (page.history, ids(page), page.head.id) == ("complete", [1, 2, 3], 3)
            assert ids(await store.read("lobby")) == [1, 2, 3]
            page = await store.read("lobby", after=Cursor(*receipts[-1][:2]))
            assert (page.history, page.entries) == ("complete", [])
            with pytest.raises(NotKept, match="XADD"):
                await store.append("lobby", "k4", b"x")
            assert (await store.append("other", "k", b"x")).id == 1

    run(scenario)


def test_people_are_there_again_though_the_answer_that_says_they_were_not_is_lost(redis, operator):
    async def scenario():
        with FaultProxy(redis.port) as cable:
            async with opened(RedisStore(f"redis://127.0.0.1:{cable.port}/0")) as store:
                await store.enter("lobby", "ana")
                # As another process does once the lease has run out.
                keys = [*operator.keys("chatlib:{lobby}:*"), "chatlib:workers"]
                operator.delete(*keys)
                rule = cable.cut_reply(to=script("lease").digest.encode())
                await rule.hit()
                await until(lambda: store.people("lobby"), {"ana": 1})

    run(scenario)


def test_who_leaves_and_is_cancelled_while_redis_is_gone_is_gone_when_it_is_back(redis, operator):
    async def scenario():
        async with opened(RedisStore(redis.url, patience=0.2)) as store:
            await store.enter("lobby", "ana")
            operator.config_set("min-replicas-to-write", "1")  # so that nobody can write
            leaving = asyncio.create_task(store.leave("lobby", "ana"))
            await asyncio.sleep(0)  # so that it has begun
            leaving.cancel()
            with pytest.raises(NotKept):  # by then nobody tries to write that she left
                await store.append("lobby", "k", b"x")
            operator.config_set("min-replicas-to-write", "0")
            await until(lambda: store.people("lobby"), {})

    run(scenario)


def test_a_store_can_be_closed_though_python_loses_a_cancellation(redis, monkeypatch):
    """As `asyncio.wait_for` does before Python 3.12."""
    renew = People._renew
    begun, lost = asyncio.Event(), []

    async def losing(people):
        if not lost and begun.is_set():
            try:
                lost.append(True)
                renewing.set()
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                return []
        begun.set()
        return await renew(people)

    renewing = asyncio.Event()
    monkeypatch.setattr(redis_people, "RENEW_SECONDS", 0.01)
    monkeypatch.setattr(People, "_renew", losing)

    async def scenario():
        async with opened(RedisStore(redis.url)):
            await renewing.wait()

    run(scenario)
    assert lost == [True]


def test_closing_that_is_cancelled_leaves_nobody_waiting_and_nothing_open(redis, operator):
    async def scenario():
        store = RedisStore(redis.url)
        await store.open()
        redis.pause()
        append = asyncio.create_task(store.append("lobby", "k", b"x"))
        await asyncio.sleep(0)
        closing = asyncio.create_task(store.close())
        await asyncio.sleep(0.05)  # so that it waits for Redis
        closing.cancel()
        await asyncio.wait([closing])
        redis.wake()
        with pytest.raises(Unsure, match="closed before Redis answered"):
            await append
        await store.close()
        await store.open()
        assert (await store.append("lobby", "k2", b"x")).id in {1, 2}
        await store.close()
        await until(lambda: connections(operator), 1)

    run(scenario)


def test_health_is_bad_while_nothing_can_be_appended_though_all_else_goes_on(redis, operator):
    async def scenario():
        async with opened(RedisStore(redis.url, patience=0.3)) as store:
            assert await health(store)
            (writer,) = [
                client["id"] for client in operator.client_list() if "config" in client["cmd"]
            ]
            operator.config_set("maxclients", "1")
            operator.client_kill_filter(_id=writer)
            with pytest.raises((NotKept, Unsure)):
                await store.append("lobby", "k", b"x")
            with pytest.raises(OSError, match="cannot write to"):
                await store.check()
            operator.config_set("maxclients", "100")
            await until(lambda: health(store), True)

    run(scenario)


def test_a_listener_whose_subscriptions_are_gone_subscribes_again(redis):
    async def scenario():
        async with opened(RedisStore(redis.url)) as store:
            ear = Listener()
            await store.hear("lobby", ear)
            await store._listener._connection.send_command("RESET")
            await until(lambda: health(store), False)
            await until(lambda: health(store), True)
            await fill(store, "lobby", 1)
            await ear.until(lambda: 1 in ear.heads)

    run(scenario)


def test_a_listener_that_connects_anew_has_no_row_written_that_is_right(redis, operator):
    async def scenario():
        async with opened(RedisStore(redis.url)) as store:
            await store.enter("lobby", "ana")
            await store.enter("lobby", "ben")
            (rows,) = operator.keys("chatlib:{lobby}:people:*")
            operator.hset(rows, "ben", 7)
            operator.hset(rows, "cy", 1)
            ear = Listener()
            await store.hear("lobby", ear)
            kill(operator, "pubsub")
            await ear.until(lambda: people(store, {"ana": 1, "ben": 1}))
            assert ear.people_changed == 2  # ben's row, and cy's

    run(scenario)


async def people(store, expected):
    return await store.people("lobby") == expected


def test_leases_and_health_do_not_wait_behind_those_who_read(redis, operator):
    async def ends():
        ((_, when),) = operator.zrange("chatlib:workers", 0, -1, withscores=True)
        return when

    async def scenario():
        async with opened(RedisStore(redis.url)) as store:
            pool = store._client.connection_pool
            for _ in range(READERS):
                await pool.get_connection()
            before = await ends()
            await store.check()
            while await ends() == before:  # noqa: ASYNC110 - who asks Redis is told of no change
                await asyncio.sleep(0.05)

    run(scenario)


def test_how_durable_it_is_changes_when_redis_is_configured_anew_and_is_warned_of(
    redis, operator, caplog
):
    async def scenario():
        async with opened(RedisStore(redis.url)) as store:
            assert store.durable == "disk"
            operator.config_set("appendfsync", "everysec")
            await store.check()
            assert store.durable == "second"
            operator.config_set("appendonly", "no")
            await store.check()
            await store.check()
            assert store.durable == "memory"

    with caplog.at_level(logging.WARNING):
        run(scenario)
    assert " ".join(caplog.messages).count("no append-only file") == 1


def test_what_is_not_on_the_disk_while_the_file_is_rewritten_is_not_said_to_be(needs_redis):
    async def scenario():
        with RedisServer(no_appendfsync_on_rewrite="yes") as redis:
            async with opened(RedisStore(redis.url)) as store:
                assert store.durable == "unknown"

    run(scenario)


def test_nobody_is_warned_of_a_redis_that_drops_what_expires_alone(needs_redis, caplog):
    async def scenario():
        with RedisServer(maxmemory_policy="volatile-lru") as redis:
            async with opened(RedisStore(redis.url)):
                pass

    with caplog.at_level(logging.WARNING):
        run(scenario)
    assert caplog.messages == []


def test_a_redis_that_becomes_a_replica_is_left_for_the_one_to_which_its_address_leads(
    redis, operator
):
    async def scenario():
        with RedisServer() as other, Redis.from_url(other.url) as his, FaultProxy(redis) as cable:
            his.replicaof("127.0.0.1", str(redis.port))
            async with opened(RedisStore(f"redis://127.0.0.1:{cable.port}/0")) as store:
                ear = Listener()
                await store.hear("lobby", ear)
                await store.enter("lobby", "ana")
                await fill(store, "lobby", 1)
                await until(lambda: rooms_in(his), 1)
                his.replicaof("NO", "ONE")
                cable.forward_to(other)
                operator.replicaof("127.0.0.1", str(other.port))
                await until(lambda: health(store), True)
                await asyncio.to_thread(redis.kill)
                await until(lambda: health(store), True)  # it hears the other one
                await fill(store, "lobby", 1, first=2)
                await ear.until(lambda: 2 in ear.heads)
                await until(lambda: store.people("lobby"), {"ana": 1})

    run(scenario)
