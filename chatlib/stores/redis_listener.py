"""What passes between the processes that share a Redis, by its publish and subscribe.

Redis keeps nothing of what it publishes. So each confirmation of a subscription means: what was
appended before was not heard, and has to be read. That is so at first, and after each fault.
"""

import asyncio
import contextlib
import random
import secrets
from collections.abc import Iterable, Iterator

from redis.asyncio import Connection
from redis.exceptions import RedisError

from chatlib.stores.ears import Ears
from chatlib.stores.log import logger
from chatlib.stores.redis_place import Place, reason
from chatlib.stores.store import Cursor, Entry
from chatlib.stores.tasks import end

QUIET_SECONDS = 1.0  # without a word, until Redis is asked whether it is there
PAUSES = (0.02, 1.0)  # seconds between two tries to connect: at first, and at most
SHOWN = 20  # of so many failures in a row, one is logged
SOME = 1000  # channels that are subscribed to in one command


class Listener:
    """Tells the ears of this process what is published, by this process and others.

    Args:
        place: where Redis is.
        ears: who is told.
        worker: the name of this process among those that share it.

    Attributes:
        connects: how often it has connected.
    """

    def __init__(self, place: Place, ears: Ears, worker: str) -> None:
        self.connects = 0
        self._place = place
        self._ears = ears
        self._worker = worker.encode()
        self._own = place.channel_of(worker)
        self._channels: dict[bytes, str] = {}  # the room of each
        self._confirmed: dict[bytes, asyncio.Event] = {}
        self._echoes: dict[bytes, asyncio.Event] = {}
        self._connection: Connection | None = None
        self._hears = asyncio.Event()  # set while Redis has confirmed that this is heard
        self._why = "no answer"  # if not
        self._failures = 0  # since something was heard
        self._task: asyncio.Task[None] | None = None

    async def start(self, seconds: float) -> None:
        """Begin to listen.

        Raises:
            OSError: Redis has not confirmed that within so many seconds.
        """
        self._task = asyncio.create_task(self._run(), name="chatlib listener")
        try:
            async with asyncio.timeout(seconds):
                await self._hears.wait()
        except TimeoutError:
            raise self.error() from None

    async def stop(self) -> None:
        """Listen no more."""
        if self._task is not None:
            await end(self._task)

    async def add(self, room: str) -> None:
        """Hear `room`; return once Redis has confirmed it."""
        channel = (self._place.channels + room).encode()
        if channel not in self._channels:
            self._channels[channel] = room
            self._confirmed[channel] = asyncio.Event()
            confirmed = self._confirmed[channel]
            await self._send("SUBSCRIBE", [channel])
        else:
            confirmed = self._confirmed[channel]
        await confirmed.wait()

    async def remove(self, room: str) -> None:
        """Hear `room` no more. Harmless if it was not heard."""
        channel = (self._place.channels + room).encode()
        if self._channels.pop(channel, None) is not None:
            del self._confirmed[channel]
            await self._send("UNSUBSCRIBE", [channel])

    @contextlib.contextmanager
    def echo(self) -> Iterator[tuple[str, bytes, asyncio.Event]]:
        """Give a channel, a word, and what is set once this hears the word there.

        Raises:
            OSError: it hears nothing at all.
        """
        if not self._hears.is_set():
            raise self.error()
        word, heard = secrets.token_bytes(8), asyncio.Event()
        self._echoes[word] = heard
        try:
            yield self._own, word, heard
        finally:
            del self._echoes[word]

    def error(self, why: str | None = None) -> OSError:
        """Return the error that says that, and why, nothing is heard."""
        return self._place.error("cannot hear what is published at", why or self._why)

    async def _send(self, command: str, channels: Iterable[bytes]) -> None:
        """Send a command, if there is a connection. A new one subscribes to all there is."""
        if self._connection is not None:
            with contextlib.suppress(RedisError, OSError):  # the task that reads finds out
                await self._connection.send_command(command, *channels, check_health=False)

    def drop(self) -> None:
        """Connect anew, since this connection leads to a Redis that is not the right one now."""
        self._connection = None

    async def _run(self) -> None:
        while True:
            connection = self._place.connection()
            try:
                await connection.connect()  # type: ignore[no-untyped-call]
                await connection.send_command("PING")
                await connection.read_response()  # not while Redis reads its file: nobody can read
                self.connects += 1
                self._connection = connection  # before: who comes meanwhile subscribes by itself
                await self._subscribe(connection)
                await self._listen(connection)
            except Exception as error:
                if self._failures % SHOWN == 0:
                    logger.warning(
                        "what is published at %s is not heard: %s", self._place.shown, reason(error)
                    )
                self._why = reason(error)
            finally:
                self._connection = None
                self._hears.clear()
                with contextlib.suppress(RedisError, OSError):
                    await connection.disconnect(nowait=True)
            pause, longest = PAUSES
            pause = min(pause * 2 ** min(self._failures, 10), longest)
            self._failures += 1
            await asyncio.sleep(pause * random.uniform(0.5, 1))

    async def _subscribe(self, connection: Connection) -> None:
        channels = [self._own.encode(), *self._channels]
        for start in range(0, len(channels), SOME):
            some = channels[start : start + SOME]
            await connection.send_command("SUBSCRIBE", *some, check_health=False)

    async def _listen(self, connection: Connection) -> None:
        asked = False
        while connection is self._connection:
            answer = await connection.read_response(timeout=QUIET_SECONDS, disable_decoding=True)
            if isinstance(answer, bytes):  # as to one who has subscribed to nothing
                raise ConnectionError("its subscriptions are gone")
            if answer is not None:
                asked = False
                self._take(*answer[:3])
            elif asked:
                raise TimeoutError("it does not answer")
            else:
                await connection.send_command("PING", check_health=False)
                asked = True

    def _take(self, kind: bytes, channel: bytes, data: bytes = b"") -> None:
        """Take what Redis says."""
        room = self._channels.get(channel)
        if kind == b"subscribe" and channel == self._own.encode():
            self._failures = 0
            self._hears.set()
        elif kind == b"subscribe" and room is not None:
            confirmed = self._confirmed[channel]
            if confirmed.is_set():  # a connection was lost, and whatever was published meanwhile
                self._ears.resync(room)
            confirmed.set()
        elif kind == b"message" and room is not None:
            self._hear(room, data)
        elif kind == b"message" and (heard := self._echoes.get(data)) is not None:
            heard.set()

    def _hear(self, room: str, data: bytes) -> None:
        """Tell the ears of `room` what was published there. Others may publish there too."""
        kind, rest = data[:1], data[1:]
        try:
            if kind == b"m":
                self._ears.new(room, entries_in(rest))
            elif kind == b"h":
                number, tag = rest.decode().split(" ")
                self._ears.head(room, Cursor(int(number), tag))
            elif kind == b"p":
                self._ears.people(room)
            elif kind == b"s":
                worker, _, words = rest.partition(b" ")
                if worker != self._worker:
                    self._ears.shout(room, words)
        except ValueError:
            self._ears.resync(room)  # whatever it is, it is no harm to look

    def shout(self, room: str, data: bytes) -> tuple[str, bytes]:
        """Return the channel on which others are told `data`, and what is published there."""
        return self._place.channels + room, b"s" + self._worker + b" " + data


def entries_in(data: bytes) -> list[Entry]:
    """Return the messages that `append.lua` tells of; `ValueError` if that is not what it is."""
    about, _, words = data.partition(b"\n")
    entries: list[Entry] = []
    start = 0
    for each in about.decode("ascii").split(","):
        number, tag, key_bytes, body_bytes = each.split(" ")
        middle = start + int(key_bytes)
        end = middle + int(body_bytes)
        entries.append(Entry(int(number), tag, words[start:middle].decode(), words[middle:end]))
        start = end
    if start != len(words):
        raise ValueError(f"expected {start} bytes, got {len(words)}")
    return entries
