"""`check.resume` knows a log that finds out what became of a history from those that nearly do."""

import hashlib
from types import SimpleNamespace

import pytest
from answers import expect_accepted, expect_rejected

from chatlib.lab import check

FOLLOWS = "who has heard up to a message that is kept: 'complete', and what follows"
LEVEL = "who has heard everything: 'complete', and nothing"
NEW = "without a cursor, None: 'new', and all that is kept"
TAG = "the log has another tag at this id: 'diverged', and all that is kept"
BEYOND = "an id beyond the newest message: 'diverged', and all that is kept"
EDGE = "who has heard all but what is kept: 'complete'; with another tag, 'diverged'"
TRIMMED = "who has heard less than that: 'trimmed', and all that is kept"
LIMIT = "all this holds for any limit, and after many messages"
UNCHANGED = "to resume changes nothing, and what was given stays as it was"


def next_tag(tag, text):
    return hashlib.sha1((tag + text).encode()).hexdigest()[:8]


class Solution:
    """The last `limit` messages, each as (id, tag, text)."""

    def __init__(self, limit):
        self.limit = limit
        self.entries = []
        self.before = (0, "00000000")

    def append(self, text):
        number, tag = self.entries[-1][:2] if self.entries else self.before
        self.entries.append((number + 1, next_tag(tag, text), text))
        if len(self.entries) > self.limit:
            self.before = self.entries.pop(0)[:2]

    def resume(self, after):
        kept = list(self.entries)
        if after is None:
            return "new", kept
        number, _ = after
        if number < self.before[0]:
            return "trimmed", kept
        places = [self.before, *[entry[:2] for entry in kept]]
        if after not in places:
            return "diverged", kept
        return "complete", kept[number - self.before[0] :]


def resuming(resume):
    """Return the solution with another `resume(self, after)`."""
    return type("TaggedLog", (Solution,), {"resume": resume})


def as_handed_out(log, after):
    if after is None:
        return "new", list(log.entries)
    number, _ = after
    return "complete", log.entries[number - log.before[0] :]


def nothing_but_what_follows(log, after):
    state, _ = Solution.resume(log, after)
    first = after[0] if after else 0
    return state, [entry for entry in log.entries if entry[0] > first]


def only_the_id(log, after):
    if after is None:
        return "new", list(log.entries)
    if after[0] < log.before[0]:
        return "trimmed", list(log.entries)
    if after[0] > log.before[0] + len(log.entries):
        return "diverged", list(log.entries)
    return "complete", [entry for entry in log.entries if entry[0] > after[0]]


def with_the_one_heard(log, after):
    state, entries = Solution.resume(log, after)
    if state == "complete":
        entries = [entry for entry in log.entries if entry[0] >= after[0]]
    return state, entries


def kept_tags_alone(log, after):
    """It does not know the place before the first entry."""
    if after is None:
        return "new", list(log.entries)
    if after[0] == log.before[0] == 0:
        return "complete", list(log.entries)
    tags = {entry[0]: entry[1] for entry in log.entries}
    if after[0] < log.before[0]:
        return "trimmed", list(log.entries)
    if tags.get(after[0]) != after[1]:
        return "diverged", list(log.entries)
    return "complete", [entry for entry in log.entries if entry[0] > after[0]]


def edge_without_tag(log, after):
    if after is not None and after[0] == log.before[0]:
        return "complete", list(log.entries)
    return Solution.resume(log, after)


def edge_is_trimmed(log, after):
    state, entries = Solution.resume(log, after)
    if after is not None and 0 < after[0] <= log.before[0]:
        state = "trimmed"
    return state, entries


def an_index_below_0(log, after):
    if after is None:
        return "new", list(log.entries)
    places = [log.before, *[entry[:2] for entry in log.entries]]
    index = after[0] - log.before[0]
    if index >= len(places) or places[index] != tuple(after):
        return "diverged", list(log.entries)
    return "complete", log.entries[index:]


