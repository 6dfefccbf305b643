"""What rooms have written to their members, and how long it waited before."""

from typing import Self

from chatlib.core.times import Times


class Written:
    """Messages that were written to members, each counted for each member.

    Attributes:
        messages: how many.
        size: how many bytes that was.
        times: how long they waited in this process, from the call that published them until they
            were handed to the connection of a member: for each write, of the oldest message in it,
            and of a member that was behind, once it has had all there is.
    """

    __slots__ = ("messages", "size", "times")

    def __init__(self) -> None:
        self.messages = self.size = 0
        self.times = Times()

    def count(self, messages: int, size: int) -> None:
        """Count messages that were written to one member."""
        self.messages += messages
        self.size += size

    def add(self, other: Self) -> None:
        """Count all that `other` has counted."""
        self.count(other.messages, other.size)
        self.times.add(other.times)
