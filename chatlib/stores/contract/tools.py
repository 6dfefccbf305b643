"""What the tests of a store stand on."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from chatlib.stores.retention import Retention
from chatlib.stores.store import Cursor, Entry, Page, Receipt, Store

GUARD_SECONDS = 30.0

Make = Callable[..., Store]
Scenario = Callable[[Store], Awaitable[None]]


class Listener:
    """An ear that keeps what it was told, and can be waited for."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.heads: list[int] = []
        self.people_changed = 0
        self.shouts: list[bytes] = []
        self._news = asyncio.Event()

    def new(self, entries: Sequence[Entry]) -> None:
        self.entries.extend(entries)
        self.heads.append(entries[-1].id)
        self._news.set()

    def head(self, cursor: Cursor) -> None:
        self.heads.append(cursor.id)
        self._news.set()

    def resync(self) -> None:
        self._news.set()

    def people(self) -> None:
        self.people_changed += 1
        self._news.set()

    def shout(self, data: bytes) -> None:
        self.shouts.append(data)
        self._news.set()

    async def until(self, done: Callable[[], bool | Awaitable[bool]]) -> None:
        """Wait until `done()` is true; it is asked each time this is told of something."""
        while True:
            self._news.clear()
            answer = done()
            if answer is True or (not isinstance(answer, bool) and await answer):
                return
            await self._news.wait()


@contextlib.asynccontextmanager
async def opened(store: Store) -> AsyncIterator[Store]:
    """Open `store`, and close it."""
    await store.open()
    try:
        yield store
    finally:
        await store.close()


def run(make: Make, scenario: Scenario, retention: Retention | None = None) -> None:
    """Run `scenario` with an open store."""

    async def play() -> None:
        store = make() if retention is None else make(retention)
        async with asyncio.timeout(GUARD_SECONDS), opened(store):
            await scenario(store)

    asyncio.run(play())


async def fill(store: Store, room: str, number: int, first: int = 1) -> list[Receipt]:
    """Append bodies `first`, `first` + 1 …"""
    numbers = range(first, first + number)
    return [await store.append(room, f"k{n}", b"%d" % n) for n in numbers]


def ids(page: Page) -> list[int]:
    """Return the ids of the entries of `page`."""
    return [entry.id for entry in page.entries]
