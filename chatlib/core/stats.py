"""The figures of a room."""

from dataclasses import dataclass


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
    """

    members: int
    behind: int
    delivered: int
    sent_bytes: int
    waiting: int
    waiting_bytes: int
    evicted: dict[str, int]
