"""One round: workers, networks and clients, the faults of a plan, and what came of it."""

import asyncio
import contextlib
import itertools
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.storm.backing import ROOM, Backing, Memory
from benchmarks.storm.checker import breaches, presence_breaches
from benchmarks.storm.clients import Client
from benchmarks.storm.evidence import Evidence, Kept
from benchmarks.storm.faults import Faults, until
from benchmarks.storm.file import SQLite
from benchmarks.storm.library import LibraryClient
from benchmarks.storm.log import read_log
from benchmarks.storm.plan import NETWORKS, TRIM, TRIMMED_TO, Plan
from benchmarks.storm.records import Acked, Changed, Heard, Refused
from benchmarks.storm.redis import Redis
from benchmarks.storm.worker import SECRET
from benchmarks.storm.workers import Worker
from chatlib.core.rooms.identity import Tokens
from chatlib.lab import FaultProxy

BACKINGS: dict[str, type[Backing]] = {"sqlite": SQLite, "redis": Redis, "memory": Memory}
BEAT_SECONDS = 1.0
CALM_SECONDS = 60.0  # a guard: in which everybody has caught up, once all is well again
PRESENCE_SECONDS = 15.0  # another one: the name of a lost connection stays for a while


@dataclass
class Result:
    """What came of a round. Times are in seconds; `gone_after` is None where nobody was left.

    `not_kept` and `unsure` are how often clients without the library were told that.
    """

    plan: Plan
    acked: int = 0
    not_kept: int = 0
    unsure: int = 0
    kills: int = 0
    reconnects: int = 0
    gap: float = 0.0
    caught_up: float = 0.0
    gone_after: float | None = None
    breaches: list[str] = field(default_factory=list)
    logs: str = ""


class Way:
    """Where a client connects: through its network, to one worker, or to any.

    Args:
        network: has a proxy to each worker.
        number: of the client. Each second one comes back to the same worker.
        seed: decides where the others go.
    """

    def __init__(self, network: Sequence[FaultProxy], number: int, seed: int) -> None:
        self.network = network
        self.random = random.Random(f"{seed} {number}")
        self.moves = number % 2 == 1
        self.worker = number // 2 % len(network)

    def __call__(self) -> str:
        """Return the address for the next try."""
        if self.moves:
            self.worker = self.random.randrange(len(self.network))
        return self.network[self.worker].ws_url(f"/rooms/{ROOM}")


async def run_round(plan: Plan, folder: Path | None) -> Result:
    """Do what `plan` says, in a new folder below `folder`. Everything is stopped at the end."""
    with tempfile.TemporaryDirectory(dir=folder) as place, contextlib.ExitStack() as stack:
        backing = stack.enter_context(BACKINGS[plan.store](plan, Path(place)))
        arguments = [f"--beat={BEAT_SECONDS}"]
        if plan.told == TRIM:
            arguments.append(f"--keep={TRIMMED_TO}")
        workers = [
            stack.enter_context(
                Worker(backing.address(number), arguments, Path(place, f"worker-{number}.log"))
            )
            for number in range(plan.workers)
        ]
        async with asyncio.TaskGroup() as starting:  # it waits for all of them, whatever happens
            for worker in workers:
                starting.create_task(worker.start())
        networks = [
            [stack.enter_context(FaultProxy(worker.port)) for worker in workers]
            for _ in range(NETWORKS)
        ]
        result = await Round(plan, workers, networks, backing).run()
        if result.breaches:
            result.logs = "".join(worker.text_of_log() for worker in workers)
        return result


