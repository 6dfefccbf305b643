"""The rules of the second exercise of chapter 08: who is here, of all workers that live."""

import copy
import time
from collections.abc import Mapping
from typing import Any

from chatlib.lab.check.report import Rules
from chatlib.lab.check.tools.bench import Wrong, shorten
from chatlib.lab.check.tools.calling import call, expect_returned

PEOPLE = Rules()

TAKES = "(rows, leases, now)"
NOT_OVER = "a row counts while the lease of its worker ends later than now"
NONE = "a worker that is not in leases has none that holds"
ROWS = {("one", "ana"): 1, ("one", "ben"): 2}


@PEOPLE.rule(
    "a worker whose lease holds: its people, each with the number of connections",
    hint="{name: connections}",
    essential=True,
)
async def one_worker(function: Any) -> None:
    now = time.time()
    await expect_people(function, ROWS, {"one": now + 5}, now, {"ana": 1, "ben": 2})
    await expect_people(function, {}, {"one": now + 5}, now, {})


@PEOPLE.rule(
    "who is connected through two workers counts at both",
    hint="add: a second row of the same name does not take the place of the first",
)
async def two_workers(function: Any) -> None:
    now = time.time()
    rows = ROWS | {("two", "ana"): 3, ("two", "cleo"): 1}
    leases = {"one": now + 5, "two": now + 9}
    await expect_people(function, rows, leases, now, {"ana": 4, "ben": 2, "cleo": 1})


@PEOPLE.rule(
    "a worker whose lease is over: its rows do not count, and its people are not listed",
    hint=NOT_OVER,
    essential=True,
)
async def lease_is_over(function: Any) -> None:
    now = time.time()
    rows = {("two", "ana"): 3, ("two", "cleo"): 1, **ROWS}
    leases = {"one": now + 5, "two": now - 1}
    await expect_people(function, rows, leases, now, {"ana": 1, "ben": 2})
    await expect_people(function, rows, {"one": now - 1, "two": now - 9}, now, {})


@PEOPLE.rule("a worker without a lease does not count either", hint=NONE)
async def no_lease(function: Any) -> None:
    now = time.time()
    rows = ROWS | {("two", "ana"): 3, ("two", "cleo"): 1}
    await expect_people(function, rows, {"one": now + 5}, now, {"ana": 1, "ben": 2})
    await expect_people(function, rows, {}, now, {})


@PEOPLE.rule(
    "a lease that ends just now is over",
    hint="until 12 means: at 12 it does not hold any more",
)
async def just_now(function: Any) -> None:
    rows = ROWS | {("two", "cleo"): 1}
    await expect_people(function, rows, {"one": 12.0, "two": 12.5}, 12.0, {"cleo": 1})


@PEOPLE.rule(
    "it goes by the time that it is given, which is that of Redis, and not by a clock here",
    hint="compare with now; do not ask time.time()",
)
async def another_clock(function: Any) -> None:
    for now in (3.0, time.time() + 1e6):
        rows = ROWS | {("two", "cleo"): 1}
        leases = {"one": now + 2, "two": now - 2}
        await expect_people(function, rows, leases, now, {"ana": 1, "ben": 2})


@PEOPLE.rule(
    "what it is given stays as it is, and a second call gives the same",
    hint="begin each call with a new dict, and remove nothing from rows",
)
async def changes_nothing(function: Any) -> None:
    rows, leases = ROWS | {("two", "cleo"): 1}, {"one": 20.0, "two": 9.0}
    before = copy.deepcopy((rows, leases))
    for _ in range(2):
        await expect_people(function, rows, leases, 10.0, {"ana": 1, "ben": 2})
        if (rows, leases) != before:
            raise Wrong("rows and leases as they were", f"{shorten(rows)} and {shorten(leases)}")


async def expect_people(
    function: Any,
    rows: dict[tuple[str, str], int],
    leases: dict[str, float],
    now: float,
    wanted: dict[str, int],
) -> None:
    """Raise `Wrong` unless `function` says that those are here."""
    got = await call(function, rows, leases, now, takes=TAKES)
    expect_returned(got, Mapping, "a dict of names and numbers")
    if dict(got) != wanted:
        left = ", ".join(f"{worker} {until - now:+.1f}" for worker, until in leases.items())
        raise Wrong(
            f"{wanted} for the rows {rows}; leases, from now: {left or 'none'}", shorten(dict(got))
        )
