"""The figures of a room."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from chatlib.core.times import Times


@dataclass(frozen=True)
class Stats:
    """What a room has done.

    Attributes:
        members: how many connections are in it now.
        behind: for how many of them something waits to be written.
        delivered: how many messages were written to members, each counted for each member.
        sent_bytes: how many bytes that was.
        waiting: how many calls of `publish` and `send` wait now until a member takes more.
        waiting_bytes: how much of the log waits to be written to a member.
        evicted: how many were cut off, by reason: `"stalled"` took nothing, `"slow"` took too
            little, `"blocked"` was in an event loop that did not run while others waited for it.
        joined: how many connections have joined.
        left: how many of them are members no more, those that were cut off too.
        fast: to how many of the members ready frames are written, past the server's `send`.
        times: how long messages waited in the log until they were handed to the connection of a
            member: of each write, the oldest message in it; of a member that was behind, the
            oldest that it lacked, once it has had all there is.
    """

    members: int
    behind: int
    delivered: int
    sent_bytes: int
    waiting: int
    waiting_bytes: int
    evicted: dict[str, int]
    joined: int = 0
    left: int = 0
    fast: int = 0
    times: Times = field(default_factory=Times)


def total(rooms: Iterable[Stats]) -> Stats:
    """Return the sums over several rooms."""
    rooms, times = list(rooms), Times()
    evicted: Counter[str] = Counter()
    for stats in rooms:
        times.add(stats.times)
        for reason, number in stats.evicted.items():  # `update` costs more than all the rest
            evicted[reason] += number
    return Stats(
        members=sum(stats.members for stats in rooms),
        behind=sum(stats.behind for stats in rooms),
        delivered=sum(stats.delivered for stats in rooms),
        sent_bytes=sum(stats.sent_bytes for stats in rooms),
        waiting=sum(stats.waiting for stats in rooms),
        waiting_bytes=sum(stats.waiting_bytes for stats in rooms),
        evicted=dict(evicted),
        joined=sum(stats.joined for stats in rooms),
        left=sum(stats.left for stats in rooms),
        fast=sum(stats.fast for stats in rooms),
        times=times,
    )
