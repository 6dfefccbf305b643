"""A room of a store in this process: its newest messages, and the members that hear it live.

The store's log is the truth. Whatever says that there is more in it (an append of this process, a
ring of another one, a look at the heads) ends in `take` or `head`: what is known is dropped, what
is next is published, and a jump is read up. So a hint may come twice, late, or not at all.
"""

import asyncio
from collections.abc import Callable, Sequence

from fastapi import WebSocket

from chatlib.core.frames import encode
from chatlib.core.hub.guest import ChangedError, Guest
from chatlib.core.hub.liveroom import LiveRoom, send_away
from chatlib.core.hub.presence import Presence
from chatlib.core.hub.recent import Recent
from chatlib.core.line import Own
from chatlib.core.log import log_of
from chatlib.core.taskline import line_of
from chatlib.stores.store import Cursor, Entry, History, Page, Store, next_tag
from chatlib.stores.tasks import end

PAGE = 200
AGAIN_SECONDS = 1.0  # until a room that could not be read is tried again

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
        self.ready = False
        self.users = 0
        self._recent = Recent()
        self._started: asyncio.Task[None] | None = None
        self._repairing: asyncio.Task[None] | None = None
        self._doubt = False  # whether there was a hint since the last read began
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def cursor(self) -> Cursor:
        """Up to where the members have been told."""
        return self._recent.cursor

    async def start(self) -> None:
        """Listen to the store, from its newest message on. Harmless a second time."""
        if self._started is None:
            self._started = asyncio.create_task(self._start())
        await asyncio.shield(self._started)

    async def _start(self) -> None:
        await self.store.hear(self.name, self)  # first, so that nothing falls between
        head = (await self.store.heads([self.name]))[self.name]
        await self.presence.load()
        self._recent.begin(head)
        self.ready = True
        if self._doubt:
            self.repair()

    async def stop(self) -> None:
        """Listen no more."""
        tasks = [task for task in (self._started, self._repairing, self.presence.telling) if task]
        for task in tasks:
            task.cancel()
        await self.store.unhear(self.name, self)
        for task in tasks:
            await end(task)

    def new(self, entries: Sequence[Entry]) -> None:
        """Take messages that were appended, in this process or another."""
        for entry in entries:
            if self.ready and self._follows(entry) and self._publish(entry):
                continue
            if not self.ready or not self._recent.has(Cursor(entry.id, entry.tag)):
                self.repair()
                return

    def _follows(self, entry: Entry) -> bool:
        """Return whether `entry` is the next message of the same history."""
        known = self.cursor.id == 0 or next_tag(self.cursor.tag, entry.body) == entry.tag
        return entry.id == self.cursor.id + 1 and known

    def head(self, cursor: Cursor) -> None:
        """Take the hint that the log reaches to `cursor`, or beyond."""
        if not self.ready or not self._recent.has(cursor):
            self.repair()

    def resync(self) -> None:
        """Take the hint that anything may have been missed."""
        self.repair()
        self.presence.resync()

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
        self._recent.add(Cursor(entry.id, entry.tag), frame)
        self.room.post(frame)
        return True

    def repair(self) -> None:
        """Read what is missing, and find out whether the log is still the same."""
        self._doubt = True
        if self.ready and (self._repairing is None or self._repairing.done()):
            self.room.repairs += 1
            self._repairing = asyncio.create_task(self._read_up())

    async def _read_up(self) -> None:
        failed = False
        while self._doubt:
            self._doubt = False
            try:
                page = await self.store.read(self.name, after=self.cursor, limit=PAGE)
            except OSError as error:
                if not failed:
                    log_of(room=self.name).warning("room %r cannot be read: %s", self.name, error)
                failed = self._doubt = True
                await asyncio.sleep(AGAIN_SECONDS)
                continue
            if page.history != "complete":
                self._begin_anew(page)
                continue
            for entry in page.entries:
                await self.room.make_room(entry.body)
                if entry.id == self.cursor.id + 1:  # others may have been told of meanwhile
                    self._publish(entry, anyhow=True)
            self._doubt |= page.head.id > self.cursor.id

    def _begin_anew(self, page: Page) -> None:
        """Send all members away: the log is another one, or went on without them for too long."""
        what = "room %r: its history is %s; members read it anew"
        log_of(room=self.name).warning(what, self.name, page.history)
        self._recent.begin(page.head)
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
        head = self.cursor
        recent = self._recent.place(last) if after is None else after
        if recent is not None and self._recent.has(recent):
            place = recent
        else:
            page = await self.store.read(self.name, after=after, limit=max(1, last))
            history, place, entries, head = page.history, page.before, page.entries, page.head
            if history in ("new", "diverged") and not last:
                place, entries = head, ()
        await guest.greet(history, place, max(head, self.cursor))
        while True:
            if entries:
                place = Cursor(entries[-1].id, entries[-1].tag)
                await line.say(b"".join(encode(self.render(self.name, each)) for each in entries))
            if place == self.cursor and self.room.settled:
                line.put(Own(guest.arrive()))
                self.room.join(websocket)
                return
            await self.room.settle()
            entries = ()
            if self._recent.has(place):
                frames, place = self._recent.after(place), self.cursor
                await line.say(frames)
                continue
            page = await self.store.read(self.name, after=place, limit=PAGE)
            if page.history != "complete":
                raise ChangedError(self.name)
            entries = page.entries
            if not entries:  # it is further on than this feed
                self.repair()
                assert self._repairing is not None
                await asyncio.shield(self._repairing)
