"""What a hub has done in this process, in rooms that it has no more as well."""

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass

from chatlib.core.hub.liveroom import LiveRoom
from chatlib.core.stats import Stats, total


@dataclass(frozen=True, kw_only=True)
class HubStats(Stats):
    """What a hub has done in this process, in all rooms that there were, and what it does now.

    Attributes:
        rooms: how many rooms somebody hears through this process.
        members: how many connections are in them, each counted in each of its rooms.
        largest: how many are in the room that has most.
        joins: how many joins there were, by what the welcome said in `history`.
        repairs: how often a room read up what it had not been told of, or had no place for.
        lag: how many messages were in the store, and not yet given to the members here, when this
            process last looked (every `beat` seconds), in all rooms together.
    """

    rooms: int
    largest: int
    joins: dict[str, int]
    repairs: int
    lag: int


class Tally:
    """Sums over rooms."""

    def __init__(self) -> None:
        self.stats: list[Stats] = []
        self.repairs = 0
        self.joins: Counter[str] = Counter()

    def add(self, room: LiveRoom) -> None:
        """Add what `room` has done up to now."""
        self.stats.append(room.stats)
        for history, number in room.joins.items():
            self.joins[history] += number
        self.repairs += room.repairs

    def settle(self) -> None:
        """Keep one sum, and no longer what it is made of."""
        self.stats = [total(self.stats)]


class Ledger:
    """Keeps the sums of a hub, so that none falls when a room goes.

    Attributes:
        lag: as in `HubStats`.
    """

    def __init__(self) -> None:
        self.lag = 0
        self._past = Tally()
        self._ending: deque[LiveRoom] = (
            deque()
        )  # who has left is still written what was said before

    def retire(self, room: LiveRoom) -> None:
        """Take over the sums of a room that the hub has no more."""
        self._ending.append(room)
        for _ in range(min(2, len(self._ending))):  # two for one that comes: so they stay few
            oldest = self._ending.popleft()
            if oldest.empty:
                self._past.add(oldest)
                self._past.settle()
            else:
                self._ending.append(oldest)

    def stats(self, rooms: Iterable[LiveRoom]) -> HubStats:
        """Return the sums and, for `rooms`, which are those of now, how they are."""
        past, ending, now = self._past, Tally(), Tally()
        for room in list(self._ending):  # another thread may ask
            ending.add(room)
        for room in rooms:
            now.add(room)
        sums = total([*past.stats, *ending.stats, *now.stats])
        return HubStats(
            rooms=len(now.stats),
            members=sum(stats.members for stats in now.stats),
            largest=max((stats.members for stats in now.stats), default=0),
            behind=sum(stats.behind for stats in now.stats),
            waiting=sum(stats.waiting for stats in now.stats),
            waiting_bytes=sum(stats.waiting_bytes for stats in now.stats),
            delivered=sums.delivered,
            sent_bytes=sums.sent_bytes,
            evicted=sums.evicted,
            joins=dict(past.joins + ending.joins + now.joins),
            repairs=past.repairs + ending.repairs + now.repairs,
            lag=self.lag,
            joined=sums.joined,
            left=sums.left,
            fast=sums.fast,
            times=sums.times,
        )
