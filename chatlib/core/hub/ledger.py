"""What a hub has done in this process, in rooms that it has no more as well."""

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass

from chatlib.core.hub.liveroom import LiveRoom
from chatlib.core.stats import Stats


@dataclass(frozen=True)
class HubStats:
    """What a hub has done in this process, and what it does now.

    Attributes:
        rooms: how many rooms somebody hears through this process.
        members: how many connections are in them, each counted in each of its rooms.
        largest: how many are in the room that has most.
        behind: for how many members something waits to be written.
        waiting_bytes: how much of the logs waits to be written to a member.
        delivered, sent_bytes, evicted: as in `Stats` of a room, for all rooms that there were.
        joins: how many joins there were, by what the welcome said in `history`.
        repairs: how often a room read up what it had not been told of, or had no place for.
        lag: how many messages were in the store, and not yet given to the members here, when this
            process last looked (every `beat` seconds), in all rooms together.
    """

    rooms: int
    members: int
    largest: int
    behind: int
    waiting_bytes: int
    delivered: int
    sent_bytes: int
    evicted: dict[str, int]
    joins: dict[str, int]
    repairs: int
    lag: int


class Tally:
    """Sums over rooms that only grow."""

    def __init__(self) -> None:
        self.delivered = self.sent_bytes = self.repairs = 0
        self.evicted: Counter[str] = Counter()
        self.joins: Counter[str] = Counter()

    def add(self, room: LiveRoom) -> Stats:
        """Add what `room` has done up to now; return its figures."""
        stats = room.stats
        self.delivered += stats.delivered
        self.sent_bytes += stats.sent_bytes
        for reason, number in stats.evicted.items():  # `update` costs more than all the rest
            self.evicted[reason] += number
        for history, number in room.joins.items():
            self.joins[history] += number
        self.repairs += room.repairs
        return stats


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
            else:
                self._ending.append(oldest)

    def stats(self, rooms: Iterable[LiveRoom]) -> HubStats:
        """Return the sums and, for `rooms`, which are those of now, how they are."""
        past, sums = self._past, Tally()
        for room in self._ending:
            sums.add(room)
        now = [sums.add(room) for room in rooms]
        return HubStats(
            rooms=len(now),
            members=sum(stats.members for stats in now),
            largest=max((stats.members for stats in now), default=0),
            behind=sum(stats.behind for stats in now),
            waiting_bytes=sum(stats.waiting_bytes for stats in now),
            delivered=past.delivered + sums.delivered,
            sent_bytes=past.sent_bytes + sums.sent_bytes,
            evicted=dict(past.evicted + sums.evicted),
            joins=dict(past.joins + sums.joins),
            repairs=past.repairs + sums.repairs,
            lag=self.lag,
        )
