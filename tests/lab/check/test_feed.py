"""`check.feed` knows a feed that no hint confuses from those that nearly do."""

import asyncio

import pytest
from answers import expect_accepted, expect_rejected

from chatlib.lab import check

NEXT = "what comes next is told, in order, and nothing is read for that"
EMPTY = "an empty hint changes nothing"
TWICE = "a hint that comes twice is told once"
LATE = "a hint that comes late changes nothing, and nothing is read for it"
AT_THE_START = "what is up to the cursor at the start is known too"
GAP = "a gap: it reads from the cursor on, and tells all that the log has"
MIDDLE = "a gap in the middle of a hint: one read is enough"
NOT_KEPT = "a hint of a message that is not in the log: it is not told"
MEANWHILE = "a hint that comes while it reads: still each once, and in order"
TWO_READS = "two reads at a time, and the later one is answered first"
FAILS = "a read that fails: the next hint repairs it"


class Stub:
    def __init__(self, read, tell, cursor=0):
        self.read, self.tell, self.cursor = read, tell, cursor

    async def take(self, entries):
        for number, text in entries:
            self.tell(number, text)
            self.cursor = number


def taking(take):
    """Return the stub with another `take(self, entries)`."""
    return type("Feed", (Stub,), {"take": take})


async def solution(feed, entries):
    for number, text in entries:
        if number > feed.cursor + 1:
            for found, said in await feed.read(feed.cursor):
                if found > feed.cursor:
                    feed.cursor = found
                    feed.tell(found, said)
        elif number == feed.cursor + 1:
            feed.cursor = number
            feed.tell(number, text)


async def reads_all(feed, entries):
    """At a gap it reads the log from its beginning, and drops what is known."""
    for number, text in entries:
        if number > feed.cursor + 1:
            await only_the_next(feed, await feed.read(0))
        elif number == feed.cursor + 1:
            feed.cursor = number
            feed.tell(number, text)


async def with_a_set(feed, entries):
    """It drops what it has told itself, and not what was told before it began."""
    seen = feed.__dict__.setdefault("seen", set())
    for number, text in entries:
        if number > feed.cursor + 1:
            await with_a_set(feed, await feed.read(feed.cursor))
        if number not in seen:
            seen.add(number)
            feed.cursor = number
            feed.tell(number, text)


async def takes_the_last(feed, entries):
    """It looks at the end of a hint, which may have none."""
    if entries[-1][0] > feed.cursor + len(entries):
        entries = await feed.read(feed.cursor)
    await only_the_next(feed, entries)


async def drops_and_skips(feed, entries):
    """It never reads."""
    for number, text in entries:
        if number > feed.cursor:
            feed.cursor = number
            feed.tell(number, text)


async def only_the_next(feed, entries):
    """It waits for what is missing, and asks nobody."""
    for number, text in entries:
        if number == feed.cursor + 1:
            feed.cursor = number
            feed.tell(number, text)


async def always_reads(feed, entries):
    for number, text in await feed.read(feed.cursor):
        feed.cursor = number
        feed.tell(number, text)


async def reads_what_it_knows(feed, entries):
    """It reads for whatever is not next, an old hint too."""
    for number, text in entries:
        if number != feed.cursor + 1:
            entries = await feed.read(feed.cursor)
            await only_the_next(feed, entries)
        else:
            feed.cursor = number
            feed.tell(number, text)


async def reads_and_tells_the_hint_too(feed, entries):
    for number, text in entries:
        if number <= feed.cursor:
            continue
        if number > feed.cursor + 1:
            for entry in await feed.read(feed.cursor):
                feed.tell(*entry)
        feed.cursor = number
        feed.tell(number, text)


async def up_to_the_hint(feed, entries):
    """It reads, and the cursor ends at the hint, though more was told."""
    for number, text in entries:
        if number > feed.cursor + 1:
            for each, words in await feed.read(feed.cursor):
                feed.tell(each, words)
            feed.cursor = number
        elif number == feed.cursor + 1:
            feed.cursor = number
            feed.tell(number, text)


