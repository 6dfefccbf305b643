"""A connection that is full, in an event loop whose time is counted and not waited for."""

import asyncio
import itertools
import math
from typing import Any

from fastapi import WebSocket
from starlette.types import Message
from starlette.websockets import WebSocketState

from chatlib.core.line import EXTENSION, Line
from chatlib.core.patience import Patience
from chatlib.core.room import Room

WATCHED, FOR_EVER = 20.0, math.inf  # seconds


def seconds_until_cut_off(rules: Patience, portion: int) -> list[float]:
    """Return after how long a room with these rules cuts off a client: in several cases, the worst
    among them, and `FOR_EVER` where it has not done so after `WATCHED` seconds.

    The client's connection is full, and every half second it takes `portion` bytes of what waits.
    It fills up just as the room looks or just after, and right before a portion or right after one.
    The seconds are counted and not waited for.
    """

    async def run(full_since: float, portions_before: int) -> float:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, CountedTime)
        # Nobody waits for this member, so its limit says nothing, and a small one would hold us up.
        room = Room(patience=rules.patience, min_rate=rules.min_rate, hold=rules.hold)
        quick, line = FullLine(loop), FullLine(loop)
        await fill(room, quick)  # has the room look from now on
        loop.now = full_since
        await fill(room, line)
        step = rules.interval / (4 if rules.interval > 0.04 else 1)
        for number in range(1, int(WATCHED / step) + 1):
            loop.now = number * step
            # A portion at the very moment of a look comes too late for it.
            line.taken = portion * (portions_before + math.ceil((loop.now - full_since) / 0.5) - 1)
            quick.taken += 2**40
            await asyncio.sleep(0)  # what is due now
            await asyncio.sleep(0)
            if line.ended:
                return loop.now - full_since
        return FOR_EVER

    async def fill(room: Room, line: FullLine) -> None:
        websocket = WebSocket(line.scope, no_receive, no_send)
        websocket.application_state = WebSocketState.CONNECTED
        room.join(websocket)
        await room.publish("What it does not take.")
        await asyncio.sleep(0)

    found = []
    for case in itertools.product((0.0, min(rules.patience, 1.0) * 1e-6), (0, 1)):
        with asyncio.Runner(loop_factory=CountedTime) as runner:
            found.append(runner.run(run(*case)))
    return found


class CountedTime(asyncio.SelectorEventLoop):
    """An event loop in which it is as late as `now` says."""

    now = 0.0

    def time(self) -> float:
        return self.now


class FullLine(Line):
    """A connection that is full at once and stays so."""

    __slots__ = ("scope", "taken")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop, asyncio.Event())
        self.writable.set()
        self.taken = 0
        self.scope: dict[str, Any] = {
            "type": "websocket",
            "extensions": {EXTENSION: {"line": self}},
        }

    def write(self, frames: bytes) -> None:
        self.writable.clear()
        self.pause()

    def progress(self) -> int:
        return self.taken

    def abort(self, after: float = 0.0) -> None:
        self.end()


async def no_receive() -> Message:
    raise AssertionError("nothing is received")


async def no_send(message: Message) -> None:
    raise AssertionError("nothing is sent but by the line")
