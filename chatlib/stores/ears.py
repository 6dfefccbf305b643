"""Who listens to the rooms of a store, in this process."""

import asyncio
import threading
from collections.abc import Callable, Sequence

from chatlib.stores.store import Cursor, Ear, Entry

Loop = asyncio.AbstractEventLoop
Call = tuple[Callable[..., None], tuple[object, ...]]  # what is called, and with what


class Ears:
    """The ears of all rooms. In any thread; an ear is called in the event loop that it is of.

    An exception of an ear goes to the exception handler of its event loop.
    """

    def __init__(self) -> None:
        self._rooms: dict[str, dict[Ear, Loop]] = {}
        self._lock = threading.Lock()

    def add(self, room: str, ear: Ear) -> None:
        """Have `ear` told of `room`, in the running event loop."""
        with self._lock:
            self._rooms.setdefault(room, {})[ear] = asyncio.get_running_loop()

    def remove(self, room: str, ear: Ear) -> None:
        """Have `ear` told nothing more of `room`."""
        with self._lock:
            ears = self._rooms.get(room, {})
            ears.pop(ear, None)
            if not ears:
                self._rooms.pop(room, None)

    @property
    def rooms(self) -> list[str]:
        """The rooms that somebody listens to."""
        with self._lock:
            return list(self._rooms)

    def new(self, room: str, entries: Sequence[Entry]) -> None:
        """Tell of messages that were appended, here or by another process."""
        for ear, loop in self.of(room):
            call_in(loop, ear.new, entries)

    def head(self, room: str, cursor: Cursor) -> None:
        """Tell that the log reaches to `cursor`, or beyond."""
        for ear, loop in self.of(room):
            call_in(loop, ear.head, cursor)

    def resync(self, room: str) -> None:
        """Tell that something may have been missed."""
        for ear, loop in self.of(room):
            call_in(loop, ear.resync)

    def people(self, room: str) -> None:
        """Tell that somebody has come or left."""
        for ear, loop in self.of(room):
            call_in(loop, ear.people)

    def shout(self, room: str, data: bytes) -> None:
        """Tell what another process has shouted."""
        for ear, loop in self.of(room):
            call_in(loop, ear.shout, data)

    def of(self, room: str) -> list[tuple[Ear, Loop]]:
        """Return who listens to `room`, and in which event loop."""
        with self._lock:
            return list(self._rooms.get(room, {}).items())


class Calls:
    """What is to be called in event loops. Each loop wakes up once, for all that it has to call."""

    def __init__(self) -> None:
        self._by_loop: dict[Loop, list[Call]] = {}

    def add(self, loop: Loop, call: Callable[..., None], *args: object) -> None:
        """Have `call` called in `loop`, after what was added before."""
        self._by_loop.setdefault(loop, []).append((call, args))

    def send(self) -> None:
        """Have all of it called now. In any thread."""
        for loop, calls in self._by_loop.items():
            call_in(loop, call_all, loop, calls)


def call_all(loop: Loop, calls: list[Call]) -> None:
    """Call `calls` in their order, in the running `loop`; one that raises stops no other."""
    for call, args in calls:
        call_in(loop, call, *args)


def call_in(loop: Loop, call: Callable[..., None], *args: object) -> None:
    """Call `call` in `loop`: now, if that is the running one; not at all if it is closed.

    Now, and not in its next turn: so what is appended in one turn goes out in one write.
    """
    if asyncio._get_running_loop() is loop:
        try:
            call(*args)
        except Exception as error:  # it is no fault of the caller's
            what = f"exception in {call!r}, which listens to a room"
            loop.call_exception_handler({"message": what, "exception": error})
        return
    try:
        loop.call_soon_threadsafe(call, *args)
    except RuntimeError:
        if not loop.is_closed():
            raise
