"""What the storm of `benchmarks.storm` does to Redis: the faults after which it has to be told."""

import asyncio

import pytest

from benchmarks.storm.backing import ROOM
from benchmarks.storm.redis import SAID, RedisData
from chatlib.lab import FaultProxy
from chatlib.stores import NotKept, store_at
from chatlib.stores.store import START, Cursor


@pytest.fixture
def data(needs_redis, tmp_path):
    """A Redis of the storm."""
    data = RedisData(tmp_path / "redis", saved=True)
    yield data
    data.server.stop()


async def say(data, *keys, **options):
    """Keep a message for each of `keys` in the room of the storm; return their places."""
    store = store_at(data.server.url, **options)
    await store.open()
    try:
        receipts = [await store.append(ROOM, key, b"{}") for key in keys]
    finally:
        await store.close()
    return {Cursor(receipt.id, receipt.tag) for receipt in receipts}


async def heads(data):
    """Return the place of the newest message."""
    store = store_at(data.server.url)
    await store.open()
    try:
        return (await store.heads([ROOM]))[ROOM]
    finally:
        await store.close()


def test_a_redis_that_is_made_to_forget_all_tells_what_it_had(data):
    said = asyncio.run(say(data, "k1", "k2"))
    assert data.flush() == said
    assert asyncio.run(heads(data)) == START
    assert data.flush() == set()


def test_a_redis_that_is_held_keeps_nothing_more_until_it_is_let_go(data):
    said = asyncio.run(say(data, "k1"))
    assert data.hold() == said
    with pytest.raises(OSError, match="cannot"):
        asyncio.run(say(data, "k2", patience=0.3, timeout=0.2))
    data.let_go()
    assert asyncio.run(heads(data)).id == 1


def test_a_redis_without_memory_refuses_messages_until_it_has_some(data):
    async def run():
        store = store_at(data.server.url)
        await store.open()
        try:
            await asyncio.to_thread(data.limit, 1)
            with pytest.raises(NotKept):
                await store.append(ROOM, "k1", b"{}")
            await asyncio.to_thread(data.limit, 0)
            assert (await store.append(ROOM, "k2", b"{}")).id == 1
        finally:
            await store.close()

    asyncio.run(run())


def test_a_redis_that_is_restored_has_what_it_had_when_it_was_copied(data):
    asyncio.run(say(data, "k1", "k2"))
    assert data.copy() == 2
    asyncio.run(say(data, "k3"))
    data.server.kill()
    data.restore()
    data.server.start()
    assert asyncio.run(heads(data)).id == 2


def test_a_cable_is_cut_in_the_answer_to_an_append(data):
    with FaultProxy(data.server) as cable:

        async def run():
            store = store_at(f"redis://127.0.0.1:{cable.port}/0")
            await store.open()
            rule = cable.cut_reply(to=SAID)
            await store.append(ROOM, "p1-1", b'{"text":"I, p1-1"}')
            await rule.hit()
            await store.close()

        asyncio.run(run())
