"""How each fault of a plan is done that all stores have."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence

from benchmarks.storm import networks
from benchmarks.storm.backing import Backing
from benchmarks.storm.clients import Client
from benchmarks.storm.evidence import Reset
from benchmarks.storm.library import LibraryClient
from benchmarks.storm.plan import Fault
from benchmarks.storm.workers import Worker
from chatlib.lab import FaultProxy

ACK = b'"type":"ack"'
LOOK_SECONDS = 0.05
REGROW_SECONDS = 5.0  # in which a log that was lost may grow again, before the last ones are back


async def until(holds: Callable[[], bool], seconds: float) -> None:
    """Wait until something holds, `seconds` at most."""
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:  # noqa: ASYNC110 - records have no event
        await asyncio.sleep(LOOK_SECONDS)


class Faults:
    """Does faults to the workers and networks of a round, and to its store.

    Args:
        workers: of the round.
        networks: of each, its proxies, one to each worker.
        backing: of the store.
        clients: of the round.

    Attributes:
        resets: what the store was made to lose.
    """

    def __init__(
        self,
        workers: Sequence[Worker],
        networks: Sequence[Sequence[FaultProxy]],
        backing: Backing,
        clients: Sequence[Client | LibraryClient],
    ) -> None:
        self.workers = list(workers)
        self.clients = clients
        self.networks = networks
        self.backing = backing
        self.resets: list[Reset] = []

    async def do(self, fault: Fault) -> None:
        """Do `fault`, and undo it."""
        of_store = getattr(self.backing, fault.kind, None)
        if of_store is not None:
            await of_store(fault, self)
        else:
            await getattr(self, fault.kind)(fault)

    async def heal(self) -> None:
        """Have all networks forward everything."""
        for network in self.networks:
            for proxy in network:
                await networks.heal(proxy)
        await self.backing.heal()

    def proxy(self, fault: Fault) -> FaultProxy:
        """Return the proxy that a fault hits."""
        return self.networks[fault.network][fault.worker]

    async def cut(self, fault: Fault) -> None:
        """Cut the connections of a network."""
        await networks.cut(self.proxy(fault))

    async def stall(self, fault: Fault) -> None:
        """Let nothing pass."""
        await networks.stall(self.proxy(fault), fault)

    async def gone(self, fault: Fault) -> None:
        """Have a network gone."""
        await networks.gone(self.proxy(fault), fault)

    async def cut_reply(self, fault: Fault) -> None:
        """Cut a connection where an acknowledgement begins."""
        await asyncio.to_thread(self.proxy(fault).cut_reply, ACK)

    async def cut_after(self, fault: Fault) -> None:
        """Cut a connection in the midst of what it carries."""
        await networks.cut_after(self.proxy(fault), fault)

    async def leave(self, fault: Fault) -> None:
        """Have a client leave for good, with a close frame or without."""
        client = self.clients[fault.number % len(self.clients)]
        await client.leave(("close", "vanish")[fault.number % 2])

    async def kill(self, fault: Fault) -> None:
        """Kill a worker with SIGKILL, and start it again."""
        worker = self.workers[fault.worker]
        async with worker.lock:
            worker.kill()
            await asyncio.sleep(fault.seconds)
            await worker.start()

    async def restart(self, fault: Fault) -> None:
        """Stop a worker with SIGTERM, and start it again."""
        worker = self.workers[fault.worker]
        async with worker.lock:
            await worker.restart()

    async def pause(self, fault: Fault) -> None:
        """Stop a worker with SIGSTOP, and wake it."""
        worker = self.workers[fault.worker]
        async with worker.lock:
            worker.pause()
            await asyncio.sleep(fault.seconds)
            worker.wake()

    @contextlib.asynccontextmanager
    async def all_dead(self) -> AsyncIterator[None]:
        """Have all workers dead in the block, and start them after it."""
        async with contextlib.AsyncExitStack() as stack:
            for worker in self.workers:
                await stack.enter_async_context(worker.lock)
            for worker in self.workers:
                worker.kill()
            yield
            for worker in self.workers:
                await worker.start()

    async def kill_all(self, fault: Fault) -> None:
        """Kill all workers at once, and start them again."""
        async with self.all_dead():
            await asyncio.sleep(fault.seconds)

    @contextlib.asynccontextmanager
    async def late(self, fault: Fault) -> AsyncIterator[None]:
        """Have the clients of a network away in the block, and until the log has grown again.

        When there are as many messages again as there were, the ids of these clients say nothing
        of what the log lost in the block. Only their tags do.
        """
        before = max(client.record.cursor.id for client in self.clients)
        for proxy in self.networks[fault.network]:
            await asyncio.to_thread(proxy.refuse)
            await networks.cut(proxy)
        yield
        await until(
            lambda: max(client.record.cursor.id for client in self.clients) > before, REGROW_SECONDS
        )
        for proxy in self.networks[fault.network]:
            await networks.heal(proxy)

    @contextlib.asynccontextmanager
    async def losing(self, fault: Fault) -> AsyncIterator[Callable[[int], None]]:
        """Have all workers dead in the block, which makes the store lose messages.

        It calls what is given here with the last message that is left.
        """
        async with contextlib.AsyncExitStack() as stack, self.all_dead():
            await stack.enter_async_context(self.late(fault))
            for network in self.networks:  # an acknowledgement that is held there is of the past
                for proxy in network:
                    await networks.cut(proxy)
            yield lambda kept: self.resets.append(Reset(time.monotonic(), kept))
