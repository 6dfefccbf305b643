"""A room is a log, and a connection is a cursor into it.

What is published is encoded once and kept in a log, in frames that are ready to go. No member has a
queue: it has a place in the log, up to which it has been written. Once a turn of the event loop,
what is new is joined, once, and written to each member that can take it (`Group.flush`). A member
whose connection is full stays behind, and is written from its cursor on when it can take more.

What it promises, and where that is kept: *order* (`line`, `ring`), *fairness* and *bound* (`ring`),
*progress* (`group`, `loops`, `patience`, `turn`) and *end* (`line`).
"""

import asyncio
import contextlib
import threading
from typing import Self

from fastapi import WebSocket, WebSocketDisconnect
from starlette.websockets import WebSocketState

from chatlib.core.frames import Content, encode
from chatlib.core.line import EndedError, Own
from chatlib.core.loops import Loops
from chatlib.core.member import Member
from chatlib.core.patience import OnFull, Patience
from chatlib.core.ring import Ring, Waiter, cost, wake
from chatlib.core.speakers import forget_speaker, hear_out, note_speaker, spoken_for
from chatlib.core.standin import is_stand_in, send_to_stand_in
from chatlib.core.stats import Stats
from chatlib.core.taskline import known_line, line_of
from chatlib.core.turn import turn_here


