"""Who is connected, through all processes that share a Redis. Each process has a lease.

A process renews its lease for as long as it lives. The people of one whose lease has run out, by
the clock of Redis, count no longer, and whichever process sees that forgets them and tells.
"""

import asyncio
import contextlib
from collections import Counter
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ReadOnlyError

from chatlib.stores.log import logger
from chatlib.stores.redis_listener import Listener
from chatlib.stores.redis_place import Place, reason, script
from chatlib.stores.redis_reader import Reader
from chatlib.stores.redis_writer import Writer
from chatlib.stores.store import NotKept, Unsure
from chatlib.stores.tasks import end

LEASE_SECONDS = 6.0
RENEW_SECONDS = 1.5  # between two renewals, and two looks at whose lease has run out
SOME = 100  # rooms of a dead process that are looked at in one call
MANY = 500  # rooms of this process that are asked for together


class People:
    """The connections of this process, one row in Redis for each person and room.

    Args:
        place: where Redis is.
        worker: the name of this process among those that share it.
        writer: writes the rows.
        client: for everything else, and nothing that takes long: a lease is renewed in time.
        listener: of this process. When it has had to connect anew, Redis may have lost the last
            rows: it was killed, or another one has taken over.
        reader: of this process. Like the listener, it has to connect anew to one that takes over.
    """

    def __init__(
        self,
        place: Place,
        worker: str,
        writer: Writer,
        client: Redis,
        listener: Listener,
        reader: Reader,
    ) -> None:
        self._place = place
        self._worker = worker
        self._writer = writer
        self._client = client
        self._listener = listener
        self._reader = reader
        self._scripts = {
            name: client.register_script(script(name).text) for name in ("lease", "bury")
        }
        self._present: Counter[tuple[str, str]] = Counter()
        self._behind: set[tuple[str, str]] = set()  # whose rows may be wrong
        self._connects = 0  # of the listener, when all rows were looked at
        self._held = False  # whether the lease has held since
        self._until: bytes | int = 0  # when it ends, as Redis has said
        self._fault: Exception | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Take a lease, and renew it from now on.

        Raises:
            OSError, RedisError: that is not possible.
        """
        await self._renew()
        self._task = asyncio.create_task(self._run(), name="chatlib lease")

    async def stop(self) -> None:
        """Renew no more. For `LEASE_SECONDS` people stay: their clients may be back by then."""
        if self._task is not None:
            await end(self._task)
            with contextlib.suppress(Exception):
                async with asyncio.timeout(self._place.timeout):
                    await self._renew()

    def expect_lease(self) -> None:
        """Raise `OSError` if the lease could not be renewed the last time."""
        if self._fault is not None:
            raise self._place.error("cannot write to", self._fault)

    async def enter(self, room: str, name: str) -> None:
        """Note one more connection. If that cannot be written now, it is later."""
        self._present[room, name] += 1
        try:
            await self._write(room, name)
        except asyncio.CancelledError:
            self._lessen(room, name)
            raise

    async def leave(self, room: str, name: str) -> None:
        """Note one connection less, likewise."""
        self._lessen(room, name)
        await self._write(room, name)

    def _lessen(self, room: str, name: str) -> None:
        self._present[room, name] -= 1
        if self._present[room, name] <= 0:
            del self._present[room, name]

    async def _write(self, room: str, name: str) -> None:
        try:
            await self._writer.person(room, name, lambda: self._present[room, name])
        except (NotKept, Unsure):
            self._behind.add((room, name))
        except asyncio.CancelledError:  # what becomes of it, nobody will know
            self._behind.add((room, name))
            raise

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            try:
                dead = await self._renew()
                for worker in dead:
                    await self._bury(worker)
            except Exception as error:
                if self._fault is None:
                    logger.warning(
                        "the lease at %s is not renewed: %s", self._place.shown, reason(error)
                    )
                self._fault = error
                if isinstance(error, ReadOnlyError):  # another one has taken over: it is a replica
                    await self._client.connection_pool.disconnect()
                    await self._reader.drop()
                    self._listener.drop()

    async def _renew(self) -> list[str]:
        """Renew the lease; return the processes whose lease has run out."""
        milliseconds = round(1000 * LEASE_SECONDS)
        held, self._until, *dead = await self._scripts["lease"](
            keys=[self._place.leases], args=[self._worker, milliseconds, self._until]
        )
        self._fault = None
        self._held &= bool(held)  # if not, others may have forgotten the people of this process
        connects = self._listener.connects
        if not self._held or connects != self._connects:
            rows = await self._rows()
            for who in {*rows, *self._present}:
                # Others may have been told that those have left whose rows are right.
                if not self._held or rows.get(who) != self._present[who]:
                    self._behind.add(who)
            self._held, self._connects = True, connects
        behind, self._behind = self._behind, set()
        await asyncio.gather(*(self._write(room, name) for room, name in behind))
        return [worker.decode() for worker in dead]

    async def _rows(self) -> dict[tuple[str, str], int]:
        """Return the rows that this process has in Redis, whether they are right or not."""
        rows: dict[tuple[str, str], int] = {}
        words: set[Any] = await self._client.smembers(self._place.rooms_of(self._worker))
        rooms = [word.decode() for word in words]
        for start in range(0, len(rooms), MANY):  # soon, so that the lease does not run out
            some = rooms[start : start + MANY]
            async with self._client.pipeline(transaction=False) as questions:
                for room in some:
                    questions.hgetall(self._place.people(room, self._worker)[0])
                for room, found in zip(some, await questions.execute(), strict=True):
                    for name, number in found.items():
                        rows[room, name.decode()] = int(number)
        return rows

    async def _bury(self, worker: str) -> None:
        """Forget the people of a process that has ended, and tell."""
        keys = [self._place.leases, self._place.rooms_of(worker)]
        arguments: list[str | int] = [worker, self._place.rooms, self._place.channels, SOME]
        while await self._scripts["bury"](keys=keys, args=arguments):
            pass
