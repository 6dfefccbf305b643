"""The rules of the first exercise of chapter 07: a log that knows whether it is still the same."""

from typing import Any

from chatlib.lab.check.report import Rules
from chatlib.lab.check.tools.bench import Wrong, shorten
from chatlib.lab.check.tools.calling import expect_plain
from chatlib.lab.check.tools.puppet import new

RESUME = Rules()

STATES = ("new", "complete", "trimmed", "diverged")
START = (0, "00000000")
NEW_LIST = "give a new list, and change neither self.entries nor self.before"


@RESUME.rule(
    "who has heard up to a message that is kept: 'complete', and what follows",
    hint="('complete', the entries with a higher id)",
    essential=True,
)
async def what_follows(log_class: Any) -> None:
    log, cursors = filled(log_class, 10, "abcd")
    expect_found(log, cursors[2], "complete", [3, 4])
    expect_found(log, cursors[1], "complete", [2, 3, 4])


@RESUME.rule(
    "who has heard everything: 'complete', and nothing",
    hint="nothing follows the newest message; an empty log has nothing, and its cursor is "
    "(0, '00000000')",
)
async def nothing_follows(log_class: Any) -> None:
    log, cursors = filled(log_class, 10, "abcd")
    expect_found(log, cursors[4], "complete", [])
    expect_found(new(log_class, 10), START, "complete", [])


@RESUME.rule(
    "without a cursor, None: 'new', and all that is kept",
    hint="None is no cursor: ask for it first",
)
async def newcomer(log_class: Any) -> None:
    log, _ = filled(log_class, 3, "abcde")
    expect_found(log, None, "new", [3, 4, 5])


@RESUME.rule(
    "the log has another tag at this id: 'diverged', and all that is kept",
    hint="find the entry with the id of the cursor, and compare its tag with the cursor's",
    essential=True,
)
async def another_tag(log_class: Any) -> None:
    (_, before), (log, now) = filled(log_class, 10, "abcd"), filled(log_class, 10, "abxyz")
    for number in (4, 3):
        expect_found(log, before[number], "diverged", [1, 2, 3, 4, 5])
    expect_found(log, before[2], "complete", [3, 4, 5])
    expect_found(log, now[5], "complete", [])
    same_texts, _ = filled(log_class, 10, "xbcd")
    expect_found(same_texts, before[4], "diverged", [1, 2, 3, 4])


@RESUME.rule(
    "an id beyond the newest message: 'diverged', and all that is kept",
    hint="a log that has lost its end does not have this id, whatever the tag is",
)
async def beyond_the_end(log_class: Any) -> None:
    (_, before), (log, _) = filled(log_class, 10, "abcd"), filled(log_class, 10, "ab")
    for number in (3, 4):
        expect_found(log, before[number], "diverged", [1, 2])
    expect_found(new(log_class, 10), before[1], "diverged", [])


@RESUME.rule(
    "who has heard all but what is kept: 'complete'; with another tag, 'diverged'",
    hint="self.before is the place before the oldest entry, and has a tag too",
)
async def at_the_edge(log_class: Any) -> None:
    log, cursors = filled(log_class, 3, "abcde")
    expect_found(log, cursors[2], "complete", [3, 4, 5])
    _, others = filled(log_class, 3, "axcde")
    expect_found(log, others[2], "diverged", [3, 4, 5])
    whole, _ = filled(log_class, 10, "abc")
    expect_found(whole, START, "complete", [1, 2, 3])


@RESUME.rule(
    "who has heard less than that: 'trimmed', and all that is kept",
    hint="the id of the cursor is smaller than that of self.before",
)
async def trimmed(log_class: Any) -> None:
    log, cursors = filled(log_class, 3, "abcde")
    expect_found(log, cursors[1], "trimmed", [3, 4, 5])
    expect_found(log, START, "trimmed", [3, 4, 5])


@RESUME.rule(
    "all this holds for any limit, and after many messages",
    hint="with limit 1 the log knows two places: self.before and that of its one entry",
)
async def any_limit(log_class: Any) -> None:
    for limit in (1, 2, 7):
        log, cursors = new(log_class, limit), {0: START}
        for number in range(1, 30):
            cursors[number] = append(log, f"message {number % 4}")
            first = max(1, number + 1 - limit)
            for heard in range(max(0, first - 3), number + 1):
                state = "trimmed" if heard < first - 1 else "complete"
                ids = range(max(first, heard + 1), number + 1)
                expect_found(log, cursors[heard], state, list(ids))


@RESUME.rule("to resume changes nothing, and what was given stays as it was", hint=NEW_LIST)
async def changes_nothing(log_class: Any) -> None:
    log, cursors = filled(log_class, 10, "abcd")
    _, given = log.resume(None)
    append(log, "e")
    if len(given := list(given)) != 4:
        raise Wrong("4 entries, as they were given", f"{len(given)}, after one more was appended")
    given.clear()
    expect_found(log, cursors[2], "complete", [3, 4, 5])


def filled(log_class: Any, limit: int, texts: str) -> tuple[Any, dict[int, Any]]:
    """Return a log of `texts`, and the cursor after each of its messages, by id."""
    log = new(log_class, limit)
    return log, dict(enumerate([append(log, text) for text in texts], start=1))


def append(log: Any, text: str) -> Any:
    """Append `text` to `log`; return the cursor after it."""
    expect_plain("append", log.append(text))
    return tuple(log.entries[-1][:2])


def expect_found(log: Any, cursor: Any, state: str, ids: list[int]) -> None:
    """Raise `Wrong` unless `log` gives `state` and the entries with `ids`, and stays as it is."""
    entries, before = list(log.entries), log.before
    got = log.resume(cursor)
    expect_plain("resume", got)
    if not isinstance(got, tuple | list) or len(got) != 2 or got[0] not in STATES:
        raise Wrong(f"two things: one of {', '.join(STATES)}, and a list of entries", shorten(got))
    came = list(got[1])
    if not all(isinstance(each, tuple | list) and len(each) == 3 for each in came):
        raise Wrong("entries as they are kept, (id, tag, text)", shorten(came))
    if (got[0], [entry[0] for entry in came]) != (state, ids):
        kept = [entry[0] for entry in entries]
        where = "no cursor" if cursor is None else f"the cursor {cursor[0]}.{cursor[1]}"
        raise Wrong(
            f"{state!r} and the ids {ids} for {where}, in a log that keeps {kept}",
            f"{got[0]!r} and {[entry[0] for entry in came]}",
        )
    as_kept = [tuple(entry) for entry in entries]
    if any(tuple(entry) not in as_kept for entry in came):
        raise Wrong("the entries as they are kept", shorten(came))
    if list(log.entries) != entries or log.before != before:
        kept = [entry[0] for entry in log.entries]
        raise Wrong(
            f"self.entries and self.before unchanged: {[entry[0] for entry in entries]}, {before}",
            f"{kept}, {log.before}",
            hint=NEW_LIST,
        )
