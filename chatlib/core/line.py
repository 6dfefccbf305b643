"""A line: one connection as the rooms see it, on any server.

*Order* is kept here, for one client: what the rooms have for it, what is for it alone, and what the
app sends by itself all get stamps from one counter, and are written in the order of their stamps.
*End* is kept here too: when a line ends, every task that waits for it is told, and the line lets go
of all that it held.
"""

import asyncio
import contextlib
import itertools
from collections import deque
from dataclasses import dataclass
from typing import Any, Self

from chatlib.core.ring import Waiter, cost, new_stamp, wake
from chatlib.core.source import Source

EXTENSION = "chatlib.fanout"
CHUNK = 64 * 1024  # the most that is joined for one write, apart from its last frame
ORDER_BYTES = 1024  # to look at one source for the next frame costs as much as to copy this much

_numbers = itertools.count(1)


class EndedError(OSError):
    """The connection takes nothing any more. ASGI has a `send` raise an OSError then."""


@dataclass(slots=True, eq=False)
class Own:
    """A frame for one client alone.

    Attributes:
        frame: the frame.
        source: the place in a room that it counts for, if it was sent through a room.
        written: what is done once it is written, if anybody waits for that.
        stamp: its place in the order.
    """

    frame: bytes
    source: Source | None = None
    written: Waiter | None = None
    stamp: int = 0