def an_index_too_far(log, after):
    if after is None:
        return "new", list(log.entries)
    if after[0] < log.before[0]:
        return "trimmed", list(log.entries)
    places = [log.before, *[entry[:2] for entry in log.entries]]
    if places[after[0] - log.before[0]] != tuple(after):
        return "diverged", list(log.entries)
    return "complete", log.entries[after[0] - log.before[0] :]


def any_tag_of_the_log(log, after):
    """It asks whether the tag is somewhere, and the id for where to go on."""
    state, entries = Solution.resume(log, after)
    tags = [log.before[1], *[entry[1] for entry in log.entries]]
    if state == "complete" and after[1] not in tags:
        state = "diverged"
    return state, entries


def diverged_and_nothing(log, after):
    state, entries = Solution.resume(log, after)
    return state, [] if state == "diverged" else entries


def trimmed_and_nothing(log, after):
    state, entries = Solution.resume(log, after)
    return state, [] if state == "trimmed" else entries


def new_and_nothing(log, after):
    return ("new", []) if after is None else Solution.resume(log, after)


def new_is_complete(log, after):
    return Solution.resume(log, after or log.before)


def none_is_a_cursor(log, after):
    number, tag = after
    return Solution.resume(log, (number, tag))


def beyond_is_complete(log, after):
    if after is not None and after[0] > log.before[0] + len(log.entries):
        return "complete", []
    return Solution.resume(log, after)


def another_word(log, after):
    state, entries = Solution.resume(log, after)
    return state.replace("complete", "ok"), entries


def texts_alone(log, after):
    state, entries = Solution.resume(log, after)
    return state, [text for _, _, text in entries]


def the_cursors_tag(log, after):
    state, entries = Solution.resume(log, after)
    return state, [(number, after[1] if after else tag, text) for number, tag, text in entries]


def entries_alone(log, after):
    return Solution.resume(log, after)[1]


def backwards(log, after):
    state, entries = Solution.resume(log, after)
    return state, entries[::-1]


async def a_coroutine(log, after):
    return Solution.resume(log, after)


def gives_itself_away(log, after):
    state, entries = Solution.resume(log, after)
    return state, log.entries if len(entries) == len(log.entries) else entries


def drops_what_was_read(log, after):
    state, entries = Solution.resume(log, after)
    if state == "complete":
        log.entries = entries
        log.before = after
    return state, entries


def no_place_in_one(log, after):
    """It takes the place before its only entry for one that is too old."""
    if after is not None and log.limit == 1 and after == log.before != (0, "00000000"):
        return "trimmed", list(log.entries)
    return Solution.resume(log, after)


def by_the_text(log, after):
    """It hashes the texts anew, from a beginning that has been trimmed."""
    tag, tags = "00000000", {0: "00000000"}
    for number, _, text in log.entries:
        tags[number] = tag = next_tag(tag, text)
    if after is None or after[0] < log.before[0]:
        return Solution.resume(log, after)
    if tags.get(after[0], after[1]) != after[1] or after[0] > log.before[0] + len(log.entries):
        return "diverged", list(log.entries)
    return "complete", [entry for entry in log.entries if entry[0] > after[0]]


class KeepsOneMore(Solution):
    def append(self, text):
        self.limit, limit = self.limit + 1, self.limit
        super().append(text)
        self.limit = limit