async def off_by_one(feed, entries):
    for number, text in entries:
        if number > feed.cursor + 1:
            await only_the_next(feed, await feed.read(feed.cursor + 1))
        elif number == feed.cursor + 1:
            feed.cursor = number
            feed.tell(number, text)


async def moves_back(feed, entries):
    """What is late is not told, and the cursor is where it was."""
    told = feed.__dict__.setdefault("told", set())
    for number, text in entries:
        if number > feed.cursor + 1:
            await moves_back(feed, await feed.read(feed.cursor))
        if number not in told:
            told.add(number)
            feed.tell(number, text)
        feed.cursor = number


async def looks_at_the_first(feed, entries):
    """It takes a hint for a piece of the log."""
    if entries and entries[0][0] > feed.cursor + 1:
        entries = await feed.read(feed.cursor)
    for number, text in entries:
        if number > feed.cursor:
            feed.cursor = number
            feed.tell(number, text)


async def believes_the_hint(feed, entries):
    """After the read it tells what it was given, wherever that is."""
    for number, text in entries:
        if number > feed.cursor + 1:
            await only_the_next(feed, await feed.read(feed.cursor))
        if number > feed.cursor:
            feed.cursor = number
            feed.tell(number, text)


async def does_not_look_again(feed, entries):
    """It tells all of the answer, whatever was told while that was on its way."""
    for number, text in entries:
        if number > feed.cursor + 1:
            for each, words in await feed.read(feed.cursor):
                feed.cursor = each
                feed.tell(each, words)
        elif number == feed.cursor + 1:
            feed.cursor = number
            feed.tell(number, text)


async def looks_at_the_last_alone(feed, entries):
    """It drops an answer only if all of it is known."""
    for number, text in entries:
        if number > feed.cursor + 1:
            before = feed.cursor
            answer = await feed.read(before)
            if feed.cursor != before:
                answer = [entry for entry in answer if entry[0] > before + 1]
            for each, words in answer:
                feed.cursor = each
                feed.tell(each, words)
        elif number == feed.cursor + 1:
            feed.cursor = number
            feed.tell(number, text)


async def moves_first(feed, entries):
    for number, text in entries:
        if number > feed.cursor + 1:
            after, feed.cursor = feed.cursor, number
            for each, words in await feed.read(after):
                feed.cursor = max(each, feed.cursor)
                feed.tell(each, words)
        elif number == feed.cursor + 1:
            feed.cursor = number
            feed.tell(number, text)


class GivesUp(Stub):
    """Once a read has failed, it is deaf."""

    async def take(self, entries):
        try:
            await solution(self, entries)
        except OSError:
            self.cursor = float("inf")


class MovesFirstAndLocks(Stub):
    """One read at a time, and the cursor is moved before it."""

    def __init__(self, *args):
        super().__init__(*args)
        self.lock = asyncio.Lock()

    async def take(self, entries):
        async with self.lock:
            for number, text in entries:
                if number > self.cursor + 1:
                    after, self.cursor = self.cursor, number
                    found = await self.read(after)
                    self.cursor = after
                    await only_the_next(self, found)
                elif number == self.cursor + 1:
                    self.cursor = number
                    self.tell(number, text)


def a_plain_function(feed, entries):
    for number, text in entries:
        feed.tell(number, text)


async def ids_alone(feed, entries):
    for number, _ in entries:
        feed.tell(number)


async def the_cursor_stays(feed, entries):
    for entry in entries:
        feed.tell(*entry)


