"""The thread that writes to the file of a SQLite store: all that waits, in one transaction."""

import asyncio
import contextlib
import sqlite3
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from chatlib.stores.ears import call_in
from chatlib.stores.locks import Turnstile
from chatlib.stores.retention import Retention
from chatlib.stores.sqlite_file import Link
from chatlib.stores.sqlite_log import Batch
from chatlib.stores.store import NotKept, Unsure

MOST = 500  # jobs in one transaction

Job = Callable[[Batch], Any]
Outcome = tuple["asyncio.Future[Any]", Any, Exception | None]


@dataclass(eq=False)
class Waiting:
    """A job that waits for its transaction, and who waits for it."""

    job: Job
    result: "asyncio.Future[Any] | None"


class Writer:
    """Does jobs in transactions on one connection, in the order in which they came.

    Args:
        link: its connection.
        turnstile: held round each transaction, among all processes that write to the file.
        retention: how much of each room is kept.
        patience: for how many seconds a job waits for its turn.
        on_kept: called in the writer's thread with each batch that was committed.
    """

    def __init__(
        self,
        link: Link,
        turnstile: Turnstile,
        retention: Retention,
        patience: float,
        on_kept: Callable[[Batch], None],
    ) -> None:
        self._link = link
        self._turnstile = turnstile
        self._retention = retention
        self._patience = patience
        self._on_kept = on_kept
        self._waiting: deque[Waiting] = deque()
        self._closing = False
        self._ready = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="chatlib writer", daemon=True)
        self._thread.start()

    async def do(self, job: Job) -> Any:
        """Do `job` in one of the next transactions; return what it returns once that is committed.

        Cancelling it leaves the job where it is.

        Raises:
            NotKept: nothing of it is in the file: it was refused, or had no turn within `patience`.
            Unsure: the commit failed, or took more than `patience`.
        """
        result = asyncio.get_running_loop().create_future()
        waiting = Waiting(job, result)
        self._put(waiting)
        done, _ = await asyncio.wait([result], timeout=self._patience)
        if not done:
            with self._ready, contextlib.suppress(ValueError):
                self._waiting.remove(waiting)
                raise NotKept(f"the file was locked by others for {self._patience:g} seconds")
            done, _ = await asyncio.wait([result], timeout=self._patience)
        if not done:
            raise Unsure(f"the disk did not answer within {self._patience:g} seconds")
        return result.result()

    def submit(self, job: Job) -> None:
        """Do `job` in one of the next transactions, and tell nobody what became of it."""
        with contextlib.suppress(NotKept):
            self._put(Waiting(job, None))

    def _put(self, waiting: Waiting) -> None:
        with self._ready:
            if self._closing:
                raise NotKept("the store is closed")
            self._waiting.append(waiting)
            self._ready.notify()

    def close(self) -> None:
        """Do what waits, and end the thread. This blocks."""
        with self._ready:
            self._closing = True
            self._ready.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._ready:
                while not (self._waiting or self._closing):
                    self._ready.wait()
                if not self._waiting:
                    break
            with self._turnstile.turn():
                # What waits is taken now: what lost its patience before is not kept for sure.
                with self._ready:
                    number = min(MOST, len(self._waiting))
                    taken = [self._waiting.popleft() for _ in range(number)]
                if taken:
                    self._write(taken)
        with self._turnstile.turn():  # closing may checkpoint
            self._link.drop()

    def _write(self, taken: list[Waiting]) -> None:
        """Do the jobs that were `taken`, and tell those who wait."""
        error: Exception | None = None
        results: list[Any] = [None] * len(taken)
        try:
            batch, results = self._transaction([waiting.job for waiting in taken])
        except (NotKept, Unsure) as failure:
            error = failure
        else:
            self._on_kept(batch)
        by_loop: defaultdict[asyncio.AbstractEventLoop, list[Outcome]] = defaultdict(list)
        for waiting, result in zip(taken, results, strict=True):
            if waiting.result is not None:
                outcome = (waiting.result, result, error)
                by_loop[waiting.result.get_loop()].append(outcome)
        for loop, outcomes in by_loop.items():
            call_in(loop, settle, outcomes)

    def _transaction(self, jobs: list[Job]) -> tuple[Batch, list[Any]]:
        """Do `jobs`; return the batch and their results once it is committed."""
        committing = False
        try:
            connection = self._link.get()
            connection.execute("BEGIN IMMEDIATE")
            batch = Batch(connection, self._retention, time.time())
            results = [job(batch) for job in jobs]
            batch.finish()
            committing = True
            connection.execute("COMMIT")
        except (sqlite3.Error, OSError) as error:
            if committing and not self._rolled_back(error):
                self._link.drop()
                raise Unsure(f"the commit failed: {error}") from error
            self._roll_back()
            raise NotKept(f"the file refused it: {error}") from error
        return batch, results

    def _rolled_back(self, error: Exception) -> bool:
        """Return whether a commit that failed has certainly changed nothing."""
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        return code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY) and self._link.in_transaction

    def _roll_back(self) -> None:
        """End the transaction; what cannot is a connection that is of no use any more."""
        try:
            if self._link.in_transaction:
                self._link.get().execute("ROLLBACK")
        except (sqlite3.Error, OSError):
            self._link.drop()


def settle(outcomes: list[Outcome]) -> None:
    """Tell who waits what became of their jobs. In their event loop."""
    for future, result, error in outcomes:
        if future.done():
            continue  # cancelled
        if error is not None:
            future.set_exception(error)
            future.exception()  # whoever waited may have been cancelled: nobody has to look
        else:
            future.set_result(result)
