"""`check.cursor_log` knows a log that tells what was lost from those that nearly do."""

import bisect
import functools
from collections import deque
from dataclasses import dataclass, field
from itertools import islice
from types import SimpleNamespace
from typing import NamedTuple

import pytest
from answers import expect_accepted, expect_rejected

from chatlib.lab import check

READS = "while nothing is dropped, read gives what is there, the next cursor and False"
ITS_OWN = "two logs know nothing of each other"
PLACES = "after the oldest were dropped, places still count from 0"
LOST = "a cursor that has fallen off gets what is left, and True"
ANY = "it holds for any limit, and after many messages"
READERS = "who reads on from the cursor that it got misses nothing, and gets nothing twice"
COPIES = "what was read stays as it was when more comes"
BOUNDED = "it keeps `limit` messages, and what is older is gone"


class Solution:
    """The last `limit` messages."""

    def __init__(self, limit):
        self.limit = limit
        self.messages = []
        self.first = 0

    def append(self, message):
        self.messages.append(message)
        if len(self.messages) > self.limit:
            del self.messages[0]
            self.first += 1

    @property
    def end(self):
        return self.first + len(self.messages)

    def read(self, cursor):
        lost = cursor < self.first
        start = max(cursor, self.first)
        return self.messages[start - self.first :], self.end, lost


def truthy(log, cursor):
    return [message for message in Solution.read(log, cursor)[0] if message]


def reading(read):
    """Return the solution with another `read(self, cursor)`."""
    return type("ShortLog", (Solution,), {"read": read})


def appending(append):
    """Return the solution with another `append(self, message)`."""
    return type("ShortLog", (Solution,), {"append": append})


class KeepsAll(Solution):
    def append(self, message):
        self.messages.append(message)

    def read(self, cursor):
        first = max(0, len(self.messages) - self.limit)
        return self.messages[max(first, cursor) :], len(self.messages), cursor < first


class LeavesHoles(KeepsAll):
    def append(self, message):
        self.messages.append(message)
        if len(self.messages) > self.limit:
            self.messages[-self.limit - 1] = None


class OfTheClass(Solution):
    messages = []  # noqa: RUF012 - this is what is wrong

    def __init__(self, limit):
        self.limit, self.first = limit, 0


class RemembersTheCursor(Solution):
    cursor = 0

    def read(self, cursor):
        found, self.cursor, lost = super().read(max(cursor, self.cursor))
        return found, self.cursor, lost


class Takes(Solution):
    """It gives each message away once it has been read."""

    def read(self, cursor):
        found = super().read(cursor)
        self.first += len(self.messages)
        self.messages = []
        return found


class DropsWhatWasRead(Solution):
    def read(self, cursor):
        found = super().read(cursor)
        while self.first < cursor:
            del self.messages[0]
            self.first += 1
        return found


class LosesForEver(Solution):
    def read(self, cursor):
        return *super().read(cursor)[:2], self.first > 0


class NeverOne(Solution):
    def __init__(self, limit):
        super().__init__(max(limit, 2))


class OnlyThree(Solution):
    def __init__(self, limit):
        super().__init__(3)


class FindsTheMessage(Solution):
    """It looks for the message with which the last reading began."""

    def append(self, message):
        super().append(message)
        self.all = [*getattr(self, "all", []), message]

    def read(self, cursor):
        if self.first <= cursor < self.end:
            start = self.messages.index(self.all[cursor])
            return self.messages[start:], self.end, False
        return super().read(cursor)


class GivesItselfAway(Solution):
    def read(self, cursor):
        messages, end, lost = super().read(cursor)
        return self.messages if len(messages) == len(self.messages) else messages, end, lost


class BeginsAgain(Solution):
    """Its places begin again at 0 after a thousand messages."""

    def append(self, message):
        super().append(message)
        if self.end == 1000:
            self.first = 0


