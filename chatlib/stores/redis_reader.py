"""Reading the logs that are kept in Redis, and who is connected."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from redis.asyncio import Redis

from chatlib.stores.redis_place import Place, script
from chatlib.stores.retention import history_of
from chatlib.stores.store import BEGINNING, START, Cursor, Entry, Page

MOST_ID = 2**63
SOME = 500  # rooms whose heads are asked for in one call

Rows = list[tuple[bytes, list[bytes]]]


class Known(NamedTuple):
    """What is known of a log: its newest message, its oldest one, and the tag before that."""

    head: Cursor = START
    first: int = 1
    before: str = BEGINNING


class Reader:
    """Reads what `append.lua` has written.

    Args:
        place: where Redis is.
        client: connections to it.
    """

    def __init__(self, place: Place, client: Redis) -> None:
        self._place = place
        self._client = client
        self._heads = client.register_script(script("heads").text)
        self._page = client.register_script(script("page").text)
        self._people = client.register_script(script("people").text)

    async def drop(self) -> None:
        """Close all connections. New ones lead to where the address leads now."""
        await self._client.connection_pool.disconnect()

    async def heads(self, rooms: Sequence[str]) -> dict[str, Cursor]:
        """Return the place of the newest message of each of `rooms`."""
        found: dict[str, Cursor] = {}
        for start in range(0, len(rooms), SOME):
            some = rooms[start : start + SOME]
            keys = [key for room in some for key in self._place.keys(room)[1::-1]]
            words = await self._heads(keys=keys)
            for room, number, tag in zip(some, words[::2], words[1::2], strict=True):
                found[room] = Cursor(int(number), tag.decode())
        return found

    async def people(self, room: str) -> dict[str, int]:
        """Return who is connected to `room`, and how often."""
        some, workers = self._place.people(room, "")
        rows = await self._people(keys=[workers, self._place.leases], args=[some])
        found: Counter[str] = Counter()
        for name, connections in zip(rows[::2], rows[1::2], strict=True):
            found[name.decode()] += int(connections)
        return dict(found)

    async def page(self, room: str, after: Cursor | None, before: int | None, limit: int) -> Page:
        """Return a part of a room's log, as it was at one moment."""
        if after is None:
            return await self._newest(room, before, limit)
        least = f"{min(after.id, MOST_ID)}-0"
        known, rows = await self._ask(room, "XRANGE", least, "+", max(1, limit))
        entries = entries_of(rows)
        tag: str | None = None
        if after.id == known.first - 1:
            tag = known.before
        elif entries and entries[0].id == after.id:
            tag = entries[0].tag
        history = history_of(after, known.first, known.head, tag)
        if history == "diverged":
            page = await self._newest(room, None, limit)
            return page._replace(history="diverged")
        if entries and entries[0].id == after.id:
            del entries[0]
        place = after if history == "complete" else Cursor(known.first - 1, known.before)
        if not entries and place.id < known.head.id:
            history, place = "trimmed", known.head
        elif entries and place.id + 1 < entries[0].id:
            history, place = "trimmed", Cursor(entries[0].id - 1, BEGINNING)
        return Page(unbroken(entries)[:limit], history, known.first, known.head, place)

    async def _newest(self, room: str, before: int | None, limit: int) -> Page:
        """Return the last entries, or the last ones before an id."""
        most = "+" if before is None else f"{max(0, min(before, MOST_ID) - 1)}-0"
        known, rows = await self._ask(room, "XREVRANGE", most, "-", limit)
        entries = unbroken(entries_of(rows))
        place = Cursor(known.first - 1, known.before)
        if len(entries) > limit:
            place = Cursor(*entries[limit][:2])
        elif entries and entries[-1].id > known.first:
            place = Cursor(entries[-1].id - 1, BEGINNING)
        return Page(entries[:limit][::-1], "new", known.first, known.head, place)

    async def _ask(
        self, room: str, command: str, start: str, end: str, limit: int
    ) -> tuple[Known, Rows]:
        """Return what is known of a log, and one entry more than the limit, at one moment."""
        arguments: list[str | int] = [command, start, end, limit + 1]
        there, known, oldest, rows = await self._page(keys=self._place.keys(room), args=arguments)
        if there < 3:  # nothing was ever written, or Redis has evicted a part of it
            return Known(), []
        head, tag, first, before = known
        newest = Cursor(int(head), tag.decode())
        rows = [row for row in rows if number_of(row[0]) <= newest.id]  # others are somebody else's
        if not oldest:  # all were removed by hand
            return Known(newest, newest.id + 1, newest.tag), rows
        if number_of(oldest) > int(first):  # some were
            return Known(newest, number_of(oldest), BEGINNING), rows
        return Known(newest, int(first), before.decode()), rows


def unbroken(entries: list[Entry]) -> list[Entry]:
    """Return those up to the first gap: somebody may have removed messages by hand."""
    for index, (one, next_one) in enumerate(pairwise(entries)):
        if abs(next_one.id - one.id) != 1:
            return entries[: index + 1]
    return entries


def entries_of(rows: Rows) -> list[Entry]:
    """Return the entries that a range of a stream has."""
    return [entry_of(number, fields) for number, fields in rows]


def entry_of(number: bytes, words: list[bytes]) -> Entry:
    """Return an entry as `append.lua` has written it."""
    fields = dict(zip(words[::2], words[1::2], strict=True))
    tag, key = fields[b"tag"].decode(), fields[b"key"].decode()
    return Entry(number_of(number), tag, key, fields[b"body"])


def number_of(place: bytes) -> int:
    """Return the id of a message, of which Redis says `7-0`."""
    return int(place.partition(b"-")[0])
