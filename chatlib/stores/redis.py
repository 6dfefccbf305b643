"""A store on Redis, or Valkey, which any number of processes on any number of machines share.

A room is a stream. Messages are appended by a script, which gives them their ids and tags and
publishes them to all processes that listen to the room.
"""

import asyncio
import contextlib
import os
import secrets
import socket
from collections.abc import Awaitable, Iterable
from typing import TypeVar

try:
    from redis.exceptions import RedisError
except ImportError as error:
    raise ImportError(
        f"a store on Redis needs the package redis ({error}): pip install 'chatlib[redis]'"
    ) from error

from chatlib.stores.ears import Ears
from chatlib.stores.redis_listener import Listener
from chatlib.stores.redis_people import LEASE_SECONDS, People
from chatlib.stores.redis_place import Place
from chatlib.stores.redis_reader import Reader
from chatlib.stores.redis_wire import Wire, warn_of
from chatlib.stores.redis_writer import Writer
from chatlib.stores.retention import DEFAULT, Retention
from chatlib.stores.store import (
    LIMIT,
    Cursor,
    Durability,
    Ear,
    NotKept,
    Page,
    Receipt,
    Unsure,
    expect_message,
    expect_name,
    expect_part,
)

CHECK_SECONDS = 1.5
T = TypeVar("T")


