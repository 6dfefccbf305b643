"""Bad members of a room, each a thread of one process: what `benchmarks.bad_members` measures."""

import contextlib
import select
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection

from benchmarks.load import REQUEST, frame

CHUNK = 1 << 18  # bytes that who reads all takes at a time
TINY = 4096  # receive buffer of a bad member
GIVE_UP_SECONDS = 15.0


def connect(port: int, receive_buffer: int | None = None) -> socket.socket:
    """Return a member of the room: a connection on which the handshake is done."""
    client = socket.socket()
    client.settimeout(GIVE_UP_SECONDS)
    if receive_buffer:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    client.connect(("127.0.0.1", port))
    client.sendall(REQUEST.format(path="/ws", port=port, extra="").encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):  # byte by byte: a frame may follow at once
        if not (byte := client.recv(1)):
            raise ConnectionError(f"the handshake failed: {head!r}")
        head += byte
    client.setblocking(False)
    return client


class Bad:
    """One bad member. What it does is a method; it does so until it is cut."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.got = self.connections = 0

    def connect(self, receive_buffer: int | None = TINY) -> socket.socket:
        client = connect(self.port, receive_buffer)
        self.connections += 1
        return client

    def read(self, client: socket.socket, most: int) -> int:
        """Read up to `most` bytes, if there are any, and return how many it were."""
        if most <= 0:
            return 0
        with contextlib.suppress(BlockingIOError):
            if not (data := client.recv(most)):
                raise ConnectionError("cut")
            self.got += len(data)
            return len(data)
        return 0

    def drip(self, rate: float) -> None:
        """Read a little all the time, `rate` bytes a second."""
        client, may, last = self.connect(), 0.0, time.monotonic()
        while True:
            time.sleep(0.005)
            last, before = time.monotonic(), last
            may = min(may + (last - before) * rate, rate / 10)  # it does not make up for a pause
            may -= self.read(client, int(may))

    def stall(self, seconds: float = 3600.0, notice: bool = False) -> None:
        """Read nothing, and connect anew after `seconds`; or, to `notice`, once it is cut."""
        while True:
            with contextlib.suppress(OSError), self.connect() as client:
                if notice:
                    poll = select.poll()  # which tells of errors and of the end in any case
                    poll.register(client, select.POLLRDHUP)
                    poll.poll(seconds * 1000)
                else:
                    time.sleep(seconds)
            time.sleep(0.001)

    def burst(self, size: int, every: float) -> None:
        """Read `size` bytes at a time, and nothing in between."""
        client, due = self.connect(), time.monotonic()
        while True:
            due = max(due + every, time.monotonic())
            time.sleep(max(0.0, due - time.monotonic()))
            left = size
            while left > 0 and time.monotonic() < due + every:
                select.select([client], [], [], 0.01)
                left -= self.read(client, min(left, CHUNK))

    def talk(self) -> None:
        """Say something 100 times a second, and read nothing."""
        client = self.connect()
        while True:
            with contextlib.suppress(BlockingIOError):
                client.send(frame(b"Hello!"))
            time.sleep(0.01)

    def late(self, pause: float = 0.3, every: float = 3.0) -> None:
        """Read all that comes, but for a `pause` now and then."""
        client = self.connect(receive_buffer=None)
        while True:
            until = time.monotonic() + every
            while time.monotonic() < until:
                select.select([client], [], [], 0.1)
                self.read(client, CHUNK)
            time.sleep(pause)

    def come_and_go(self, stay: float = 0.05) -> None:
        """Read all that comes, and come anew all the time: this one is not bad, but a control."""
        while True:
            with contextlib.suppress(OSError), self.connect(receive_buffer=None) as client:
                until = time.monotonic() + stay
                while time.monotonic() < until:
                    select.select([client], [], [], 0.01)
                    self.read(client, CHUNK)


@dataclass
class Kind:
    """What bad members there are: `number` that do `act`; and how long it takes to show.

    Without a `goal` they are not bad, and there to compare with.
    """

    act: Callable[[Bad], None]
    number: int = 1
    least: float = 0.0
    goal: bool = True


KINDS = {
    "none": Kind(Bad.stall, 0),
    "drip-1": Kind(partial(Bad.drip, rate=1000)),
    "drip-1.2": Kind(partial(Bad.drip, rate=1200)),
    "drip-10": Kind(partial(Bad.drip, rate=10_000)),
    "drip-100": Kind(partial(Bad.drip, rate=100_000)),
    "stall": Kind(Bad.stall),
    "again": Kind(partial(Bad.stall, seconds=3.0, notice=True)),
    "3-again": Kind(partial(Bad.stall, seconds=3.0, notice=True), 3),
    "again-10.5": Kind(partial(Bad.stall, seconds=10.5), least=25.0),
    "burst-0.9": Kind(partial(Bad.burst, size=10_000, every=0.9)),
    "burst-9.9": Kind(partial(Bad.burst, size=10_000, every=9.9), least=25.0),
    # It takes 1.4 MB/s: more than a `limit` a second, and less than two.
    "burst-0.11": Kind(partial(Bad.burst, size=150_000, every=0.11)),
    "talk": Kind(Bad.talk),
    "late": Kind(Bad.late),
    "3-come-and-go": Kind(Bad.come_and_go, 3, goal=False),
}


def misbehave(port: int, name: str, orders: Connection, life: float) -> None:
    """Be the process of the bad members, until an order comes, or its sender is gone."""
    members = [Bad(port) for _ in range(KINDS[name].number)]

    def act(member: Bad) -> None:
        with contextlib.suppress(OSError):
            KINDS[name].act(member)

    for member in members:
        threading.Thread(target=act, args=(member,), daemon=True).start()
    with contextlib.suppress(EOFError, OSError):
        if orders.poll(life):
            orders.recv()
            got = sum(member.got for member in members)
            orders.send((got, sum(member.connections for member in members)))
