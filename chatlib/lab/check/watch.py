"""Noticing soon that code under check blocks an event loop, where nothing else runs then."""

import asyncio
import concurrent.futures
import contextlib
import threading
import time
from collections.abc import Awaitable, Sequence, Sized
from typing import TypeVar

from chatlib.lab.serve import Server

BLOCKED_SECONDS = 2.5  # how long an event loop may do nothing else; a busy machine needs less
LOOK_SECONDS = 0.25  # between two looks

T = TypeVar("T")


async def unless_blocked(trying: Awaitable[T], servers: Sequence[Server]) -> T:
    """Return what `trying` returns. It is cancelled as soon as one of `servers` is blocked.

    Args:
        trying: what a rule does. It returns something even where it is cancelled.
        servers: those that run meanwhile; `trying` may add some.
    """
    task = asyncio.ensure_future(trying)
    watch = asyncio.ensure_future(until_blocked(servers))
    await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
    for each in (task, watch):
        each.cancel()
    return await task


async def until_blocked(servers: Sequence[Server]) -> None:
    """Wait until the event loop of one of `servers` is blocked."""
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        for server in list(servers):
            if not await is_alive(server, BLOCKED_SECONDS):
                return


async def is_alive(server: Server, seconds: float) -> bool:
    """Return whether the server's event loop does something else within `seconds`, or has ended."""
    done: concurrent.futures.Future[None] = concurrent.futures.Future()
    try:
        server.loop.call_soon_threadsafe(done.set_result, None)
    except RuntimeError:  # it has closed
        return True
    await asyncio.wait({asyncio.wrap_future(done)}, timeout=seconds)
    return done.done() or not server.running


def ends(
    worker: threading.Thread, loop: asyncio.AbstractEventLoop, done: Sized, each: float
) -> bool:
    """Wait for `worker` to end, and return whether it does.

    It does not where its event loop is blocked, or where `done` does not grow for `each` seconds.
    """
    turned, length = threading.Event(), len(done)
    turned.set()
    asked = grown = time.monotonic()
    while worker.is_alive():
        now = time.monotonic()
        if turned.is_set():
            turned.clear()
            asked = now
            with contextlib.suppress(RuntimeError):  # it has closed
                loop.call_soon_threadsafe(turned.set)
        if len(done) > length:
            length, grown = len(done), now
        if now - asked > BLOCKED_SECONDS or now - grown > each:
            return False
        worker.join(LOOK_SECONDS)
    return True
