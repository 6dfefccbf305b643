"""Those members of a room who live in one event loop: who is where in the log, and the writing.

A member is *in step* when it has been written all that the last flush wrote, and takes more. Those
share one place in the log, and one `bytes` at each flush. Any other is *behind*, with a cursor of
its own.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from fastapi import WebSocket

from chatlib.core.line import Line

if TYPE_CHECKING:
    from chatlib.core.room import Room

CHUNK = 64 * 1024  # the most that is joined for one write


class Member:
    """One connection's place in the log of one room.

    Attributes:
        cursor: the place in the log up to which it has been written; its group knows better while
            it is in step.
        own: what is for this member alone, each with the place in the log that it comes before.
        own_bytes: the size of all that is in `own`.
        stop: the place in the log at which it left, once it has left.
        mark: when it was last seen to take what it should, and how much it had taken then; None
            while it is in step.
    """

    __slots__ = ("cursor", "group", "line", "mark", "own", "own_bytes", "stop", "websocket")

    def __init__(self, websocket: WebSocket, line: Line, group: "Group", cursor: int) -> None:
        self.websocket = websocket
        self.line = line
        self.group = group
        self.cursor = cursor
        self.own: deque[tuple[int, bytes]] = deque()
        self.own_bytes = 0
        self.stop: int | None = None
        self.mark: tuple[float, int] | None = None

    def place(self) -> int:
        return self.group.room.end if self.stop is None else self.stop

    def has_had(self, place: int) -> bool:
        if self in self.group.in_step:
            return self.group.flushed >= place
        gone = self not in self.group.behind
        return gone or (self.cursor >= place and not (self.own and self.own[0][0] <= place))

    def feed(self) -> None:
        """Write what waits for this member, as far as its line takes it."""
        group = self.group
        if self in group.in_step:
            if group.flushed == group.room.end:
                return
            group.step_out(self)
        while self.line.writable.is_set() and self in group.behind:
            frames = self.take()
            if not frames:
                return
            group.delivered += len(frames)
            data = b"".join(frames)
            group.sent_bytes += len(data)
            self.line.write(data)

    def take(self) -> list[bytes]:
        """Take a chunk of what waits for this member, in order, and move its cursor on."""
        log, end, own = self.group.room.log, self.place(), self.own
        frames: list[bytes] = []
        size = 0
        while size < CHUNK:
            if own and own[0][0] <= self.cursor:
                frame = own.popleft()[1]
                self.own_bytes -= len(frame)
            elif self.cursor < end:
                frame = log[self.cursor]
                self.cursor += len(frame)
            else:
                break
            frames.append(frame)
            size += len(frame)
        return frames

    def on_pause(self) -> None:
        self.group.step_out(self)
        self.group.watch(self)

    def on_resume(self) -> None:
        self.group.schedule()

    def on_end(self) -> None:
        self.group.drop(self)


class Group:
    """Those members of a room whose connections live in one event loop.

    It is touched in that loop alone, but for what says otherwise.

    Attributes:
        in_step: the members who have been written all up to `flushed`, and take more.
        behind: the members with a cursor of their own.
        leaving: the members who have just left, and may be due a last message.
        flushed: the place in the log up to which those in step have been written.
        low: a place in the log that no member is behind.
    """

    def __init__(self, room: "Room", loop: asyncio.AbstractEventLoop) -> None:
        self.room = room
        self.loop = loop
        self.in_step: dict[Member, Callable[[bytes], None]] = {}
        self.behind: dict[Member, None] = {}
        self.leaving: deque[Member] = deque()
        self.flushed = self.low = room.end
        self.scheduled = False
        self.clock: asyncio.TimerHandle | None = None
        self.delivered = self.sent_bytes = 0

    def schedule(self) -> None:
        """Have the members written what is new, once, in this turn of the event loop.

        This may be called in any thread.
        """
        if self.scheduled:
            return
        self.scheduled = True
        if asyncio._get_running_loop() is self.loop:
            self.loop.call_soon(self.flush)
            return
        try:
            self.loop.call_soon_threadsafe(self.flush)
        except RuntimeError:  # the loop is closed, and all its connections with it
            self.room.forget(self)

    def flush(self) -> None:
        """Write what is new to every member who can take it, without an `await` in between."""
        room = self.room
        self.scheduled = False
        while self.leaving:
            self.part(self.leaving.popleft())
        # Taken before the writes: whom they pause, they have served.
        late = [member for member in self.behind if member.line.writable.is_set()]
        for member in late:  # first, so that who spoke hears of it before the others answer
            member.feed()
        while self.in_step and self.flushed < room.end:
            frames, self.flushed = room.read(self.flushed)
            data = b"".join(frames)
            self.delivered += len(frames) * len(self.in_step)
            self.sent_bytes += len(data) * len(self.in_step)
            for member, write in list(self.in_step.items()):
                try:
                    write(data)
                except Exception:  # the others are owed theirs, whatever befell this one
                    member.line.abort()
        if not self.in_step:
            self.flushed = room.end
        for member in late:
            self.step_in(member)
        self.low = min([self.flushed, *[member.cursor for member in self.behind]])
        room.trim()

    def step_in(self, member: Member) -> None:
        """Put a member who is behind no more among those in step, or let it go if it has left."""
        if member.line.writable.is_set() and not member.own and member in self.behind:
            if member.stop is not None:
                if member.cursor >= member.stop:
                    self.drop(member)
            elif member.cursor == self.flushed:
                del self.behind[member]
                member.mark = None
                self.in_step[member] = member.line.write

    def step_out(self, member: Member) -> None:
        """Give a member a cursor of its own."""
        if self.in_step.pop(member, None) is not None:
            member.cursor = self.flushed
            self.behind[member] = None

    def part(self, member: Member) -> None:
        """Let a member who has left go as soon as it has been written what it has a right to."""
        member.feed()
        if member.has_had(member.place()):
            self.drop(member)

    def drop(self, member: Member) -> None:
        """Let a member go at once."""
        self.in_step.pop(member, None)
        self.behind.pop(member, None)
        if member in member.line.listeners:
            member.line.listeners.remove(member)
        self.room.gone(member)

    def watch(self, member: Member) -> None:
        """Look at times whether a member takes enough, until it is in step again."""
        if member.mark is None:
            member.mark = (self.loop.time(), member.line.progress())
        if self.clock is None:
            self.clock = self.loop.call_later(self.room.patience / 8, self.check)

    def check(self) -> None:
        """Cut off the members who have taken too little for too long."""
        room, now = self.room, self.loop.time()
        self.clock = None
        for member in list(self.behind):
            if member.mark is None:
                continue
            since, then = member.mark
            taken = member.line.progress() - then
            if taken >= max(1, room.min_rate * room.patience):
                member.mark = (now, then + taken)
            elif now - since >= room.patience:
                room.evicted["slow" if taken > 0 else "stalled"] += 1
                member.line.abort()
        if any(member.mark for member in self.behind) and self.clock is None:
            self.clock = self.loop.call_later(room.patience / 8, self.check)
