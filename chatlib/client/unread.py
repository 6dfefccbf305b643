"""The messages that a client has got and its app has not read."""

from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from chatlib.client.errors import IncompleteHistoryError
from chatlib.core.rooms import protocol
from chatlib.stores.store import Cursor

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Message:
    """A message of a room.

    Attributes:
        id: its number: 1, 2, 3 … in its room, without gaps.
        tag: the fingerprint of the history up to and with it.
        key: what its sender calls it.
        sender: the name of the person who said it; "" if an app has published it.
        text: what was said.
        at: when, by the server's clock, in UTC. 1970 if an app has published it.
        to: the person to whom alone it was said, or None.
    """

    id: int
    tag: str
    key: str
    sender: str
    text: str
    at: datetime
    to: str | None = None

    @property
    def cursor(self) -> str:
        """The place behind it: `join(…, after=message.cursor)` goes on there."""
        return f"{self.id}.{self.tag}"

    @classmethod
    def of(cls, frame: protocol.Message) -> "Message":
        """Return what `frame` says."""
        at = EPOCH + timedelta(milliseconds=frame.at)
        return cls(frame.id, frame.tag, frame.key, frame.sender or "", frame.text, at, frame.to)


class Unread:
    """Messages in their order, and the places where some are missing.

    Beyond `limit`, what comes is dropped, and has to be asked for again from `place` on.

    Args:
        limit: how many are kept.
        place: up to where the app has read; None: nowhere.

    Attributes:
        place: behind the newest one, or where to go on.
        dropped: whether anything after `place` was dropped.
    """

    def __init__(self, limit: int, place: Cursor | None) -> None:
        self.limit = limit
        self.place = place
        self.dropped = False
        self._items: deque[Message | IncompleteHistoryError] = deque()

    def __len__(self) -> int:
        return len(self._items)

    def go_on(self, history: str, after: Cursor) -> None:
        """Note that what comes now follows `after`, and what became of what came before."""
        if history in ("trimmed", "diverged") and self.place is not None:
            before = self.place
            if self._items and isinstance(last := self._items[-1], IncompleteHistoryError):
                self._items.pop()  # one place, one error: the worse one
                before = Cursor.parse(last.before)
                history = "diverged" if last.history == "diverged" else history
            self._items.append(IncompleteHistoryError(history, before, after))
        self.place = after
        self.dropped = False

    def put(self, message: Message) -> None:
        """Keep `message`, if there is room."""
        if self.dropped or len(self._items) >= self.limit:
            self.dropped = True
            return
        self._items.append(message)
        self.place = Cursor(message.id, message.tag)

    def take(self) -> Message | IncompleteHistoryError:
        """Return the oldest one; `IndexError` if there is none."""
        return self._items.popleft()
