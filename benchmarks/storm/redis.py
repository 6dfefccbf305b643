"""What the storm does to Redis, and to the cables between it and the workers."""

import asyncio
import contextlib
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import redis

from benchmarks.storm import networks
from benchmarks.storm.backing import ROOM, Backing, Storm
from benchmarks.storm.evidence import Reset
from benchmarks.storm.plan import Fault, Plan
from chatlib.lab import FaultProxy
from chatlib.lab.redis_server import RedisServer
from chatlib.stores.store import Cursor

SAID = b"I, p"  # how the text of each message begins: so a cable knows an append
ANSWER_SECONDS = 10.0
HOLD_MILLISECONDS = 60_000  # longer than it takes to read the log


class RedisData:
    """A Redis and its data on the disk. All of this blocks.

    Args:
        folder: of its data.
        saved: whether it keeps anything on the disk.
    """

    def __init__(self, folder: Path, saved: bool) -> None:
        self._folder = folder
        self._folder.mkdir()
        self.server = RedisServer("always" if saved else None, dir=str(folder))

    @contextlib.contextmanager
    def _asked(self) -> Iterator["redis.Redis"]:
        """Give a client, as an operator's, past all cables."""
        with redis.Redis(
            port=self.server.port, socket_timeout=ANSWER_SECONDS, decode_responses=True
        ) as client:
            yield client

    def drop(self, kind: str) -> None:
        """Have Redis cut its clients of a kind: `pubsub` or `normal`."""
        with self._asked() as client:
            client.execute_command("CLIENT", "KILL", "TYPE", kind)

    def limit(self, memory: int) -> None:
        """Have it refuse what needs memory if it has taken so many bytes. 0: never."""
        with self._asked() as client:
            client.config_set("maxmemory", memory)

    def flush(self) -> frozenset[Cursor]:
        """Have it forget all; return the places of the log until then."""
        with self._asked() as client, client.pipeline(transaction=True) as at_once:
            client.config_set("maxmemory", 0)  # or there is no transaction
            for log in logs_in(client):
                at_once.xrange(log)
            at_once.flushall()
            *entries, _ = at_once.execute()
        return frozenset().union(*map(places, entries))

    def hold(self) -> frozenset[Cursor]:
        """Have it take nothing more, until it is killed or `let_go`; return the places of the log.

        Who asks for something meanwhile waits.
        """
        with self._asked() as client:
            client.execute_command("CLIENT", "PAUSE", HOLD_MILLISECONDS, "WRITE")
            return frozenset().union(*(places(client.xrange(log)) for log in logs_in(client)))

    def let_go(self) -> None:
        """Have it go on."""
        with self._asked() as client:
            client.execute_command("CLIENT", "UNPAUSE")

    def copy(self) -> int:
        """Copy its data, as a backup does; return the newest message of the copy."""
        kept = self.hold()
        try:
            shutil.copytree(self._folder, self._copy)
        finally:
            self.let_go()
        return max((place.id for place in kept), default=0)

    def restore(self) -> None:
        """Put the copy in the place of its data. It has to be down."""
        shutil.rmtree(self._folder)
        self._copy.rename(self._folder)

    @property
    def _copy(self) -> Path:
        return self._folder.with_name("copy")


def logs_in(client: "redis.Redis") -> list[str]:
    """Return the key of the room's log, if there is one: the stream that has its name."""
    return list(client.scan_iter(f"*{ROOM}*", _type="stream"))


def places(entries: list[tuple[str, dict[str, str]]]) -> frozenset[Cursor]:
    """Return the places of the entries of a stream."""
    return frozenset(
        Cursor(int(number.partition("-")[0]), fields["tag"]) for number, fields in entries
    )


