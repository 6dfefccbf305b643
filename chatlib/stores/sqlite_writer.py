"""The thread that writes to the file of a SQLite store: all that waits, in one transaction."""

import asyncio
import contextlib
import itertools
import sqlite3
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable
from typing import Any

from chatlib.stores.ears import Calls
from chatlib.stores.locks import Turnstile
from chatlib.stores.retention import Retention
from chatlib.stores.sqlite_file import Link
from chatlib.stores.sqlite_log import Batch, Message
from chatlib.stores.store import NotKept, Unsure

MOST = 500  # jobs in one transaction
MOST_BYTES = 256 * 1024  # of bodies, and one more: members are told of them all at once

Job = Callable[[Batch], Any] | Message  # a message is to be appended
Waiting = tuple[Job, "asyncio.Future[Any] | None", float]  # who waits for it, and since when
Kept = tuple[Batch, list[Any]]  # what was committed, and the result of each of its jobs
Outcome = tuple["asyncio.Future[Any]", Any]  # who waits, and for what


class Writer:
    """Does jobs in transactions on one connection, in the order in which they came.

    Args:
        link: its connection.
        turnstile: held round each transaction, among all processes that write to the file.
        retention: how much of each room is kept.
        patience: for how many seconds a job waits for its turn, and for the disk.
        on_kept: called in the writer's thread with each batch that was committed, and with the
            calls that are made then: it may add some, which come before the results.
    """

    def __init__(
        self,
        link: Link,
        turnstile: Turnstile,
        retention: Retention,
        patience: float,
        on_kept: Callable[[Batch, Calls], None],
    ) -> None:
        self._link = link
        self._turnstile = turnstile
        self._retention = retention
        self._patience = patience
        self._on_kept = on_kept
        self._waiting: deque[Waiting] = deque()
        self._taken: list[Waiting] = []
        self._idle = self._closing = False
        self._lock = threading.Lock()
        self._ready = threading.Condition(self._lock)
        self._thread = threading.Thread(target=self._run, name="chatlib writer", daemon=True)
        self._thread.start()

    def do(self, job: Job) -> "asyncio.Future[Any]":
        """Do `job` in one of the next transactions; await what it returns, once it is committed.

        Cancelling that leaves the job where it is.

        Raises:
            NotKept: nothing of it is in the file: it was refused, or had no turn within `patience`.
            Unsure: the commit failed, or took more than `patience`.
        """
        result: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._put(job, result)
        return result

    def submit(self, job: Job) -> None:
        """Do `job` in one of the next transactions, and tell nobody what became of it."""
        with contextlib.suppress(NotKept):
            self._put(job, None)

    def _put(self, job: Job, result: "asyncio.Future[Any] | None") -> None:
        with self._lock:
            if self._closing:
                raise NotKept("the store is closed")
            self._waiting.append((job, result, time.monotonic()))
            if self._idle:
                self._idle = False
                self._ready.notify()

    def expire(self) -> None:
        """Tell those who wait for longer than `patience`. To be called from time to time."""
        longest = time.monotonic() - self._patience
        late: list[Waiting] = []
        with self._lock:
            while self._waiting and self._waiting[0][2] < longest:
                late.append(self._waiting.popleft())
            taken = self._taken
        why = f"no turn within {self._patience:g} seconds: the file is locked, or the disk too slow"
        tell(late, None, NotKept(why))
        if taken and taken[0][2] < longest - self._patience:
            tell(taken, None, Unsure(f"the disk did not answer within {self._patience:g} seconds"))

    @property
    def runs(self) -> bool:
        """Whether jobs are done: not once it is closed, and not in a fork."""
        return self._thread.is_alive() and not self._closing

    def close(self) -> None:
        """Do what waits, and end. This blocks, until patience is lost with what has no turn."""
        with self._ready:
            self._closing = True
            self._ready.notify()
        self._thread.join(2 * self._patience + 1)

    def _run(self) -> None:
        while self._wait():
            with self._turnstile.turn():
                # What waits is taken now: what lost its patience before is not kept for sure.
                self._taken = self._take()
                if not self._taken:
                    continue
                kept = self._write(self._taken)
            # After the turn: the event loop may hold up this thread, but not other processes.
            self._tell(self._taken, kept)
            self._taken = []
        with self._turnstile.turn():  # closing may checkpoint
            self._link.drop()
        self._turnstile.close()

    def _wait(self) -> bool:
        """Wait until there is something to do; return whether there is, and not the end."""
        with self._ready:
            while not (self._waiting or self._closing):
                self._idle = True
                self._ready.wait()
            self._idle = False
            return bool(self._waiting)

    def _take(self) -> list[Waiting]:
        """Return the jobs of the next transaction."""
        taken: list[Waiting] = []
        size = 0
        with self._lock:
            while self._waiting and len(taken) < MOST and size < MOST_BYTES:
                waiting = self._waiting.popleft()
                taken.append(waiting)
                job = waiting[0]
                if isinstance(job, tuple):
                    size += len(job[2])
        return taken

    def _tell(self, taken: list[Waiting], kept: Kept | NotKept | Unsure) -> None:
        """Tell everybody what became of the jobs that were `taken`."""
        if not isinstance(kept, tuple):
            tell(taken, None, kept)
            return
        batch, results = kept
        calls = Calls()
        try:
            self._on_kept(batch, calls)
        finally:
            add_outcomes(calls, taken, results, None)
            calls.send()

    def _write(self, taken: list[Waiting]) -> Kept | NotKept | Unsure:
        """Do the jobs that were `taken`; return what is committed, or why nothing is."""
        try:
            return self._transaction([job for job, _, _ in taken])
        except (NotKept, Unsure) as error:
            return error

    def _transaction(self, jobs: list[Job]) -> Kept:
        """Do `jobs`; return the batch and their results once it is committed."""
        committing = False
        try:
            connection = self._link.get()
            connection.execute("BEGIN IMMEDIATE")
            batch = Batch(connection, self._retention, time.time())
            results = do_all(jobs, batch)
            batch.finish()
            committing = True
            connection.execute("COMMIT")
        except Exception as error:  # whatever a job raises must not end the thread
            if committing and not changed_nothing(error):
                self._link.drop()
                raise Unsure(f"the commit failed: {error}") from error
            self._roll_back()
            raise NotKept(f"the file refused it: {error}") from error
        return batch, results

    def _roll_back(self) -> None:
        """End the transaction; what cannot is a connection that is of no use any more."""
        try:
            if self._link.in_transaction:
                self._link.get().execute("ROLLBACK")
        except (sqlite3.Error, OSError):
            self._link.drop()


