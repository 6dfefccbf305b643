"""What a delivery costs, and how soon it comes, where half of the members are at another worker."""

import asyncio
import itertools
import os
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from benchmarks.load import SILENCE_SECONDS, Crowd
from benchmarks.others.apps import ROOM, STORE
from benchmarks.others.candidates import CANDIDATES
from benchmarks.others.workers import Fsync, Pair, pair_of, store_of
from chatlib import Hub

SIZE = 100  # bytes of a message
PAUSE_SECONDS = 0.005  # between two messages: nobody is in a hurry
TRIES = 10  # messages, until all who have connected hear one
AT_ONCE = 500


@dataclass(frozen=True)
class Sizes:
    """How much is measured.

    Attributes:
        members: how many there are, in turn.
        in_flight: messages on their way, each said by another member; in turn.
        seconds: of a run.
        said: messages whose way is timed.
        kept: messages that a room with ids has kept before: then all ids are of one length for
            long, and so are the frames, by which the load counts.
    """

    members: tuple[int, ...] = (100, 500)
    in_flight: tuple[int, ...] = (1, 32)
    seconds: float = 0.5
    said: int = 150
    kept: int = 100_000

    @property
    def runs(self) -> list[tuple[int, int]]:
        """Of each run, the members and the messages in flight."""
        return [(number, flight) for flight in self.in_flight for number in self.members]


@dataclass
class Speed:
    """What one round came to.

    Attributes:
        waits: milliseconds from one worker to the other, sorted.
        costs: microseconds of the workers' CPU time for a delivery, of each run.
        redis: microseconds of Redis' CPU time for a message, likewise.
    """

    waits: list[float] = field(default_factory=list)
    costs: dict[tuple[int, int], float] = field(default_factory=dict)
    redis: dict[tuple[int, int], float] = field(default_factory=dict)


class Halves(Crowd):
    """A crowd of which each second member is at another worker. Many of the first one speak."""

    def __init__(
        self, ports: Sequence[int], number: int, speakers: int, *, socketio: bool = False
    ) -> None:
        self.ports = itertools.cycle(ports)
        self.first_ones = len(ports)
        self.tries = TRIES
        self.known: dict[int, tuple[int, Callable[[], int]]] = {}  # by the size of a message
        super().__init__(ports[0], number, socketio=socketio)
        at_first = list(self.sockets.values())[:: len(ports)]
        self.speakers = itertools.cycle(at_first[:speakers])

    def connect(self) -> socket.socket:
        """Connect to the next worker. Its first client says something, and waits until that comes.

        A worker subscribes for its first member, and not each library stands others meanwhile.
        """
        self.port = next(self.ports)
        client = super().connect()
        if self.first_ones:
            self.first_ones -= 1
            client.sendall(self.message(SIZE))
            client.recv(4096)
        return client

    def say(self, message: bytes, times: int) -> None:
        for _ in range(times):
            self.sender = next(self.speakers)
            self.send(message)

    def frames_each(self, message: bytes) -> tuple[int, Callable[[], int]]:
        """Do as a crowd does, once all hear: a worker lets in whom it has not yet subscribed."""
        before = 0
        while len(message) not in self.known and self.tries:
            self.tries -= 1
            total, delivered = super().frames_each(message)
            if total == before:
                self.known[len(message)] = total, delivered
            before = total
        if len(message) in self.known:
            return self.known[len(message)]
        raise RuntimeError(f"the members did not all hear the same in {TRIES} tries")


def latencies(ports: Sequence[int], said: int, *, socketio: bool = False) -> list[float]:
    """Return after how many milliseconds each message of one worker is heard at the other."""
    waits = []
    with (
        Crowd(ports[0], 1, socketio=socketio) as speaker,
        Crowd(ports[1], 1, socketio=socketio) as hearer,
    ):
        message = speaker.message(SIZE)
        for _ in range(TRIES):
            speaker.sender.sendall(message)
            if hearer.read(1.0):
                break
        hearer.read_until_quiet()
        speaker.read_until_quiet()
        for _ in range(said):
            began = time.perf_counter()
            speaker.sender.sendall(message)
            if not hearer.read(SILENCE_SECONDS):
                raise RuntimeError("a message did not come to the other worker")
            waits.append(1000 * (time.perf_counter() - began))
            speaker.read(SILENCE_SECONDS)
            time.sleep(PAUSE_SECONDS)
    return sorted(waits)


async def fill(number: int) -> None:
    """Publish so many messages."""
    async with Hub(os.environ[STORE]) as hub:
        for _ in range(number // AT_ONCE):
            await asyncio.gather(*(hub.publish(ROOM, "") for _ in range(AT_ONCE)))


def deliveries(pair: Pair, crowd: Crowd, in_flight: int, seconds: float) -> tuple[float, float]:
    """Return the microseconds of the workers for a delivery, and of Redis for a message."""
    crowd.run(seconds / 5, in_flight, SIZE)
    before, redis_before = pair.cpu(), pair.redis_cpu()
    run = crowd.run(seconds, in_flight, SIZE)
    spent, redis_spent = pair.cpu() - before, pair.redis_cpu() - redis_before
    messages = run.deliveries / crowd.number
    return spent / run.deliveries * 1e6, redis_spent / messages * 1e6


def measure(name: str, sizes: Sizes, fsync: Fsync) -> Speed:
    """Measure a candidate, on a Redis that nobody has used."""
    speed = Speed()
    socketio = CANDIDATES[name].dialect == "socketio"
    speakers = max(sizes.in_flight)
    with store_of(name, fsync) as redis:
        if CANDIDATES[name].dialect == "hub":
            asyncio.run(fill(sizes.kept))
        with pair_of(name, redis) as pair:
            speed.waits = latencies(pair.ports, sizes.said, socketio=socketio)
            for number in sizes.members:
                with Halves(pair.ports, number, speakers, socketio=socketio) as crowd:
                    for flight in sizes.in_flight:
                        figures = deliveries(pair, crowd, flight, sizes.seconds)
                        speed.costs[number, flight], speed.redis[number, flight] = figures
    return speed