class ForgetsInRead(Solution):
    """It drops what is too old when somebody reads, and not before."""

    def append(self, message):
        self.messages.append(message)

    def read(self, cursor):
        while len(self.messages) > self.limit:
            Solution.append(self, self.messages.pop())
        return super().read(cursor)


class KeepsAHistory(Solution):
    history = []  # noqa: RUF012 - this is what is wrong

    def append(self, message):
        self.history.append(message)
        super().append(message)


class TellsOnce(Solution):
    """It says once that something is lost."""

    told = False

    def read(self, cursor):
        messages, end, lost = super().read(cursor)
        lost, self.told = lost and not self.told, self.told or lost
        return messages, end, lost


class KeptForTheNextTime(Solution):
    @functools.cache  # noqa: B019 - this is what is wrong
    def read(self, cursor):
        return super().read(cursor)


class RightForThree(Solution):
    def read(self, cursor):
        if self.limit == 3:
            return super().read(cursor)
        return self.messages[cursor:], self.end, False


class AsyncAppend(Solution):
    async def append(self, message):
        super().append(message)


def clears_when_full(self, message):
    if len(self.messages) == self.limit:
        self.first += self.limit
        self.messages = []
    self.messages.append(message)


async def coroutine_read(log, cursor):
    return Solution.read(log, cursor)


def generated(log, cursor):
    start = max(cursor, log.first)
    places = range(start - log.first, len(log.messages))
    return (log.messages[place] for place in places), log.end, cursor < log.first


def raises_a_loss(log, cursor):
    if cursor < log.first:
        raise LookupError("some are lost")
    return Solution.read(log, cursor)


def nothing_after_a_loss(log, cursor):
    messages, end, lost = Solution.read(log, cursor)
    return [] if lost else messages, end, lost


def from_the_end(log, cursor):
    return log.messages[cursor - log.end :], log.end, cursor < log.first


def drops_the_newest(self, message):
    if len(self.messages) < self.limit:
        self.messages.append(message)


def keeps_one_more(self, message):
    self.messages.append(message)
    if len(self.messages) > self.limit + 1:
        del self.messages[0]
        self.first += 1


def keeps_one_less(self, message):
    self.messages.append(message)
    if len(self.messages) >= self.limit:
        del self.messages[0]
        self.first += 1


