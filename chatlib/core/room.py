"""A room is a log, and a connection is a cursor into it.

What is published is encoded once and kept in a log, in frames that are ready to go. Nobody has a
queue: a member is a place in the log, up to which it has been written. Once a turn of the event
loop, what is new is joined, once, and written to each member who can take it (`Group.flush`). A
member whose connection is full stays behind, and is written from its cursor on when it takes more.
"""

import asyncio
import threading
from collections import Counter
from dataclasses import dataclass

from fastapi import WebSocket, WebSocketDisconnect

from chatlib.core.frames import encode
from chatlib.core.group import CHUNK, Group, Member
from chatlib.core.line import line_of
from chatlib.core.waiters import Waiters, wake


@dataclass(frozen=True)
class Stats:
    """What a room has done.

    Attributes:
        members: how many connections are in it now.
        behind: how many of them have yet to be written something.
        delivered: how many messages were written to members, each counted for each member.
        sent_bytes: how many bytes that was.
        waiting: how many calls of `publish` and `send` wait now until a member takes more.
        waiting_bytes: how much of the log somebody has yet to be written.
        evicted: how many were cut off, by reason: `"stalled"` took nothing, `"slow"` too little.
    """

    members: int
    behind: int
    delivered: int
    sent_bytes: int
    waiting: int
    waiting_bytes: int
    evicted: dict[str, int]