WRONG = {
    "as handed out": (Stub, TWICE, "[1, 2, 1, 2, 2, 3, 3, 3, 4]"),
    "an object": (Stub(None, None), NEXT, "the class itself, without ()"),
    "a plain function": (taking(a_plain_function), NEXT, "write `async def take`"),
    "ids alone": (taking(ids_alone), NEXT, "expected the ids [1, 2, 3, 4]"),
    "the cursor stays": (taking(the_cursor_stays), NEXT, "self.cursor at 4"),
    "takes the last of nothing": (taking(takes_the_last), EMPTY, "IndexError"),
    "a set of what it has told": (taking(with_a_set), AT_THE_START, "got: [3, 4, 5, 6, 7]"),
    "reads the whole log": (
        taking(reads_all),
        GAP,
        "self.read(1) for the hint [4], got: self.read(0)",
    ),
    "always reads": (taking(always_reads), NEXT, "no read when nothing is missing"),
    "reads what it knows": (taking(reads_what_it_knows), LATE, "no read when nothing is missing"),
    "moves back": (taking(moves_back), LATE, ""),
    "never reads": (taking(drops_and_skips), GAP, "got: [1, 4]"),
    "waits for what is missing": (taking(only_the_next), GAP, "got: [1]"),
    "reads, and tells the hint too": (
        taking(reads_and_tells_the_hint_too),
        GAP,
        "got: [1, 2, 3, 4, 5, 4]",
    ),
    "the cursor ends at the hint": (taking(up_to_the_hint), GAP, "self.cursor at 5"),
    "off by one": (taking(off_by_one), GAP, "got: [1]"),
    "looks at the first alone": (taking(looks_at_the_first), MIDDLE, "got: [1, 4, 5]"),
    "believes the hint": (taking(believes_the_hint), NOT_KEPT, "got: [1, 2, 3, 5]"),
    "does not look again": (taking(does_not_look_again), MEANWHILE, "got: [1, 2, 2, 3]"),
    "drops one at most": (taking(looks_at_the_last_alone), TWO_READS, "2, 3, 4"),
    "moves first": (taking(moves_first), NOT_KEPT, ""),
    "gives up": (GivesUp, FAILS, "got: []"),
    "moves first, and locks": (MovesFirstAndLocks, FAILS, "got: [5]"),
}


async def with_recursion(feed, entries):
    for number, text in entries:
        if number > feed.cursor + 1:
            await feed.take(await feed.read(feed.cursor))
        if number == feed.cursor + 1:
            feed.cursor = number
            feed.tell(number, text)


async def with_a_loop(feed, entries):
    for number, text in entries:
        while number > feed.cursor + 1:
            before = feed.cursor
            for each, words in await feed.read(before):
                if each == feed.cursor + 1:
                    feed.cursor += 1
                    feed.tell(each, words)
            if feed.cursor == before:
                break
        if number == feed.cursor + 1:
            feed.cursor += 1
            feed.tell(number, text)


class WithALock(Stub):
    def __init__(self, read, tell, cursor=0):
        super().__init__(read, tell, cursor)
        self.lock = asyncio.Lock()

    def publish(self, entries):
        for number, text in entries:
            if number == self.cursor + 1:
                self.tell(number, text)
                self.cursor = number

    async def take(self, entries):
        async with self.lock:
            self.publish(entries)
            if entries and entries[-1][0] > self.cursor:
                self.publish(await self.read(self.cursor))


class WithSorting(Stub):
    """It puts hint and log together."""

    async def take(self, entries):
        known = dict(entries)
        if any(number > self.cursor + 1 and number - 1 not in known for number in known):
            found = dict(await self.read(self.cursor))
            known |= found
        while (number := self.cursor + 1) in known:
            self.tell(number, known[number])
            self.cursor = number


RIGHT = {
    "the solution": taking(solution),
    "recursion": taking(with_recursion),
    "a loop": taking(with_a_loop),
    "a lock": WithALock,
    "sorting": WithSorting,
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_answer_is_rejected_by_its_rule(name):
    answer, rule, words = WRONG[name]
    expect_rejected(check.feed(answer), rule, words)


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_answer_is_accepted(name):
    expect_accepted(check.feed(RIGHT[name]))
