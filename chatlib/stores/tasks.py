"""Ending a task."""

import asyncio
from typing import Any

AGAIN_SECONDS = 0.5  # until a task that goes on is cancelled once more


async def end(task: "asyncio.Task[Any]") -> None:
    """Cancel `task`, and wait until it has ended. What it raises is dropped.

    One cancellation may get lost: `asyncio.wait_for` of Python 3.11, with which the package redis
    sends, drops one that comes as it ends.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=AGAIN_SECONDS)
    if not task.cancelled():
        task.exception()
