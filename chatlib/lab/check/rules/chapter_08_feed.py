"""The rules of the first exercise of chapter 08: a feed that hints cannot confuse."""

import asyncio
import contextlib
import inspect
from collections.abc import AsyncIterator
from typing import Any

from chatlib.lab.check.report import Rules
from chatlib.lab.check.tools.bench import Wrong, shorten
from chatlib.lab.check.tools.puppet import new, turns

FEED = Rules()

Entries = list[tuple[int, str]]

KNOWN = "an id up to self.cursor is known: drop it, and leave the cursor where it is"
MISSING = "an id above self.cursor + 1: await self.read(self.cursor), and tell what that gives"
AFTER_AWAIT = (
    "while self.read is awaited, another call of take may tell something: compare each id with "
    "self.cursor when you tell it, and not before"
)


class Log:
    """A log, and what a feed on it has told.

    Attributes:
        size: how many messages it has, with the ids from 1 on.
        told: what the feed has told, in order.
        asked: after which ids was read.
        waits: for each read that has to wait, in order, what it waits for.
        fails: whether a read fails.
    """

    def __init__(self, feed_class: Any, size: int, cursor: int = 0) -> None:
        self.size = size
        self.told: Entries = []
        self.asked: list[int] = []
        self.waits: list[asyncio.Event] = []
        self.fails = False
        self.feed = new(feed_class, self.read, self.tell, cursor)

    def entries(self, *ids: int) -> Entries:
        """Return the messages with these ids."""
        return [(number, f"message {number}") for number in ids]

    def tell(self, *entry: Any) -> None:
        """Note what is told. The feed calls this."""
        self.told.append(entry)

    async def read(self, after: int) -> Entries:
        """Return what follows, as it is when this is called. The feed calls this."""
        if not isinstance(after, int):
            raise Wrong("self.read(id)", f"self.read({shorten(after)})")
        self.asked.append(after)
        found = self.entries(*range(after + 1, self.size + 1))
        if self.fails:
            raise OSError("the log does not answer")
        if self.waits:
            await self.waits.pop(0).wait()
        else:
            await asyncio.sleep(0)
        return found

    async def take(self, *ids: int) -> None:
        """Give the feed a hint, as messages with these ids."""
        taking = self.feed.take(self.entries(*ids))
        if not inspect.isawaitable(taking):
            hint = "write `async def take`: it has to await self.read"
            raise Wrong("take to be a coroutine function", "a plain one", hint=hint)
        await taking
        await turns()

    def expect(self, *ids: int, when: str, hint: str | None = None) -> None:
        """Raise `Wrong` unless the feed has told of `ids`, each once and in this order."""
        if self.told != self.entries(*ids):
            told = [entry[0] if len(entry) == 2 else shorten(entry) for entry in self.told]
            if told == list(ids):
                raise Wrong("self.tell(id, text), with the text that came", shorten(self.told))
            raise Wrong(f"the ids {list(ids)} to be told {when}", shorten(told), hint=hint)
        if ids and self.feed.cursor != ids[-1]:
            raise Wrong(
                f"self.cursor at {ids[-1]} {when}",
                shorten(self.feed.cursor),
                hint="self.cursor is the id of the last message that was told",
            )

    def expect_read(self, after: int, *, when: str) -> None:
        """Raise `Wrong` unless there was one read, of what follows `after`."""
        self.expect_reads(1, when=when)
        if self.asked != [after]:
            raise Wrong(
                f"self.read({after}) {when}",
                f"self.read({self.asked[0]})",
                hint="self.cursor is the last id that was told: read what follows it, and no more",
            )

    def expect_reads(self, number: int, *, when: str) -> None:
        """Raise `Wrong` unless there were so many reads."""
        if len(self.asked) != number:
            wanted = ("no read", "one read")[number]
            raise Wrong(f"{wanted} {when}", f"{len(self.asked)}, after {self.asked}")


@FEED.rule(
    "what comes next is told, in order, and nothing is read for that",
    hint="an id that is self.cursor + 1 is next: tell it, and move the cursor on",
    essential=True,
)
async def what_is_next(feed_class: Any) -> None:
    log = Log(feed_class, 4)
    for ids in ((1, 2), (3,), (4,)):
        await log.take(*ids)
    log.expect(1, 2, 3, 4, when="after the hints [1, 2], [3] and [4]")
    log.expect_reads(0, when="when nothing is missing")
    log = Log(feed_class, 9, cursor=7)
    await log.take(8, 9)
    log.expect(8, 9, when="after the hint [8, 9], by a feed that begins at 7")


@FEED.rule(
    "an empty hint changes nothing",
    hint="a hint may be the empty list: it has no first id and no last one",
)
async def empty(feed_class: Any) -> None:
    log = Log(feed_class, 2)
    for ids in ((), (1,), (), (2,)):
        await log.take(*ids)
    log.expect(1, 2, when="after the hints [], [1], [] and [2]")
    log.expect_reads(0, when="when nothing is missing")


