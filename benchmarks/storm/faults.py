"""How each fault of a plan is done."""

import asyncio
import contextlib
import os
import shutil
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

from benchmarks.storm.clients import Client
from benchmarks.storm.evidence import Reset
from benchmarks.storm.plan import Fault
from benchmarks.storm.workers import Worker
from chatlib.lab import FaultProxy
from chatlib.stores.locks import Turnstile

ACK = b'"type":"ack"'
SMALL_BYTES = 1 << 30  # a file system of less than this is filled by the fault `full`
ENDS = ("", "-wal", "-shm")  # of the names of SQLite's files


class Faults:
    """Does faults to the workers and networks of a round.

    Args:
        workers: of the round.
        networks: of each, its proxies, one to each worker.
        path: of the file of the store; None: there is none.
        room: whose messages are kept there.
        clients: of the round.

    Attributes:
        resets: what the store was made to lose.
    """

    def __init__(
        self,
        workers: Sequence[Worker],
        networks: Sequence[Sequence[FaultProxy]],
        path: Path | None,
        room: str,
        clients: Sequence[Client],
    ) -> None:
        self.workers = workers
        self.clients = clients
        self.networks = networks
        self.path = path
        self.room = room
        self.resets: list[Reset] = []

    async def do(self, fault: Fault) -> None:
        """Do `fault`, and undo it."""
        if self.path is None and fault.kind == "kill":
            await self.kill_memory(fault)
        else:
            await getattr(self, fault.kind)(fault)

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
        async with self.all_dead():
            await self.lose(0)

    async def lose(self, kept: int) -> None:
        """Note that nothing is left of what came after the message `kept`."""
        for network in self.networks:  # an acknowledgement that is held there tells of the past
            for proxy in network:
                await asyncio.to_thread(proxy.cut)
        self.resets.append(Reset(time.monotonic(), kept))

    async def delete(self, fault: Fault) -> None:
        """Delete the file while all workers are dead."""
        async with self.all_dead():
            self._remove_file()
            await self.lose(0)

    async def restore(self, fault: Fault) -> None:
        """Copy the file, and a little later put the copy in its place, while all are dead."""
        copy = Path(f"{self.path}-copy")
        head = await asyncio.to_thread(self._copy_to, copy)
        await asyncio.sleep(fault.seconds)
        async with self.all_dead():
            self._remove_file(instead=copy)
            await self.lose(head)

    def _remove_file(self, instead: Path | None = None) -> None:
        for end in ENDS:
            Path(f"{self.path}{end}").unlink(missing_ok=True)
        if instead is not None:
            instead.rename(str(self.path))

    def _copy_to(self, copy: Path) -> int:
        with self.opened() as file, contextlib.closing(sqlite3.connect(copy)) as target:
            file.backup(target)
            row = target.execute("SELECT head FROM rooms WHERE room = ?", (self.room,)).fetchone()
        return row[0] if row else 0

    @contextlib.contextmanager
    def opened(self) -> Iterator[sqlite3.Connection]:
        """Give a connection to the file, as of another program.

        It is closed in a turn of its own, since closing may checkpoint: see `locks.Turnstile`.
        """
        file = sqlite3.connect(str(self.path), isolation_level=None, timeout=10)
        try:
            yield file
        finally:
            turnstile = Turnstile(str(self.path))
            with turnstile.turn():
                file.close()
            turnstile.close()

    def people_but_of(self, worker: Worker) -> set[str]:
        """Return who is connected to another worker, by the file."""
        with self.opened() as file:
            rows = file.execute("SELECT name, worker FROM people WHERE room = ?", (self.room,))
            return {name for name, where in rows if not where.startswith(f"{worker.pid}-")}

    async def lock(self, fault: Fault) -> None:
        """Have another program lock the file for writing."""
        await asyncio.to_thread(self._lock, fault.seconds)

    def _lock(self, seconds: float) -> None:
        with contextlib.suppress(sqlite3.OperationalError), self.opened() as file:
            file.execute("BEGIN IMMEDIATE")
            time.sleep(seconds)
            file.execute("ROLLBACK")

    async def bells(self, fault: Fault) -> None:
        """Remove the folder of the bells."""
        await asyncio.to_thread(shutil.rmtree, f"{self.path}-workers", ignore_errors=True)

    async def full(self, fault: Fault) -> None:
        """Fill the disk; or, where it is not a small one, let no file of the workers grow."""
        assert self.path is not None
        disk = os.statvfs(self.path.parent)
        if disk.f_blocks * disk.f_frsize < SMALL_BYTES:
            ballast = self.path.parent / f"ballast-{fault.number}"
            await asyncio.to_thread(fill, ballast)
            await asyncio.sleep(fault.seconds)
            ballast.unlink()
            return
        size = size_of(Path(f"{self.path}-wal"))
        for worker in self.workers:
            worker.limit_files(size)
        await asyncio.sleep(fault.seconds)
        for worker in self.workers:
            worker.limit_files(None)


def fill(path: Path) -> None:
    """Write to a file until the disk is full."""
    with path.open("wb", buffering=0) as ballast, contextlib.suppress(OSError):
        for size in (1 << 20, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while ballast.write(bytes(size)):
                    pass


def size_of(path: Path) -> int:
    """Return how long a file is, in bytes; 0 if there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
