"""The rules of the exercises of chapter 04, when it breaks."""

import asyncio
import gc
import random
import sys
import types
import weakref
from collections.abc import Iterable
from typing import Any

from chatlib.core.manager import ConnectionManager
from chatlib.core.patience import Patience
from chatlib.core.room import Room
from chatlib.lab.check.bench import Wrong, expect, shorten
from chatlib.lab.check.full_line import FOR_EVER, WATCHED, seconds_until_cut_off
from chatlib.lab.check.puppet import new
from chatlib.lab.check.report import Rules

CURSOR_LOG, PATIENCE = Rules(), Rules()

Found = tuple[list[Any], int, bool]


# --- cursor_log ---------------------------------------------------------------------------------


@CURSOR_LOG.rule(
    "while nothing is dropped, read gives what is there, the next cursor and False",
    hint="(the messages from the cursor on, the place after the last one, False); "
    "to read changes nothing",
    essential=True,
)
async def cursor_log_reads(log_class: Any) -> None:
    log = filled(log_class, "abc")
    expect(read(log, 0), (["a", "b", "c"], 3, False))
    expect(read(log, 2), (["c"], 3, False))
    expect(read(log, 3), ([], 3, False))


@CURSOR_LOG.rule(
    "two logs know nothing of each other",
    hint="what a log keeps belongs to `self`, made in __init__, and not to the class",
)
async def cursor_log_keeps_to_itself(log_class: Any) -> None:
    one, other = new(log_class, 8), new(log_class, 9)
    for message in "abc":
        one.append(message)
    other.append("x")
    expect(read(other, 0), (["x"], 1, False))
    expect(read(one, 0), (["a", "b", "c"], 3, False))


@CURSOR_LOG.rule(
    "after the oldest were dropped, places still count from 0",
    hint="the message at a place is self.messages[place - self.first]",
    essential=True,
)
async def cursor_log_keeps_places(log_class: Any) -> None:
    log = filled(log_class, "abcde")
    expect(read(log, 3), (["d", "e"], 5, False))
    expect(read(log, 2), (["c", "d", "e"], 5, False))
    expect(read(log, 5), ([], 5, False))


@CURSOR_LOG.rule(
    "a cursor that has fallen off gets what is left, and True",
    hint="it has fallen off where it is smaller than self.first; begin there instead",
    essential=True,
)
async def cursor_log_tells_of_a_loss(log_class: Any) -> None:
    log = filled(log_class, "abcde")
    expect(read(log, 1), (["c", "d", "e"], 5, True))
    expect(read(log, 0), (["c", "d", "e"], 5, True))


@CURSOR_LOG.rule(
    "who reads on from the cursor that it got misses nothing, and gets nothing twice",
    hint="the cursor is the reader's: the log remembers none, and read changes nothing",
)
async def cursor_log_serves_readers(log_class: Any) -> None:
    log, chance = new(log_class, 10), random.Random(4)  # always the same
    cursors, heard = [0, 0, 0], [list[int](), list[int](), list[int]()]
    for message in range(60):
        log.append(message)
        for reader in range(3):
            behind = message + 1 - cursors[reader]
            if behind == 10 or chance.random() < 0.3:
                messages, cursors[reader], lost = read(log, cursors[reader])
                heard[reader] += messages
                if lost:
                    raise Wrong("False for a reader that is 10 messages behind or less", "True")
    for reader in range(3):
        came = [*heard[reader], *read(log, cursors[reader])[0]]
        if came != list(range(60)):
            raise Wrong("60 messages, each once and in order", shorten(came))


@CURSOR_LOG.rule(
    "it holds for any limit, and after many messages",
    hint="try ShortLog(1), and read after each append",
)
async def cursor_log_holds_for_all(log_class: Any) -> None:
    for limit in (1, 2, 7):
        log, messages = new(log_class, limit), [message % 5 for message in range(40)]
        expect(read(log, 0), ([], 0, False))
        for end in range(1, len(messages) + 1):
            log.append(messages[end - 1])
            first = max(0, end - limit)
            for cursor in {0, max(0, first - 1), first, end - 1, end}:
                expected = (messages[max(cursor, first) : end], end, cursor < first)
                if (got := read(log, cursor)) != expected:
                    where = f"ShortLog({limit}).read({cursor}) after {end} messages"
                    raise Wrong(f"{shorten(expected)} of {where}", shorten(got))


