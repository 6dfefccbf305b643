"""The newest messages of a room, as frames, for those who come back: no look at the store."""

from collections import deque
from itertools import islice

from chatlib.core.ring import cost
from chatlib.stores.store import START, Cursor

RECENT_BYTES = 256 * 1024


class Recent:
    """Frames of messages that follow each other, up to `cursor`.

    Attributes:
        cursor: the place of the last one.
    """

    def __init__(self) -> None:
        self.cursor: Cursor = START
        self._frames: deque[tuple[Cursor, bytes]] = deque()
        self._before = START  # the place before the first of them
        self._bytes = 0

    def begin(self, cursor: Cursor) -> None:
        """Forget all, and go on from `cursor`."""
        self.cursor = self._before = cursor
        self._frames.clear()
        self._bytes = 0

    def add(self, cursor: Cursor, frame: bytes) -> None:
        """Add the next message; forget the oldest ones that are too much."""
        self.cursor = cursor
        self._frames.append((cursor, frame))
        self._bytes += cost(frame)
        while self._bytes > RECENT_BYTES and len(self._frames) > 1:
            self._before, old = self._frames.popleft()
            self._bytes -= cost(old)

    def has(self, cursor: Cursor) -> bool:
        """Return whether `cursor` is the place of one of them, or the one before the first."""
        if cursor.id == self._before.id:
            return cursor.tag == self._before.tag
        index = cursor.id - self._before.id - 1
        return 0 <= index < len(self._frames) and self._frames[index][0].tag == cursor.tag

    def place(self, last: int) -> Cursor | None:
        """Return the place before the `last` messages of the room; None if it is further back."""
        if last < len(self._frames):
            return self._frames[-last - 1][0]
        return self._before if last == len(self._frames) or not self._before.id else None

    def after(self, cursor: Cursor) -> bytes:
        """Return the frames after `cursor`, which is one of these places."""
        index = cursor.id - self._before.id
        return b"".join(frame for _, frame in islice(self._frames, index, None))
