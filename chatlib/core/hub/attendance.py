"""Who of this process is present in the rooms of a store."""

import asyncio

from chatlib.stores.store import Store

STAYS_SECONDS = 5.0  # how long the name of a lost connection stays: its client may be back by then


class Attendance:
    """The connections with names that this process serves, one entry in the store for each.

    Args:
        store: where they are counted.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self._leaving: set[asyncio.Task[None]] = set()
        self._stopped = asyncio.Event()

    async def enter(self, room: str, name: str) -> None:
        """Note a connection of `name` in `room`; `OSError` if the store cannot."""
        await self.store.enter(room, name)

    async def leave(self, room: str, name: str, code: int | None) -> None:
        """Note that it has left; a little later, unless it said so itself with 1000 or 1001."""
        if code in (1000, 1001):
            await self.store.leave(room, name)
        elif self._stopped.is_set():
            await self._leave_now(room, name)
        else:
            task = asyncio.create_task(self._leave_later(room, name))
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    async def _leave_later(self, room: str, name: str) -> None:
        try:
            async with asyncio.timeout(STAYS_SECONDS):
                await self._stopped.wait()
        except TimeoutError:
            await self.store.leave(room, name)
        else:
            await self._leave_now(room, name)

    async def _leave_now(self, room: str, name: str) -> None:
        """Note that it has left because this process stops."""
        # Where there is a lease, its client is back at another process before that runs out. A
        # store of somebody's own may say nothing of one.
        if getattr(self.store, "lease", None) is None:
            await self.store.leave(room, name)

    async def stop(self) -> None:
        """Have all who are about to leave do so now, unless a lease has them leave, and wait."""
        self._stopped.set()
        if self._leaving:
            await asyncio.wait(self._leaving)