class Round:
    """What `run_round` has running, and what is done with it."""

    def __init__(
        self,
        plan: Plan,
        workers: Sequence[Worker],
        networks: Sequence[Sequence[FaultProxy]],
        backing: Backing,
    ) -> None:
        self.plan = plan
        self.workers = workers
        self.tokens = Tokens(SECRET)
        self.ways: dict[str, Way] = {}
        self.clients: list[Client | LibraryClient] = []
        for number, part in enumerate(plan.parts):
            name = f"p{number}"
            way = self.ways[name] = Way(networks[part.network], number, plan.seed)
            token = self.tokens.sign(name, 3600)
            self.clients.append(
                Client(name, token, way, part.due, part.window, BEAT_SECONDS)
                if way.moves
                else LibraryClient(name, token, way(), part.due)
            )
        self.faults = Faults(workers, networks, backing, self.clients)
        self.result = Result(plan)

    async def run(self) -> Result:
        """Have the clients talk while everything fails; then check."""
        async with asyncio.TaskGroup() as group:
            running = [
                group.create_task(after(part.arrives, client.run))
                for part, client in zip(self.plan.parts, self.clients, strict=True)
            ]
            async with asyncio.TaskGroup() as faults:
                for fault in self.plan.faults:
                    faults.create_task(after(fault.at, self.faults.do, fault))
            await self.faults.heal()
            healed = time.monotonic()
            log = await self.calm()
            self.result.caught_up = time.monotonic() - healed
            self.result.kills = sum(worker.kills for worker in self.workers)
            await self.ghosts()
            for task in running:
                task.cancel()
        self.judge(log)  # last: clients that wait for it would miss beats
        return self.result

    @property
    def here(self) -> list[Client | LibraryClient]:
        """The clients that have not left."""
        return [client for client in self.clients if not client.record.left]

    async def calm(self) -> list[Kept]:
        """Wait until everybody has said and heard all, and knows who is there; return the log."""
        await until(lambda: all(client.is_done for client in self.clients), CALM_SECONDS)
        port, token = self.workers[0].port, self.tokens.sign("reader", 3600)
        log = await asyncio.to_thread(read_log, "127.0.0.1", port, token, ROOM)
        head = log[-1][:2] if log else (0, "00000000")
        await until(lambda: all(each.record.cursor == head for each in self.here), CALM_SECONDS)
        names = frozenset(client.record.name for client in self.here)
        await until(
            lambda: all(each.record.people == names for each in self.here), PRESENCE_SECONDS
        )
        self.result.breaches += presence_breaches((each.record for each in self.here), names)
        return log

    def judge(self, log: list[Kept]) -> None:
        """Check all records, and count."""
        result, records = self.result, [client.record for client in self.clients]
        keeps = TRIMMED_TO if self.plan.told == TRIM else None
        result.breaches += breaches(Evidence(records, log, self.faults.resets, keeps))
        result.acked = sum(len({ack.key for ack in record.of(Acked)}) for record in records)
        codes = Counter(error.code for record in records for error in record.of(Refused))
        result.not_kept, result.unsure = codes["try_again"], codes["unsure"]
        result.reconnects = sum(max(0, record.connections - 1) for record in records)
        for record in records:
            times = [heard.at for heard in record.of(Heard)]
            for one, two in itertools.pairwise(times):
                result.gap = max(result.gap, two - one)

    async def ghosts(self) -> None:
        """Kill a worker whose clients do not come back; note when all others have been told."""
        dead = self.plan.seed % len(self.workers)
        lost = [each for each in self.here if self.ways[each.record.name].worker == dead]
        rest = [each.record for each in self.here if each not in lost]
        if not (lost and rest):
            return
        for client in lost:
            client.stay_away()
        # Who was cut from another worker a little before may still be counted there.
        only = {each.record.name for each in lost if not self.ways[each.record.name].moves}
        killed = time.monotonic()
        self.workers[dead].kill()
        names = frozenset(record.name for record in rest)
        await until(lambda: all(record.people == names for record in rest), PRESENCE_SECONDS)
        self.result.breaches += presence_breaches(rest, names)
        told = [
            change.at
            for record in rest
            for change in record.of(Changed)
            if change.at > killed and change.left & only
        ]
        if told:
            self.result.gone_after = max(told) - killed


async def after(seconds: float, do: Callable, *args: object) -> None:
    """Do something after so many seconds."""
    await asyncio.sleep(seconds)
    await do(*args)
