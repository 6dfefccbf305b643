"""The tables of the SQLite store, and what is done with them in one transaction."""

import secrets
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from chatlib.stores.retention import Retention, history_of, span
from chatlib.stores.store import BEGINNING, START, Cursor, Entry, Page, Receipt, next_tag

APPLICATION = 0x63686174  # "chat", in the header of the file
VERSION = 1
BITE = 100  # how many messages one append drops at most: trimming a whole room would take long
ROWS = 64  # how many messages one statement inserts at most

SCHEMA = f"""
BEGIN IMMEDIATE;
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {VERSION};
CREATE TABLE IF NOT EXISTS rooms(
    room TEXT PRIMARY KEY, head INTEGER, tag TEXT, first INTEGER, first_tag TEXT, bytes INTEGER
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS messages(
    room TEXT, id INTEGER, key TEXT, tag TEXT, body BLOB, at REAL, PRIMARY KEY (room, id)
) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS message_of_key ON messages(room, key);
CREATE TABLE IF NOT EXISTS people(
    room TEXT, name TEXT, worker TEXT, connections INTEGER, PRIMARY KEY (room, name, worker)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS changes(id INTEGER PRIMARY KEY, people INTEGER);
INSERT OR IGNORE INTO changes VALUES (1, 0);
COMMIT;
"""
ROOM = "SELECT head, tag, first, first_tag, bytes FROM rooms WHERE room = ?"
KEEP_ROOM = "INSERT OR REPLACE INTO rooms VALUES (?, ?, ?, ?, ?, ?)"
KEEP = "INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?)"
KEEP_ALL = [KEEP + ", (?, ?, ?, ?, ?, ?)" * more for more in range(ROWS)]  # one row, two …
KEPT = "SELECT id, tag FROM messages WHERE room = ? AND key = ?"
OLDEST = """SELECT id, tag, length(body), at FROM messages
    WHERE room = ? AND id < ? ORDER BY id LIMIT ?"""
DROP = "DELETE FROM messages WHERE room = ? AND id < ?"
TAG = "SELECT tag FROM messages WHERE room = ? AND id = ?"
# A body that was changed by hand may be text.
ENTRIES = """SELECT id, tag, key, CAST(body AS BLOB) FROM messages
    WHERE room = ? AND id >= ? AND id < ? ORDER BY id"""
ENTER = "INSERT OR REPLACE INTO people VALUES (?, ?, ?, ?)"
LEAVE = "DELETE FROM people WHERE room = ? AND name = ? AND worker = ?"
ROOMS_OF = "SELECT DISTINCT room FROM people WHERE worker = ?"
ANY_OF = "SELECT 1 FROM people WHERE worker = ? LIMIT 1"
WORKERS = "SELECT DISTINCT worker FROM people"
CHANGED = "UPDATE changes SET people = people + 1"
CHANGES = "SELECT people FROM changes"  # how often people have come or left
BURY = "DELETE FROM people WHERE worker = ?"
PEOPLE = "SELECT name, worker, connections FROM people WHERE room = ? ORDER BY name"


Message = tuple[str, str, bytes]  # room, key, body


@dataclass(slots=True)
class RoomState:
    """A row of the table of rooms."""

    head: int = 0
    tag: str = BEGINNING
    first: int = 1
    first_tag: str = BEGINNING  # of the place before the first message
    size: int = 0

    def add(self, key: str, body: bytes) -> Entry:
        """Return the entry of one more message, and count it."""
        # A random beginning, so that no two rooms have one history.
        last = self.tag if self.head else secrets.token_hex(4)
        self.head, self.tag = self.head + 1, next_tag(last, body)
        self.size += len(body)
        return Entry(self.head, self.tag, key, body)


