"""The rooms on several machines: Redis, two workers and their clients each have one of their own.

The cables between them are pulled, and silently lose what they carry.
"""

import asyncio
import contextlib
import http.client
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from machines import Cable, Machine, why_not

from benchmarks.process import Process
from benchmarks.storm.checker import breaches, presence_breaches
from benchmarks.storm.clients import Client
from benchmarks.storm.evidence import Evidence
from benchmarks.storm.log import read_log
from benchmarks.storm.records import Acked, Changed, Closed
from benchmarks.storm.worker import SECRET
from chatlib.core.rooms.identity import Tokens
from chatlib.lab.redis_server import RedisServer

BEAT_SECONDS = 1.0
GONE_SECONDS = 10.0  # after which the people of a worker that is cut off are gone, at most
STEP_SECONDS = 20.0  # a guard, for each thing that is waited for
SCENE_SECONDS = 60.0  # another one, for all of a test
EVERY_SECONDS = 0.05  # a client says something
TALK_SECONDS = 2 * SCENE_SECONDS
NAMES = {"one": ("ana", "bo"), "two": ("cy", "dee")}
EVERYBODY = frozenset(NAMES["one"] + NAMES["two"])
TOKENS = Tokens(SECRET)


@dataclass
class Lan:
    """What there is: the machine of the clients, a worker on each of two, and Redis on another.

    Attributes:
        visitor: the machine of the clients.
        redis: that of Redis.
        places: where clients find the workers "one" and "two".
        fronts: the cables between each worker and the clients.
        backs: the cables between each worker and Redis.
    """

    visitor: Machine
    redis: Machine
    places: dict[str, tuple[str, int]]
    fronts: dict[str, Cable]
    backs: dict[str, Cable]


@pytest.fixture(scope="module")
def lan(needs_redis):
    """Set all of it up. Nothing of it is left at the end, however that comes."""
    if reason := why_not():
        pytest.skip(reason)
    with ExitStack() as stack:
        redis, visitor, *workers = (
            stack.enter_context(Machine(name)) for name in ("redis", "visitor", *NAMES)
        )
        fronts = {it.name: Cable(1 + n, it, visitor) for n, it in enumerate(workers)}
        backs = {it.name: Cable(11 + n, it, redis) for n, it in enumerate(workers)}
        # It has several addresses, so it hears on all; nobody but these machines can reach it.
        server = redis.run(RedisServer, "always", "0.0.0.0", protected_mode="no")
        stack.callback(redis.run, server.stop)
        places = {}
        for worker in workers:
            url = f"redis://{backs[worker.name].hosts[redis]}:{server.port}/0"
            host = fronts[worker.name].hosts[worker]
            options = [f"--host={host}", f"--beat={BEAT_SECONDS}"]
            command = [sys.executable, "-m", "benchmarks.storm.worker", url, *options]
            process = worker.run(Process, command)
            stack.callback(process.kill)
            places[worker.name] = host, process.port
        yield Lan(visitor, redis, places, fronts, backs)


