"""A batcher of the reader's, and members that note what it writes to them."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from chatlib.lab.check.tools.puppet import new, turns


class Member:
    """A member, which keeps each write.

    Attributes:
        writes: what was written.
        answer: called at the first write.
        elsewhere: whether another thread has tried to write, which no transport stands.
    """

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.answer: Callable[[], object] | None = None
        self.elsewhere = False
        self.thread = threading.get_ident()

    def write(self, data: bytes) -> None:
        if threading.get_ident() != self.thread:
            self.elsewhere = True
            return
        self.writes.append(bytes(data) if isinstance(data, bytearray | memoryview) else data)
        if self.answer is not None:
            answer, self.answer = self.answer, None
            answer()


class Batch:
    """A batcher, and the members that it writes to."""

    def __init__(self, batcher_class: Any, number: int = 3) -> None:
        self.members = [Member() for _ in range(number)]
        self.batcher = new(batcher_class, self.members)
        self.escaped: list[BaseException] = []
        asyncio.get_running_loop().set_exception_handler(self.note_error)

    def note_error(self, loop: object, context: dict[str, Any]) -> None:
        """Note what an event loop only logs: an error in what it was asked to call."""
        if isinstance(error := context.get("exception"), BaseException):
            self.escaped.append(error)

    def written(self) -> list[list[bytes]]:
        """Return the writes of each member."""
        return [member.writes for member in self.members]

    async def publish(self, frame: bytes) -> None:
        """Publish `frame`, with a function of either kind."""
        result = self.batcher.publish(frame)
        if asyncio.iscoroutine(result):
            await result

    async def turn(self) -> None:
        """Let this turn end, and some more, in which no time passes: a timer comes too late."""
        loop: Any = asyncio.get_running_loop()
        now = loop.time()
        loop.time = lambda: now
        try:
            await turns()
        finally:
            del loop.time
        if self.escaped:
            raise self.escaped[0]
