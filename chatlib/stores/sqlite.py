"""A store in one file, which any number of processes of one machine share. There is no server.

Messages are written by one thread, all that wait in one transaction, and read by another. Processes
take turns (`locks.Turnstile`), ring at each other (`doorbell`), and look themselves from time to
time whether they have missed a ring.
"""

import asyncio
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, TypeVar

from chatlib.stores.doorbell import Doorbell
from chatlib.stores.ears import Ears
from chatlib.stores.locks import Turnstile
from chatlib.stores.retention import DEFAULT, Retention
from chatlib.stores.sqlite_file import File, Link
from chatlib.stores.sqlite_log import PEOPLE, Batch, read_heads, read_page
from chatlib.stores.sqlite_watch import Watch
from chatlib.stores.sqlite_writer import Writer
from chatlib.stores.store import (
    LIMIT,
    Cursor,
    Durability,
    Ear,
    NotKept,
    Page,
    Receipt,
    Unsure,
    expect_message,
    expect_name,
    expect_part,
)

T = TypeVar("T")


class SQLiteStore:
    """A `Store` in a file. From any event loop and thread.

    Beside `chat.db` there are SQLite's own two files, `chat.db-gate` and `chat.db-write` for the
    turns, and the folder `chat.db-workers`. Stop all processes before you copy the file back from
    elsewhere; SQLite's command `.backup` copies it while they run.

    Args:
        path: of the file. Its folder has to be there.
        retention: how much of each room is kept.
        synchronous: `"FULL"`: what is kept is on the disk. `"NORMAL"`: it gets there within a
            second or so, and survives the end of any process till then, but not a loss of power.
        patience: how many seconds an append waits for its turn, or for the disk.
    """

    lease: float | None = None

    def __init__(
        self,
        path: str | Path,
        retention: Retention = DEFAULT,
        synchronous: Literal["FULL", "NORMAL"] = "FULL",
        patience: float = 5.0,
    ) -> None:
        if str(path) in ("", ":memory:"):
            raise ValueError("SQLite in memory is no file that others can share; take 'memory:'")
        if synchronous not in ("FULL", "NORMAL"):
            raise ValueError(f"expected synchronous 'FULL' or 'NORMAL', got {synchronous!r}")
        self.path = Path(path).absolute()
        self.durable: Durability = "disk" if synchronous == "FULL" else "second"
        self._file = File(self.path, synchronous, patience)
        self._retention = retention
        self._patience = patience
        self._ears = Ears()
        self._present: dict[tuple[str, str], int] = {}  # connections of this process
        self._lock = threading.Lock()
        self._link = Link(self._file)
        self._opened = False

    async def open(self) -> None:
        """Make the file if need be, and begin to listen to other processes."""
        if self._opened:
            raise RuntimeError(f"this store in {self.path} is open already")
        await asyncio.to_thread(self._open)

    def _open(self) -> None:
        self._file.expect_place()
        place = self.path.resolve()  # as SQLite does: a link and what it leads to are one file
        try:
            turnstile = Turnstile(str(place))
            try:
                if not self._file.is_ready():
                    with turnstile.turn(self._patience):
                        self._file.prepare()
                self._bell = Doorbell(Path(f"{place}-workers"))
            except BaseException:
                turnstile.close()
                raise
        except OSError as error:
            if str(error).startswith("cannot"):
                raise
            raise OSError(f"cannot keep messages in {self.path}: {error}") from error
        self._present.clear()
        self._reader = ThreadPoolExecutor(1, "chatlib reader")
        self._watch = Watch(self._bell, Link(self._file), self._ears)
        self._writer = Writer(
            Link(self._file), turnstile, self._retention, self._patience, self._watch.tell
        )
        self._watch.start(self._writer, self._write_people)
        self._opened = True

    async def close(self) -> None:
        """Keep what waits, and let go of the file. Harmless if it is not open."""
        if self._is_open:
            self._opened = False
            await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._writer.submit(lambda batch: batch.bury(self._bell.name))
        self._writer.close()
        self._watch.stop()
        self._reader.submit(self._link.drop)
        self._reader.shutdown()
        self._bell.close()

    @property
    def _is_open(self) -> bool:
        return self._opened and self._writer.runs

    def _expect_open(self, error: type[Exception] = OSError) -> None:
        if not self._is_open:
            raise error(f"the store in {self.path} is not open in this process")

    async def append(self, room: str, key: str, body: bytes) -> Receipt:
        """Keep `body`, as `Store.append` says."""
        expect_message(room, key, body)
        self._expect_open(NotKept)
        return await self._writer.do((room, key, body))  # type: ignore[no-any-return]

    async def read(
        self,
        room: str,
        *,
        after: Cursor | None = None,
        before: int | None = None,
        limit: int = LIMIT,
    ) -> Page:
        """Return a part of the log, as `Store.read` says."""
        expect_part(room, after, before)
        return await self._ask(lambda file: read_page(file, room, after, before, limit))

    async def heads(self, rooms: Iterable[str]) -> dict[str, Cursor]:
        """Return the place of the newest message of each of `rooms`."""
        names = list(rooms)
        return await self._ask(lambda file: read_heads(file, names))

    async def hear(self, room: str, ear: Ear) -> None:
        """Have `ear` told of what happens in `room`."""
        expect_name("room", room)
        self._ears.add(room, ear)

    async def unhear(self, room: str, ear: Ear) -> None:
        """Have `ear` told nothing more of `room`."""
        self._ears.remove(room, ear)

    def shout(self, room: str, data: bytes) -> None:
        """Tell the ears of other processes, as `Store.shout` says."""
        expect_name("room", room)
        self._expect_open()
        self._watch.shout(room, data)

    async def enter(self, room: str, name: str) -> None:
        """Note one more connection of `name`. If the file cannot be written now, it is later."""
        expect_name("room", room)
        expect_name("name", name)
        self._expect_open()
        self._count(room, name, 1)
        try:
            await self._write(room, name)
        except asyncio.CancelledError:
            self._count(room, name, -1)
            self._watch.write_people_again()
            raise

    async def leave(self, room: str, name: str) -> None:
        """Note one connection of `name` less, likewise. Harmless if the store is closed."""
        expect_name("room", room)
        expect_name("name", name)
        if self._is_open:
            self._count(room, name, -1)
            await self._write(room, name)

    def _count(self, room: str, name: str, more: int) -> None:
        with self._lock:
            self._present[room, name] = max(0, self._present.get((room, name), 0) + more)
            if not self._present[room, name]:
                del self._present[room, name]

    async def _write(self, room: str, name: str) -> None:
        try:
            await self._writer.do(lambda batch: self._write_person(batch, room, name))
        except (NotKept, Unsure):
            self._watch.write_people_again()

    def _write_person(self, batch: Batch, room: str, name: str) -> None:
        with self._lock:
            connections = self._present.get((room, name), 0)
        batch.set_person(room, name, self._bell.name, connections)

    def _write_people(self, batch: Batch) -> None:
        """Write anew who is here."""
        with self._lock:
            everybody = dict(self._present)
        batch.bury(self._bell.name)
        for (room, name), connections in everybody.items():
            batch.set_person(room, name, self._bell.name, connections)

    async def people(self, room: str) -> dict[str, int]:
        """Return who is connected to `room`, in all living processes, and how often."""
        expect_name("room", room)
        rows = await self._ask(lambda file: file.execute(PEOPLE, (room,)).fetchall())
        found: Counter[str] = Counter()
        lives = {worker: self._bell.lives(worker) for worker in {row[1] for row in rows}}
        for name, worker, connections in rows:
            if lives[worker]:
                found[name] += connections
        return dict(found)

    async def check(self) -> None:
        """Prove that the file can be read, and that this process gets its turn to write."""
        await self._ask(lambda file: file.execute("SELECT 1 FROM rooms LIMIT 1").fetchone())
        try:
            await self._writer.do(lambda batch: None)
        except (NotKept, Unsure) as error:
            raise OSError(f"cannot write to {self.path}: {error}") from error

    async def _ask(self, question: Callable[[sqlite3.Connection], T]) -> T:
        """Return what `question` finds in the file, in the reader's thread."""

        def ask() -> T:
            try:
                return question(self._link.get())
            except sqlite3.Error as error:
                self._link.drop()
                raise OSError(f"cannot read {self.path}: {error}") from error

        self._expect_open()
        return await asyncio.get_running_loop().run_in_executor(self._reader, ask)