@dataclass
class Batch:
    """What is written in one transaction, and what there is to tell of it.

    Attributes:
        new: the messages of each room that are new.
        people: the rooms whose people have changed.
        everybody: how often it had been asked for, if who is here is written anew.
    """

    connection: sqlite3.Connection
    retention: Retention
    now: float
    new: dict[str, list[Entry]] = field(default_factory=dict)
    people: set[str] = field(default_factory=set)
    everybody: int = 0
    _rooms: dict[str, RoomState] = field(default_factory=dict)

    def append(self, messages: Sequence[Message]) -> list[Receipt]:
        """Keep messages, save those whose key is kept already; return where each of them is."""
        receipts: list[Receipt] = []
        for start in range(0, len(messages), ROWS):
            some = messages[start : start + ROWS]
            receipts += self._append_new(some) or [self._append_one(*each) for each in some]
        return receipts

    def _append_new(self, messages: Sequence[Message]) -> list[Receipt] | None:
        """Keep messages if all are new; else keep none, and return None.

        One statement takes less time than one for each, and SQLite undoes it as a whole.
        """
        states = {room: replace(self._state(room)) for room in {room for room, _, _ in messages}}
        receipts: list[Receipt] = []
        values: list[Any] = []
        entries: dict[str, list[Entry]] = {room: [] for room in states}
        for room, key, body in messages:
            entry = states[room].add(key, body)
            entries[room].append(entry)
            values += (room, entry.id, key, entry.tag, body, self.now)
            receipts.append(Receipt(entry.id, entry.tag, False))
        try:
            self.connection.execute(KEEP_ALL[len(messages) - 1], values)
        except sqlite3.IntegrityError:
            return None
        self._rooms |= states
        for room, of_room in entries.items():
            self.new.setdefault(room, []).extend(of_room)
        return receipts

    def _append_one(self, room: str, key: str, body: bytes) -> Receipt:
        kept = self.connection.execute(KEPT, (room, key)).fetchone()
        if kept is not None:
            return Receipt(kept[0], kept[1], True)
        entry = self._state(room).add(key, body)
        self.connection.execute(KEEP, (room, entry.id, key, entry.tag, body, self.now))
        self.new.setdefault(room, []).append(entry)
        return Receipt(entry.id, entry.tag, False)

    def _state(self, room: str) -> RoomState:
        state = self._rooms.get(room)
        if state is None:
            row = self.connection.execute(ROOM, (room,)).fetchone()
            state = self._rooms[room] = RoomState(*row) if row else RoomState()
        return state

    def finish(self) -> None:
        """Trim the rooms that have new messages, and write what changed about them."""
        for room in self.new:
            state = self._rooms[room]
            self._trim(room, state)
            row = (room, state.head, state.tag, state.first, state.first_tag, state.size)
            self.connection.execute(KEEP_ROOM, row)
        if self.people:
            self.connection.execute(CHANGED)

    def _trim(self, room: str, state: RoomState) -> None:
        """Drop the oldest messages that are not to be kept, a bite of them at a time."""
        keep = self.retention
        surplus = state.head + 1 - state.first - keep.messages
        # Now and then, some at a time: that costs less.
        if (
            surplus <= min(BITE, keep.messages // 100)
            and state.size <= keep.bytes
            and keep.seconds is None
        ):
            return
        bite = BITE + len(self.new[room])
        first = state.first
        oldest = self.connection.execute(OLDEST, (room, state.head, bite)).fetchall()
        for number, tag, size, at in oldest:
            too_old = keep.seconds is not None and self.now - at > keep.seconds
            if surplus <= 0 and state.size <= keep.bytes and not too_old:
                break
            state.first, state.first_tag = number + 1, tag
            state.size -= size
            surplus -= 1
        if state.first > first:
            self.connection.execute(DROP, (room, state.first))

    def set_person(self, room: str, name: str, worker: str, connections: int) -> None:
        """Note how many connections a person has to `worker`."""
        if connections:
            self.connection.execute(ENTER, (room, name, worker, connections))
        else:
            self.connection.execute(LEAVE, (room, name, worker))
        self.people.add(room)

    def bury(self, worker: str) -> None:
        """Forget the people of a worker that has ended."""
        rows = self.connection.execute(ROOMS_OF, (worker,))
        self.people.update(room for (room,) in rows)
        self.connection.execute(BURY, (worker,))


def read_page(
    connection: sqlite3.Connection,
    room: str,
    after: Cursor | None,
    before: int | None,
    limit: int,
) -> Page:
    """Return a part of a room's log, in a transaction of its own."""
    connection.execute("BEGIN")
    try:
        row = connection.execute(ROOM, (room,)).fetchone()
        state = RoomState(*row) if row else RoomState()

        def tag_at(number: int) -> str | None:
            if number == state.first - 1:
                return state.first_tag
            found = connection.execute(TAG, (room, number)).fetchone()
            return str(found[0]) if found else None

        tag = tag_at(after.id) if after is not None and after.id <= state.head else None
        head = Cursor(state.head, state.tag)
        history = history_of(after, state.first, head, tag)
        start, end = span(history, after, before, limit, state.first, head)
        entries = [Entry(*each) for each in connection.execute(ENTRIES, (room, start, end))]
        place = Cursor(start - 1, tag_at(start - 1) or BEGINNING)
        return Page(entries, history, state.first, head, place)
    finally:
        connection.execute("COMMIT")


def read_heads(connection: sqlite3.Connection, rooms: Iterable[str]) -> dict[str, Cursor]:
    """Return the place of the newest message of each of `rooms`."""
    connection.execute("BEGIN")
    try:
        rows = {room: connection.execute(ROOM, (room,)).fetchone() for room in rooms}
    finally:
        connection.execute("COMMIT")
    return {room: Cursor(row[0], row[1]) if row else START for room, row in rows.items()}