class Talk:
    """Four clients who talk in a room, two at each worker. It runs on the visitor's machine."""

    def __init__(self, lan: Lan, room: str) -> None:
        self.lan = lan
        self.room = room
        self.clients = {}
        self._due = {}
        for worker, names in NAMES.items():
            host, port = lan.places[worker]
            for name in names:
                due = [EVERY_SECONDS * n for n in range(round(TALK_SECONDS / EVERY_SECONDS))]
                url = f"ws://{host}:{port}/rooms/{room}"
                self._due[name] = due
                self.clients[name] = Client(
                    name, TOKENS.sign(name, 3600), lambda url=url: url, due, 1, BEAT_SECONDS
                )

    def records(self, worker: str | None = None):
        """Return what the clients of a worker noted, or what all did."""
        return [
            client.record
            for name, client in self.clients.items()
            if worker is None or name in NAMES[worker]
        ]

    async def health(self, worker: str) -> int:
        """Return the status of `/healthz`."""
        return await asyncio.to_thread(self._health, *self.lan.places[worker])

    def _health(self, host: str, port: int) -> int:
        with contextlib.closing(http.client.HTTPConnection(host, port, timeout=5)) as connection:
            connection.request("GET", "/healthz")
            return connection.getresponse().status

    async def healthy(self, worker: str, status: int) -> None:
        """Wait until `/healthz` has this status."""
        async with asyncio.timeout(STEP_SECONDS):
            while await self.health(worker) != status:  # noqa: ASYNC110 - it has no event
                await asyncio.sleep(0.05)

    async def until(self, what: str, holds) -> None:
        """Wait until something holds."""
        try:
            async with asyncio.timeout(STEP_SECONDS):
                while not holds():  # noqa: ASYNC110 - records have no event
                    await asyncio.sleep(0.02)
        except TimeoutError:
            seen = {record.name: sorted(record.people) for record in self.records()}
            raise AssertionError(f"{what}: not within {STEP_SECONDS:g} s; {seen}") from None

    async def all_there(self) -> None:
        """Wait until everybody sees everybody, and is acknowledged what they say from now on."""
        before = {record.name: record.acks for record in self.records()}
        await self.until(
            "everybody sees everybody",
            lambda: all(record.people == EVERYBODY for record in self.records()),
        )
        await self.until(
            "everybody says more",
            lambda: all(record.acks > before[record.name] + 2 for record in self.records()),
        )

    async def more_at_two(self) -> None:
        """Wait until the clients of the worker two have said more, and heard it."""
        before = {record.name: (record.acks, record.cursor.id) for record in self.records("two")}
        await self.until(
            "the clients of the other worker carry on",
            lambda: all(
                record.acks > before[record.name][0] + 5
                and record.cursor.id > before[record.name][1] + 10
                for record in self.records("two")
            ),
        )

    async def end(self) -> None:
        """Have nobody say more, and check all that was noted."""
        for due in self._due.values():
            due.clear()
        await self.until(
            "all is acknowledged", lambda: all(it.is_done for it in self.clients.values())
        )
        token = TOKENS.sign("reader", 3600)
        log = await asyncio.to_thread(read_log, *self.lan.places["two"], token, self.room)
        await self.until(
            "all have heard all",
            lambda: all(record.cursor == log[-1][:2] for record in self.records()),
        )
        assert breaches(Evidence(self.records(), log)) == []
        assert list(presence_breaches(self.records(), EVERYBODY)) == []


def play(lan, room, scene):
    """Run a scene among clients who talk, on their machine; repair all cables after it."""

    async def run():
        talk = Talk(lan, room)
        running = [asyncio.create_task(client.run()) for client in talk.clients.values()]
        try:
            async with asyncio.timeout(SCENE_SECONDS):
                await talk.all_there()
                await scene(talk)
        finally:
            for task in running:
                task.cancel()
            await asyncio.wait(running)

    try:
        lan.visitor.run(asyncio.run, run())
    finally:
        for cable in (*lan.fronts.values(), *lan.backs.values()):
            cable.repair()


FAULTS = {
    "the link is down": lambda lan, cable: cable.pull(),
    "all is lost on the way": lambda lan, cable: cable.drop(),
    "answers are lost on the way": lambda lan, cable: cable.drop(lan.redis),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_worker_that_is_cut_off_from_redis_says_so_and_loses_nothing(lan, fault):
    async def scene(talk):
        cable = lan.backs["one"]
        await asyncio.to_thread(FAULTS[fault], lan, cable)
        cut = time.monotonic()
        await talk.healthy("one", 503)
        unhealthy = time.monotonic()
        await talk.until(
            "the people of the worker that is cut off are gone at the other one",
            lambda: all(it.people == frozenset(NAMES["two"]) for it in talk.records("two")),
        )
        gone = max(it.of(Changed)[-1].at for it in talk.records("two"))
        await talk.more_at_two()
        assert await talk.health("one") == 503
        assert await talk.health("two") == 200
        repaired = time.monotonic()
        await asyncio.to_thread(cable.repair)

        await talk.healthy("one", 200)
        await talk.all_there()
        await talk.end()
        assert gone - cut <= GONE_SECONDS
        meanwhile = [
            ack
            for record in talk.records("one")
            for ack in record.of(Acked)
            if unhealthy < ack.at < repaired
        ]
        assert meanwhile == []

    play(lan, f"backs-{list(FAULTS).index(fault)}", scene)


@pytest.mark.parametrize("how", ["pull", "drop"])
def test_clients_that_are_cut_off_from_their_worker_come_back_and_have_missed_nothing(lan, how):
    async def scene(talk):
        cable = lan.fronts["one"]
        await asyncio.to_thread(getattr(cable, how))
        cut = time.monotonic()
        await talk.until(
            "the clients that are cut off notice",
            lambda: all(any(e.at > cut for e in it.of(Closed)) for it in talk.records("one")),
        )
        await talk.more_at_two()
        assert await talk.health("two") == 200
        head = max(record.cursor.id for record in talk.records("two"))
        assert all(record.cursor.id < head for record in talk.records("one"))
        await asyncio.to_thread(cable.repair)

        await talk.all_there()
        assert await talk.health("one") == 200
        await talk.end()

    play(lan, f"fronts-{how}", scene)