class Redis(Backing):
    """A Redis of the round's own, and for each worker a cable to it."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        super().__init__(plan, folder)
        self.data = RedisData(folder / "redis", saved=plan.told != "unsaved")
        self.server = self.data.server
        self.cables = [FaultProxy(self.server) for _ in range(plan.workers)]
        self._lock = asyncio.Lock()  # held by who has it down or paused

    def address(self, worker: int) -> str:
        return f"redis://127.0.0.1:{self.cables[worker].port}/0"

    async def heal(self) -> None:
        for cable in self.cables:
            await networks.heal(cable)

    def close(self) -> None:
        for cable in self.cables:
            cable.stop()
        self.server.stop()

    async def redis_kill(self, fault: Fault, storm: Storm) -> None:
        """Kill it with SIGKILL, and start it again."""
        if self.plan.told == "unsaved":
            await self.unsaved(fault, storm)
            return
        async with self._lock:
            await asyncio.to_thread(self.server.kill)
            await asyncio.sleep(fault.seconds)
            await asyncio.to_thread(self.server.start)

    async def redis_restart(self, fault: Fault, storm: Storm) -> None:
        """Shut it down as an operator does, and start it again."""
        if self.plan.told == "unsaved":
            await self.unsaved(fault, storm)
            return
        async with self._lock:
            await asyncio.to_thread(self.server.shut_down)
            await asyncio.to_thread(self.server.start)

    async def redis_pause(self, fault: Fault, storm: Storm) -> None:
        """Stop it with SIGSTOP, and wake it."""
        async with self._lock:
            self.server.pause()
            await asyncio.sleep(fault.seconds)
            self.server.wake()

    async def redis_full(self, fault: Fault, storm: Storm) -> None:
        """Have no memory left for it, for a while or until it is started again."""
        for memory, seconds in ((1, fault.seconds), (0, 0)):
            async with self._lock:
                await asyncio.to_thread(self.data.limit, memory)
            await asyncio.sleep(seconds)

    async def drop_pubsub(self, fault: Fault, storm: Storm) -> None:
        """Have Redis cut the connections on which workers hear."""
        async with self._lock:
            await asyncio.to_thread(self.data.drop, "pubsub")

    async def drop_normal(self, fault: Fault, storm: Storm) -> None:
        """Have Redis cut the connections on which workers ask."""
        async with self._lock:
            await asyncio.to_thread(self.data.drop, "normal")

    async def cable_cut(self, fault: Fault, storm: Storm) -> None:
        """Cut the connections of a worker to Redis."""
        await networks.cut(self.cables[fault.worker])

    async def cable_stall(self, fault: Fault, storm: Storm) -> None:
        """Let nothing pass between a worker and Redis."""
        await networks.stall(self.cables[fault.worker], fault)

    async def cable_gone(self, fault: Fault, storm: Storm) -> None:
        """Have the way from a worker to Redis gone."""
        await networks.gone(self.cables[fault.worker], fault)

    async def cable_reply(self, fault: Fault, storm: Storm) -> None:
        """Let an append through to Redis, and cut the connection before its reply."""
        cable = self.cables[fault.worker]
        await asyncio.to_thread(lambda: cable.cut_reply(to=SAID))

    async def cable_after(self, fault: Fault, storm: Storm) -> None:
        """Cut a connection between a worker and Redis in the midst of what it carries."""
        await networks.cut_after(self.cables[fault.worker], fault)

    @contextlib.asynccontextmanager
    async def _losing(self, fault: Fault, storm: Storm) -> AsyncIterator[Callable[..., None]]:
        """Make Redis lose messages in the block, while the workers and most clients are there.

        It calls what is given here with the last message that is left, and all until then: their
        acknowledgements may still be on their way.
        """
        async with storm.late(fault), self._lock:
            yield lambda kept, until_then: storm.resets.append(
                Reset(time.monotonic(), kept, until_then)
            )

    async def flush(self, fault: Fault, storm: Storm) -> None:
        """Have Redis forget all: FLUSHALL."""
        async with self._losing(fault, storm) as reset:
            reset(0, await asyncio.to_thread(self.data.flush))

    async def unsaved(self, fault: Fault, storm: Storm) -> None:
        """Kill the Redis that keeps nothing on the disk, and start it again."""
        async with self._losing(fault, storm) as reset:
            log = await asyncio.to_thread(self.data.hold)
            await asyncio.to_thread(self.server.kill)
            reset(0, log)
            await asyncio.to_thread(self.server.start)

    async def restore(self, fault: Fault, storm: Storm) -> None:
        """Copy the append-only file, and a little later put the copy in its place."""
        async with self._lock:
            head = await asyncio.to_thread(self.data.copy)
        await asyncio.sleep(fault.seconds)
        async with self._losing(fault, storm) as reset:
            log = await asyncio.to_thread(self.data.hold)
            await asyncio.to_thread(self.server.kill)
            self.data.restore()
            reset(head, log)
            await asyncio.to_thread(self.server.start)
