"""Two processes that append to one SQLite file as fast as they can, and how they take turns."""

import contextlib
import json
import os
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from chatlib.lab.child import Child
from chatlib.stores.locks import Turnstile

SECONDS = 0.5  # how long a round lasts
LEAD_SECONDS = 0.1  # from the order to begin until both begin
PATIENCE_SECONDS = 30.0  # SQLite's busy_timeout: nobody gives up within a round
NAMES = ("writer 1", "writer 2")
OWN, TURNSTILE = "SQLite's own waiting", "the turnstile"


@dataclass
class Round:
    """What came of two writers that wrote at the same time.

    Attributes:
        kept: when each of them had appended a message, in seconds from the beginning.
        longest: how long each of them waited for its slowest append, in milliseconds.
    """

    kept: dict[str, list[float]]
    longest: dict[str, float]


def compare(rounds: int | None = None, seconds: float = SECONDS) -> dict[str, list[Round]]:
    """Return the rounds of each way to wait for one's turn. The two ways take turns.

    Without `rounds` there are three, or as many as the variable CHATLIB_ROUNDS says.

    Raises:
        ChildError: a writer failed. The message is the last line that it wrote.
    """
    rounds = int(os.environ.get("CHATLIB_ROUNDS", "3")) if rounds is None else rounds
    came: dict[str, list[Round]] = {OWN: [], TURNSTILE: []}
    writers = {name: Child("from chatlib.lab.writers import main; main()") for name in NAMES}
    try:
        for writer in writers.values():
            writer.answer()  # it is ready: the first round begins for both at once, too
        for way in [way for _ in range(rounds) for way in came]:
            came[way].append(one_round(writers, way, seconds))
    finally:
        for writer in writers.values():
            writer.kill()
    return came


def one_round(writers: dict[str, Child], way: str, seconds: float) -> Round:
    """Have `writers` write to a new file, at the same time."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "chat.db"))
        opened(path).close()
        start = time.time() + LEAD_SECONDS
        for writer in writers.values():
            writer.order([way, path, start, seconds])
        spans = {name: writer.answer() for name, writer in writers.items()}
    return Round(
        {name: [end for _, end in those] for name, those in spans.items()},
        {name: 1000 * max(end - began for began, end in those) for name, those in spans.items()},
    )


def opened(path: str) -> sqlite3.Connection:
    """Return a connection to the file at `path`, as the store of chatlib opens it."""
    connection = sqlite3.connect(path, timeout=PATIENCE_SECONDS, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE IF NOT EXISTS messages(text)")
    return connection


def append(connection: sqlite3.Connection) -> None:
    """Append a message, and have it on the disk."""
    connection.execute("BEGIN IMMEDIATE")  # SQLite waits here if somebody else writes
    connection.execute("INSERT INTO messages VALUES ('Hello')")
    connection.execute("COMMIT")


def write(
    connection: sqlite3.Connection,
    turn: Callable[[], AbstractContextManager[object]],
    start: float,
    seconds: float,
) -> list[tuple[float, float]]:
    """Append as fast as can be, for `seconds`; return when each append began and ended."""
    spans = []
    time.sleep(max(0.0, start - time.time()))
    began = now = time.perf_counter()
    while now - began < seconds:
        before = now
        with turn():
            append(connection)
        now = time.perf_counter()
        spans.append((before - began, now - began))
    return spans


def main() -> None:
    """Say that it is ready. Then write as each line of stdin says, until its end."""
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        way, path, start, seconds = json.loads(line)
        turnstile = Turnstile(path)
        turn = turnstile.turn if way == TURNSTILE else contextlib.nullcontext
        with contextlib.closing(opened(path)) as connection:
            spans = write(connection, turn, start, seconds)
        turnstile.close()
        print(json.dumps(spans), flush=True)
