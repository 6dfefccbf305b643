"""A client of the storm: by the rules of the protocol, with nothing of chatlib in it."""

import asyncio
import contextlib
import json
import random
import sys
import time
from collections.abc import Callable
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from benchmarks.storm.records import (
    Acked,
    Beat,
    Changed,
    Closed,
    Heard,
    Opened,
    Record,
    Refused,
    Said,
    Welcomed,
)
from chatlib.stores.store import Cursor

OPEN_SECONDS = 3.0  # a handshake may take
LATE_SECONDS = 2.0  # the beat may be late, before the connection counts as dead
BACKOFF_SECONDS = 1.0  # between two tries, at most


class Client:
    """One person: says messages when they are due, and notes all that it gets.

    Args:
        name: of the person.
        token: says so.
        way: returns the address to connect to, anew for each try.
        due: when each message is to be said, in seconds from the start, in order.
        window: how many may be sent and not yet acknowledged.
        beat: every how many seconds the server sends one.
        patience: how many seconds a handshake may take.
    """

    def __init__(
        self,
        name: str,
        token: str,
        way: Callable[[], str],
        due: list[float],
        window: int,
        beat: float,
        patience: float = OPEN_SECONDS,
    ) -> None:
        self.record = Record(name, in_order=window == 1)
        self._headers = {"Authorization": f"Bearer {token}"}
        self._way = way
        self._due = due
        self._window = window
        self._silence = beat + LATE_SECONDS
        self._patience = patience
        self._random = random.Random(name)
        self._outbox: dict[str, None] = {}  # what is said and not acknowledged, in order
        self._count = 0
        self._said: set[str] = set()
        self._sent: set[str] = set()  # on this connection
        self._wake = asyncio.Event()
        self._socket: ClientConnection | None = None
        self._began = time.monotonic()
        self._away = False

    @property
    def is_done(self) -> bool:
        """Whether all that was to be said is acknowledged."""
        return self.record.left or not (self._outbox or self._due)

    @property
    def is_here(self) -> bool:
        """Whether there is a connection, and it was welcomed."""
        return self._socket is not None and not isinstance(self.record.events[-1], Opened)

    async def run(self) -> None:
        """Be there until this is cancelled, or `leave`."""
        self._began = time.monotonic()
        tries = 0
        while not self._away:
            welcomes = len(self.record.events)
            with contextlib.suppress(OSError, TimeoutError, WebSocketException):
                await self._connect()
            tries = 0 if len(self.record.events) > welcomes else tries + 1
            longest = min(BACKOFF_SECONDS, 0.05 * 2 ** min(tries, 10))
            await asyncio.sleep(self._random.uniform(0, longest))

    async def leave(self, how: str) -> None:
        """Leave for good: with a `"close"`, or by vanishing. It need not have all messages then."""
        self.record.left = True
        self.stay_away()
        if self._socket is None:
            return
        if how == "close":
            await self._socket.close()
        else:
            self._socket.transport.abort()

    def stay_away(self) -> None:
        """Do not connect any more."""
        self._away = True

    async def _connect(self) -> None:
        """Be connected once."""
        after = self.record.cursor
        async with connect(
            f"{self._way()}?after={after}",
            subprotocols=["chatlib.rooms.1"],
            additional_headers=self._headers,
            compression=None,  # so that a proxy finds an acknowledgement
            open_timeout=self._patience,
            close_timeout=1,
            ping_interval=None,
            proxy=None,
        ) as socket:
            if self._away:  # meanwhile
                return
            self.record.connections += 1
            self.record.note(Opened(time.monotonic(), after))
            self._socket = socket
            self._sent.clear()
            talker = asyncio.create_task(self._talk(socket))
            try:
                await self._listen(socket)
            except (ConnectionClosed, TimeoutError) as gone:
                close = gone.rcvd if isinstance(gone, ConnectionClosed) else None
                code, reason = (close.code, close.reason) if close else (1006, "")
                self.record.note(Closed(time.monotonic(), code, reason))
                socket.transport.abort()
            finally:
                self._socket = None
                talker.cancel()

    async def _listen(self, socket: ClientConnection) -> None:
        """Note what comes, until the connection ends or is dead, or a message is missing."""
        record = self.record
        while True:
            async with asyncio.timeout(self._silence):
                frame = json.loads(await socket.recv())
            now, place = time.monotonic(), record.cursor
            match frame["type"]:
                case "message":
                    record.note(heard(now, frame))
                    if frame["id"] != place.id + 1:
                        return
                case "welcome":
                    people = frozenset(frame["people"] or ())  # None: too many
                    after = Cursor.parse(frame["after"])
                    record.note(Welcomed(now, frame["history"], after, frame["head"], people))
                    self._wake.set()
                case "ack":
                    self._outbox.pop(frame["key"], None)
                    record.note(Acked(now, *(frame[it] for it in ("key", "id", "tag", "again"))))
                    self._wake.set()
                case "error":
                    key = frame.get("key")
                    record.note(Refused(now, frame["code"], key))
                    later = asyncio.get_running_loop().call_later
                    later(frame.get("wait", 1.0), self._say_again, key)
                case "people":
                    record.note(Changed(now, frozenset(frame["joined"]), frozenset(frame["left"])))
                case "beat":
                    record.note(Beat(now, frame["head"]))
                    if frame["head"] != place.id:
                        return

    def _say_again(self, key: str) -> None:
        self._sent.discard(key)
        self._wake.set()

    async def _talk(self, socket: ClientConnection) -> None:
        """Say what is due; first, what was said before and is not acknowledged."""
        while not self.record.events or isinstance(self.record.events[-1], Opened):
            await self._woken(1.0)  # the welcome comes first
        with contextlib.suppress(ConnectionClosed):
            while True:
                passed = time.monotonic() - self._began
                while len(self._outbox) < self._window and self._due and self._due[0] <= passed:
                    self._due.pop(0)
                    self._count += 1
                    self._outbox[f"{self.record.name}-{self._count}"] = None
                for key in [key for key in self._outbox if key not in self._sent]:
                    self._sent.add(key)
                    self.record.note(Said(time.monotonic(), key, key in self._said))
                    self._said.add(key)
                    await socket.send(json.dumps({"type": "say", "key": key, "text": f"I, {key}"}))
                room = len(self._outbox) < self._window and self._due
                await self._woken(max(0.0, self._due[0] - passed) if room else 1.0)

    async def _woken(self, seconds: float) -> None:
        """Wait until there may be something to do, `seconds` at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        self._wake.clear()


def heard(now: float, frame: dict[str, Any]) -> Heard:
    """Return the note of a message. Its texts are shared: each client notes the same ones."""
    tag, key, sender = (sys.intern(frame[it]) for it in ("tag", "key", "from"))
    return Heard(now, frame["id"], tag, key, sender)
