"""How each fault of a plan is done."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence

from benchmarks.storm.clients import Client
from benchmarks.storm.evidence import Reset
from benchmarks.storm.file import StoreFile
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
    """Does faults to the workers and networks of a round.

    Args:
        workers: of the round.
        networks: of each, its proxies, one to each worker.
        file: of the store; None: it is in memory.
        clients: of the round.

    Attributes:
        resets: what the store was made to lose.
    """

    def __init__(
        self,
        workers: Sequence[Worker],
        networks: Sequence[Sequence[FaultProxy]],
        file: StoreFile | None,
        clients: Sequence[Client | LibraryClient],
    ) -> None:
        self.workers = workers
        self.clients = clients
        self.networks = networks
        self._file = file
        self.resets: list[Reset] = []

    async def do(self, fault: Fault) -> None:
        """Do `fault`, and undo it."""
        if self._file is None and fault.kind == "kill":
            await self.kill_memory(fault)
        else:
            await getattr(self, fault.kind)(fault)

    @property
    def file(self) -> StoreFile:
        """The file of the store."""
        assert self._file is not None, "there is none: the store is in memory"
        return self._file

    async def heal(self) -> None:
        """Have all networks forward everything."""
        for network in self.networks:
            for proxy in network:
                await asyncio.to_thread(proxy.heal)

    def proxy(self, fault: Fault) -> FaultProxy:
        """Return the proxy that a fault hits."""
        return self.networks[fault.network][fault.worker]

    async def cut(self, fault: Fault) -> None:
        """Cut connections with RST."""
        await asyncio.to_thread(self.proxy(fault).cut)

    async def stall(self, fault: Fault) -> None:
        """Let nothing pass, in one direction or both."""
        direction = ("up", "down", "both")[fault.number % 3]
        await asyncio.to_thread(self.proxy(fault).stall, direction)
        await asyncio.sleep(fault.seconds)
        await asyncio.to_thread(self.proxy(fault).heal)

    async def gone(self, fault: Fault) -> None:
        """Have the network gone: connections are cut, and new ones refused."""
        await asyncio.to_thread(self.proxy(fault).refuse)
        await asyncio.to_thread(self.proxy(fault).cut)
        await asyncio.sleep(fault.seconds)
        await asyncio.to_thread(self.proxy(fault).heal)

    async def cut_reply(self, fault: Fault) -> None:
        """Cut a connection where an acknowledgement begins."""
        await asyncio.to_thread(self.proxy(fault).cut_reply, ACK)

    async def cut_after(self, fault: Fault) -> None:
        """Cut a connection in the midst of what it carries."""
        direction = ("up", "down")[fault.number % 2]
        await asyncio.to_thread(self.proxy(fault).cut_after, fault.number, direction)

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

    async def kill_memory(self, fault: Fault) -> None:
        """Kill the worker whose memory is the store."""
        async with self.losing(fault) as reset:
            reset(0)

    @contextlib.asynccontextmanager
    async def losing(self, fault: Fault) -> AsyncIterator[Callable[[int], None]]:
        """Have all workers dead in the block, which makes the store lose messages.

        It calls what is given here with the last message that is left. Clients of one network come
        back when there are as many messages again: their ids say nothing then, only their tags do.
        """
        late = self.networks[fault.network]
        async with self.all_dead():
            before = max(client.record.cursor.id for client in self.clients)
            for proxy in late:
                await asyncio.to_thread(proxy.refuse)
            for network in self.networks:  # an acknowledgement that is held there is of the past
                for proxy in network:
                    await asyncio.to_thread(proxy.cut)
            yield lambda kept: self.resets.append(Reset(time.monotonic(), kept))
        await until(
            lambda: max(client.record.cursor.id for client in self.clients) > before, REGROW_SECONDS
        )
        for proxy in late:
            await asyncio.to_thread(proxy.heal)

    async def delete(self, fault: Fault) -> None:
        """Delete the file while all workers are dead."""
        async with self.losing(fault) as reset:
            self.file.delete()
            reset(0)

    async def restore(self, fault: Fault) -> None:
        """Copy the file, and a little later put the copy in its place, while all are dead."""
        head = await asyncio.to_thread(self.file.copy)
        await asyncio.sleep(fault.seconds)
        async with self.losing(fault) as reset:
            self.file.restore()
            reset(head)

    async def lock(self, fault: Fault) -> None:
        """Have another program lock the file for writing."""
        await asyncio.to_thread(self.file.lock, fault.seconds)

    async def bells(self, fault: Fault) -> None:
        """Remove the folder of the bells."""
        await asyncio.to_thread(self.file.remove_bells)

    async def full(self, fault: Fault) -> None:
        """Fill the disk; or, where it is not a small one, let no file of the workers grow."""
        if self.file.is_on_small_disk():
            await asyncio.to_thread(self.file.fill_disk, fault.seconds)
            return
        size = self.file.log_size
        for worker in self.workers:
            worker.limit_files(size)
        await asyncio.sleep(fault.seconds)
        for worker in self.workers:
            worker.limit_files(None)
