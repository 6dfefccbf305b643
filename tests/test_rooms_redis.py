"""The rooms on Redis, of several workers, where Redis or a worker goes and comes back."""

import asyncio

import pytest
from guests import play

from chatlib.lab.redis_server import RedisServer
from chatlib.rooms import RETRY_MILLISECONDS
from chatlib.stores.redis_people import LEASE_SECONDS, RENEW_SECONDS


def test_who_comes_back_to_another_worker_as_one_is_restarted_was_never_away(redis):
    async def scenario(here, there):
        ana = await here.join("lobby", "ana")
        ben = await there.join("lobby", "ben")
        carl = await there.join("lobby", "carl")
        await ana.sees("ana", "ben", "carl")
        await asyncio.to_thread(there.server.stop)
        assert [(await each.closed())[0] for each in (ben, carl)] == [1012, 1012]
        await here.join("lobby", "ben")
        await ana.sees("ana", "ben")  # carl does not come back
        left = [name for frame in ana.seen if frame["type"] == "people" for name in frame["left"]]
        assert left == ["carl"]

    play(scenario, redis.url, redis.url)


def test_members_are_told_as_soon_as_redis_is_back_that_it_has_lost_their_history(needs_redis):
    async def scenario(house):
        ana = await house.join("lobby", "ana")
        ack = await ana.said("hello")
        await asyncio.to_thread(redis.kill)
        await asyncio.to_thread(redis.start)
        assert (await ana.closed())[0] == 4409
        back = await house.join(f"lobby?after={ack['id']}.{ack['tag']}", "ana")
        assert back.welcome["history"] == "diverged"
        assert (await back.said("anew"))["id"] == 1

    with RedisServer(appendfsync=None) as redis:
        play(scenario, redis.url)


@pytest.mark.parametrize("beat", [0.2, 25])
def test_members_are_told_that_all_was_deleted_with_a_beat_or_the_next_message(
    redis, operator, beat
):
    async def scenario(house):
        ana = await house.join("lobby", "ana")
        await ana.said("hello")
        operator.flushall()
        if beat == 25:
            await house.call(house.rooms.keep("lobby", "ben", "k", "anew", None))
        assert (await ana.closed())[0] == 4409

    play(scenario, redis.url, beat=beat)


def test_what_is_said_while_redis_is_gone_is_kept_when_it_is_back(redis):
    async def scenario(house):
        ana, ben = await house.join("lobby", "ana"), await house.join("lobby", "ben")
        await ana.said("one")
        await asyncio.to_thread(redis.kill)
        key = await ana.say("two")
        await asyncio.to_thread(redis.start)
        assert (await ana.answer(key))["again"] is False
        assert await ben.texts(2) == ["one", "two"]

    play(scenario, redis.url)


def test_health_is_503_while_redis_is_gone_and_tells_nobody_where_it_is(redis):
    async def scenario(house):
        assert (await house.http.get("/healthz")).status_code == 200
        await asyncio.to_thread(redis.kill)
        answer = await house.http.get("/healthz")
        assert (answer.status_code, answer.json()["log"]["ok"]) == (503, False)
        assert str(redis.port) not in answer.text
        await asyncio.to_thread(redis.start)
        while (await house.http.get("/healthz")).status_code != 200:
            pass

    play(scenario, redis.url)


def test_health_is_503_while_the_listener_alone_is_gone(redis, operator):
    async def scenario(house):
        ana = await house.join("lobby", "ana")
        operator.execute_command("ACL", "SETUSER", "default", "resetchannels")
        operator.client_kill_filter(_type="pubsub")
        while (await house.http.get("/healthz")).status_code != 503:
            pass
        operator.execute_command("ACL", "SETUSER", "default", "allchannels")
        while (await house.http.get("/healthz")).status_code != 200:
            pass
        await ana.said("hello")
        assert await ana.texts(1) == ["hello"]

    play(scenario, redis.url)


def test_a_stop_while_redis_is_gone_ends(redis):
    async def scenario(house):
        ana = await house.join("lobby", "ana")
        await asyncio.to_thread(redis.kill)
        await asyncio.to_thread(house.server.stop)
        assert (await ana.closed())[0] in (1011, 1012)

    play(scenario, redis.url)


def test_a_lease_lasts_until_clients_are_back_and_is_over_in_ten_seconds():
    assert LEASE_SECONDS > RETRY_MILLISECONDS / 1000
    assert LEASE_SECONDS + 2 * RENEW_SECONDS < 10
