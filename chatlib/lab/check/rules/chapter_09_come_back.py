"""The rules of an exercise of chapter 09: when a client comes back, by how it was sent away."""

import inspect
from numbers import Real
from statistics import median
from typing import Any

from chatlib.lab.check.report import Rules
from chatlib.lab.check.tools.bench import Wrong, shorten
from chatlib.lab.check.tools.calling import call, expect_returned, is_async

COME_BACK = Rules()

TAKES = "(code, attempt, retry)"
CLIENTS = 500  # that are sent away at one moment
AT_ONCE_SECONDS = 0.1
LONGEST_SECONDS = 120.0
TOO_MANY_SECONDS = 5.0
GROWS = 2  # times as long, at the least, at the seventh try as at the second
SPREAD = 0.2  # of the time that they wait, at least, between the first of them and the last
NEVER = (1003, 1007, 1008, 1009, 4403)
OTHERS = (1000, 1001, 1014, 4000)
SECONDS = "a number of seconds from 0 on"
LATER = "for each try that has failed, a longer time, 2 ** attempt seconds say"
JITTER = "add some chance: random.uniform(shortest, longest)"


@COME_BACK.rule(
    "after 1012, a restart: within the time that the server asks for",
    hint="retry is the number of seconds over which clients may come back, whatever attempt is",
    essential=True,
)
async def in_time(function: Any) -> None:
    for retry in (4.0, 0.5, 30.0):
        for attempt in (0, 2):
            late = max(await waits(function, 1012, attempt, retry))
            if late > retry:
                raise Wrong(f"at most {retry:g} s, which is retry", f"{late:.2f} s")


@COME_BACK.rule(
    "after 1012 the clients of a server are spread over all of that time",
    hint="all are told at one moment; a random time between 0 and retry takes them apart",
)
async def spread(function: Any) -> None:
    for retry, attempt in ((4.0, 0), (30.0, 0), (4.0, 2)):
        moments = await waits(function, 1012, attempt, retry)
        first, last = moments[0], moments[-1]
        middle = median(moments)
        if first > 0.1 * retry or last < 0.9 * retry or not 0.3 < middle / retry < 0.7:
            wanted = f"{CLIENTS} clients spread over {retry:g} s, as many early as late"
            wanted += f", for attempt {attempt}" if attempt else ""
            raise Wrong(wanted, together(moments))


@COME_BACK.rule(
    "after 1006, a connection that was cut: at once, the first time",
    hint="attempt is 0 then: it may have been the client's own network, and it is back",
)
async def at_once(function: Any) -> None:
    await expect_at_once(function, 1006)


@COME_BACK.rule("if that fails: later and later", hint=LATER)
async def later(function: Any) -> None:
    await expect_later(function, 1006)


@COME_BACK.rule("clients that fail at one moment do not come back at one moment", hint=JITTER)
async def jitter(function: Any) -> None:
    tries = ((1006, 1), (1006, 5), (1006, 40), (1011, 0), (1011, 5), (1013, 0), (1013, 5))
    for code, attempt in tries:
        await expect_apart(function, code, attempt)


@COME_BACK.rule(
    "however often it fails: some seconds, but never more than two minutes",
    hint="min(60, …) bounds it; and 2.0 ** 5000 is no number any more: bound the exponent too",
)
async def bounded(function: Any) -> None:
    await expect_bounded(function, 1006)


@COME_BACK.rule(
    "after 1011, a fault of the server's: not at once, then later and later",
    hint="it let you in and failed; whoever comes at once keeps it from getting well",
)
async def fault(function: Any) -> None:
    pause = median(await waits(function, 1011, 0, 4.0))
    if pause < 0.25:
        raise Wrong("a second or so for attempt 0", f"{pause:.2f} s")
    await expect_later(function, 1011)
    await expect_bounded(function, 1011)


@COME_BACK.rule(
    "after 1013, too many clients: after five seconds at the earliest",
    hint="random.uniform(5, 10), say",
)
async def too_many(function: Any) -> None:
    for attempt in (0, 3, 5000):
        moments = await waits(function, 1013, attempt, 4.0)
        if moments[0] < TOO_MANY_SECONDS or moments[-1] > LONGEST_SECONDS:
            wanted = f"{TOO_MANY_SECONDS:g} to {LONGEST_SECONDS:g} s"
            raise Wrong(wanted, together(moments))


