"""A room of a store in this process: its newest messages, and the members that hear it live.

The store's log is the truth. Whatever says that there is more in it (an append of this process, a
ring of another one, a look at the heads) ends in `take` or `head`: what is known is dropped, what
is next is published, and a jump is read up. So a hint may come twice, late, or not at all.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice

from fastapi import WebSocket

from chatlib.core.frames import encode
from chatlib.core.hub.guest import ChangedError, Guest
from chatlib.core.hub.liveroom import LiveRoom, send_away
from chatlib.core.hub.presence import Presence
from chatlib.core.line import Own
from chatlib.core.log import log_of
from chatlib.core.ring import cost
from chatlib.core.taskline import line_of
from chatlib.stores.store import START, Cursor, Entry, History, Page, Store, next_tag

RECENT_BYTES = 256 * 1024  # of frames that are kept for those who come back
PAGE = 200

Render = Callable[[str, Entry], str]


class Feed:
    """A room of `store`, for the members that this process serves. An `Ear` of the store.

    Args:
        name: of the room.
        store: where its messages are.
        render: makes of an entry the text that members get, of a damaged one too: it never raises.
        limit: how many bytes may wait for a member.

    Attributes:
        room: the members.
        presence: who they are.
        cursor: up to where the members have been told.
        ready: whether it has begun.
        users: how many use this feed: members, and those who are about to be.
    """

    def __init__(
        self,
        name: str,
        store: Store,
        render: Render,
        limit: int,
    ) -> None:
        self.name = name
        self.store = store
        self.render = render
        self.room = LiveRoom(limit, name)
        self.presence = Presence(name, store, lambda text: self.room.post(encode(text)))
        self.cursor: Cursor = START
        self.ready = False
        self.users = 0
        self._recent: deque[tuple[Cursor, bytes]] = deque()  # up to the cursor, without gaps
        self._before = START  # the place before the first of them
        self._recent_bytes = 0
        self._started: asyncio.Task[None] | None = None
        self._repairing: asyncio.Task[None] | None = None
        self._doubt = False  # whether there was a hint since the last read began
        self._closing: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen to the store, from its newest message on. Harmless a second time."""
        if self._started is None:
            self._started = asyncio.create_task(self._start())
        await asyncio.shield(self._started)

    async def _start(self) -> None:
        await self.store.hear(self.name, self)  # first, so that nothing falls between
        head = (await self.store.heads([self.name]))[self.name]
        await self.presence.load()
        self.cursor = self._before = head
        self.ready = True
        if self._doubt:
            self.repair()

    async def stop(self) -> None:
        """Listen no more."""
        self.presence.stop()
        for task in (self._started, self._repairing):
            if task is not None:
                task.cancel()
        await self.store.unhear(self.name, self)

    def new(self, entries: Sequence[Entry]) -> None:
        """Take messages that were appended, in this process or another."""
        for entry in entries:
            if self.ready and self._follows(entry) and self._publish(entry):
                continue
            if not self.ready or self._tag_at(entry.id) != entry.tag:
                self.repair()
                return

    def _follows(self, entry: Entry) -> bool:
        """Return whether `entry` is the next message of the same history."""
        known = self.cursor.id == 0 or next_tag(self.cursor.tag, entry.body) == entry.tag
        return entry.id == self.cursor.id + 1 and known

    def head(self, cursor: Cursor) -> None:
        """Take the hint that the log reaches to `cursor`, or beyond."""
        if not self.ready or self._tag_at(cursor.id) != cursor.tag:
            self.repair()

    def people(self) -> None:
        """Take the hint that somebody has come or left."""
        self.presence.change()

    def shout(self, data: bytes) -> None:
        """Tell the members, if there is room for it."""
        frame = encode(data.decode())
        if self.room.fits(frame):
            self.room.post(frame)

    def _publish(self, entry: Entry, *, anyhow: bool = False) -> bool:
        """Give the next message to the members; return whether there was room for it."""
        frame = encode(self.render(self.name, entry))
        if not (anyhow or self.room.fits(frame)):
            return False
        self.cursor = Cursor(entry.id, entry.tag)
        self._recent.append((self.cursor, frame))
        self._recent_bytes += cost(frame)
        while self._recent_bytes > RECENT_BYTES and len(self._recent) > 1:
            self._before, old = self._recent.popleft()
            self._recent_bytes -= cost(old)
        self.room.post(frame)
        return True

    def _tag_at(self, number: int) -> str | None:
        """Return the tag of a message, if it is among the recent ones."""
        if number == self._before.id:
            return self._before.tag
        index = number - self._before.id - 1
        return self._recent[index][0].tag if 0 <= index < len(self._recent) else None

    def repair(self) -> None:
        """Read what is missing, and find out whether the log is still the same."""
        self._doubt = True
        if self.ready and (self._repairing is None or self._repairing.done()):
            self.room.repairs += 1
            self._repairing = asyncio.create_task(self._read_up())

    async def _read_up(self) -> None:
        while self._doubt:
            self._doubt = False
            try:
                page = await self.store.read(self.name, after=self.cursor, limit=PAGE)
            except OSError as error:
                log_of(room=self.name).warning("room %r cannot be read: %s", self.name, error)
                return  # the next hint, or the next look at the heads, tries again
            if page.history != "complete":
                self._begin_anew(page)
                return
            for entry in page.entries:
                await self.room.make_room(entry.body)
                if entry.id == self.cursor.id + 1:  # others may have been told of meanwhile
                    self._publish(entry, anyhow=True)
            self._doubt |= page.head.id > self.cursor.id

    def _begin_anew(self, page: Page) -> None:
        """Send all members away: the log is another one, or went on without them for too long."""
        what = "room %r: its history is %s; members read it anew"
        log_of(room=self.name).warning(what, self.name, page.history)
        self.cursor = self._before = page.head
        self._recent.clear()
        self._recent_bytes = 0
        for websocket in self.room.members:
            self.room.leave(websocket)
            task = asyncio.create_task(send_away(websocket))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def admit(
        self, websocket: WebSocket, after: Cursor | None, last: int, guest: Guest
    ) -> None:
        """Send `websocket` what it has missed, and have it hear what comes, with nothing between.

        It goes at the speed of its client. Cancelling it leaves the member out of the room.

        Args:
            websocket: has been accepted.
            after: up to where it has heard; None: it is new here.
            last: how many messages it gets if it is new, or has those of another history.
            guest: is told when that begins and ends.

        Raises:
            ChangedError: the history changed meanwhile.
            OSError: the connection has ended, or the store cannot be read.
        """
        line = line_of(websocket)
        history: History = "new" if after is None else "complete"
        entries: Sequence[Entry] = ()
        recent_place, head = self._recent_place(after, last), self.cursor
        if recent_place is not None:
            place = recent_place
        else:
            page = await self.store.read(self.name, after=after, limit=max(1, last))
            history, place, entries, head = page.history, page.before, page.entries, page.head
            if history in ("new", "diverged") and not last:
                place, entries = head, ()
        await guest.greet(history, place, max(head, self.cursor))
        while True:
            if entries:
                place = Cursor(entries[-1].id, entries[-1].tag)
                frames = [encode(self.render(self.name, entry)) for entry in entries]
                await line.say(b"".join(frames))
            if place == self.cursor and self.room.settled:
                line.put(Own(guest.arrive()))
                self.room.join(websocket)
                return
            await self.room.settle()
            entries = ()
            if self._tag_at(place.id) == place.tag:
                place, recent = self._recent_after(place)
                await line.say(recent)
                continue
            page = await self.store.read(self.name, after=place, limit=PAGE)
            if page.history != "complete":
                raise ChangedError(self.name)
            entries = page.entries
            if not entries:  # it is further on than this feed
                self.repair()
                assert self._repairing is not None
                await asyncio.shield(self._repairing)

    def _recent_place(self, after: Cursor | None, last: int) -> Cursor | None:
        """Return the place that a newcomer is told on from; None if the store has to be read."""
        if after is not None:
            return after if self._tag_at(after.id) == after.tag else None
        if last < len(self._recent):
            return self._recent[-last - 1][0]
        return self._before if last == len(self._recent) or not self._before.id else None

    def _recent_after(self, place: Cursor) -> tuple[Cursor, bytes]:
        """Return the frames after `place`, which is among the recent ones, and where they end."""
        index = place.id - self._before.id
        return self.cursor, b"".join(frame for _, frame in islice(self._recent, index, None))
