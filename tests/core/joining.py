"""Rooms whose members are lines without a network, and what tests do with them."""

import asyncio
import functools
import math
import threading

from lines import FakeSocket
from live import GUARD_SECONDS


def in_loop(body):
    """Run the coroutine function that a test is, with a guard against hanging."""

    @functools.wraps(body)
    def test(*args, **kwargs):
        async def run():
            loop, task = asyncio.get_running_loop(), asyncio.current_task()
            # Not by the clock of the loop, which a test may turn.
            guard = threading.Timer(GUARD_SECONDS, loop.call_soon_threadsafe, [task.cancel])
            guard.start()
            try:
                await body(*args, **kwargs)
            finally:
                guard.cancel()

        asyncio.run(run())

    return test


async def turn():
    """Let the event loop turn, so that what is due is written."""
    for _ in range(3):
        await asyncio.sleep(0)


def joined(room, **options):
    member = FakeSocket(**options)
    room.join(member)
    return member


async def publish_all(room, messages):
    for message in messages:
        await room.publish(message)


class Clock:
    """Time that passes when a test says so."""

    def __init__(self):
        self.loop = asyncio.get_running_loop()
        self.now = self.loop.time()
        self.loop.time = lambda: self.now

    async def pass_by(self, seconds):
        steps = 20 * math.ceil(
            seconds
        )  # shorter than a room's looks: its event loop is not blocked
        for _ in range(steps):
            self.now += seconds / steps
            await turn()