class Room:
    """Connections that all hear what is published.

    Members may be in any number of asyncio event loops and threads, and in any number of
    rooms. Everything but `join` may be called from any of them.

    What clients that read too little cost the others, on the defaults: they can slow the room down
    to half of its speed, or to two logs (2 MiB) a second if that is less. Members that slow it down
    more, while a quarter of them all or more have had all there is, do so for 0.75 seconds in all
    (`hold`), and for a twentieth of the time after that, before they are cut off; 1.5 times what
    the last logs took does not count, up to a second. One that joins meanwhile is cut off once it
    is a whole log behind. A member that nobody waits for has ten seconds (`patience`) to take 10
    KB. Who is cut off is out at once, and loses its connection a second after it joined, or later.

    Args:
        limit: how many bytes of memory the log may use; each message costs its size and 192 bytes.
            The log is full when a member is that far behind. A bigger message passes alone.
        patience: how many seconds a member whose connection is full may take too little.
        min_rate: how many bytes a second such a member has to take, on average over `patience`.
        hold: how many seconds members may hold up the others as above, in all. A twentieth of a
            second comes back each second. With `math.inf`, only `min_rate` counts.
        on_full: what happens when the log is full. `"wait"`: `publish` waits, which slows a flood
            down to what its readers take. `"evict"`: no call waits for a client; one that is a
            whole log behind and can take no more just then is cut off, however fast it reads.
    """

    def __init__(
        self,
        limit: int = 1024 * 1024,
        patience: float = 10.0,
        min_rate: float = 1024.0,
        hold: float = 0.75,
        on_full: OnFull = "wait",
    ) -> None:
        self.limit = limit
        self.patience = patience
        self.min_rate = min_rate
        self.hold = hold
        self.on_full: OnFull = on_full
        self._ring = Ring(limit)
        self._rules = Patience(limit, patience, min_rate, hold, on_full)
        self._loops = Loops(self._ring, self._rules, self._drop)
        self._members: dict[WebSocket, Member] = {}
        self._stand_ins: dict[WebSocket, None] = {}  # what unit tests have in place of one
        self._joined = self._sending = 0
        self._lock = threading.Lock()

    def __deepcopy__(self, memo: object) -> Self:
        """Return an empty room with the same bounds.

        Raises:
            TypeError: there are members. Connections have no copies.
        """
        if self.members:
            raise TypeError("a room with members cannot be copied: its connections have no copies")
        return type(self)(self.limit, self.patience, self.min_rate, self.hold, self.on_full)

    @property
    def members(self) -> list[WebSocket]:
        """The connections in the room, in the order in which they came."""
        return [*list(self._members), *list(self._stand_ins)]

    @property
    def stats(self) -> Stats:
        """What the room has done up to now."""
        with self._lock:  # or else who joins just now might be among those who have left
            joined, members = self._joined, len(self.members)
        return self._loops.stats(joined, members, self._sending)

    def join(self, websocket: WebSocket) -> None:
        """Have all that is published from now on sent to `websocket`, which has been accepted.

        Call it in the event loop of the connection. Harmless if it is a member already, or if the
        connection has ended.

        Raises:
            RuntimeError: `websocket` was not accepted before, or this is not its event loop, or
                not one of asyncio.
        """
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise RuntimeError(
                "join() has to be called in the asyncio event loop of the connection: "
                "from an `async def` endpoint, on a server that runs asyncio and not trio"
            ) from None
        if getattr(websocket, "application_state", None) is WebSocketState.CONNECTING:
            raise RuntimeError("join() comes after accept(): first `await websocket.accept()`")
        if is_stand_in(websocket):
            with self._lock:
                self._joined += websocket not in self._stand_ins
                self._stand_ins[websocket] = None
            return
        line = line_of(websocket)
        if websocket in self._members or line.ended:
            return
        if line.loop is not loop:
            raise RuntimeError("join() has to be called in the event loop of the connection")
        group = self._loops.group_here()
        member = Member(websocket, line, group)
        with self._lock:
            self._members[websocket] = member
            self._joined += 1
        group.admit(member)
        note_speaker(websocket, line)

    def leave(self, websocket: WebSocket) -> None:
        """Have nothing that is published from now on sent to `websocket`. Harmless if no member.

        What was published before still goes to it.
        """
        self._stand_ins.pop(websocket, None)
        member = self._members.get(websocket)
        if member is not None:
            member.leave()
        line = known_line(websocket)
        if line is not None and all(source.left for source in line.sources):
            forget_speaker(line)

    async def publish(self, message: Content) -> None:
        """Send `message` to every member.

        Each gets exactly what is published between its join and its leave, once, in one order.
        This returns as soon as the message is in the log, which is at once unless the log is full;
        then it waits until the members that are behind take more or are cut off, as `Room` says.
        Calls that wait go on in the order in which they came. Sometimes this gives way to other
        tasks. Cancelling it leaves the message sent to every member or to none.

        Args:
            message: text, bytes, or what JSON can express: a Pydantic model, a dict, a list.

        Raises:
            TypeError: `message` is none of these.
            ValueError: it is text that UTF-8, or a value that JSON, cannot express.
            WebSocketDisconnect: the message is in the log; but this is called in the handler of a
                client that has gone, and the handler has not been told. It is raised once.
        """
        waiter = self._ring.append(encode(message))
        if waiter is not None:
            await self._wait(waiter)
        await turn_here().give_way()
        for stand_in in list(self._stand_ins):
            if not await send_to_stand_in(message, stand_in):
                self._stand_ins.pop(stand_in, None)
        await hear_out()

    async def _wait(self, waiter: Waiter) -> None:
        """Wait until the ring has taken a frame in."""
        self._loops.look_elsewhere()
        self._loops.watch()
        try:
            await waiter
        except asyncio.CancelledError:
            self._ring.forget_cancelled()
            raise

    async def send(self, message: Content, websocket: WebSocket) -> None:
        """Send `message` to one member, after all that has been published up to now.

        It returns as soon as the room holds the message, and where more than `limit` bytes wait
        for this member, as soon as it is written. Where its connection takes more, it is written at
        once. Cancelling it does not take the message back.

        Raises:
            TypeError, ValueError: as for `publish`.
            LookupError: `websocket` is not a member.
            WebSocketDisconnect: it was one, and its connection has ended.
        """
        frame = encode(message)
        if websocket in self._stand_ins:
            await send_to_stand_in(message, websocket)
            return
        member = self._members.get(websocket)
        if member is None:
            line = known_line(websocket)
            if line is not None and line.ended:
                raise WebSocketDisconnect(1006, "the connection has ended")
            raise LookupError("this connection is not in the room: it never joined, or has left")
        here = asyncio.get_running_loop()
        held: Waiter = here.create_future()
        own = Own(frame, member, held)
        if member.line.loop is here:
            self._hold(own, member)
        else:
            with contextlib.suppress(RuntimeError):  # it is closed, as wait_for() will find
                member.line.loop.call_soon_threadsafe(self._hold, own, member)
        self._sending += 1
        try:
            await self._loops.wait_for(held, member.line.loop)
        except EndedError as ended:
            raise WebSocketDisconnect(1006, str(ended)) from None
        finally:
            self._sending -= 1
        await turn_here().give_way()
        if member.line is spoken_for():
            await member.line.spoken()

    def _hold(self, own: Own, member: Member) -> None:
        """Have the line of `member` hold `own`; say so at once if that is within the limit."""
        member.group.first(member)
        member.line.put(own)
        waiting = member.waiting_bytes
        if waiting > max(self.limit, cost(own.frame)):
            if self.on_full == "evict":
                self._rules.evict(member, "slow")
        elif own.written is not None:
            wake(own.written)

    def _drop(self, member: Member) -> None:
        """Note that `member` has left, or is gone. In any thread."""
        with self._lock:
            if self._members.get(member.websocket) is member:
                del self._members[member.websocket]
