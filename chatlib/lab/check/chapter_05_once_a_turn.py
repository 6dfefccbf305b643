"""The rules of the second exercise of chapter 05: a batcher that writes once a turn."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from chatlib.lab.check.bench import Wrong, expect, shorten
from chatlib.lab.check.puppet import asked_for, new, turns
from chatlib.lab.check.report import Rules

ONCE_A_TURN = Rules()


@ONCE_A_TURN.rule(
    "what is published reaches each member",
    hint="flush goes through the members, and writes to each of them",
    essential=True,
)
async def batch_arrives(batcher_class: Any) -> None:
    for number in (3, 1, 0):
        batch = Batch(batcher_class, number)
        await batch.publish(b"one")
        await batch.turn()
        for data in [data for writes in batch.written() for data in writes]:
            if not isinstance(data, bytes):
                raise Wrong("bytes for write(data)", shorten(data))
        expect([b"".join(writes) for writes in batch.written()], [b"one"] * number)


@ONCE_A_TURN.rule(
    "nothing is written before publish has returned",
    hint="publish only notes the frame, and asks the event loop to call flush soon",
    essential=True,
)
async def batch_waits(batcher_class: Any) -> None:
    batch = Batch(batcher_class)
    for frame in (b"one", b"two"):
        await batch.publish(frame)
        expect(batch.written(), [[], [], []])
    await batch.turn()


@ONCE_A_TURN.rule(
    "three frames of one turn are one write, in their order",
    hint="flush makes one bytes of all that has been noted, and writes that",
    essential=True,
)
async def batch_joins(batcher_class: Any) -> None:
    for frames in ([b"one ", b"two ", b"three"], [b"%d " % (number % 7) for number in range(200)]):
        batch = Batch(batcher_class)
        for frame in frames:
            await batch.publish(frame)
        await batch.turn()
        for writes in batch.written():
            if len(writes) > 1:
                raise Wrong("one write", f"{len(writes)} writes: {shorten(writes)}")
            expect(writes, [b"".join(frames)])


@ONCE_A_TURN.rule(
    "frames that several tasks publish in one turn are one write too",
    hint="it is the Batcher that remembers whether flush is scheduled, whoever publishes",
)
async def batch_joins_tasks(batcher_class: Any) -> None:
    batch = Batch(batcher_class)
    frames = [b"one ", b"two ", b"three"]
    await asyncio.gather(*[batch.publish(frame) for frame in frames])
    await batch.turn()
    if (writes := batch.written()[0]) != [b"one two three"]:
        raise Wrong("one write", shorten(writes))


@ONCE_A_TURN.rule(
    "the event loop is asked for one flush a turn, not for three",
    hint="remember that one is scheduled, and ask only if none is",
)
async def batch_schedules_once(batcher_class: Any) -> None:
    batch = Batch(batcher_class)
    await batch.turn()
    for _ in range(2):
        with asked_for() as asked:
            await batch.publish(b"one")
            once = [handle for handle in asked if not handle.cancelled()]
            await batch.publish(b"two")
            await batch.publish(b"three")
            due = [handle for handle in asked if not handle.cancelled()]
        if not once or len(due) > len(once):
            raise Wrong("one flush", f"it was asked for {len(due)}")
        await batch.turn()


@ONCE_A_TURN.rule(
    "the next turn writes what is new, and nothing twice",
    hint="flush forgets what it has written, and that it was scheduled",
)
async def batch_begins_again(batcher_class: Any) -> None:
    batch = Batch(batcher_class)
    for frame in (b"one", b"two", b"three"):
        await batch.publish(frame)
        await batch.turn()
    await batch.turn()
    expect(batch.written()[2], [b"one", b"two", b"three"])


@ONCE_A_TURN.rule(
    "while nothing is published, the event loop has nothing to do",
    hint="publish asks for the flush; nothing runs all the time",
)
async def batch_rests(batcher_class: Any) -> None:
    batch = Batch(batcher_class)
    await batch.publish(b"one")
    await batch.turn()
    with asked_for() as asked:
        await turns(20)
    if len(asked) > 20 + 2:  # its own
        raise Wrong("nothing", "something that runs in every turn")


@ONCE_A_TURN.rule(
    "who joins hears what comes after, and who has left hears nothing more",
    hint="keep the list itself: members come into it, and go",
)
async def batch_follows_members(batcher_class: Any) -> None:
    batch = Batch(batcher_class)
    first, _, last = batch.members
    await batch.publish(b"one ")
    await batch.turn()
    batch.members.append(newcomer := Member())
    batch.members.remove(first)
    await batch.publish(b"two ")
    await batch.turn()
    await batch.publish(b"three")
    batch.members.remove(last)
    await batch.turn()
    for who, member, expected in (
        ("who joined", newcomer, [b"two ", b"three"]),
        ("who left", first, [b"one "]),
        ("who left before the flush", last, [b"one ", b"two "]),
    ):
        if member.writes != expected:
            raise Wrong(f"{expected} for {who}", member.writes)
    batch = Batch(batcher_class, 0)
    await batch.publish(b"to nobody")
    await batch.turn()
    batch.members.append(newcomer := Member())
    await batch.publish(b"to somebody")
    await batch.turn()
    expect(newcomer.writes, [b"to somebody"])


@ONCE_A_TURN.rule(
    "what is published during a flush is written after it",
    hint="take the frames, and note that no flush is scheduled, before the first write",
)
async def batch_stands_publishing(batcher_class: Any) -> None:
    batch = Batch(batcher_class)

    def answer() -> None:
        result = batch.batcher.publish(b"answer")
        if asyncio.iscoroutine(result):
            tasks.append(asyncio.ensure_future(result))

    tasks: list[asyncio.Future[None]] = []
    batch.members[1].answer = answer
    await batch.publish(b"question")
    await batch.turn()
    for writes in batch.written():
        expect(writes, [b"question", b"answer"])


@ONCE_A_TURN.rule(
    "two batchers know nothing of each other",
    hint="what a Batcher keeps belongs to `self`, made in __init__, and not to the class",
)
async def batch_keeps_to_itself(batcher_class: Any) -> None:
    one, other = Batch(batcher_class), Batch(batcher_class)
    await one.publish(b"one")
    await other.publish(b"two")
    await other.turn()
    expect([*one.written(), *other.written()], [[b"one"]] * 3 + [[b"two"]] * 3)


class Member:
    """A member, which keeps each write.

    Attributes:
        writes: what was written.
        answer: called at the first write.
    """

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.answer: Callable[[], object] | None = None
        self.thread = threading.get_ident()

    def write(self, data: bytes) -> None:
        if threading.get_ident() != self.thread:  # no transport stands that
            return
        self.writes.append(bytes(data) if isinstance(data, bytearray | memoryview) else data)
        if self.answer is not None:
            answer, self.answer = self.answer, None
            answer()


class Batch:
    """A batcher, and the members that it writes to."""

    def __init__(self, batcher_class: Any, number: int = 3) -> None:
        self.members = [Member() for _ in range(number)]
        self.batcher = new(batcher_class, self.members)
        self.escaped: list[BaseException] = []
        asyncio.get_running_loop().set_exception_handler(self.note_error)

    def note_error(self, loop: object, context: dict[str, Any]) -> None:
        """Note what an event loop only logs: an error in what it was asked to call."""
        if isinstance(error := context.get("exception"), BaseException):
            self.escaped.append(error)

    def written(self) -> list[list[bytes]]:
        """Return the writes of each member."""
        return [member.writes for member in self.members]

    async def publish(self, frame: bytes) -> None:
        """Publish `frame`, with a function of either kind."""
        result = self.batcher.publish(frame)
        if asyncio.iscoroutine(result):
            await result

    async def turn(self) -> None:
        """Let this turn end, and some more, in which no time passes: a timer comes too late."""
        loop: Any = asyncio.get_running_loop()
        now = loop.time()
        loop.time = lambda: now
        try:
            await turns()
        finally:
            del loop.time
        if self.escaped:
            raise self.escaped[0]
