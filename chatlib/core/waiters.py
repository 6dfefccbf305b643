"""Waiting for a change that may come from another event loop, or another thread."""

import asyncio
import contextlib


class Waiters:
    """Those who wait for a change, each in the event loop that it waits in.

    `add` and `take_all` are called under one lock of the caller's, so that no change falls between
    the look and the waiting.
    """

    def __init__(self) -> None:
        self._futures: list[asyncio.Future[None]] = []

    def __len__(self) -> int:
        return len(self._futures)

    def add(self) -> asyncio.Future[None]:
        """Return what to hand to `wait`."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._futures.append(waiter)
        return waiter

    async def wait(self, waiter: asyncio.Future[None]) -> None:
        """Wait until `waiter` is woken. Cancelling it takes `waiter` out."""
        try:
            await waiter
        finally:
            with contextlib.suppress(ValueError):  # who was woken has been taken out already
                self._futures.remove(waiter)

    def take_all(self) -> list[asyncio.Future[None]]:
        """Take out all who wait, to be woken."""
        futures, self._futures = self._futures, []
        return futures


def wake(waiter: asyncio.Future[None]) -> None:
    """Let who waits for `waiter` go on, in whatever event loop that is."""

    def set_result() -> None:
        if not waiter.done():
            waiter.set_result(None)

    with contextlib.suppress(RuntimeError):  # its loop is closed, so nobody waits
        waiter.get_loop().call_soon_threadsafe(set_result)