class Line:
    """One connection, to which ready frames can be written.

    `write` takes whole frames, never waits, and is called in the event loop of the connection.

    Attributes:
        loop: the event loop of the connection.
        writable: set while the line takes more.
        sources: the places that it is written from, one for each room that the connection is in.
        own_bytes: how much memory is held for this client alone.
        ended: whether the connection has ended, and takes nothing any more.
        handler: the task that runs the app for this connection, where the server says so.
        in_flight: the size of the message that the server has in hand, if it shows no progress.
        number, room, why: for the log: its number, a room that it is in, why it was cut.
    """

    __slots__ = (
        *("_own", "ended", "handler", "in_flight", "loop", "number", "own_bytes", "room"),
        *("sources", "why", "writable"),
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, writable: asyncio.Event) -> None:
        self.loop = loop
        self.writable = writable
        self.handler: asyncio.Task[Any] | None = None
        self.sources: list[Source] = []
        self.own_bytes = self.in_flight = 0
        self.ended = False
        self.number = next(_numbers)
        self.why = self.room = ""
        self._own: deque[Own] | tuple[()] = ()  # most lines never hold one; a deque has 760 bytes

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self  # a connection has no copy; the scope that it is found in may be copied

    def write(self, frames: bytes) -> None:
        """Send `frames`, or hold them until that can be done."""
        raise NotImplementedError

    def progress(self) -> int:
        """Return a number that grows by 1 for each byte that the client has taken."""
        raise NotImplementedError

    def abort(self, after: float = 0.0) -> None:
        """Take nothing more, and cut the connection after so many seconds, if it has not ended."""
        raise NotImplementedError

    def fail(self, error: Exception) -> None:
        """Cut the connection, since a write failed with `error`."""
        self.why = f"cut off, {error!r} at a write"
        self.abort()

    async def spoken(self) -> None:
        """Wait, where the server needs it, until what its own handler has said is sent."""

    async def finish(self) -> None:
        """Send what was said until now, where a close of the server's would overtake it."""

    def pause(self) -> None:
        """Tell the sources that the line takes no more for now."""
        for source in tuple(self.sources):
            source.on_pause()

    def resume(self) -> None:
        """Tell the sources that the line takes more again."""
        for source in tuple(self.sources):
            source.on_resume()
        if not self.sources:
            self.feed()  # or else the rooms do, in their turn

    def end(self) -> None:
        """End: tell the sources, and every task that waits. Harmless a second time."""
        self.ended = True
        sources, self.sources = self.sources, []
        own, self._own = self._own, ()
        self.own_bytes = 0
        for source in sources:
            source.on_end()
        for one in own:
            if one.written is not None:
                wake(one.written, EndedError("the connection has ended"))

    def let_go(self, source: Source) -> None:
        """Take no more from `source`."""
        if source in self.sources:
            self.sources.remove(source)
        if not self.sources:
            self.feed()

    @property
    def idle(self) -> bool:
        """Whether all is written that was said to this client."""
        return not self._own and all(source.next_stamp() is None for source in self.sources)

    def only(self, source: Source) -> bool:
        """Return whether all that waits for this client is what `source` has for it."""
        return not self._own and len(self.sources) == 1 and self.sources[0] is source

    def put(self, one: Own) -> None:
        """Hold `one`, behind all that was said before, and write what the line takes at once."""
        if self.ended:
            if one.written is not None:
                wake(one.written, EndedError("the connection has ended"))
            return
        one.stamp = new_stamp()
        if not isinstance(self._own, deque):
            self._own = deque()
        self._own.append(one)
        self.own_bytes += cost(one.frame)
        self.feed()

    async def say(self, frame: bytes) -> None:
        """Write what the app sends by itself, in its place; return when it is written.

        Cancelling it leaves the frame written or not, never half of it.

        Raises:
            EndedError: the line takes nothing any more.
        """
        written = self.loop.create_future()
        one = Own(frame, written=written)
        self.put(one)
        try:
            await written
        finally:
            if isinstance(self._own, deque) and one in self._own:  # cancelled
                self._own.remove(one)
                self.own_bytes -= cost(frame)
            del one, written  # which refer to the error that they raise, and it to this frame

    async def drain(self) -> None:
        """Leave all rooms; wait until all is written that was said until now, or the line ends."""
        for source in tuple(self.sources):
            source.leave()
        with contextlib.suppress(EndedError):
            if not self.ended:
                await self.say(b"")

    def feed(self) -> None:
        """Write what waits, as far as the line takes it."""
        while self.step():
            pass

    def step(self) -> int:
        """Write a chunk of what waits, if the line takes it. Return what that cost, 0 for nothing.

        That is its size; to put it in order counts too, where it comes from several places.
        """
        if self.ended or not self.writable.is_set():
            return 0
        try:
            frames, written = self._take()
        except LookupError:  # a room went on without this event loop, which did not run
            self.abort()
            return 0
        error, data = None, b"".join(frames)
        try:
            if data:
                self.write(data)
        except Exception as failure:  # which must not cost the others their message
            self.fail(failure)
            data, error = b"", EndedError("the connection has ended")
        for waiter in written:
            wake(waiter, error)
        if not data:
            return 0
        return len(data) + (len(frames) - 1) * len(self.sources) * ORDER_BYTES

    def _take(self) -> tuple[list[bytes], list[Waiter]]:
        """Take a chunk of what waits, in order; return it, and what to wake once it is written."""
        sources, own = self.sources, self._own
        if len(sources) == 1 and not own:
            return [sources[0].take_chunk()], []
        frames: list[bytes] = []
        written: list[Waiter] = []
        size = 0
        while size < CHUNK:
            first: Source | None = None
            stamp = own[0].stamp if own else None
            for source in sources:
                at = source.next_stamp()
                if at is not None and (stamp is None or at < stamp):
                    first, stamp = source, at
            if first is not None:
                frames.append(first.take_one())
            elif isinstance(own, deque) and own:
                one = own.popleft()
                frames.append(one.frame)
                self.own_bytes -= cost(one.frame)
                if one.source is not None:
                    one.source.count(1, len(one.frame))
                if one.written is not None:
                    written.append(one.written)
            else:
                break
            size += cost(frames[-1])
        return frames, written


def line_in(scope: Any) -> Line | None:
    """Return the line in the `scope` of a connection, if it has one."""
    extensions: dict[str, Any] = (isinstance(scope, dict) and scope.get("extensions")) or {}
    line: Line | None = extensions.get(EXTENSION, {}).get("line")
    return line
