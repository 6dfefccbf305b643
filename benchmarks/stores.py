"""What it costs to keep messages in a file: `python -m benchmarks.stores` prints the tables.

Candidates run in turn, round after round, so that what else the machine does hits them alike. A
ratio is the median of each round's ratio, with the least and the most of them. Event loop and
garbage collector are those of `python -m chatlib`. The disk is that of the folder of temporary
files: `TMPDIR` chooses another one.
"""

import argparse
import asyncio
import contextlib
import gc
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import uvloop

from benchmarks.places import new_store
from benchmarks.process import cpu_of
from benchmarks.tables import GOAL_HEADS, goal_row, table
from chatlib.__main__ import GC_THRESHOLDS
from chatlib.stores import store_at
from chatlib.stores.sqlite_log import KEEP, SCHEMA
from chatlib.stores.store import Cursor, Entry

BODY = b"x" * 130
IN_FLIGHT = 32
ROUNDS = 5
SECONDS = 2.0
HEARD = 500  # messages that another process hears
IDLE_SECONDS = 10.0


def key_of(number: int) -> str:
    """Return a key as the client makes it: it begins with the time."""
    return f"{time.time_ns():x}-{number}"


def plain_loop(path: Path, seconds: float) -> float:
    """Write the same rows to the same tables, 32 in a commit; return how many a second.

    Nothing is looked up, nobody waits, and there are no threads.
    """
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.executescript(SCHEMA)
        number, began = 0, time.perf_counter()
        while time.perf_counter() - began < seconds:
            connection.execute("BEGIN IMMEDIATE")
            for _ in range(IN_FLIGHT):
                number += 1
                row = ("lobby", number, key_of(number), "0123abcd", BODY, time.time())
                connection.execute(KEEP, row)
            connection.execute("COMMIT")
        return number / (time.perf_counter() - began)


async def append(address: str, seconds: float, in_flight: int = IN_FLIGHT) -> tuple[float, float]:
    """Append with so many tasks; return how many messages a second, and the longest wait."""
    store = store_at(address)
    await store.open()
    number, longest, end = 0, 0.0, time.perf_counter() + seconds

    async def task() -> None:
        nonlocal number, longest
        while (began := time.perf_counter()) < end:
            number += 1
            await store.append("lobby", key_of(number), BODY)
            longest = max(longest, time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*(task() for _ in range(in_flight)))
    rate = number / (time.perf_counter() - began)
    await store.close()
    return rate, longest