class RedisStore:
    """A `Store` on Redis 6.2 or newer, or Valkey. It belongs to the event loop that opens it.

    How durable it is depends on how Redis is configured: `appendonly yes` with `appendfsync always`
    is `"disk"`, with `everysec` `"second"`, or two while the disk is slow. Without `appendonly` it
    is `"memory"`, since Redis may be killed. It is `"unknown"` where Redis does not tell, or syncs
    nothing while it rewrites its file (`no-appendfsync-on-rewrite yes`). A Redis Cluster will not
    do. A replica that takes over may lack the last messages: a cursor of one of them finds out.

    Args:
        url: as the package redis takes it: `redis://user:password@host:6379/0`, `rediss://` for
            TLS.
        retention: how much of each room is kept.
        patience: how many seconds an append is tried.
        prefix: how all keys and channels begin.
        timeout: how many seconds Redis has for an answer.

    Raises:
        ValueError: it is no such address.
        ImportError: the package redis is missing.
    """

    lease = LEASE_SECONDS

    def __init__(
        self,
        url: str,
        retention: Retention = DEFAULT,
        patience: float = 5.0,
        prefix: str = "chatlib",
        timeout: float = 2.0,
    ) -> None:
        self._place = Place(url, prefix, timeout)
        self._retention = retention
        self._patience = patience
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ears = Ears()
        self._wire: Wire | None = None

    @property
    def durable(self) -> Durability:
        """How durable Redis has said that it makes what it keeps, when it was asked last."""
        return "unknown" if self._wire is None else self._wire.durable

    async def open(self) -> None:
        """Connect, and begin to listen to other processes."""
        if self._loop is not None and not self._loop.is_closed():
            raise RuntimeError(f"this store at {self._place.shown} is open already")
        worker = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._ears = Ears()
        self._client = self._place.client(self._patience)
        self._reader = Reader(self._place, self._client)
        self._writer = Writer(self._place, worker, self._retention, self._patience)
        self._wire = self._writer.wire
        self._listener = Listener(self._place, self._ears, worker)
        self._aside = self._place.lone_client(self._patience)  # waits for no reader
        self._people = People(
            self._place, worker, self._writer, self._aside, self._listener, self._reader
        )
        self._loop = asyncio.get_running_loop()
        try:
            await self._writer.start()
            await self._listener.start(self._patience)
            await self._people.start()
        except RedisError as error:
            await self.close()
            raise self._place.error("cannot keep messages in", error) from error
        except BaseException:
            await self.close()
            raise
        warn_of(self._place, self._wire.settings)

    async def close(self) -> None:
        """Keep what waits, or give it up, and let go of Redis. Harmless if it is not open.

        The people of this process stay for some seconds, as long as its lease holds.
        """
        if self._loop is not None:
            self._expect_open()
            async with contextlib.AsyncExitStack() as stack:  # each, though one before it fails
                stack.callback(setattr, self, "_loop", None)
                stack.push_async_callback(self._client.aclose)
                stack.push_async_callback(self._aside.aclose)
                stack.push_async_callback(self._people.stop)
                stack.push_async_callback(self._listener.stop)
                await self._writer.stop()

    def _expect_open(self, error: type[Exception] = OSError) -> None:
        if self._loop is None:
            raise error(f"the store at {self._place.shown} is not open")
        if self._loop is not asyncio._get_running_loop():
            raise RuntimeError(
                f"the store at {self._place.shown} belongs to the event loop that opened it, and "
                "this is another one; in a test, write `with TestClient(app) as client:`"
            )

    async def append(self, room: str, key: str, body: bytes) -> Receipt:
        """Keep `body`, as `Store.append` says."""
        expect_message(room, key, body)
        self._expect_open(NotKept)
        receipt: Receipt = await self._writer.append(room, key, body)
        return receipt

    async def read(
        self,
        room: str,
        *,
        after: Cursor | None = None,
        before: int | None = None,
        limit: int = LIMIT,
    ) -> Page:
        """Return a part of the log, as `Store.read` says."""
        expect_part(room, after, before)
        self._expect_open()
        return await self._answered(self._reader.page(room, after, before, limit))

    async def heads(self, rooms: Iterable[str]) -> dict[str, Cursor]:
        """Return the place of the newest message of each of `rooms`."""
        self._expect_open()
        return await self._answered(self._reader.heads(list(rooms)))

    async def hear(self, room: str, ear: Ear) -> None:
        """Have `ear` told of what happens in `room`.

        Raises:
            OSError: Redis does not confirm that within `patience`.
        """
        expect_name("room", room)
        self._expect_open()
        self._ears.add(room, ear)
        try:
            async with asyncio.timeout(self._patience):
                await self._listener.add(room)
        except BaseException as error:
            await self.unhear(room, ear)
            if isinstance(error, TimeoutError):
                raise self._listener.error() from None
            raise

    async def unhear(self, room: str, ear: Ear) -> None:
        """Have `ear` told nothing more of `room`."""
        self._ears.remove(room, ear)
        if self._loop is not None and not self._ears.of(room):
            await self._listener.remove(room)

    def shout(self, room: str, data: bytes) -> None:
        """Tell the ears of other processes, as `Store.shout` says."""
        expect_name("room", room)
        loop = self._loop
        if loop is None:
            self._expect_open()
            return
        published = self._listener.shout(room, data)
        if asyncio._get_running_loop() is loop:
            self._writer.publish(*published)
        else:
            loop.call_soon_threadsafe(self._writer.publish, *published)

    async def enter(self, room: str, name: str) -> None:
        """Note one more connection of `name`. If Redis cannot be written to now, it is later."""
        expect_name("room", room)
        expect_name("name", name)
        self._expect_open()
        await self._people.enter(room, name)

    async def leave(self, room: str, name: str) -> None:
        """Note one connection of `name` less, likewise. Harmless if the store is closed."""
        expect_name("room", room)
        expect_name("name", name)
        if self._loop is not None:
            self._expect_open()
            await self._people.leave(room, name)

    async def people(self, room: str) -> dict[str, int]:
        """Return who is connected to `room`, in all processes whose lease holds, and how often."""
        expect_name("room", room)
        self._expect_open()
        return await self._answered(self._reader.people(room))

    async def check(self) -> None:
        """Prove that Redis can be written to, and that this process hears what is published.

        Redis is asked as well how durable it makes what it keeps: that may have changed.
        """
        self._expect_open()
        self._people.expect_lease()
        await self._answered(self._writer.ask())
        with self._listener.echo() as (channel, word, heard):
            await self._answered(self._aside.publish(channel, word))
            try:
                async with asyncio.timeout(CHECK_SECONDS):
                    await heard.wait()
            except TimeoutError:
                raise self._listener.error("no answer") from None

    async def _answered(self, question: Awaitable[T]) -> T:
        """Return what Redis answers; `OSError` if it does not."""
        try:
            return await question
        except (RedisError, OSError) as error:
            raise self._place.error("cannot read", error) from error
        except (NotKept, Unsure) as error:
            raise self._place.error("cannot write to", str(error)) from None
