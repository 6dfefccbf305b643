"""Noticing soon that code under check blocks an event loop, where nothing else runs then."""

import asyncio
import concurrent.futures
import contextlib
import threading
import time
from typing import Any

from chatlib.lab.serve import Server

BLOCKED_SECONDS = 2.5  # how long an event loop may do nothing else; a busy machine needs less
LOOK_SECONDS = 0.25  # between two looks


class Pulse:
    """Whether an event loop, of another thread, still does what it is asked to."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.turned = threading.Event()
        self.ask()

    def ask(self) -> None:
        """Ask for a sign of life."""
        self.turned.clear()
        self.asked = time.monotonic()
        with contextlib.suppress(RuntimeError):  # it has closed
            self.loop.call_soon_threadsafe(self.turned.set)

    def stopped(self) -> bool:
        """Return whether it has not answered for too long. Call this again and again."""
        if self.turned.is_set():
            self.ask()
        return time.monotonic() - self.asked > BLOCKED_SECONDS


class Watched:
    """What a check is at, in a thread of its own, for the thread that waits for it.

    Attributes:
        loop: the event loop of the check.
        servers: those that the rule works with which is being tried.
        task: the one in which that rule is tried.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.servers: list[Server] = []
        self.task: asyncio.Task[Any] | None = None

    def ends(self, worker: threading.Thread, done: list[Any], each: float) -> bool:
        """Wait for `worker` to end, and return whether it does.

        It does not where its event loop is blocked, or where `done` does not grow for `each`
        seconds. A rule is cancelled where the event loop of a server is blocked.
        """
        own, others = Pulse(self.loop), dict[Server, Pulse]()
        length, grown = len(done), time.monotonic()
        while worker.is_alive():
            if len(done) > length:
                length, grown = len(done), time.monotonic()
            if own.stopped() or time.monotonic() - grown > each:
                return False
            for server in list(self.servers):
                if server not in others:
                    others[server] = Pulse(server.loop)
                if others[server].stopped() and server.running:
                    self.cancel()
            worker.join(LOOK_SECONDS)
        return True

    def cancel(self) -> None:
        """Cancel the rule that is being tried, once."""
        task, self.task = self.task, None
        if task is not None:
            self.loop.call_soon_threadsafe(task.cancel)


async def is_alive(server: Server, seconds: float) -> bool:
    """Return whether the server's event loop does something else within `seconds`, or has ended."""
    done: concurrent.futures.Future[None] = concurrent.futures.Future()
    try:
        server.loop.call_soon_threadsafe(done.set_result, None)
    except RuntimeError:  # it has closed
        return True
    await asyncio.wait({asyncio.wrap_future(done)}, timeout=seconds)
    return done.done() or not server.running
