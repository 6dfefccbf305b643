"""The members of a room in one event loop: their places in the log, and the writing.

*Progress* is kept here: a flush ends after one round, and if there is more, asks for another.
"""

import asyncio
import time
from collections.abc import Callable, Iterator

from chatlib.core.chunks import Chunks
from chatlib.core.member import Member, State
from chatlib.core.patience import Judged, Patience
from chatlib.core.ring import Ring
from chatlib.core.turn import WRITE_BYTES, turn_here
from chatlib.core.written import Arrivals, Written

STEP_BYTES = 32 * WRITE_BYTES  # how much is written between two looks at what the turn has left


class Group:
    """The members of a room whose connections are in one event loop. It is a reader of the ring.

    It is used in that loop alone, except for `news`, `members`, `leaving` and `asked`.

    Args:
        ring: the log that is read.
        patience: the rules for which members are cut off.
        loop: the event loop.
        on_leave: called in any thread when a member has left, and when it is gone.
        on_watch: called in the loop when there is a member to look at from time to time.
        on_closed: called in any thread when the event loop turns out to be closed.

    Attributes:
        in_step, apart: the members: those in step, and all others.
        leaving: the members that have just left. Changed under the lock of the ring.
        low: a place in the log that every member has reached.
        asked: when its event loop was asked for a sign of life, until it gives one; or None.
        chunks: what was joined in this flush.
        written: what was written up to the last flush.
    """

    def __init__(
        self,
        ring: Ring,
        patience: Patience,
        loop: asyncio.AbstractEventLoop,
        on_leave: Callable[[Member], None],
        on_watch: Callable[[], None],
        on_closed: Callable[["Group"], None],
    ) -> None:
        self.ring = ring
        self.patience = patience
        self.loop = loop
        self.on_leave = on_leave
        self.on_watch = on_watch
        self.on_closed = on_closed
        self.in_step: dict[Member, None] = {}
        self.apart: dict[Member, None] = {}
        self.leaving: list[Member] = []
        # Between the writes of a round some in step are at `_start` still, and some at `_flushed`.
        self._start = self._flushed = self.low = ring.end
        self.asked: float | None = None
        self.chunks = Chunks(ring)
        self.written = Written()
        self._came = Arrivals()
        self._writes, self._each = 0, (0, 0)  # the same for this flush: messages and bytes of each
        self._flushing = self._news = False
        self._since = 0.0  # when there was news
        self._judged = Judged()

    @property
    def members(self) -> list[Member]:
        """All of them. In any thread."""
        return [*list(self.in_step), *list(self.apart)]

    @property
    def totals(self) -> Written:
        """What was written up to now, with times that go on. In any thread."""
        messages, size = self._each
        return self.written.plus(self._writes * messages, self._writes * size)

    def move(self, member: Member, state: State) -> None:
        """Bring `member` into `state`. A member that is gone stays gone."""
        if member.state is State.GONE:
            return
        self.in_step.pop(member, None)
        self.apart.pop(member, None)
        if member.state is State.IN_STEP:
            member.timed = member.cursor
        member.state = state
        if state is State.IN_STEP:
            member.catch_up()
            if member.holds:
                self.patience.note_hold(member, self.loop.time(), False)
            self.in_step[member] = None
        elif state is not State.GONE:
            self.apart[member] = None
        else:
            member.line.let_go(member)
            self.on_leave(member)
            self.news()  # the log may be shorter without it

    def admit(self, member: Member) -> None:
        """Take in a member that joins."""
        sources = member.line.sources
        for source in sources:
            source.on_pause()  # a connection in several rooms is in step in none of them
        sources.append(member)
        self.move(member, State.JOINING)
        self._step_in(member)
        if not member.line.writable.is_set():
            self.watch(member)

    def first(self, member: Member) -> None:
        """Have `member` written before the others next time: a speaker hears itself first."""
        if member.state is State.IN_STEP:
            self.move(member, State.BEHIND)

    def news(self) -> None:
        """Have what is new written to the members, in this turn of the event loop or the next ones.

        It may be called in any thread.
        """
        if not self._news:
            self._news, self._since = True, time.monotonic()
        if self._flushing:
            if self.loop.is_closed():
                self.on_closed(self)
            return
        self._flushing = True
        if asyncio._get_running_loop() is self.loop:
            self._begin()
            return
        try:
            self.loop.call_soon_threadsafe(self._begin)
        except RuntimeError:  # the loop is closed, and all its connections with it
            self.on_closed(self)

    def _begin(self) -> None:
        turn_here().add(self.flush())

    def flush(self) -> Iterator[int]:
        """Write what is new, a chunk to each member that can take it.

        Where it yields, the turn of the event loop may end. It yields what that has cost.
        """
        self._news, since = False, self._since
        end = self._note_leavers()
        for member in list(self.apart):  # first, so that a speaker hears before the others
            cost = member.line.step() + WRITE_BYTES
            member.note_wait(end, since)
            yield cost
        if self.in_step and self._flushed < end:
            count, data, self._flushed = self.chunks.at(self._start, end)
            start, flushed, in_step = self._start, self._flushed, State.IN_STEP
            self._each, cost = (count, len(data)), len(data) + WRITE_BYTES
            step = max(1, STEP_BYTES // cost)
            for member in list(self.in_step):
                if member.cursor == start and member.state is in_step:
                    member.cursor = flushed  # now: this write may pause the member
                    self._writes += 1
                    try:
                        member.line.write(data)
                    except Exception as error:  # which must not cost the others their message
                        member.line.fail(error)
                    if self._writes % step == 0:
                        yield step * cost
            yield self._writes % step * cost
            self.written, writes, self._writes = self.totals, self._writes, 0
            self.written.times.note(time.monotonic() - self._came.since(start, end, since), writes)
        elif not self.in_step:
            self._flushed = end
        self._start = self._flushed
        self._settle()
        self._flushing = False
        if self._news or self._more():
            self.news()

    def _note_leavers(self) -> int:
        """Return where the log ends, and note all members that have left up to there."""
        with self.ring.lock:
            leaving, self.leaving = self.leaving, []
            end = self.ring.end
        for member in leaving:
            self.move(member, State.LEAVING)
        return end

    def _settle(self) -> None:
        """Note how far each member has come, and have the ring drop what nobody needs any more."""
        self.chunks.clear()
        for member in list(self.apart):
            if member.state is State.LEAVING and member.next_stamp() is None:
                self.move(member, State.GONE)
            else:
                self._step_in(member)
        self.low = min([self._start, *[member.cursor for member in self.apart]])
        self.ring.trim()
        if self.ring.waiting or self._judged.full:
            self._judge()

    def _step_in(self, member: Member) -> None:
        line = member.line
        here = member.cursor == self._flushed and member.stop is None
        if here and line.writable.is_set() and line.only(member):
            self.move(member, State.IN_STEP)

    def _more(self) -> bool:
        """Return whether another round would write something, or note that a member has had it."""
        return self._flushed < self.ring.end or any(
            member.line.writable.is_set() and not member.line.idle for member in self.apart
        )

    def caught_up(self) -> int:
        """Return how many members have been written all there is. In any thread."""
        end = self.ring.end
        in_step = len(self.in_step) if self._flushed == end else 0
        return in_step + sum(
            member.cursor == end and member.line.writable.is_set() for member in list(self.apart)
        )

    def watch(self, member: Member) -> None:
        """Look from time to time whether `member` takes enough, while its line is full."""
        if member.mark is None:
            member.mark = (self.loop.time(), member.line.progress())
        self.on_watch()

    def look(self, late: float) -> bool:
        """Cut off members that take too little; return whether there are any to look at later.

        `late` is for how many seconds the event loop was blocked: no client could be served then.
        """
        now = self.loop.time()
        self.patience.look(self.apart, now, late)
        self._judge()
        return any(member.mark is not None for member in self.apart)

    def _judge(self) -> None:
        self.patience.judge(self.apart, self.ring.wanted, self.loop.time(), self._judged)

    def answer(self) -> None:
        """Give a sign of life."""
        self.asked = None

    def bury(self) -> None:
        """Cut off all members: the room went on while their event loop did not run."""
        for member in self.members:
            self.patience.evict(member, "blocked")
