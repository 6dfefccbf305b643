"""What passes between the processes that share a file: rings, and looks where a ring was missed."""

import base64
import contextlib
import functools
import json
import sqlite3
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from chatlib.stores.doorbell import NO_WORDS, RING_BYTES, Doorbell
from chatlib.stores.ears import Calls, Ears
from chatlib.stores.sqlite_file import Link
from chatlib.stores.sqlite_log import ANY_OF, CHANGES, WORKERS, Batch, read_heads
from chatlib.stores.store import Cursor, Entry

if TYPE_CHECKING:
    from chatlib.stores.sqlite_writer import Writer

LOOK_SECONDS = 0.1  # between two looks at the file, where others ring
OFTEN_SECONDS = 0.005  # where they cannot
LIVES_SECONDS = 0.5  # between two looks at which processes live
SHOUT_BYTES = RING_BYTES // 2

WritePeople = Callable[[Batch], None]


class Watch:
    """Tells the ears of this process what others do, and the others what this one does.

    Args:
        bell: the bells.
        link: to the file, for the thread of this.
        ears: who is told.
    """

    def __init__(self, bell: Doorbell, link: Link, ears: Ears) -> None:
        self._bell = bell
        self._link = link
        self._ears = ears
        self._told: dict[str, Cursor] = {}  # how far the ears of each room were told
        self._version: tuple[int, int] | None = None
        self._generation = 1
        self._people: int | None = None  # how often people had changed at the last look
        self._asked = self._written = 0  # how often people were to be written anew, and were
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="chatlib watch", daemon=True)

    def start(self, writer: "Writer", write_people: WritePeople) -> None:
        """Begin. `write_people` writes who is here, and forgets what it wrote before."""
        self._writer = writer
        self._write_people = write_people
        with contextlib.suppress(sqlite3.Error, OSError):
            self._link.get()  # now: another file that is there later has another generation
        self._thread.start()

    def stop(self) -> None:
        """End the thread. This blocks."""
        self._stopping = True
        self._thread.join()

    def tell(self, batch: Batch, calls: Calls) -> None:
        """Tell others what was committed, and have `calls` tell the ears. In the writer's thread.

        Others first: the event loop of this process may hold up this thread once it is told.
        """
        self._written = max(self._written, batch.everybody)
        if batch.new or batch.people:
            self._bell.ring(functools.partial(ring_of, batch))
        for room, entries in batch.new.items():
            for ear, loop in self._ears.of(room):
                calls.add(loop, ear.new, entries)
        for room in batch.people:
            for ear, loop in self._ears.of(room):
                calls.add(loop, ear.people)

    def shout(self, room: str, data: bytes) -> None:
        """Tell other processes, at most once."""
        if len(data) > SHOUT_BYTES:
            raise ValueError(f"expected at most {SHOUT_BYTES} bytes to shout, got {len(data)}")
        self._bell.ring(lambda: json.dumps({"shout": [room, text_of(data)]}).encode())

    def write_people_again(self) -> None:
        """Have who is here written anew, as soon as it can be. In any thread."""
        self._asked += 1

    def _run(self) -> None:
        next_look = next_lives = 0.0
        while not self._stopping:
            rings = self._bell.wait(LOOK_SECONDS if self._bell.rings else OFTEN_SECONDS)
            look = [True for data in rings if not self._heard(data)]
            self._writer.expire()
            now = time.monotonic()
            if look or now >= next_look:
                next_look = now + (LOOK_SECONDS if self._bell.rings else OFTEN_SECONDS)
                # What cannot be read now is looked for again, and `check` tells of it.
                with contextlib.suppress(sqlite3.Error, OSError):
                    self._look()
            if now >= next_lives:
                next_lives = now + LIVES_SECONDS
                with contextlib.suppress(sqlite3.Error, OSError):
                    self._look_who_lives()
        self._link.drop()

    def _heard(self, data: bytes) -> bool:
        """Tell what a ring says; return whether it says anything."""
        try:
            news = json.loads(data)
            for room, messages in news.get("new", {}).items():
                if entries := [entry_of(*each) for each in messages]:
                    self._ears.new(room, entries)
            for room, (number, tag) in news.get("heads", {}).items():
                self._ears.head(room, Cursor(int(number), str(tag)))
            for room in news.get("people", ()):
                self._ears.people(room)
            if "shout" in news:
                room, text = news["shout"]
                self._ears.shout(room, bytes_of(text))
            return bool(news)
        except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
            return False  # whatever it is, it is no harm to look

    def _look(self) -> None:
        """Tell of messages that a ring may not have told of."""
        connection = self._link.get()
        data_version = connection.execute("PRAGMA data_version").fetchone()[0]
        version = (self._link.generation, data_version)
        if version == self._version:
            return
        heads = read_heads(connection, self._ears.rooms)
        (people,) = connection.execute(CHANGES).fetchone()
        if self._generation != version[0]:  # it is another file
            self._generation = version[0]
            self.write_people_again()
        for room, head in heads.items():
            if head != self._told.get(room):
                self._ears.head(room, head)
            if people != self._people:
                self._ears.people(room)
        self._version, self._told, self._people = version, heads, people

    def _look_who_lives(self) -> None:
        """Forget the people of processes that have died; come back if this one's bell was lost."""
        connection = self._link.get()
        try:
            placed = True
            if self._bell.replaced():
                self.write_people_again()
        except OSError:  # something else is in its place: others may take this process for dead
            placed = False
            if connection.execute(ANY_OF, (self._bell.name,)).fetchone() is None:
                self.write_people_again()
        if self._written < self._asked:
            self._writer.submit(functools.partial(self._write_everybody, asked=self._asked))
        if not placed:  # it cannot tell who is dead
            return
        for worker in self._bell.dead():
            self._bell.sweep(worker)
        for (worker,) in connection.execute(WORKERS).fetchall():
            if not self._bell.lives(worker):
                self._writer.submit(functools.partial(Batch.bury, worker=worker))

    def _write_everybody(self, batch: Batch, asked: int) -> None:
        self._write_people(batch)
        batch.everybody = asked


def ring_of(batch: Batch) -> bytes:
    """Return what others are told of a batch: its messages, or if those are long, up to where."""
    people = sorted(batch.people)
    size = sum(len(entry.body) for entries in batch.new.values() for entry in entries)
    if size < RING_BYTES // 2:
        new = {
            room: [(entry.id, entry.tag, entry.key, text_of(entry.body)) for entry in entries]
            for room, entries in batch.new.items()
        }
        data = json.dumps({"new": new, "people": people}).encode()
        if len(data) <= RING_BYTES:
            return data
    heads = {room: entries[-1][:2] for room, entries in batch.new.items()}
    data = json.dumps({"heads": heads, "people": people}).encode()
    return data if len(data) <= RING_BYTES else NO_WORDS


def entry_of(number: int, tag: str, key: str, body: str) -> Entry:
    """Return a message that a ring tells of. `TypeError` or `ValueError` if it is none."""
    return Entry(int(number), str(tag), str(key), bytes_of(body))


def text_of(data: bytes) -> str:
    """Return bytes as JSON can express them."""
    return base64.b64encode(data).decode("ascii")


def bytes_of(text: str) -> bytes:
    """Return the bytes that `text_of` made a text of. `ValueError` if it is none."""
    return base64.b64decode(text)