@contextlib.contextmanager
def other_process(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run this module with `arguments` in another process."""
    command = [sys.executable, "-m", "benchmarks.stores", *arguments]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as popen:
        try:
            yield popen
        finally:
            popen.kill()


def answer(popen: subprocess.Popen[str]) -> list[float]:
    """Return the numbers of the next line that a process prints."""
    assert popen.stdout is not None
    return [float(number) for number in popen.stdout.readline().split()]


def two_processes(address: str, seconds: float) -> list[tuple[float, float]]:
    """Append with two processes at a time; return what `append` does for each."""
    arguments = ("append", address, str(seconds))
    with other_process(*arguments) as one, other_process(*arguments) as two:
        answers = [answer(each) for each in (one, two)]
    return [(rate, longest) for rate, longest in answers]


class Ear:
    """An ear that notes when the log has reached which message."""

    def __init__(self) -> None:
        self.reached: dict[int, float] = {}
        self.news = asyncio.Event()

    def new(self, entries: Sequence[Entry]) -> None:
        self.head(Cursor(entries[-1].id, entries[-1].tag))

    def head(self, cursor: Cursor) -> None:
        self.reached.setdefault(cursor.id, time.perf_counter())
        self.news.set()

    def resync(self) -> None:
        pass

    def people(self) -> None:
        pass

    def shout(self, data: bytes) -> None:
        pass


async def hear(address: str) -> list[float]:
    """Return how many milliseconds after an append began another process hears of it, each."""
    store, ear = store_at(address), Ear()
    await store.open()
    await store.hear("lobby", ear)
    waits = []
    with other_process("publish", address) as publisher:
        assert publisher.stdin is not None
        for _ in range(HEARD):
            publisher.stdin.write("\n")
            publisher.stdin.flush()
            began, number = await asyncio.to_thread(answer, publisher)
            while int(number) not in ear.reached:
                ear.news.clear()
                await ear.news.wait()
            waits.append(1000 * (ear.reached[int(number)] - began))
    await store.close()
    return waits


async def publish(address: str) -> None:
    """Append a message for each line on stdin; print when that began, and its id.

    The clock is one for all processes, on Linux at least.
    """
    store = store_at(address)
    await store.open()
    while await asyncio.to_thread(sys.stdin.readline):
        began = time.perf_counter()
        receipt = await store.append("lobby", key_of(0), BODY)
        print(began, receipt.id, flush=True)
    await store.close()


def idle(address: str) -> float:
    """Return which part of a core two idle processes take together."""
    with other_process("sleep", address) as one, other_process("sleep", address) as two:
        for each in (one, two):
            answer(each)
        before = sum(cpu_of(each.pid) for each in (one, two))
        time.sleep(IDLE_SECONDS)
        after = sum(cpu_of(each.pid) for each in (one, two))
    return (after - before) / IDLE_SECONDS


async def sleep(address: str) -> None:
    """Hold a store open, and listen to a room."""
    store = store_at(address)
    await store.open()
    await store.hear("lobby", Ear())
    print(0, flush=True)
    await asyncio.Event().wait()


def measure(rounds: int, seconds: float) -> None:
    """Measure, and print the table."""
    ratios, sums, shares, longest, rates = [], [], [], [], []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            plain = plain_loop(Path(folder, "plain.db"), seconds)
        with new_store("sqlite") as address:
            one, _ = uvloop.run(append(address, seconds))
        with new_store("sqlite") as address:
            two = two_processes(address, seconds)
        rates.append(one)
        ratios.append(one / plain)
        sums.append(sum(rate for rate, _ in two) / one)
        shares.append(min(rate for rate, _ in two) / one)
        longest.append(1000 * max(wait for _, wait in two))
    with new_store("sqlite") as address:
        waits = sorted(uvloop.run(hear(address)))
    with new_store("sqlite") as address:
        load = idle(address)
    rows = [
        goal_row(f"appends a second, {IN_FLIGHT} in flight", rates, "", 0),
        goal_row("the same, as a share of a plain loop", ratios, "≥ 0.5"),
        goal_row("two processes, sum as a share of one", sums, "≥ 0.9"),
        goal_row("the slower of them, as a share of one", shares, "≥ 0.4"),
        goal_row("the longest append of the two, ms", longest, "≤ 50", 0, max),
        goal_row("heard by another process after, ms: median", [statistics.median(waits)], ""),
        goal_row("99 of 100 within, ms", [waits[int(len(waits) * 0.99)]], ""),
        goal_row("two idle processes, % of a core", [100 * load], "≤ 1", 1),
    ]
    heads = [f"SQLite, on the disk at each commit, {rounds} rounds", *GOAL_HEADS[1:]]
    print(table(heads, rows))


def main() -> None:
    """Measure, or be the other process."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stores", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    roles = {"append": append, "publish": publish, "sleep": sleep}
    parser.add_argument("role", nargs="*", help=argparse.SUPPRESS)
    given = parser.parse_args()
    gc.set_threshold(*GC_THRESHOLDS)
    if not given.role:
        measure(given.rounds, given.seconds)
        return
    role, address, *more = given.role
    result = uvloop.run(roles[role](address, *map(float, more)))  # type: ignore[operator]
    if result is not None:
        print(*result, flush=True)


if __name__ == "__main__":
    main()
