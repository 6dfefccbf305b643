"""Who is present in a room, where a Redis has lost the last of what it was told of that."""

import asyncio
import shutil

import pytest

from chatlib.lab.redis_server import RedisServer
from chatlib.stores import redis_people, store_at

GUARD_SECONDS = 30.0


async def present(store, room, expected):
    """Wait until `expected` are present, no more and no less."""
    found = None
    try:
        async with asyncio.timeout(GUARD_SECONDS):
            while found != expected:
                await asyncio.sleep(0.02)
                found = await store.people(room)
    except TimeoutError:
        raise AssertionError(f"expected {expected}, got {found} at last") from None


def test_who_is_gone_does_not_stay_though_the_clock_of_redis_was_put_back(
    redis, operator, monkeypatch
):
    monkeypatch.setattr(redis_people, "LEASE_SECONDS", 0.5)
    monkeypatch.setattr(redis_people, "RENEW_SECONDS", 0.1)

    async def run():
        gone = store_at(redis.url)
        await gone.open()
        await gone.enter("tea", "bo")
        await gone.close()
        ((worker, ends),) = operator.zrange("chatlib:workers", 0, -1, withscores=True)
        operator.zadd("chatlib:workers", {worker: ends + 3_600_000})
        store = store_at(redis.url)
        await store.open()
        try:
            await store.enter("tea", "ana")
            await present(store, "tea", {"ana": 1})
        finally:
            await store.close()

    asyncio.run(run())


@pytest.mark.usefixtures("needs_redis")
@pytest.mark.parametrize(
    "lease", [pytest.param(60.0, id="still_holds"), pytest.param(0.5, id="has_run_out")]
)
def test_a_redis_that_lost_its_last_seconds_is_told_again_who_is_there(
    tmp_path, monkeypatch, lease
):
    """As after a loss of power, or where a replica takes over that lags behind."""
    monkeypatch.setattr(redis_people, "LEASE_SECONDS", lease)
    monkeypatch.setattr(redis_people, "RENEW_SECONDS", 0.1)
    data, copy = tmp_path / "data", tmp_path / "copy"
    data.mkdir()

    async def run():
        with RedisServer(dir=str(data)) as redis:
            store = store_at(redis.url)
            await store.open()
            try:
                await store.enter("tea", "ana")
                await store.enter("tea", "bo")
                shutil.copytree(data, copy)
                await store.leave("tea", "ana")
                await store.enter("tea", "cy")
                await asyncio.to_thread(redis.kill)
                shutil.rmtree(data)
                copy.rename(data)
                await asyncio.sleep(min(lease, 0.5))  # which Redis does not see
                await asyncio.to_thread(redis.start)
                await present(store, "tea", {"bo": 1, "cy": 1})
            finally:
                await store.close()

    asyncio.run(run())
