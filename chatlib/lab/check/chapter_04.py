"""The rules of the exercises of chapter 04, when it breaks."""

import asyncio
from typing import Any

from fastapi import WebSocket
from starlette.types import Message

from chatlib.core.line import EXTENSION, Line
from chatlib.core.room import Room
from chatlib.lab.check.bench import Wrong, expect
from chatlib.lab.check.report import Rules

CURSOR_LOG, PATIENCE = Rules(), Rules()


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
    "who takes nothing is gone within a second",
    hint="the room looks every eighth of its patience: patience × 9/8 is a second at most",
    essential=True,
)
async def patience_ends(room: Any) -> None:
    await is_cut_off_within(1.0, room, gulp=0)


@PATIENCE.rule(
    "who takes 250 bytes every half second stays",
    hint="patience is longer than half a second, and patience × min_rate at most one gulp",
)
async def patience_lasts(room: Any) -> None:
    seconds = await asyncio.to_thread(seconds_until_cut_off, room, 250)
    if seconds is not None:
        raise Wrong("to be kept", f"cut off after {seconds:.1f} s")


@PATIENCE.rule(
    "who takes one byte every half second is gone within a second",
    hint="patience × min_rate is more than what comes to a byte or two",
)
async def patience_is_not_fooled(room: Any) -> None:
    await is_cut_off_within(1.0, room, gulp=1)


async def is_cut_off_within(limit: float, room: Any, gulp: int) -> None:
    """Expect `room` to cut off a client that takes `gulp` bytes every half second."""
    seconds = await asyncio.to_thread(seconds_until_cut_off, room, gulp)
    if seconds is None or seconds > limit:
        came = "still there after a minute" if seconds is None else f"after {seconds:.1f} s"
        raise Wrong(f"to be cut off within {limit:.0f} s", came)


def seconds_until_cut_off(room: Room, gulp: int) -> float | None:
    """Return after how long a room like `room` cuts off a client, or None if not in a minute.

    The client's connection is full, and every half second it takes `gulp` bytes of what waits. The
    seconds are counted and not waited for.
    """

    async def run() -> float | None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, CountedTime)
        line = FullLine(loop)
        like = Room(limit=room.limit, patience=room.patience, min_rate=room.min_rate)
        like.join(WebSocket(line.scope, no_receive, no_send))
        await like.publish("What it does not take.")
        for step in range(1, 1201):
            await asyncio.sleep(0)  # what is due now
            await asyncio.sleep(0)
            loop.now = step * 0.05
            line.taken = gulp * (step // 10)
            if line.ended:
                return (step - 1) * 0.05
        return None

    with asyncio.Runner(loop_factory=CountedTime) as runner:
        return runner.run(run())


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

    def abort(self) -> None:
        self.end()


async def no_receive() -> Message:
    raise AssertionError("nothing is received")


async def no_send(message: Message) -> None:
    raise AssertionError("nothing is sent but by the line")
