"""A store in the memory of one process. When that ends, all is gone, and cursors find out."""

import secrets
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable
from itertools import islice

from chatlib.stores.ears import Ears
from chatlib.stores.retention import DEFAULT, Retention, history_of, span
from chatlib.stores.store import (
    BEGINNING,
    LIMIT,
    START,
    Cursor,
    Durability,
    Ear,
    Entry,
    Page,
    Receipt,
    expect_message,
    expect_name,
    expect_part,
    next_tag,
)


class Log:
    """The messages of one room."""

    def __init__(self) -> None:
        self.entries: deque[Entry] = deque()
        self.times: deque[float] = deque()
        self.places: dict[str, Cursor] = {}  # of each key
        self.size = 0
        self.before = BEGINNING  # the tag of the place before the first entry
        self.head = START

    @property
    def first(self) -> int:
        return self.head.id + 1 - len(self.entries)

    def tag(self, number: int) -> str | None:
        """Return the tag of the message `number`, or of the place before the first one."""
        index = number - self.first
        if index == -1:
            return self.before
        return self.entries[index].tag if 0 <= index < len(self.entries) else None

    def append(self, key: str, body: bytes, now: float) -> Entry:
        """Keep a new message."""
        # A random beginning, so that no two rooms have one history.
        last = self.head.tag if self.head.id else secrets.token_hex(4)
        entry = Entry(self.head.id + 1, next_tag(last, body), key, body)
        self.entries.append(entry)
        self.times.append(now)
        self.head = self.places[key] = Cursor(entry.id, entry.tag)
        self.size += len(body)
        return entry

    def trim(self, retention: Retention, now: float) -> None:
        """Drop the oldest messages that `retention` does not allow."""
        while len(self.entries) > 1 and (
            len(self.entries) > retention.messages
            or self.size > retention.bytes
            or (retention.seconds is not None and now - self.times[0] > retention.seconds)
        ):
            entry = self.entries.popleft()
            self.times.popleft()
            del self.places[entry.key]
            self.size -= len(entry.body)
            self.before = entry.tag


class MemoryStore:
    """A `Store` in memory, for one process. From any event loop and thread.

    Args:
        retention: how much of each room is kept.
    """

    durable: Durability = "memory"
    lease: float | None = None

    def __init__(self, retention: Retention = DEFAULT) -> None:
        self.retention = retention
        self._logs: dict[str, Log] = {}
        self._people: dict[str, Counter[str]] = {}
        self._ears = Ears()
        self._lock = threading.RLock()  # an ear may call the store

    async def open(self) -> None:
        """Do nothing: memory is ready."""

    async def close(self) -> None:
        """Do nothing: what is kept stays as long as this object."""

    async def append(self, room: str, key: str, body: bytes) -> Receipt:
        """Keep `body`, as `Store.append` says."""
        expect_message(room, key, body)
        with self._lock:
            log = self._logs.get(room)
            if log is None:
                log = self._logs[room] = Log()
            elif (kept := log.places.get(key)) is not None:
                return Receipt(kept.id, kept.tag, True)
            now = time.monotonic()
            entry = log.append(key, body, now)
            log.trim(self.retention, now)
            self._ears.new(room, [entry])  # under the lock, so that ears hear them in order
        return Receipt(entry.id, entry.tag, False)

    async def read(
        self,
        room: str,
        *,
        after: Cursor | None = None,
        before: int | None = None,
        limit: int = LIMIT,
    ) -> Page:
        """Return a part of the log, as `Store.read` says."""
        expect_part(room, after, before)
        with self._lock:
            log = self._logs.get(room, EMPTY)
            first, head = log.first, log.head
            tag = log.tag(after.id) if after is not None else None
            history = history_of(after, first, head, tag)
            start, end = span(history, after, before, limit, first, head)
            entries = list(islice(log.entries, start - first, max(start, end) - first))
            place = Cursor(start - 1, log.tag(start - 1) or BEGINNING)
        return Page(entries, history, first, head, place)

    async def heads(self, rooms: Iterable[str]) -> dict[str, Cursor]:
        """Return the place of the newest message of each of `rooms`."""
        with self._lock:
            return {room: self._logs.get(room, EMPTY).head for room in rooms}

    async def hear(self, room: str, ear: Ear) -> None:
        """Have `ear` told of what happens in `room`."""
        expect_name("room", room)
        self._ears.add(room, ear)

    async def unhear(self, room: str, ear: Ear) -> None:
        """Have `ear` told nothing more of `room`."""
        self._ears.remove(room, ear)

    def shout(self, room: str, data: bytes) -> None:
        """Do nothing: there are no other processes."""

    async def enter(self, room: str, name: str) -> None:
        """Note one more connection of `name`."""
        expect_name("room", room)
        expect_name("name", name)
        with self._lock:
            self._people.setdefault(room, Counter())[name] += 1
        self._ears.people(room)

    async def leave(self, room: str, name: str) -> None:
        """Note one connection of `name` less."""
        with self._lock:
            people = self._people.get(room, Counter())
            if people[name] > 1:
                people[name] -= 1
            else:
                del people[name]
            if not people:
                self._people.pop(room, None)
        self._ears.people(room)

    async def people(self, room: str) -> dict[str, int]:
        """Return who is connected to `room`, and how often."""
        with self._lock:
            return dict(self._people.get(room, {}))

    async def check(self) -> None:
        """Do nothing: memory answers."""


EMPTY = Log()  # of a room without messages; nobody appends to it
