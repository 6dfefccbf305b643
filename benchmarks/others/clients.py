"""Clients that count what they hear, and what they were told of what they said."""

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import Callable
from urllib.parse import urlencode

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from benchmarks.others.apps import PATH
from benchmarks.others.candidates import Candidate

AWAY_SECONDS = 0.5  # before a client comes back
OPEN_SECONDS = 5.0  # a guard


class Client:
    """A client that says 1, 2, 3 …, and comes back whenever its connection ends.

    It comes back with what its server has it know: the cursor, or the wish to have the history.

    Args:
        candidate: whose frames it reads.
        port: of its worker. It may be changed: that is where it comes back.

    Attributes:
        heard: how often it has heard which number.
        kept: the numbers that its server has told it are published.
        refused: those that were not.
        said: the last number that it has said.
        silent: it is to say nothing more.
        times: how often it has connected.
    """

    def __init__(self, candidate: Candidate, port: int) -> None:
        self.candidate, self.port = candidate, port
        self.heard: Counter[int] = Counter()
        self.latest = 0
        self.kept: set[int] = set()
        self.refused: set[int] = set()
        self.said = 0
        self.silent = False
        self.times = 0
        self.connection: ClientConnection | None = None
        self._cursor: str | None = None
        self._news = asyncio.Event()

    @property
    def url(self) -> str:
        """Where it connects."""
        if self.candidate.dialect == "socketio":
            return f"ws://127.0.0.1:{self.port}/socket.io/?EIO=4&transport=websocket"
        query = {"answers": "1"}
        if self.times and self.candidate.history:
            query["history"] = "1"
        if self._cursor is not None:
            query["after"] = self._cursor
        return f"ws://127.0.0.1:{self.port}{PATH}?{urlencode(query)}"

    async def run(self) -> None:
        """Be connected until this is cancelled."""
        while True:
            with contextlib.suppress(OSError, WebSocketException):
                async with connect(
                    self.url, proxy=None, ping_interval=None, open_timeout=OPEN_SECONDS
                ) as connection:
                    if self.candidate.dialect == "socketio":
                        await connection.recv()
                        await connection.send("40")
                        await connection.recv()
                    self.connection = connection
                    self.times += 1
                    self._news.set()
                    async for frame in connection:
                        assert isinstance(frame, str)
                        self._read(frame)
            self.connection = None
            await asyncio.sleep(AWAY_SECONDS)

    def _read(self, frame: str) -> None:
        """Note what a frame says."""
        dialect = self.candidate.dialect
        if frame.startswith("ok "):
            self.kept.add(int(frame[3:]))
        elif frame.startswith("no "):
            self.refused.add(int(frame[3:]))
        elif dialect == "text":
            self._hear(int(frame))
        elif dialect == "hub":
            message = json.loads(frame)
            if message["type"] == "message":
                self._cursor = f"{message['id']}.{message['tag']}"
                self._hear(int(message["data"]))
        elif frame.startswith("42"):
            self._hear(int(json.loads(frame[2:])[1]))
        elif frame.startswith("43"):
            self.kept.add(int(frame[2 : frame.index("[")]))
        self._news.set()

    def _hear(self, number: int) -> None:
        self.heard[number] += 1
        self.latest = max(self.latest, number)

    async def say(self) -> None:
        """Say the next number, unless it is not connected."""
        if self.connection is None:
            return
        self.said += 1
        frame = f"{self.said}"
        if self.candidate.dialect == "socketio":
            frame = f'42{self.said}["message","{self.said}"]'  # with an id, so that it is answered
        with contextlib.suppress(WebSocketException):
            await self.connection.send(frame)

    def is_answered(self) -> bool:
        """Whether it has been told of all that it has said what became of it."""
        return len(self.kept) + len(self.refused) >= self.said

    async def until(self, holds: Callable[[], bool], guard: float) -> bool:
        """Wait until something holds of what it has heard. Return whether it did within `guard`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(guard):
                while not holds():
                    self._news.clear()
                    await self._news.wait()
        return holds()
