"""What rooms have written to their members, and how long it waited before."""

from collections import deque
from typing import Self

from chatlib.core.times import Times


class Written:
    """Messages that were written to members, each counted for each member.

    Attributes:
        messages: how many.
        size: how many bytes that was.
        times: how long they waited in this process, from when they were in the log until they were
            handed to the connection of a member: for each write, of the oldest message in it, and
            of a member that was behind, once it has had all there is. That a call of `publish` has
            waited before, since the log was full, is not in it.
    """

    __slots__ = ("messages", "size", "times")

    def __init__(self, messages: int = 0, size: int = 0, times: Times | None = None) -> None:
        self.messages = messages
        self.size = size
        self.times = Times() if times is None else times

    def count(self, messages: int, size: int) -> None:
        """Count messages that were written to one member."""
        self.messages += messages
        self.size += size

    def plus(self, messages: int, size: int) -> "Written":
        """Return the sums with so much more. The times are the same object: they are not copied."""
        return Written(self.messages + messages, self.size + size, self.times)

    def add(self, other: Self) -> None:
        """Count all that `other` has counted."""
        self.count(other.messages, other.size)
        self.times.add(other.times)


class Arrivals:
    """Since when there is what a log has, up to the places at which somebody looked.

    They are kept until all is written, since one flush may be too short for it.
    """

    __slots__ = ("_places",)

    def __init__(self) -> None:
        self._places: deque[tuple[int, float]] = deque()

    def since(self, start: int, end: int, since: float) -> float:
        """Return since when there is the message at `start`, which is the oldest to be written.

        The log ends at `end` now, and there was news since `since`.
        """
        places = self._places
        if not places or places[-1][0] < end:
            places.append((end, since))
        while places[0][0] <= start:
            places.popleft()
        return places[0][1]
