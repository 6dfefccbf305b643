"""What passes between the processes that share a file: rings, and looks where a ring was missed."""

import base64
import contextlib
import functools
import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from chatlib.stores.doorbell import RING_BYTES, Doorbell
from chatlib.stores.ears import Ears
from chatlib.stores.sqlite_file import Link
from chatlib.stores.sqlite_log import Batch, read_heads
from chatlib.stores.store import Cursor

if TYPE_CHECKING:
    from chatlib.stores.sqlite_writer import Writer

LOOK_SECONDS = 0.1  # between two looks at the file, where others ring
OFTEN_SECONDS = 0.005  # where they cannot
LIVES_SECONDS = 0.5  # between two looks at which processes live
SHOUT_BYTES = RING_BYTES // 2

WritePeople = Callable[[Batch, str], None]


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
        self._again = False
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="chatlib watch", daemon=True)

    def start(self, writer: "Writer", write_people: WritePeople) -> None:
        """Begin. `write_people` writes who is here, and forgets what it wrote under a name."""
        self._writer = writer
        self._write_people = write_people
        self._thread.start()

    def stop(self) -> None:
        """End the thread. This blocks."""
        self._stopping = True
        self._thread.join()

    def tell(self, batch: Batch) -> None:
        """Tell of what was committed. In the writer's thread."""
        for room, entries in batch.new.items():
            self._ears.new(room, entries)
        for room in batch.people:
            self._ears.people(room)
        news: dict[str, Any] = {}
        if batch.new:
            news["heads"] = {room: entries[-1][:2] for room, entries in batch.new.items()}
        if batch.people:
            news["people"] = sorted(batch.people)
        if news:
            data = json.dumps(news).encode()
            self._bell.ring(data if len(data) <= RING_BYTES else b"{}")

    def shout(self, room: str, data: bytes) -> None:
        """Tell other processes, at most once."""
        if len(data) > SHOUT_BYTES:
            raise ValueError(f"expected at most {SHOUT_BYTES} bytes to shout, got {len(data)}")
        text = base64.b64encode(data).decode("ascii")
        self._bell.ring(json.dumps({"shout": [room, text]}).encode())

    def write_people_again(self) -> None:
        """Have who is here written anew, as soon as it can be. In any thread."""
        self._again = True

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
            for room, (number, tag) in news.get("heads", {}).items():
                self._ears.head(room, Cursor(int(number), str(tag)))
            for room in news.get("people", ()):
                self._ears.people(room)
            if "shout" in news:
                room, text = news["shout"]
                self._ears.shout(room, base64.b64decode(text))
            return bool(news)
        except (ValueError, TypeError, AttributeError):
            return False  # whatever it is, it is no harm to look

    def _look(self) -> None:
        """Tell of messages that a ring may not have told of."""
        connection = self._link.get()
        data_version = connection.execute("PRAGMA data_version").fetchone()[0]
        version = (self._link.generation, data_version)
        if version == self._version:
            return
        rooms = self._ears.rooms
        heads = read_heads(connection, rooms)
        self._version = version
        for room, head in heads.items():
            if head != self._told.get(room):
                self._ears.head(room, head)
            self._ears.people(room)
        self._told = heads

    def _look_who_lives(self) -> None:
        """Forget the people of processes that have died; come back if this one's bell was lost."""
        old = self._bell.name
        if self._bell.replaced() or self._again:
            self._again = False
            self._writer.submit(lambda batch: self._write_people(batch, old))
        workers = self._link.get().execute("SELECT DISTINCT worker FROM people").fetchall()
        self._forget(worker for (worker,) in workers)

    def _forget(self, workers: Iterable[str]) -> None:
        for worker in workers:
            if not self._bell.lives(worker):
                self._writer.submit(functools.partial(Batch.bury, worker=worker))
                self._bell.sweep(worker)
