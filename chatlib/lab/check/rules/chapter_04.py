"""The rules of the first exercise of chapter 04: a log that tells what was lost."""

import gc
import random
import sys
import types
import weakref
from collections.abc import Iterable
from typing import Any

from chatlib.lab.check.report import Rules
from chatlib.lab.check.tools.bench import Wrong, expect, shorten
from chatlib.lab.check.tools.calling import expect_plain
from chatlib.lab.check.tools.puppet import new

CURSOR_LOG = Rules()

Found = tuple[list[Any], int, bool]


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
    append(one, *"abc")
    append(other, "x")
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
    hint="it has fallen off where it is smaller than self.first",
    essential=True,
)
async def cursor_log_tells_of_a_loss(log_class: Any) -> None:
    log = filled(log_class, "abcde")
    expect(read(log, 1), (["c", "d", "e"], 5, True))
    expect(read(log, 0), (["c", "d", "e"], 5, True))


@CURSOR_LOG.rule(
    "who reads on from the cursor that it got misses nothing, and gets nothing twice",
    hint="try ShortLog(10), and go on from each cursor that you got; the log remembers no cursor",
)
async def cursor_log_serves_readers(log_class: Any) -> None:
    log, chance = new(log_class, 10), random.Random(4)  # always the same
    cursors = [0, 0, 0]
    heard: list[list[Any]] = [[], [], []]
    for number in range(60):
        append(log, number)
        for reader in range(3):
            behind = number + 1 - cursors[reader]
            if behind == 10 or chance.random() < 0.3:
                messages, cursors[reader], lost = read(log, cursors[reader])
                heard[reader] += messages
                if lost:
                    raise Wrong("False for a reader that is 10 messages behind or less", "True")
                if heard[reader] != list(range(number + 1)):
                    missed = [each for each in range(number + 1) if each not in heard[reader]]
                    came = f"it misses {shorten(missed)}" if missed else shorten(messages)
                    raise Wrong(f"a reader to have all up to message {number}, each once", came)


@CURSOR_LOG.rule(
    "it holds for any limit, and after many messages",
    hint="try ShortLog(1), and read after each append",
)
async def cursor_log_holds_for_all(log_class: Any) -> None:
    for limit in (1, 2, 7):
        log, messages = new(log_class, limit), [message % 5 for message in range(40)]
        expect(read(log, 0), ([], 0, False))
        for end in range(1, len(messages) + 1):
            append(log, messages[end - 1])
            first = max(0, end - limit)
            for cursor in {0, max(0, first - 1), first, end - 1, end}:
                expected = (messages[max(cursor, first) : end], end, cursor < first)
                if (got := read(log, cursor)) != expected:
                    where = f"ShortLog({limit}).read({cursor}) after {end} messages"
                    raise Wrong(f"{shorten(expected)} of {where}", shorten(got))


@CURSOR_LOG.rule(
    "what was read stays as it was when more comes",
    hint="make the list when read is called: neither self.messages itself, nor a generator",
)
async def cursor_log_gives_copies(log_class: Any) -> None:
    log = filled(log_class, "ab")
    before = log.read(0)[0]
    append(log, *"cde")
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
        append(log, message)
    del message
    if len([ref for ref in refs if ref()]) > 2 * 20:  # one that clears up now and then is as good
        gc.collect()
        if (kept := len([ref for ref in refs if ref()])) > 2 * 20:
            raise Wrong("20 messages to be kept of 400", f"{kept} are still in memory")
    size = size_of(log)
    append(log, *map(str, range(4000)))
    if (grown := size_of(log) - size) > 8000:
        raise Wrong("a log that stays as small as it is", f"{grown:,} bytes more after 4,000 more")
    expect(read(log, 4398), (["3998", "3999"], 4400, False))


class Message(str):
    """A text of which one can see whether it is still kept."""


def filled(log_class: Any, messages: str) -> Any:
    """Return a log of the 3 last of `messages`."""
    log = new(log_class, 3)
    append(log, *messages)
    return log


def append(log: Any, *messages: Any) -> None:
    """Append `messages` to `log`."""
    for message in messages:
        expect_plain("append", log.append(message))


def read(log: Any, cursor: int) -> Found:
    """Return what `log.read(cursor)` gives, with any sequence of messages as a list."""
    got = log.read(cursor)
    expect_plain("read", got)
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
