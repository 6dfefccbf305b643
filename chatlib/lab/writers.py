"""Two processes that append to one SQLite file as fast as they can, and how they take turns."""

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from chatlib.stores.locks import Turnstile

SECONDS = 1.0  # how long a round lasts
LEAD_SECONDS = 0.1  # from the order to begin until both begin
PATIENCE_SECONDS = 30.0  # SQLite's busy_timeout: nobody gives up within a round
NAMES = ("writer 1", "writer 2")
OWN, TURNSTILE = "SQLite's own waiting", "the turnstile"


@dataclass
class Round:
    """What came of two writers that wrote for a second.

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
        RuntimeError: a writer failed. The message is the last line that it wrote.
    """
    rounds = int(os.environ.get("CHATLIB_ROUNDS", "3")) if rounds is None else rounds
    came: dict[str, list[Round]] = {OWN: [], TURNSTILE: []}
    with contextlib.ExitStack() as stack:
        writers = {name: stack.enter_context(Writer()) for name in NAMES}
        for way in [way for _ in range(rounds) for way in came]:
            with tempfile.TemporaryDirectory() as folder:
                path = str(Path(folder, "chat.db"))
                opened(path).close()
                for writer in writers.values():
                    writer.order(way, path, time.time() + LEAD_SECONDS, seconds)
                spans = {name: writer.answer() for name, writer in writers.items()}
            came[way].append(
                Round(
                    {name: [end for _, end in those] for name, those in spans.items()},
                    {name: 1000 * max(b - a for a, b in those) for name, those in spans.items()},
                )
            )
    return came


class Writer:
    """A process that writes when it is told to. A context manager, which ends it."""

    def __enter__(self) -> "Writer":
        self._errors = tempfile.TemporaryFile("w+")
        self._process = subprocess.Popen(
            [sys.executable, "-c", "from chatlib.lab.writers import main; main()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def order(self, way: str, path: str, start: float, seconds: float) -> None:
        """Have it write to the file at `path` from the time `start` on."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([way, path, start, seconds]) + "\n")
        self._process.stdin.flush()

    def answer(self) -> list[tuple[float, float]]:
        """Return when each of its appends began and ended."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._errors.seek(0)
            raise RuntimeError(f"a writer failed: {self._errors.read().strip().splitlines()[-1:]}")
        return [(began, ended) for began, ended in json.loads(line)]


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
    """Write as each line of stdin says, until its end."""
    for line in sys.stdin:
        way, path, start, seconds = json.loads(line)
        turnstile = Turnstile(path)
        turn = turnstile.turn if way == TURNSTILE else contextlib.nullcontext
        with contextlib.closing(opened(path)) as connection:
            spans = write(connection, turn, start, seconds)
        turnstile.close()
        print(json.dumps(spans), flush=True)
