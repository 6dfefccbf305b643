"""What somebody may do to a server: each bounded in count and time, and to this machine alone.

An attack is a generator. It goes on until it holds what it holds, and yields; after that it says
what it has got: a close code, a status, or in words what the server let it have.
"""

import contextlib
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass

from chatlib.lab.hostile.raw import (
    PING,
    PONG,
    Place,
    Visitor,
    deflate,
    frame,
    send_until_answered,
)

MiB = 1 << 20
SECONDS = 8.0  # a guard: how long a part of an attack may go on
STALL_SECONDS = 0.5  # how long it is tried to send what nobody reads
HEAD_SECONDS = 2.2  # how long one waits with half a head
Attack = Generator[None, None, str]

TAKEN, KEPT, OPEN, READ, IN = "all taken", "all kept", "all open", "read to its end", "all in"


def flood(place: Place) -> Attack:
    """Send 30,000 messages of one letter, and read the answers."""
    count = 30_000
    return asked(place, [frame(b"x") * count], answers=count)


def oversize(place: Place) -> Attack:
    """Send a message of 12 MiB, three times."""
    return asked(place, [frame(b"x" * (12 * MiB)) * 3], answers=3)


def bomb(place: Place) -> Attack:
    """Send 16 KB that are 15 MiB once they are uncompressed, four times, one after the other.

    At once, three would be unread when the server closes, and a proxy loses the close frame then.
    """
    data = frame(deflate(15 * MiB), compressed=True)
    return asked(place, [data] * 4, answers=1, compression=True)


def asked(
    place: Place, parts: Sequence[bytes], answers: int, *, compression: bool = False
) -> Attack:
    """Send each of `parts`, and read until so many answers to it have come, or a close."""
    visitor = Visitor(place, compression=compression)
    with contextlib.closing(visitor):
        if compression and not visitor.compresses:
            yield
            return "no compression"
        for number, part in enumerate(parts, 1):
            if visitor.code is None and not visitor.ended:
                visitor.exchange(part, SECONDS, number * answers)
        yield
        return outcome(visitor, TAKEN)


def half_messages(place: Place) -> Attack:
    """Begin 10 messages of 16 MiB, one a connection, and never end them."""
    data = frame(b"x" * (16 * MiB - 1024), end=False)
    with contextlib.ExitStack() as stack:
        visitors = [stack.enter_context(contextlib.closing(Visitor(place))) for _ in range(10)]
        first, *others = visitors
        first.exchange(data, SECONDS)
        for visitor in others:
            visitor.push(data, SECONDS)
        yield
        return outcome(first, KEPT)


def half_heads(place: Place) -> Attack:
    """Send half of the head of a request, on 200 connections, and wait a while."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(place.connect()) for _ in range(200)]
        for each in sockets:
            each.sendall(f"GET {place.path} HTTP/1.1\r\nHost: ".encode())
        yield
        answers = set()
        end = time.monotonic() + HEAD_SECONDS
        for each in sockets:
            each.settimeout(max(0.001, end - time.monotonic()))
            try:
                answers.add(each.recv(100).partition(b" ")[2][:3].decode() or "cut off")
            except TimeoutError:
                answers.add(OPEN)
            except OSError:
                answers.add("cut off")
        return min(answers)


def pings(place: Place) -> Attack:
    """Send 120,000 pings, and read no pong."""
    count, ping = 120_000, frame(b"x" * 125, PING)
    with contextlib.closing(Visitor(place, buffer=4096)) as visitor:
        sent = visitor.push(ping * count, SECONDS)
        yield
        visitor.exchange(frame(b"that was all"), SECONDS, answers=1)
        everything = sent == count * len(ping) and visitor.got[PONG] >= count
        return outcome(visitor, KEPT if everything else "most dropped")


def big_head(place: Place) -> Attack:
    """Ask for a page, with a header of 8 MiB."""
    head = b"GET /nowhere HTTP/1.1\r\nHost: here\r\nX: %s\r\n\r\n" % (b"x" * (8 * MiB))
    with contextlib.closing(place.connect()) as connection:
        answer = send_until_answered(connection, head, SECONDS)
        yield
        status = answer.partition(b" ")[2][:3].decode()
        return READ if status == "404" else status or "cut off"


def connects(place: Place) -> Attack:
    """Open 300 connections, as quickly as it goes."""
    with contextlib.ExitStack() as stack:
        statuses = []
        for _ in range(300):
            visitor = stack.enter_context(contextlib.closing(Visitor(place)))
            statuses.append(visitor.status)
        yield
        refused = set(statuses) - {101}
        return str(max(refused)) if refused else IN


def outcome(visitor: Visitor, otherwise: str) -> str:
    """Return the close code that has come; if none has, whether it is open."""
    if visitor.code is not None:
        return str(visitor.code)
    return "cut off" if visitor.ended else otherwise


@contextlib.contextmanager
def never_reads(port: int, path: str = "/ws") -> Iterator[None]:
    """Be a client of an echo that says 9 MB and reads nothing, until the block ends."""
    with contextlib.closing(Visitor(Place("127.0.0.1", port, path), buffer=4096)) as visitor:
        visitor.push(frame(b"x" * 60_000) * 150, STALL_SECONDS)
        yield


@dataclass(frozen=True)
class Kind:
    """An attack, and what it gets where nothing holds it up."""

    run: Callable[[Place], Attack]
    gets: str


KINDS = {
    "pings, unread": Kind(pings, KEPT),
    "half messages": Kind(half_messages, KEPT),
    "flood": Kind(flood, TAKEN),
    "oversize": Kind(oversize, TAKEN),
    "bomb": Kind(bomb, TAKEN),
    "half heads": Kind(half_heads, OPEN),
    "big head": Kind(big_head, READ),
    "connects": Kind(connects, IN),
}
