"""A client of the storm that uses `chatlib.client`, as an app does."""

import asyncio
import contextlib
import random
import time
from collections.abc import Iterator

from benchmarks.storm.clients import BACKOFF_SECONDS, LATE_SECONDS
from benchmarks.storm.records import Acked, Changed, Heard, Opened, Record, Refused, Said, Welcomed
from chatlib.client import (
    Event,
    IncompleteHistoryError,
    Lost,
    Message,
    People,
    Room,
    RoomError,
    SayError,
    Welcome,
    join,
)
from chatlib.stores.store import START, Cursor


class LibraryClient:
    """One person: says messages when they are due, and notes what an app is told.

    It has what `clients.Client` has, and connects to one address.

    Args:
        name: of the person.
        token: says so.
        address: of the room.
        due: when each message is to be said, in seconds from the start, in order.
    """

    def __init__(self, name: str, token: str, address: str, due: list[float]) -> None:
        self.record = Record(name)
        self._token = token
        self._address = address
        self._due = due
        self._random = random.Random(name)
        self._away = False
        self._running: asyncio.Task[None] | None = None

    @property
    def is_done(self) -> bool:
        """Whether all that was to be said is acknowledged."""
        return self.record.left or not self._due

    async def run(self) -> None:
        """Be there until this is cancelled, or `leave`."""
        if self.record.left:  # before it came
            return
        self._running = asyncio.current_task()
        with contextlib.suppress(RoomError, AwayError):
            async with join(
                self._address,
                token=self._token,
                after=START,
                on_event=self._take,
                keep_trying=True,
                grace=LATE_SECONDS,
                reconnect_delays=self._delays,
            ) as room:
                talker = asyncio.create_task(self._talk(room))
                try:
                    await self._listen(room)
                finally:
                    talker.cancel()

    async def leave(self, how: str) -> None:
        """Leave for good, with a close frame. It need not have all messages then."""
        self.record.left = True
        if self._running is not None:
            self._running.cancel()

    def stay_away(self) -> None:
        """Do not connect any more, once the connection is lost."""
        self._away = True

    def _delays(self) -> Iterator[float]:
        while True:
            yield self._random.uniform(0, BACKOFF_SECONDS)

    def _take(self, event: Event) -> None:
        """Note what comes beside the messages; what a welcome says of those comes with them."""
        match event:
            case Welcome():
                self.record.connections += 1
                self.record.people = frozenset(event.people or ())
            case People():
                joined, left = frozenset(event.joined), frozenset(event.left)
                self.record.note(Changed(time.monotonic(), joined, left))
            case Lost() if self._away:
                raise AwayError

    async def _listen(self, room: Room) -> None:
        """Note the messages, and the places where some are missing."""
        while True:
            try:
                async for message in room:
                    self.record.note(heard(message))
                return
            except IncompleteHistoryError as gap:
                now, before, after = time.monotonic(), cursor(gap.before), cursor(gap.after)
                self.record.note(Opened(now, before))
                people = self.record.people
                self.record.note(Welcomed(now, gap.history, after, after.id, people))

    async def _talk(self, room: Room) -> None:
        """Say what is due, one after the other."""
        began, number = time.monotonic(), 0
        while self._due:
            await asyncio.sleep(max(0.0, began + self._due[0] - time.monotonic()))
            number += 1
            key = f"{self.record.name}-{number}"
            self.record.note(Said(time.monotonic(), key, False))
            try:
                receipt = await room.say(f"I, {key}", key=key)
            except SayError as error:
                self.record.note(Refused(time.monotonic(), error.code, key))
            except RoomError:  # the room has ended
                return
            else:
                now = time.monotonic()
                self.record.note(Acked(now, key, receipt.id, receipt.tag, receipt.again))
            self._due.pop(0)


class AwayError(Exception):
    """The client does not come back."""


def heard(message: Message) -> Heard:
    """Return the note of a message."""
    return Heard(time.monotonic(), message.id, message.tag, message.key, message.sender)


def cursor(text: str) -> Cursor:
    """Return the cursor that the library writes."""
    return Cursor.parse(text)