@COME_BACK.rule(
    "after 1003, 1007, 1008, 1009 and 4403: never",
    hint="whoever comes back with the same is sent away again: return None",
)
async def never(function: Any) -> None:
    for code in NEVER:
        for attempt in (0, 3):
            got = await call(function, code, attempt, 4.0, takes=TAKES)
            if got is not None:
                raise Wrong(f"None for code {code}, attempt {attempt}", shorten(got))


@COME_BACK.rule(
    "after any other code as after 1006: at once, then later and later",
    hint="of a code that you do not know you cannot know that it is no use; treat it as 1006",
)
async def unknown(function: Any) -> None:
    for code in OTHERS:
        await expect_at_once(function, code)
        await expect_later(function, code)
        await expect_apart(function, code, 5)
        await expect_bounded(function, code)


async def expect_apart(function: Any, code: int, attempt: int) -> None:
    """Expect that clients that are all sent away at one moment come back at different ones."""
    moments = await waits(function, code, attempt, 4.0)
    if moments[-1] - moments[0] < SPREAD * median(moments) or not moments[-1]:
        wanted = f"different times for {CLIENTS} clients, for code {code}, attempt {attempt}"
        raise Wrong(wanted, together(moments))


async def expect_at_once(function: Any, code: int) -> None:
    """Expect that after `code` all come back at once, as long as no try has failed."""
    late = (await waits(function, code, 0, 4.0))[-1]
    if late > AT_ONCE_SECONDS:
        raise Wrong(f"at most {AT_ONCE_SECONDS:g} s for code {code}, attempt 0", f"{late:.2f} s")


async def expect_later(function: Any, code: int) -> None:
    """Expect that after `code` the time grows with each try that has failed."""
    second, fourth, seventh = [
        median(await waits(function, code, attempt, 4.0)) for attempt in (1, 3, 6)
    ]
    if second < AT_ONCE_SECONDS or not second < fourth < seventh or seventh < GROWS * second:
        raise Wrong(
            f"for code {code} some time for attempt 1, more for 3, and {GROWS} times as much or "
            "more for 6",
            f"{second:.2f} s, {fourth:.2f} s and {seventh:.2f} s",
        )


async def expect_bounded(function: Any, code: int) -> None:
    """Expect that after `code` the time stays some seconds, however many tries have failed."""
    for attempt in (12, 60, 5000):
        moments = await waits(function, code, attempt, 4.0)
        if moments[-1] > LONGEST_SECONDS or median(moments) < 2:
            wanted = f"2 to {LONGEST_SECONDS:g} s for code {code}, attempt {attempt:,}"
            raise Wrong(wanted, together(moments))


async def waits(function: Any, code: int, attempt: int, retry: float) -> list[float]:
    """Return what `function` returns for each of the clients, the shortest time first."""
    if is_async(function):
        hint = "write `def come_back`: it only says how long, and waits for nothing itself"
        raise Wrong("a plain function", "`async def`", hint=hint)
    expect_seconds(await call(function, code, attempt, retry, takes=TAKES), code, attempt)

    def all_of_them() -> list[Any]:
        return [function(code, attempt, retry) for _ in range(CLIENTS)]

    moments = await call(all_of_them, takes="()")
    for each in moments:
        if type(each) is not float or not each >= 0:  # what nearly all are, so this is quick
            expect_seconds(each, code, attempt)
    return sorted(float(each) for each in moments)


def expect_seconds(got: Any, code: int, attempt: int) -> None:
    """Raise `Wrong` unless `got` is a number of seconds."""
    if inspect.isawaitable(got):
        raise Wrong(SECONDS, "a coroutine")
    what = f"{SECONDS} for code {code}, attempt {attempt}"
    hint = "None is for the codes after which it never comes back" if got is None else None
    expect_returned(got, (Real, type(None)), what)
    if got is None or isinstance(got, bool) or not got >= 0:
        raise Wrong(what, shorten(got), hint=hint)


def together(moments: list[float]) -> str:
    """Return in words when clients come back."""
    first, last = f"{moments[0]:.2f}", f"{moments[-1]:.2f}"
    if first == last:
        return f"all {len(moments)} after {first} s"
    return f"the first after {first} s, half of them by {median(moments):.2f} s, the last {last} s"