@CURSOR_LOG.rule(
    "what was read stays as it was when more comes",
    hint="return a list of its own, and not self.messages itself",
)
async def cursor_log_gives_copies(log_class: Any) -> None:
    log = filled(log_class, "ab")
    before = log.read(0)[0]
    for message in "cde":
        log.append(message)
    expect(list(before), ["a", "b"])
    if isinstance(before := log.read(2)[0], list):
        before.clear()
    expect(read(log, 2), (["c", "d", "e"], 5, False))


@CURSOR_LOG.rule(
    "it keeps `limit` messages, and what is older is gone",
    hint="in append: drop the oldest one where there are more than limit",
)
async def cursor_log_is_bounded(log_class: Any) -> None:
    log, refs = new(log_class, 20), []
    for number in range(400):
        message = Message(f"message {number}")
        refs.append(weakref.ref(message))
        log.append(message)
    del message
    if len([ref for ref in refs if ref()]) > 2 * 20:  # one that clears up now and then is as good
        gc.collect()
        if (kept := len([ref for ref in refs if ref()])) > 2 * 20:
            raise Wrong("20 messages to be kept of 400", f"{kept} are still in memory")
    size = size_of(log)
    for number in range(4000):
        log.append(str(number))
    if (grown := size_of(log) - size) > 8000:
        raise Wrong("a log that stays as small as it is", f"{grown:,} bytes more after 4,000 more")


class Message(str):
    """A text of which one can see whether it is still kept."""


def filled(log_class: Any, messages: str) -> Any:
    """Return a log of the 3 last of `messages`."""
    log = new(log_class, 3)
    for message in messages:
        log.append(message)
    return log


def read(log: Any, cursor: int) -> Found:
    """Return what `log.read(cursor)` gives, with any sequence of messages as a list."""
    got = log.read(cursor)
    three: tuple[Any, ...] | list[Any] = (
        got if isinstance(got, tuple | list) and len(got) == 3 else (None, None, None)
    )
    if not isinstance(three[0], Iterable) or isinstance(three[0], str | bytes | dict):
        raise Wrong("three things: a list of messages, the next cursor, lost or not", shorten(got))
    return list(three[0]), three[1], three[2]


def size_of(kept: Any) -> int:
    """Return how many bytes `kept` has, with all that it leads to but code."""
    code = (type, types.ModuleType, types.FunctionType, types.CodeType, types.FrameType)
    seen, found = {id(kept)}, [kept]
    for thing in found:
        for other in gc.get_referents(thing):
            if id(other) not in seen and not isinstance(other, code):
                seen.add(id(other))
                found.append(other)
    return sum(sys.getsizeof(thing) for thing in found)


# --- patience -----------------------------------------------------------------------------------


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
    seconds = min(await asyncio.to_thread(seconds_until_cut_off, rules_of(room), 250))
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
    seconds = max(await asyncio.to_thread(seconds_until_cut_off, rules_of(room), gulp))
    if seconds > limit:
        came = f"after {seconds:.2f} s" if seconds < FOR_EVER else f"not in {WATCHED:.0f} s"
        raise Wrong(f"to be cut off within {limit:.0f} s", came)


def rules_of(room: Any) -> Patience:
    """Return by which numbers `room`, or the room of a manager, cuts off its members."""
    if isinstance(room, ConnectionManager):
        room = room.room
    if not isinstance(room, Room):
        hint = "`room` is what a call of Room(patience=…, min_rate=…) gives"
        raise Wrong("a room: Room(patience=…, min_rate=…)", shorten(room), hint=hint)
    rules = room._rules
    if (room.patience, room.min_rate) != (rules.patience, rules.min_rate):
        came = "changed afterwards, which the room does not look at"
        raise Wrong("numbers that the room was made with: Room(patience=…, min_rate=…)", came)
    return rules
