"""The rules of the exercises of chapter 04, when it breaks."""

import asyncio
import copy
import itertools
import math
from typing import Any

from fastapi import WebSocket
from starlette.types import Message
from starlette.websockets import WebSocketState

from chatlib.core.line import EXTENSION, Line
from chatlib.core.room import Room
from chatlib.lab.check.bench import Wrong, expect
from chatlib.lab.check.report import Rules

CURSOR_LOG, PATIENCE = Rules(), Rules()
WATCHED, FOR_EVER = 20.0, math.inf  # seconds


@CURSOR_LOG.rule(
    "while nothing is dropped, read gives what is there, the next cursor and False",
    hint="(the messages from the cursor on, the place after the last one, False)",
    essential=True,
)
async def cursor_log_reads(log_class: Any) -> None:
    log = filled(log_class, "abc")
    expect(log.read(0), (["a", "b", "c"], 3, False))
    expect(log.read(2), (["c"], 3, False))
    expect(log.read(3), ([], 3, False))


@CURSOR_LOG.rule(
    "after the oldest were dropped, places still count from 0",
    hint="the message at a place is self.messages[place - self.first]",
)
async def cursor_log_keeps_places(log_class: Any) -> None:
    log = filled(log_class, "abcde")
    expect(log.read(3), (["d", "e"], 5, False))
    expect(log.read(2), (["c", "d", "e"], 5, False))


@CURSOR_LOG.rule(
    "a cursor that has fallen off gets what is left, and True",
    hint="it has fallen off where it is smaller than self.first; begin there instead",
)
async def cursor_log_tells_of_a_loss(log_class: Any) -> None:
    log = filled(log_class, "abcde")
    expect(log.read(1), (["c", "d", "e"], 5, True))
    expect(log.read(0), (["c", "d", "e"], 5, True))


def filled(log_class: Any, messages: str) -> Any:
    """Return a log of the 3 last of `messages`."""
    log = log_class(3)
    for message in messages:
        log.append(message)
    return log


@PATIENCE.rule(
    "a member that takes nothing is gone within a second",
    hint="the room looks ten times a second: patience and a tenth more are a second at most",
    essential=True,
)
async def patience_ends(room: Any) -> None:
    await is_cut_off_within(1.0, room, gulp=0)


@PATIENCE.rule(
    "a member that takes 250 bytes every half second stays",
    hint="patience is longer than half a second, and patience × min_rate at most one gulp",
)
async def patience_lasts(room: Any) -> None:
    seconds = min(await asyncio.to_thread(seconds_until_cut_off, room, 250))
    if seconds < FOR_EVER:
        raise Wrong("to be kept", f"cut off after {seconds:.2f} s")


@PATIENCE.rule(
    "a member that takes one byte every half second is gone within a second",
    hint="patience × min_rate is more than the two bytes that may come in that time",
)
async def patience_is_not_fooled(room: Any) -> None:
    await is_cut_off_within(1.0, room, gulp=1)


async def is_cut_off_within(limit: float, room: Any, gulp: int) -> None:
    """Expect `room` to cut off a client that takes `gulp` bytes every half second."""
    seconds = max(await asyncio.to_thread(seconds_until_cut_off, room, gulp))
    if seconds > limit:
        came = f"after {seconds:.2f} s" if seconds < FOR_EVER else f"not in {WATCHED:.0f} s"
        raise Wrong(f"to be cut off within {limit:.0f} s", came)


def seconds_until_cut_off(room: Room, gulp: int) -> list[float]:
    """Return after how long a room like `room` cuts off a client: in several cases, the worst among
    them, and `FOR_EVER` where it has not done so after `WATCHED` seconds.

    The client's connection is full, and every half second it takes `gulp` bytes of what waits. It
    fills up just as the room looks or just after, and right before a gulp or right after one. The
    seconds are counted and not waited for.
    """

    async def run(full_since: float, gulps_before: int) -> float:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, CountedTime)
        like = copy.deepcopy(room)
        quick, line = FullLine(loop), FullLine(loop)
        await fill(like, quick)  # has the room look from now on
        loop.now = full_since
        await fill(like, line)
        step = min(room.patience, room.hold or room.patience) / 32
        for number in range(1, int(WATCHED / step) + 1):
            loop.now = number * step
            # A gulp at the very moment of a look comes too late for it.
            line.taken = gulp * (gulps_before + math.ceil((loop.now - full_since) / 0.5) - 1)
            quick.taken += 2**40
            await asyncio.sleep(0)  # what is due now
            await asyncio.sleep(0)
            if line.ended:
                return loop.now - full_since
        return FOR_EVER

    async def fill(like: Room, line: FullLine) -> None:
        websocket = WebSocket(line.scope, no_receive, no_send)
        websocket.application_state = WebSocketState.CONNECTED
        like.join(websocket)
        await like.publish("What it does not take.")
        await asyncio.sleep(0)

    found = []
    for case in itertools.product((0.0, room.patience * 1e-6), (0, 1)):
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
        self.scope = {"type": "websocket", "extensions": {EXTENSION: {"line": self}}}

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
