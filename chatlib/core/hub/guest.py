"""What a feed asks of a connection that is on its way in."""

from typing import Protocol

from chatlib.stores.store import Cursor, History


class Guest(Protocol):
    """One who is about to become a member."""

    async def greet(self, history: History, after: Cursor, head: Cursor) -> None:
        """Send what comes before the messages, which are those that follow `after`."""

    def arrive(self) -> bytes:
        """Return the frames that come between the messages that were missed and those to come."""
        return b""


class ChangedError(Exception):
    """The history of a room changed while it was read. The text is the name of the room."""
