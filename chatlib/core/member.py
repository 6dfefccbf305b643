"""A member of a room: one connection's place in the room's log."""

import time
from collections.abc import Callable
from enum import Enum, auto
from typing import Protocol

from fastapi import WebSocket

from chatlib.core.chunks import Chunks
from chatlib.core.line import Line
from chatlib.core.ring import Ring
from chatlib.core.written import Written


class State(Enum):
    """Where a member is on its way through a room. `Group.move` changes it, and nothing else does.

        joining ──► in step ◄──► behind
           └───────────┴────────────┴──► leaving ──► gone

    - *Joining*: it begins where the log ended when it joined; the group is not there yet.
    - *In step*: it has had all that the last flush wrote. It can take more, its connection is in no
      other room, and nothing waits for it alone: all members in step are written the same bytes.
    - *Behind*: it has a place of its own, and its line does the writing, in the right order.
    - *Leaving*: as behind, up to the place where it left.
    - *Gone*: it has had all that was said before it left, or its connection has ended.
    """

    JOINING = auto()
    IN_STEP = auto()
    BEHIND = auto()
    LEAVING = auto()
    GONE = auto()


class Company(Protocol):
    """What a member needs of the group of its event loop."""

    ring: Ring
    on_leave: "Callable[[Member], None]"
    leaving: "list[Member]"
    chunks: Chunks
    written: Written

    def move(self, member: "Member", state: State) -> None: ...

    def watch(self, member: "Member") -> None: ...

    def news(self) -> None: ...

    def first(self, member: "Member") -> None: ...


class Member:
    """One connection's place in the log of one room, from which its line is written.

    Attributes:
        cursor: the place in the log up to which it has been written.
        stop: the place at which it left, once it has left.
        since: when it joined, by the clock of its event loop.
        mark: when it was last seen to take what it should, and how much it had taken by then; None
            while its line takes more.
        held: for how many seconds it has held up the others, less those in which it did not.
        seen: when that was last 0, and its cursor then.
        judged, holds: when that was last looked at, and whether it held up the others then.
        timed: its cursor when what it had waited for was last noted.
        late: since when it has not had all there is, if the last flush left it so.
    """

    __slots__ = (
        *("cursor", "group", "held", "holds", "judged", "late", "line", "mark", "seen", "since"),
        *("state", "stop", "timed", "websocket"),
    )

    def __init__(self, websocket: WebSocket, line: Line, group: Company) -> None:
        self.websocket = websocket
        self.line = line
        self.group = group
        self.cursor = self.timed = group.ring.end
        self.late: float | None = None
        self.state = State.JOINING
        self.stop: int | None = None
        self.since = line.loop.time()
        self.mark: tuple[float, int] | None = None
        self.held = 0.0
        self.seen = (0.0, 0)
        self.judged = self.since
        self.holds = False

    @property
    def left(self) -> bool:
        return self.stop is not None or self.state is State.GONE

    @property
    def until(self) -> int:
        """The place up to which it may read."""
        return self.group.ring.end if self.stop is None else self.stop

    @property
    def waiting_bytes(self) -> int:
        """How much memory is held for it."""
        return self.until - self.cursor + self.line.own_bytes

    def next_stamp(self) -> int | None:
        return self.group.ring.stamp(self.cursor) if self.cursor < self.until else None

    def take_one(self) -> bytes:
        frames, place = self.group.ring.read(self.cursor, self.until, 1)
        self._move_on(place, 1, len(frames[0]))
        return frames[0]

    def take_chunk(self) -> bytes:
        count, data, place = self.group.chunks.at(self.cursor, self.until)
        self._move_on(place, count, len(data))
        return data

    def _move_on(self, place: int, frames: int, size: int) -> None:
        if place != self.cursor:
            self.cursor = place
            self.count(frames, size)
            if self.state is State.IN_STEP:
                self.group.move(self, State.BEHIND)

    def count(self, frames: int, size: int) -> None:
        self.group.written.count(frames, size)

    def note_wait(self, end: int, since: float) -> None:
        """Note how long it waited, if it has had all that was in the log up to `end`.

        There was news since `since`, by `time.monotonic()`.
        """
        if self.cursor < min(end, self.until):
            self.late = since if self.late is None else self.late
        elif self.cursor != self.timed:
            began = since if self.late is None else self.late
            self.group.written.times.note(time.monotonic() - began)
            self.timed, self.late = self.cursor, None

    def catch_up(self) -> None:
        """Note that it has had all there is, and takes more: whatever it waited for is over."""
        self.mark = None
        if self.late is not None:
            self.group.written.times.note(time.monotonic() - self.late)
            self.late = None

    def leave(self) -> None:
        """Take nothing that is published from now on. In any thread; harmless a second time."""
        group = self.group
        with group.ring.lock:  # so that a flush knows all that leave before the place it goes up to
            if self.left:
                return
            self.stop = group.ring.end
            group.leaving.append(self)
        group.on_leave(self)
        group.news()

    def on_pause(self) -> None:
        if self.state is State.IN_STEP:
            self.group.move(self, State.BEHIND)
        self.group.watch(self)

    def on_resume(self) -> None:
        self.group.news()

    def on_end(self) -> None:
        self.group.move(self, State.GONE)