def do_all(jobs: list[Job], batch: Batch) -> list[Any]:
    """Do `jobs` in their order, messages that follow each other at once; return what they do."""
    results: list[Any] = []
    for are_messages, group in itertools.groupby(jobs, lambda job: isinstance(job, tuple)):
        if are_messages:
            results += batch.append(list(group))  # type: ignore[arg-type]
        else:
            results += [job(batch) for job in group]  # type: ignore[operator]
    return results


def changed_nothing(error: Exception) -> bool:
    """Return whether a commit that failed with `error` has certainly changed nothing.

    On a full disk the write-ahead log has no frame that commits, and SQLite has rolled back.
    """
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY)


def tell(jobs: list[Waiting], results: list[Any] | None, error: Exception | None) -> None:
    """Tell those who wait for `jobs` their results, or one error for all. In any thread."""
    calls = Calls()
    add_outcomes(calls, jobs, results, error)
    calls.send()


def add_outcomes(
    calls: Calls, jobs: list[Waiting], results: list[Any] | None, error: Exception | None
) -> None:
    """Have `calls` tell those who wait for `jobs` their results, or one error for all."""
    by_loop: defaultdict[asyncio.AbstractEventLoop, list[Outcome]] = defaultdict(list)
    for (_, future, _), result in zip(jobs, results or [None] * len(jobs), strict=True):
        if future is not None:
            by_loop[future.get_loop()].append((future, result))
    for loop, outcomes in by_loop.items():
        calls.add(loop, settle, outcomes, error)


def settle(outcomes: list[Outcome], error: Exception | None) -> None:
    """Tell who waits what became of their jobs. In their event loop."""
    for future, result in outcomes:
        if future.done():
            continue  # cancelled
        if error is not None:
            future.set_exception(error)
            future.exception()  # whoever waited may have been cancelled: nobody has to look
        else:
            future.set_result(result)