class Room:
    """Connections that all hear what is published.

    Members may live in any number of event loops and threads, and be in any number of rooms.
    Everything may be called from any of them.

    Args:
        limit: how many bytes may wait. Where a member is that far behind, whoever publishes waits.
        patience: how many seconds a member whose connection is full may take too little.
        min_rate: how many bytes a second such a member has to take, on average over `patience`.

    Attributes:
        end: the place in the log where the next message goes: a number of bytes.
        evicted: how many members were cut off, by reason.
    """

    def __init__(
        self, limit: int = 1024 * 1024, patience: float = 10.0, min_rate: float = 1024.0
    ) -> None:
        if limit <= 0 or patience <= 0 or min_rate < 0:
            raise ValueError(
                "limit and patience are above 0, and min_rate is not below; "
                f"got {limit=}, {patience=}, {min_rate=}"
            )
        self.limit = limit
        self.patience = patience
        self.min_rate = min_rate
        self.log: dict[int, bytes] = {}  # each frame by its place
        self.first = self.end = 0
        self.evicted: Counter[str] = Counter()
        self._members: dict[WebSocket, Member] = {}
        self._groups: dict[asyncio.AbstractEventLoop, Group] = {}
        self._waiters = Waiters()
        self._past = Counter(delivered=0, sent_bytes=0)
        self._lock = threading.Lock()

    @property
    def members(self) -> list[WebSocket]:
        """The connections in the room, in the order in which they came."""
        return list(self._members)

    @property
    def stats(self) -> Stats:
        """What the room has done up to now."""
        with self._lock:
            groups = list(self._groups.values())
            return Stats(
                members=len(self._members),
                behind=sum(len(group.behind) for group in groups),
                delivered=self._past["delivered"] + sum(group.delivered for group in groups),
                sent_bytes=self._past["sent_bytes"] + sum(group.sent_bytes for group in groups),
                waiting=len(self._waiters),
                waiting_bytes=self.end - self.first,
                evicted=dict(self.evicted),
            )

    def join(self, websocket: WebSocket) -> None:
        """Have `websocket`, which has been accepted, hear all that is published from now on.

        Call it in the event loop of the connection. Harmless if it is a member already.
        """
        line = line_of(websocket)
        if websocket in self._members or line.ended:
            return
        if line.loop is not asyncio.get_running_loop():
            raise RuntimeError("join() has to be called in the event loop of the connection")
        with self._lock:
            group = self._groups.get(line.loop)
            if group is None:
                group = self._groups[line.loop] = Group(self, line.loop)
            self._members[websocket] = member = Member(websocket, line, group, self.end)
            group.behind[member] = None
        line.listeners.append(member)
        group.step_in(member)
        if not line.writable.is_set():
            group.watch(member)

    def leave(self, websocket: WebSocket) -> None:
        """Have `websocket` hear nothing that is published from now on. Harmless if not a member.

        What was published before still goes to it.
        """
        member = self._members.pop(websocket, None)
        if member is None:
            return
        member.stop = self.end
        member.group.leaving.append(member)
        member.group.schedule()

    async def publish(self, message: str | bytes) -> None:
        """Send `message` to every member.

        It returns as soon as the room holds the message, which is at once unless a member is
        `limit` bytes behind; then it waits for that member to take more, or to be cut off.
        Cancelling it leaves the message with everybody or with nobody.

        Raises:
            TypeError: `message` is neither text nor bytes.
            ValueError: it is bigger than `limit`.
        """
        frame = self._encode(message)
        while (waiter := self._append(frame)) is not None:
            await self._waiters.wait(waiter)

    async def send(self, message: str | bytes, websocket: WebSocket) -> None:
        """Send `message` to one member, after all that has been published up to now.

        It returns as soon as the room holds the message, which is at once unless `limit` bytes
        wait for this member. Cancelling it leaves the message sent or unsent, never half sent.

        Raises:
            TypeError, ValueError: as for `publish`.
            LookupError: `websocket` is not a member.
            WebSocketDisconnect: it was one, and its connection has ended.
        """
        frame = self._encode(message)
        member = self._members.get(websocket)
        if member is None:
            if line_of(websocket).ended:
                raise WebSocketDisconnect(1006, "the connection has ended")
            raise LookupError("this connection is not in the room: it never joined, or has left")
        if asyncio.get_running_loop() is member.line.loop:
            await self._send(frame, member)
        elif member.line.loop.is_closed():
            raise WebSocketDisconnect(1006, "the event loop of this connection is closed")
        else:
            sending = asyncio.run_coroutine_threadsafe(self._send(frame, member), member.line.loop)
            await asyncio.wrap_future(sending)

    async def _send(self, frame: bytes, member: Member) -> None:
        group = member.group
        group.step_out(member)
        while self.end - member.cursor + member.own_bytes + len(frame) > self.limit:
            member.feed()
            if not member.line.writable.is_set():
                with self._lock:
                    waiter = self._waiters.add()
                await self._waiters.wait(waiter)
            group.step_out(member)  # it may have been in step meanwhile
            if member not in group.behind:
                raise WebSocketDisconnect(1006, "the connection has ended, or left the room")
        member.own.append((self.end, frame))
        member.own_bytes += len(frame)
        group.schedule()

    def _encode(self, message: str | bytes) -> bytes:
        frame = encode(message)
        if len(frame) > self.limit:
            raise ValueError(
                f"a message of {len(frame)} bytes cannot pass a room with a limit of {self.limit}"
            )
        return frame

    def _append(self, frame: bytes) -> asyncio.Future[None] | None:
        """Put `frame` in the log; or, where there is no room for it, return what to wait for."""
        with self._lock:
            if not self._groups:
                return None  # nobody is there to hear it
            if self.end - self.first + len(frame) > self.limit:
                return self._waiters.add()
            self.log[self.end] = frame
            self.end += len(frame)
            groups = list(self._groups.values())
        for group in groups:
            if not group.scheduled:
                group.schedule()
        return None

    def read(self, place: int) -> tuple[list[bytes], int]:
        """Return a chunk of the log from `place` on, and the place where it ends."""
        end = min(self.end, place + CHUNK)
        frames = []
        while place < end:
            frame = self.log[place]
            frames.append(frame)
            place += len(frame)
        return frames, place

    def trim(self) -> None:
        """Drop from the log what every member has been written, and wake those who wait."""
        with self._lock:
            low = min([group.low for group in self._groups.values()], default=self.end)
            while self.first < low:
                self.first += len(self.log.pop(self.first))
            waiters = self._waiters.take_all()
        for waiter in waiters:
            wake(waiter)

    def gone(self, member: Member) -> None:
        """Note that `member` is in its group no more."""
        if self._members.get(member.websocket) is member:
            del self._members[member.websocket]
        if member.group.in_step or member.group.behind:
            member.group.schedule()
        else:
            self.forget(member.group)

    def forget(self, group: Group) -> None:
        """Drop a group that is empty, or whose event loop is closed."""
        with self._lock:
            if self._groups.get(group.loop) is group:
                del self._groups[group.loop]
                self._past.update(delivered=group.delivered, sent_bytes=group.sent_bytes)
            for member in (*group.in_step, *group.behind):
                self._members.pop(member.websocket, None)
        self.trim()