WRONG = {
    "as handed out": (
        reading(lambda log, cursor: (log.messages[cursor:], len(log.messages), False)),
        PLACES,
        "self.messages[place - self.first]",
    ),
    "the cursor stays": (
        reading(lambda log, cursor: (Solution.read(log, cursor)[0], cursor, cursor < log.first)),
        READS,
        "the place after the last one",
    ),
    "the cursor is that of the last message": (
        reading(lambda log, cursor: (Solution.read(log, cursor)[0], log.end - 1, False)),
        READS,
        "(['a', 'b', 'c'], 2, False)",
    ),
    "messages alone": (
        reading(lambda log, cursor: Solution.read(log, cursor)[0]),
        READS,
        "three things: a list of messages",
    ),
    "the first message for the list": (
        reading(lambda log, cursor: ("".join(Solution.read(log, cursor)[0]), log.end, False)),
        READS,
        "a list of messages",
    ),
    "lost where the cursor is at the oldest": (
        reading(lambda log, cursor: (*Solution.read(log, cursor)[:2], cursor <= log.first)),
        READS,
        "(['a', 'b', 'c'], 3, True)",
    ),
    "leaves out a message that is 0": (
        reading(lambda log, cursor: (truthy(log, cursor), log.end, cursor < log.first)),
        READERS,
        "it misses [0]",
    ),
    "gives each message away once": (Takes, READS, "to read changes nothing"),
    "remembers the cursor": (
        RemembersTheCursor,
        READS,
        "expected (['c'], 3, False), got: ([], 3, False)",
    ),
    "drops what was read": (DropsWhatWasRead, PLACES, "(['d', 'e'], 5, True)"),
    "keeps one less": (appending(keeps_one_less), READS, "(['b', 'c'], 3, True)"),
    "from the end, where there is nothing": (
        reading(from_the_end),
        READS,
        "got: (['a', 'b', 'c'], 3",
    ),
    "read is a coroutine function": (reading(coroutine_read), READS, "write `def read`"),
    "append is a coroutine function": (AsyncAppend, READS, "write `def append`"),
    "an object for the class": (Solution(3), READS, "the class itself, without ()"),
    "a list of the class": (OfTheClass, ITS_OWN, "made in __init__"),
    "an index for a place": (
        reading(lambda log, cursor: (log.messages[cursor:], log.end, cursor < log.first)),
        PLACES,
        "got: ([], 5, False)",
    ),
    "lost for ever, once it has lost": (LosesForEver, PLACES, "(['d', 'e'], 5, True)"),
    "clears all when it is full": (appending(clears_when_full), PLACES, "(['d', 'e'], 5, True)"),
    "drops the newest": (appending(drops_the_newest), PLACES, "got: ([], 3, False)"),
    "raises what it should return": (reading(raises_a_loss), LOST, "LookupError: some are lost"),
    "nothing after a loss": (reading(nothing_after_a_loss), LOST, "got: ([], 5, True)"),
    "tells of a loss once": (TellsOnce, LOST, "got: (['c', 'd', 'e'], 5, False)"),
    "hides a loss": (
        reading(lambda log, cursor: (*Solution.read(log, cursor)[:2], False)),
        LOST,
        "smaller than self.first",
    ),
    "hides the loss of one": (
        reading(lambda log, cursor: (*Solution.read(log, cursor)[:2], cursor < log.first - 1)),
        LOST,
        "(['c', 'd', 'e'], 5, False)",
    ),
    "an index below 0": (
        reading(
            lambda log, cursor: (log.messages[cursor - log.first :], log.end, cursor < log.first)
        ),
        LOST,
        "(['e'], 5, True)",
    ),
    "says how many are lost": (
        reading(lambda log, cursor: (*Solution.read(log, cursor)[:2], max(0, log.first - cursor))),
        LOST,
        "got: (['c', 'd', 'e'], 5, 2)",
    ),
    "the cursor counts on from a lost place": (
        reading(
            lambda log, cursor: (
                (found := Solution.read(log, cursor)[0]),
                cursor + len(found),
                cursor < log.first,
            )
        ),
        LOST,
        "(['c', 'd', 'e'], 4, True)",
    ),
    "keeps one more": (appending(keeps_one_more), LOST, "(['b', 'c', 'd', 'e'], 5, False)"),
    "a limit of three, whatever it is told": (
        OnlyThree,
        READERS,
        "False for a reader that is 10 messages behind or less",
    ),
    "right for a limit of three alone": (RightForThree, READERS, "ShortLog(10)"),
    "kept for the next time": (KeptForTheNextTime, READERS, "it misses [1, 2, 3]"),
    "a limit of one is not kept": (NeverOne, ANY, "ShortLog(1).read(0) after 2 messages"),
    "looks for a message by its text": (FindsTheMessage, ANY, "ShortLog(7)"),
    "gives its own list away": (GivesItselfAway, COPIES, "neither self.messages itself"),
    "a generator, which reads later": (reading(generated), COPIES, "nor a generator"),
    "forgets when somebody reads": (ForgetsInRead, BOUNDED, "400 are still in memory"),
    "keeps a history besides": (KeepsAHistory, BOUNDED, "400 are still in memory"),
    "begins to count again": (BeginsAgain, BOUNDED, "(['3998', '3999'], 4400, False)"),
    "keeps everything": (KeepsAll, BOUNDED, "400 are still in memory"),
    "leaves holes": (LeavesHoles, BOUNDED, "bytes more"),
}


