"""What the storm does to the file of a SQLite store."""

import asyncio
import contextlib
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.storm.backing import ROOM, Backing, Storm
from benchmarks.storm.plan import Fault, Plan
from chatlib.stores.locks import Turnstile

SMALL_BYTES = 1 << 30  # a file system of less than this may be filled
ENDS = ("", "-wal", "-shm")  # of the names of SQLite's files


class StoreFile:
    """The file, and those beside it. All of this blocks.

    Args:
        path: of the file.
        room: whose messages are looked at.
    """

    def __init__(self, path: Path, room: str) -> None:
        self.path = path
        self.room = room

    @contextlib.contextmanager
    def opened(self) -> Iterator[sqlite3.Connection]:
        """Give a connection to the file, as of another program.

        It is closed in a turn of its own, since closing may checkpoint: see `locks.Turnstile`.
        """
        file = sqlite3.connect(self.path, isolation_level=None, timeout=10)
        try:
            yield file
        finally:
            turnstile = Turnstile(str(self.path))
            with turnstile.turn():
                file.close()
            turnstile.close()

    def lock(self, seconds: float) -> None:
        """Lock the file for writing. If others have it locked for long, do not."""
        with contextlib.suppress(sqlite3.OperationalError), self.opened() as file:
            file.execute("BEGIN IMMEDIATE")
            time.sleep(seconds)
            file.execute("ROLLBACK")

    def copy(self) -> int:
        """Copy it, as a backup does; return the newest message of the copy."""
        with self.opened() as file, contextlib.closing(sqlite3.connect(self._copy)) as target:
            file.backup(target)
            row = target.execute("SELECT head FROM rooms WHERE room = ?", (self.room,)).fetchone()
        return row[0] if row else 0

    @property
    def _copy(self) -> Path:
        return Path(f"{self.path}-copy")

    def delete(self) -> None:
        """Delete it. Nobody may have it open."""
        for end in ENDS:
            Path(f"{self.path}{end}").unlink(missing_ok=True)

    def restore(self) -> None:
        """Put the copy in its place. Nobody may have it open."""
        self.delete()
        self._copy.rename(self.path)

    def remove_bells(self) -> None:
        """Remove the folder of the bells."""
        shutil.rmtree(f"{self.path}-workers", ignore_errors=True)

    @property
    def log_size(self) -> int:
        """How many bytes the write-ahead log has."""
        with contextlib.suppress(FileNotFoundError):
            return Path(f"{self.path}-wal").stat().st_size
        return 0

    def is_on_small_disk(self) -> bool:
        """Return whether it is on a file system that may be filled."""
        disk = os.statvfs(self.path.parent)
        return disk.f_blocks * disk.f_frsize < SMALL_BYTES

    def fill_disk(self, seconds: float) -> None:
        """Have no room left on its file system for so long."""
        ballast = self.path.parent / f"ballast-{time.monotonic_ns()}"
        with ballast.open("wb", buffering=0) as file:
            for size in (1 << 20, 1 << 12, 1):
                with contextlib.suppress(OSError):
                    while file.write(bytes(size)):
                        pass
            time.sleep(seconds)
        ballast.unlink()


class SQLite(Backing):
    """One file for all workers."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        super().__init__(plan, folder)
        self.file = StoreFile(folder / "storm.db", ROOM)

    def address(self, worker: int) -> str:
        return f"sqlite:///{self.file.path}"

    async def delete(self, fault: Fault, storm: Storm) -> None:
        """Delete the file while all workers are dead."""
        async with storm.losing(fault) as reset:
            self.file.delete()
            reset(0)

    async def restore(self, fault: Fault, storm: Storm) -> None:
        """Copy the file, and a little later put the copy in its place, while all are dead."""
        head = await asyncio.to_thread(self.file.copy)
        await asyncio.sleep(fault.seconds)
        async with storm.losing(fault) as reset:
            self.file.restore()
            reset(head)

    async def lock(self, fault: Fault, storm: Storm) -> None:
        """Have another program lock the file for writing."""
        await asyncio.to_thread(self.file.lock, fault.seconds)

    async def bells(self, fault: Fault, storm: Storm) -> None:
        """Remove the folder of the bells."""
        await asyncio.to_thread(self.file.remove_bells)

    async def full(self, fault: Fault, storm: Storm) -> None:
        """Fill the disk; or, where it is not a small one, let no file of the workers grow."""
        if self.file.is_on_small_disk():
            await asyncio.to_thread(self.file.fill_disk, fault.seconds)
            return
        size = self.file.log_size
        for worker in storm.workers:
            worker.limit_files(size)
        await asyncio.sleep(fault.seconds)
        for worker in storm.workers:
            worker.limit_files(None)