WRONG = {
    "as handed out": (resuming(as_handed_out), TAG, "compare its tag"),
    "the message that was heard too": (
        resuming(with_the_one_heard),
        FOLLOWS,
        "expected 'complete' and the ids [3, 4] for the cursor 2.",
    ),
    "entries alone": (resuming(entries_alone), FOLLOWS, "two things: one of new, complete"),
    "texts alone": (resuming(texts_alone), FOLLOWS, "(id, tag, text)"),
    "the tag of the cursor for all": (
        resuming(the_cursors_tag),
        FOLLOWS,
        "expected the entries as they are kept",
    ),
    "another word": (resuming(another_word), FOLLOWS, "two things: one of new, complete"),
    "backwards": (resuming(backwards), FOLLOWS, "[4, 3]"),
    "a coroutine function": (resuming(a_coroutine), FOLLOWS, "write `def resume`"),
    "an object for the class": (Solution(3), FOLLOWS, "the class itself, without ()"),
    "the one that was heard, at the end": (
        resuming(
            lambda log, after: (
                Solution.resume(log, after)[0],
                Solution.resume(log, after)[1] or log.entries[-1:],
            )
        ),
        LEVEL,
        "expected 'complete' and the ids [] for the cursor 4.",
    ),
    "an empty log has another history": (
        resuming(
            lambda log, after: Solution.resume(log, after) if log.entries else ("diverged", [])
        ),
        LEVEL,
        "0.00000000",
    ),
    "None is a cursor": (resuming(none_is_a_cursor), NEW, "TypeError"),
    "nothing for a newcomer": (resuming(new_and_nothing), NEW, "got: 'new' and []"),
    "a newcomer has all": (resuming(new_is_complete), NEW, "got: 'complete'"),
    "only ids": (resuming(only_the_id), TAG, "expected 'diverged' and the ids [1, 2, 3, 4, 5]"),
    "nothing of another history": (resuming(diverged_and_nothing), TAG, "got: 'diverged' and []"),
    "what follows the id in another history": (
        resuming(nothing_but_what_follows),
        TAG,
        "got: 'diverged' and [5]",
    ),
    "the end does not matter": (resuming(beyond_is_complete), BEYOND, "got: 'complete' and []"),
    "an index too far": (resuming(an_index_too_far), BEYOND, "IndexError"),
    "no place before the first entry": (resuming(kept_tags_alone), EDGE, "self.before"),
    "the edge, whatever its tag": (resuming(edge_without_tag), EDGE, "expected 'diverged'"),
    "the edge is trimmed": (resuming(edge_is_trimmed), EDGE, "got: 'trimmed'"),
    "tags from the texts that are left": (resuming(by_the_text), EDGE, "expected 'diverged'"),
    "an index below 0": (resuming(an_index_below_0), TRIMMED, "got: 'diverged'"),
    "trimmed, and nothing": (resuming(trimmed_and_nothing), TRIMMED, "got: 'trimmed' and []"),
    "drops what was read": (resuming(drops_what_was_read), FOLLOWS, "change neither"),
    "one entry is never complete": (resuming(no_place_in_one), LIMIT, "self.before and that of"),
    "gives its own list away": (resuming(gives_itself_away), UNCHANGED, "new list"),
    "keeps one more": (KeepsOneMore, NEW, "[3, 4, 5]"),
}


def with_a_dict(log, after):
    if after is None:
        return "new", [*log.entries]
    tags = {log.before[0]: log.before[1]} | {number: tag for number, tag, _ in log.entries}
    if after[0] < min(tags):
        return "trimmed", [*log.entries]
    if tags.get(after[0]) == after[1]:
        return "complete", [entry for entry in log.entries if entry[0] > after[0]]
    return "diverged", [*log.entries]


def with_match(log, after):
    oldest, head = log.before[0], log.before[0] + len(log.entries)
    match after:
        case None:
            return ["new", tuple(log.entries)]
        case (number, _) if number < oldest:
            return ["trimmed", tuple(log.entries)]
        case (number, tag) if (
            number <= head
            and tag
            == [
                log.before[1],
                *(entry[1] for entry in log.entries),
            ][number - oldest]
        ):
            return ["complete", tuple(log.entries[number - oldest :])]
    return ["diverged", tuple(log.entries)]


class WithObjects(Solution):
    def resume(self, after):
        state, entries = super().resume(after)
        return SimpleNamespace(state=state).state, iter(entries)


RIGHT = {
    "the solution": Solution,
    "a dict of tags": resuming(with_a_dict),
    "match": resuming(with_match),
    "an iterator": WithObjects,
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_answer_is_rejected_by_its_rule(name):
    answer, rule, words = WRONG[name]
    expect_rejected(check.resume(answer), rule, words)


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_answer_is_accepted(name):
    expect_accepted(check.resume(RIGHT[name]))