@dataclass
class ADeque:
    limit: int
    count: int = 0
    kept: deque = field(default_factory=deque)

    def __post_init__(self):
        self.kept = deque(maxlen=self.limit)

    def append(self, message):
        self.kept.append(message)
        self.count += 1

    def read(self, cursor):
        first = self.count - len(self.kept)
        return list(islice(self.kept, max(0, cursor - first), None)), self.count, first > cursor


class ADict:
    def __init__(self, limit):
        self.limit, self.by_place, self.end = limit, {}, 0

    def append(self, message):
        self.by_place[self.end] = message
        self.end += 1
        self.by_place.pop(self.end - 1 - self.limit, None)

    def read(self, cursor):
        found = [message for place, message in self.by_place.items() if place >= cursor]
        return found, self.end, cursor not in self.by_place and cursor != self.end


class ARing:
    """As many slots as messages, and a place modulo their number. It answers in tuples."""

    def __init__(self, limit):
        self.slots, self.end = [None] * limit, 0

    def append(self, message):
        self.slots[self.end % len(self.slots)] = message
        self.end += 1

    def read(self, cursor):
        start = max(cursor, self.end - len(self.slots), 0)
        places = range(start, self.end)
        return tuple(self.slots[p % len(self.slots)] for p in places), self.end, int(start > cursor)


class Pairs:
    """Places and messages side by side; bisect finds the place."""

    def __init__(self, limit):
        self.limit, self.pairs, self.end = limit, [], 0

    def append(self, message):
        self.pairs = [*self.pairs, (self.end, message)][-self.limit :]
        self.end += 1

    def read(self, cursor):
        at = bisect.bisect_left(self.pairs, cursor, key=lambda pair: pair[0])
        first = self.pairs[0][0] if self.pairs else 0
        return [[message for _, message in self.pairs[at:]], self.end, cursor < first]


class ClearsUpNowAndThen(Solution):
    def append(self, message):
        self.messages.append(message)
        if len(self.messages) == 2 * self.limit:
            self.first += self.limit
            del self.messages[: self.limit]

    def read(self, cursor):
        first = max(0, self.end - self.limit)
        start = max(cursor, first)
        return self.messages[start - self.first :], self.end, cursor < first


class AList(list):
    def __init__(self, limit):
        super().__init__()
        self.limit, self.dropped = limit, 0

    def append(self, message):
        super().append(message)
        while len(self) > self.limit:
            self.pop(0)
            self.dropped += 1

    def read(self, cursor):
        index = cursor - self.dropped
        return self[index if index > 0 else 0 :], self.dropped + len(self), index < 0


class Found(NamedTuple):
    messages: list
    cursor: int
    lost: bool


class Named(Solution):
    def read(self, cursor):
        match cursor - self.first:
            case behind if behind < 0:
                return Found(self.messages[:], self.end, True)
            case index:
                return Found(self.messages[index:], self.end, False)


def closures(limit):
    kept, count = {}, 0

    def append(message):
        nonlocal count
        kept[count] = message
        count += 1
        kept.pop(count - 1 - limit, None)

    def read(cursor):
        first = count - len(kept)
        return [kept[place] for place in range(max(cursor, first), count)], count, cursor < first

    return SimpleNamespace(append=append, read=read)


RIGHT = {
    "the solution": Solution,
    "a deque in a dataclass": ADeque,
    "a dict by place": ADict,
    "a ring of slots": ARing,
    "pairs and bisect": Pairs,
    "one that clears up now and then": ClearsUpNowAndThen,
    "a list with more to it": AList,
    "a named tuple, and match": Named,
    "a function that makes closures": closures,
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_answer_is_rejected_by_its_rule(name):
    answer, rule, words = WRONG[name]
    expect_rejected(check.cursor_log(answer), rule, words)


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_answer_is_accepted(name):
    expect_accepted(check.cursor_log(RIGHT[name]))