@FEED.rule("a hint that comes twice is told once", hint=KNOWN)
async def doubled(feed_class: Any) -> None:
    log = Log(feed_class, 4)
    for ids in ((1, 2), (1, 2), (2, 3), (3, 3, 4)):
        await log.take(*ids)
    log.expect(1, 2, 3, 4, when="after the hints [1, 2], [1, 2], [2, 3] and [3, 3, 4]")


@FEED.rule("a hint that comes late changes nothing, and nothing is read for it", hint=KNOWN)
async def late(feed_class: Any) -> None:
    log = Log(feed_class, 4)
    for ids in ((1, 2, 3), (1, 2), (4,)):
        await log.take(*ids)
    log.expect(1, 2, 3, 4, when="after the hints [1, 2, 3], [1, 2] and [4]")
    log.expect_reads(0, when="when nothing is missing")


@FEED.rule("what is up to the cursor at the start is known too", hint=KNOWN)
async def known_at_the_start(feed_class: Any) -> None:
    log = Log(feed_class, 7, cursor=5)
    await log.take(3, 6)
    log.expect(6, when="after the hint [3, 6], by a feed that begins at 5")
    log.expect_reads(0, when="when nothing is missing")


@FEED.rule(
    "a gap: it reads from the cursor on, and tells all that the log has",
    hint=MISSING,
    essential=True,
)
async def gap(feed_class: Any) -> None:
    log = Log(feed_class, 5)
    await log.take(1)
    await log.take(4)
    log.expect(1, 2, 3, 4, 5, when="after the hints [1] and [4], with 5 messages in the log")
    log.expect_read(1, when="for the hint [4]")
    for ids in ((4, 5), (2,)):
        await log.take(*ids)
    log.expect(1, 2, 3, 4, 5, when="after the hints [4, 5] and [2], which came late")


@FEED.rule("a gap in the middle of a hint: one read is enough", hint=MISSING)
async def gap_in_the_middle(feed_class: Any) -> None:
    log = Log(feed_class, 6)
    await log.take(1, 4, 5)
    log.expect(1, 2, 3, 4, 5, 6, when="after the hint [1, 4, 5], with 6 messages in the log")
    log.expect_reads(1, when="for the hint [1, 4, 5]")


@FEED.rule(
    "a hint of a message that is not in the log: it is not told",
    hint="the log is right: tell what self.read gives, and of the hint only what is next then",
)
async def not_in_the_log(feed_class: Any) -> None:
    log = Log(feed_class, 3)
    await log.take(1)
    await log.take(5)
    log.expect(1, 2, 3, when="after the hints [1] and [5], with 3 messages in the log")
    log.size = 4
    await log.take(4)
    log.expect(1, 2, 3, 4, when="after the hints [1], [5] and [4]")


@FEED.rule("a hint that comes while it reads: still each once, and in order", hint=AFTER_AWAIT)
async def while_it_reads(feed_class: Any) -> None:
    log = Log(feed_class, 3)
    await log.take(1)
    async with reading(log, 3):
        late = asyncio.create_task(log.take(2))
        await turns()
    await late
    log.expect(1, 2, 3, when="if the hint [2] comes while it reads for the hint [3]")


@FEED.rule("two reads at a time, and the later one is answered first", hint=AFTER_AWAIT)
async def two_reads(feed_class: Any) -> None:
    log = Log(feed_class, 3, cursor=1)
    later = asyncio.Event()
    async with reading(log, 3):
        log.size = 4
        log.waits.append(later)
        second = asyncio.create_task(log.take(4))
        await turns()
        later.set()
        await turns()
    await second
    log.expect(2, 3, 4, when="after the hints [3] and [4], while both reads were on their way")


@FEED.rule(
    "a read that fails: the next hint repairs it",
    hint="move the cursor when a message is told, and not before",
)
async def read_fails(feed_class: Any) -> None:
    log = Log(feed_class, 4, cursor=1)
    log.fails = True
    with contextlib.suppress(OSError):
        await log.take(4)
    log.expect(when="while the log does not answer")
    log.fails, log.size = False, 5
    await log.take(5)
    log.expect(2, 3, 4, 5, when="after the hint [5], when the log answers again")


@contextlib.asynccontextmanager
async def reading(log: Log, *ids: int) -> AsyncIterator[None]:
    """Give the feed a hint of `ids`, for which it reads; the answer comes after the block."""
    answer = asyncio.Event()
    log.waits.append(answer)
    taking = asyncio.create_task(log.take(*ids))
    await turns()
    try:
        yield
    finally:
        answer.set()
        await asyncio.wait([taking])
    await taking
