"""What gets lost when Redis is killed, and when the worker of those who listen is."""

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial

from benchmarks.others.candidates import CANDIDATES, Candidate
from benchmarks.others.clients import Client
from benchmarks.others.workers import Fsync, Pair, pair_of, store_of
from chatlib.lab.redis_server import RedisServer

PAUSE_SECONDS = 0.01  # between two messages
BEFORE = 50  # messages that are heard before anything is killed
DOWN_SECONDS = 1.0  # Redis is gone
LISTENERS = 5  # whose worker is killed
START_SECONDS = 10.0  # all of these are guards
DEAF_SECONDS = 10.0
ANSWER_SECONDS = 5.0
SETTLE_SECONDS = 2.0


@dataclass
class Loss:
    """What was counted.

    Attributes:
        kept: messages that the speaker was told are published, each counted for each listener.
        lost: those of them that a listener did not hear.
        twice: how often one was heard again.
        refused: messages that the speaker was told are not published, or of which it heard nothing.
        silence: seconds until somebody at the other worker heard again what was said then. It is
            infinite if they never did.
    """

    kept: int
    lost: int
    twice: int
    refused: int
    silence: float


@dataclass
class Losses:
    """What a candidate loses.

    Attributes:
        redis: with Redis; None if it has none.
        worker: with the worker of those who listen.
    """

    redis: Loss | None
    worker: Loss


async def talk(speaker: Client) -> None:
    """Speak until this is cancelled."""
    while True:
        if not speaker.silent:
            await speaker.say()
        await asyncio.sleep(PAUSE_SECONDS)


async def all_of(clients: list[Client], holds: Callable[[Client], bool], guard: float) -> bool:
    """Wait until something holds of all clients. Return whether it did within `guard`."""
    return all(await asyncio.gather(*(one.until(partial(holds, one), guard) for one in clients)))


@contextlib.asynccontextmanager
async def speaking(speaker: Client, listeners: list[Client]) -> AsyncIterator[int]:
    """Have a client speak and others listen. Yield the last number that does not count.

    They come one after the other: who comes while encode/broadcaster subscribes for the first of a
    worker's members takes that one's place, and that one hears nothing.
    """
    tasks = [asyncio.create_task(speaker.run()), asyncio.create_task(talk(speaker))]
    try:
        await hears_since(speaker, 0)
        for one in listeners:
            tasks.append(asyncio.create_task(one.run()))
            await hears_since(one, 0)
        first = speaker.said
        for one in listeners:
            await hears_since(one, first + BEFORE)
        yield first
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def hears_since(client: Client, number: int) -> None:
    """Wait until a client has heard of a later message."""
    if not await client.until(lambda: client.latest > number, START_SECONDS):
        raise RuntimeError("a listener hears nothing, and nothing has been killed yet")


async def count(speaker: Client, listeners: list[Client], first: int, silence: float) -> Loss:
    """Have the speaker be silent, wait for what is on its way, and count."""
    speaker.silent = True
    await speaker.until(speaker.is_answered, ANSWER_SECONDS)
    kept = {number for number in speaker.kept if number > first}
    if silence < math.inf:
        await all_of(listeners, lambda one: kept <= one.heard.keys(), SETTLE_SECONDS)
    return Loss(
        kept=len(kept) * len(listeners),
        lost=sum(len(kept - one.heard.keys()) for one in listeners),
        twice=sum(
            times - 1 for one in listeners for number, times in one.heard.items() if number > first
        ),
        refused=speaker.said - first - len(kept),
        silence=silence,
    )


async def kill_redis(candidate: Candidate, pair: Pair, redis: RedisServer) -> Loss:
    """Kill Redis while somebody speaks, and start it again."""
    speaker, listener = (Client(candidate, port) for port in pair.ports)
    async with speaking(speaker, [listener]) as first:
        await asyncio.to_thread(redis.kill)
        await asyncio.sleep(DOWN_SECONDS)
        await asyncio.to_thread(redis.start)
        up, mark = time.monotonic(), speaker.said
        hears = await listener.until(lambda: listener.latest > mark, DEAF_SECONDS)
        silence = time.monotonic() - up if hears else math.inf
        if hears:
            await listener.until(lambda: listener.latest > mark + BEFORE, ANSWER_SECONDS)
        return await count(speaker, [listener], first, silence)


async def kill_worker(candidate: Candidate, pair: Pair) -> Loss:
    """Kill the worker of the listeners while somebody speaks. They come back at the other one."""
    speaker = Client(candidate, pair.ports[0])
    listeners = [Client(candidate, pair.ports[1]) for _ in range(LISTENERS)]
    async with speaking(speaker, listeners) as first:
        for one in listeners:
            one.port = pair.ports[0]
        killed = time.monotonic()
        await asyncio.to_thread(pair.workers[1].kill)
        back = await all_of(listeners, lambda one: one.times == 2, DEAF_SECONDS)
        mark = speaker.said
        hear = back and await all_of(
            listeners, lambda one: one.latest > mark + BEFORE, DEAF_SECONDS
        )
        silence = time.monotonic() - killed if hear else math.inf
        return await count(speaker, listeners, first, silence)


def measure(name: str, fsync: Fsync) -> Losses:
    """Return what a candidate loses, each time with new workers on a Redis that nobody has used."""
    candidate = CANDIDATES[name]
    of_redis = None
    if candidate.needs_redis:
        with store_of(name, fsync) as redis, pair_of(name, redis) as pair:
            assert redis is not None
            of_redis = asyncio.run(kill_redis(candidate, pair, redis))
    with store_of(name, fsync) as redis, pair_of(name, redis) as pair:
        return Losses(of_redis, asyncio.run(kill_worker(candidate, pair)))
