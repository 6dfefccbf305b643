"""The event loops that the members of one room are in, each with a `Group` of them.

*Progress* is kept here where an event loop is at fault. One that has ended, or does not run, does
not serve its members, and a task that publishes in another one would wait for them for ever.
"""

import asyncio
import threading
from collections.abc import Callable
from weakref import WeakSet

from chatlib.core.group import Group
from chatlib.core.line import EndedError
from chatlib.core.member import Member, State
from chatlib.core.patience import Patience
from chatlib.core.ring import Ring, Waiter
from chatlib.core.stats import Stats
from chatlib.core.transportline import TransportLine
from chatlib.core.written import Written

HELD_UP = 0.25  # the share of the members that have had all, from which on the others hold them up


class Loops:
    """The groups of a room, by event loop, and a clock for each loop that has something to watch.

    Args:
        ring: the log of the room.
        patience: the rules for which members are cut off. The clocks apply them.
        on_leave: called in any thread when a member has left, and when it is gone.
    """

    def __init__(self, ring: Ring, patience: Patience, on_leave: Callable[[Member], None]) -> None:
        self.ring = ring
        self.patience = patience
        patience.held_up = self.held_up
        self.on_leave = on_leave
        self._groups: dict[asyncio.AbstractEventLoop, Group] = {}
        self._past = Written()  # what groups have written that there are no more
        self._clocks: WeakSet[asyncio.AbstractEventLoop] = WeakSet()
        self._lock = threading.Lock()

    @property
    def groups(self) -> list[Group]:
        """The groups, as they are now."""
        return list(self._groups.values())

    def stats(self, joined: int, members: int, sending: int) -> Stats:
        """Return the figures of the room.

        So many have joined it, so many are in it now, and so many calls of `send` wait.
        """
        written = Written()
        with self._lock:
            groups = self.groups
            for part in [self._past, *[group.totals for group in groups]]:
                written.add(part)
        all_of_them = [member for group in groups for member in group.members]
        fast = [isinstance(member.line, TransportLine) for member in all_of_them if not member.left]
        return Stats(
            members=members,
            behind=sum(member.waiting_bytes > 0 for member in all_of_them),
            delivered=written.messages,
            sent_bytes=written.size,
            waiting=self.ring.waiting + sending,
            waiting_bytes=self.ring.end - self.ring.first,
            evicted=dict(self.patience.evicted),
            joined=joined,
            left=joined - members,
            fast=sum(fast),
            times=written.times,
        )

    def group_here(self) -> Group:
        """Return the group of the running event loop."""
        loop = asyncio.get_running_loop()
        with self._lock, self.ring.lock:
            group = self._groups.get(loop)
            if group is None:
                group = Group(
                    self.ring, self.patience, loop, self._on_leave, self.watch, self.forget
                )
                self._groups[loop] = group
                self.ring.readers.append(group)
        return group

    def _on_leave(self, member: Member) -> None:
        self.on_leave(member)
        group = self._groups.get(member.line.loop)
        # In another thread a group that moves a member looks empty for a moment.
        if member.state is State.GONE and group is not None and not group.members:
            self.forget(group)

    def forget(self, group: Group) -> None:
        """Go on without a group that is empty, or whose event loop does not run."""
        with self._lock, self.ring.lock:
            if self._groups.get(group.loop) is not group:
                return
            del self._groups[group.loop]
            self.ring.readers.remove(group)
            self._past.add(group.totals)
        for member in group.members:
            self.on_leave(member)
        self.ring.trim()

    def held_up(self) -> bool:
        """Return whether so many members have had all there is that the others hold them up."""
        groups = self.groups
        caught_up = sum(group.caught_up() for group in groups)
        return caught_up >= max(1, HELD_UP * sum(len(group.members) for group in groups))

    def watch(self) -> None:
        """Start the clock of the running event loop, if it does not go."""
        loop = asyncio.get_running_loop()
        if loop not in self._clocks:
            self._clocks.add(loop)
            due = loop.time() + self.patience.interval
            loop.call_at(due, self._tick, loop, due)

    def _tick(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        """Look at the members that are behind, and again later while there are any."""
        self._clocks.discard(loop)
        late = loop.time() - due
        group = self._groups.get(loop)
        # A timer is always a little late; it is very late if the event loop was blocked.
        more = group is not None and group.look(late if late > self.patience.interval else 0.0)
        self.look_elsewhere()
        if more or self.ring.waiting:
            self.watch()

    def look_elsewhere(self) -> None:
        """Go on without the members of an event loop that has ended, or does not run."""
        here = asyncio.get_running_loop()
        for group in self.groups:
            if group.loop.is_closed():
                self.forget(group)
            elif group.loop is not here and group.low < self.ring.wanted:
                now = here.time()
                if group.asked is None:
                    group.asked = now
                    group.loop.call_soon_threadsafe(group.answer)
                elif self._goes_on_without(group, now, now - group.asked):
                    self.forget(group)
                    group.loop.call_soon_threadsafe(group.bury)

    def _goes_on_without(self, group: Group, now: float, silent: float) -> bool:
        """Return whether the room goes on without `group`, which gives no sign of life."""
        rules = self.patience
        if silent < rules.interval:
            return False
        if rules.on_full == "evict" or (self.held_up() and rules.spend(now, rules.interval)):
            return True
        return not group.loop.is_running() and silent >= rules.patience

    async def wait_for(self, held: Waiter, loop: asyncio.AbstractEventLoop) -> None:
        """Wait until `held` is done, as long as `loop`, which has to do it, runs.

        Raises:
            EndedError: it has ended.
        """
        still = 0.0
        while not held.done():
            if loop.is_closed() or still > self.patience.patience:
                raise EndedError("the event loop of this connection has ended")
            await asyncio.wait([held], timeout=self.patience.interval)
            still = 0.0 if loop.is_running() else still + self.patience.interval
        held.result()
