"""The task that writes to Redis: all that waits, with one script call for each room."""

import asyncio
import secrets
import time
from collections import deque
from collections.abc import Callable
from itertools import count
from typing import Any

from redis.exceptions import ResponseError

from chatlib.stores.log import logger
from chatlib.stores.redis_jobs import Append, Job, Person, fail, settle
from chatlib.stores.redis_place import Place, reason, run
from chatlib.stores.redis_wire import APPEND_SETTINGS, Wire
from chatlib.stores.retention import Retention
from chatlib.stores.store import NotKept
from chatlib.stores.tasks import end

MOST = 500  # messages that are sent together
MOST_BYTES = 256 * 1024  # of their bodies, and one more
BITE = 100  # how many messages too many one call drops at most
SHOUTS = 1000  # that wait to be sent; what is more is lost
PAUSES = (0.02, 0.5)  # seconds between two tries: at first, and at most
# What Redis answers to a command that it has not done, but may do a little later.
LATER = ("BUSY", "NOSCRIPT", "READONLY", "LOADING", "MASTERDOWN", "NOREPLICAS", "TRYAGAIN")


class Writer:
    """Sends what is to be written, in the order in which it came, until Redis has answered.

    Args:
        place: where Redis is.
        worker: the name of this process among those that share it.
        retention: how much of each room is kept.
        patience: for how many seconds a job is tried.

    Attributes:
        wire: its connection.
    """

    def __init__(self, place: Place, worker: str, retention: Retention, patience: float) -> None:
        self.wire = Wire(place)
        self._place = place
        self._worker = worker
        self._retention = retention
        self._patience = patience
        self._waiting: deque[Job] = deque()
        self._shouts: list[list[Any]] = []
        self._ready = asyncio.Event()
        self._closing = False
        self._marks = (f"{secrets.token_hex(4)}{number:x}" for number in count())
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect, and begin.

        Raises:
            OSError, RedisError: there is no Redis that can be written to.
        """
        await self.wire.connect()
        self._task = asyncio.create_task(self._run(), name="chatlib writer")

    async def stop(self) -> None:
        """Write what waits, as long as there is patience, and end. Cancelling this gives it up."""
        self._closing = True
        self._ready.set()
        try:
            if self._task is not None:
                await asyncio.wait([self._task])
        finally:
            if self._task is not None:
                await end(self._task)
            await self.wire.drop()

    def append(self, room: str, key: str, body: bytes) -> "asyncio.Future[Any]":
        """Keep a message; await its `Receipt`. Cancelling that leaves it where it is.

        Raises:
            NotKept, Unsure: as `Store.append` says.
        """
        future = asyncio.get_running_loop().create_future()
        return self._put(Append(future, time.monotonic(), room, key, body, next(self._marks)))

    def person(self, room: str, name: str, connections: Callable[[], int]) -> "asyncio.Future[Any]":
        """Write how many connections a person has when its turn comes; errors as for `append`."""
        future = asyncio.get_running_loop().create_future()
        return self._put(Person(future, time.monotonic(), room, name, connections))

    def ask(self) -> "asyncio.Future[Any]":
        """Have Redis asked for its settings, as an append would be sent; errors as for `append`."""
        return self._put(Job(asyncio.get_running_loop().create_future(), time.monotonic()))

    def _put(self, job: Job) -> "asyncio.Future[Any]":
        if self._closing:
            raise NotKept("the store is closed")
        self._waiting.append(job)
        self._ready.set()
        return job.result

    def publish(self, channel: str, data: bytes) -> None:
        """Publish once, with what is written next or a little later. It may get lost."""
        if len(self._shouts) < SHOUTS:
            self._shouts.append(["PUBLISH", channel, data])
            self._ready.set()

    async def _run(self) -> None:
        while True:
            await self._ready.wait()
            self._ready.clear()
            while self._waiting or self._shouts:
                taken = self._take()
                try:
                    await self._write(taken)
                except asyncio.CancelledError:
                    fail([*taken, *self._waiting], "the store was closed before Redis answered")
                    raise
                except Exception as error:  # a fault of our own must not end the task
                    logger.exception(
                        "what Redis answered at %s is not understood", self._place.shown
                    )
                    await self.wire.drop()
                    for job in taken:
                        job.lost = True
                    fail(taken, f"what Redis answered is not understood: {error!r}")
            if self._closing:
                return

    def _take(self) -> list[Job]:
        """Return the jobs that are sent together."""
        taken: list[Job] = []
        size = 0
        while self._waiting and len(taken) < MOST and size < MOST_BYTES:
            job = self._waiting.popleft()
            if isinstance(job, Append):
                size += len(job.body)
            taken.append(job)
        return taken

    async def _write(self, jobs: list[Job]) -> None:
        """Send `jobs` until all are done, or have no patience left."""
        pause, longest = PAUSES
        shouts, self._shouts = self._shouts, []
        while True:
            jobs, why = await self._try(jobs, shouts)
            if not jobs:
                return
            shouts = []
            jobs = self._expire(jobs, why)
            self._waiting = deque(self._expire(list(self._waiting), why))
            await asyncio.sleep(pause)
            pause = min(2 * pause, longest)

    async def _try(self, jobs: list[Job], shouts: list[list[Any]]) -> tuple[list[Job], str]:
        """Send `jobs` once; return those that have to be sent again, and why."""
        try:
            await self.wire.connect()
        except Exception as error:  # whatever it is must not end the task
            return jobs, reason(error)
        calls = self._calls(jobs)
        try:
            answers = await self.wire.ask([*(command for command, _ in calls), *shouts])
        except BaseException as error:
            for job in jobs:
                job.lost = True
            if not isinstance(error, Exception):
                raise
            return jobs, reason(error)
        again: list[Job] = []
        apart: list[Job] = []
        why = "it was refused with others"
        for (_, of_call), answer in zip(calls, answers, strict=False):
            if type(of_call[0]) is Job:
                self.wire.note(answer)
                settle(of_call, answer)
            elif not isinstance(answer, ResponseError):
                settle(of_call, answer)
            elif code_of(answer) in LATER:
                again += of_call
                why = str(answer)
            elif len(of_call) > 1 and isinstance(of_call[0], Append):
                apart += of_call  # it may be one of them alone, and another may be kept already
            else:
                fail(of_call, f"Redis refused it: {answer}")
        for job in apart:
            job.alone = True
        if again:
            await self.wire.drop()  # a new one has the scripts, and finds out what Redis this is
        return again + apart, why

    def _calls(self, jobs: list[Job]) -> list[tuple[list[Any], list[Job]]]:
        """Return the commands that do `jobs`, each with those that it does."""
        by_room: dict[tuple[str, Append | None], list[Append]] = {}
        people: dict[tuple[str, str], list[Person]] = {}
        calls: list[tuple[list[Any], list[Job]]] = []
        for job in jobs:
            if isinstance(job, Append):
                by_room.setdefault((job.room, job if job.alone else None), []).append(job)
            elif isinstance(job, Person):
                people.setdefault((job.room, job.name), []).append(job)
            else:
                calls.append((APPEND_SETTINGS, [job]))
        for (room, _), appends in by_room.items():
            calls.append((self._append(room, appends), list(appends)))
        for (room, name), persons in people.items():
            command = self._person(room, name, persons[0].connections())
            calls.append((command, list(persons)))
        return calls

    def _append(self, room: str, appends: list[Append]) -> list[Any]:
        keep = self._retention
        arguments: list[str | bytes | int] = [
            self._place.channels + room,
            keep.messages,
            keep.bytes,
            "" if keep.seconds is None else round(1000 * keep.seconds),
            min(BITE, keep.messages // 100),
            BITE,
            secrets.token_hex(4),  # a random beginning, so that no two rooms have one history
        ]
        for job in appends:
            arguments += (job.key, job.body, job.mark)
        return run("append", self._place.keys(room), arguments)

    def _person(self, room: str, name: str, connections: int) -> list[Any]:
        keys = [*self._place.people(room, self._worker), self._place.rooms_of(self._worker)]
        channel = self._place.channels + room
        return run("person", keys, [channel, self._worker, room, name, connections])

    def _expire(self, jobs: list[Job], why: str) -> list[Job]:
        """Tell those who wait for too long; return the others."""
        longest = time.monotonic() - (0 if self._closing else self._patience)
        late = [job for job in jobs if job.since < longest]
        fail(late, f"no answer of Redis within {self._patience:g} seconds: {why}")
        return [job for job in jobs if job.since >= longest]


def code_of(error: ResponseError) -> str:
    """Return the word with which Redis begins an error."""
    return getattr(error, "status_code", None) or str(error).partition(" ")[0]
