"""What is to be written to Redis, and telling those who wait for it what came of it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from chatlib.stores.store import NotKept, Receipt, Unsure


@dataclass(eq=False)
class Job:
    """Something to be written for somebody who waits.

    Attributes:
        result: what comes of it.
        since: when it was asked for.
        lost: whether it was sent and not answered: it may be done, whatever is answered later.
        alone: whether it is sent by itself, since Redis has refused it together with others.
    """

    result: "asyncio.Future[Any]"
    since: float
    lost: bool = field(default=False, init=False)
    alone: bool = field(default=False, init=False)


@dataclass(eq=False)
class Append(Job):
    """A message to be kept. Each has a mark, by which a second try knows what the first one did."""

    room: str
    key: str
    body: bytes
    mark: str


@dataclass(eq=False)
class Person(Job):
    """How many connections a person has now is to be written. `connections` tells it."""

    room: str
    name: str
    connections: Callable[[], int]


def settle(jobs: list[Job], answer: Any) -> None:
    """Tell those who wait for the `jobs` of one call what Redis has answered."""
    if isinstance(jobs[0], Append):
        for number, job in enumerate(jobs):
            place, tag, again = answer[3 * number : 3 * number + 3]
            tell(job, Receipt(place, tag.decode(), bool(again)))
    else:
        for job in jobs:
            tell(job, None)


def tell(job: Job, result: object) -> None:
    """Tell who waits, unless it was cancelled."""
    if not job.result.done():
        job.result.set_result(result)


def fail(jobs: list[Job], why: str) -> None:
    """Tell those who wait for `jobs` that nothing came of them, or that it is not known."""
    for job in jobs:
        if not job.result.done():
            job.result.set_exception(Unsure(why) if job.lost else NotKept(why))
            job.result.exception()  # whoever waited may have been cancelled: nobody has to look
