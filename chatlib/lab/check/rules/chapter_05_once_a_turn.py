"""The rules of the second exercise of chapter 05: a batcher that writes once a turn."""

import asyncio
import inspect
from typing import Any

from chatlib.lab.check.report import Rules
from chatlib.lab.check.tools.batch import Batch, Member
from chatlib.lab.check.tools.bench import Wrong, expect, shorten
from chatlib.lab.check.tools.puppet import asked_for, turns

ONCE_A_TURN = Rules()

NO_TIMER = "call_soon needs no timer: it is for as soon as what is ready now has run"


@ONCE_A_TURN.rule(
    "what is published reaches each member",
    hint="flush goes through the members, and writes to each of them",
    essential=True,
)
async def batch_arrives(batcher_class: Any) -> None:
    for number in (3, 1, 0):
        with asked_for() as asked:
            batch = Batch(batcher_class, number)
            await batch.publish(b"one")
            await batch.turn()
        for data in [data for writes in batch.written() for data in writes]:
            if not isinstance(data, bytes):
                raise Wrong("bytes for write(data)", shorten(data))
        arrived = [b"".join(writes) for writes in batch.written()]
        expect(arrived, [b"one"] * number, hint=why_nothing_came(batch, asked))


def why_nothing_came(batch: Batch, asked: list[asyncio.Handle]) -> str | None:
    """Return a hint on why nothing was written, after the event loop was `asked` for this."""
    if timers(asked):
        return NO_TIMER
    if any(member.elsewhere for member in batch.members):
        return "write belongs into the thread of the event loop: call_soon calls flush there"
    if inspect.iscoroutinefunction(getattr(batch.batcher, "flush", None)):
        return "what call_soon calls is a plain function: `def flush`, without `async`"
    return None


def timers(asked: list[asyncio.Handle]) -> list[asyncio.TimerHandle]:
    """Return which of the things that the event loop was `asked` to call wait for a time."""
    return [each for each in asked if isinstance(each, asyncio.TimerHandle)]


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
    await batch.publish(b"before")  # some start a task at first
    await batch.turn()
    with asked_for() as asked:
        for frame in (b"one", b"two", b"three"):
            await batch.publish(frame)
            if not asked:
                hint = "publish asks for it if none is scheduled; flush notes that none is any more"
                raise Wrong("one flush", "publish asks for nothing", hint=hint)
    if timers(asked):
        raise Wrong("one flush, without a timer", "a timer, call_later say", hint=NO_TIMER)
    if (due := sum(not handle.cancelled() for handle in asked)) != 1:
        raise Wrong("one flush", f"it was asked for {due}")
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
    with asked_for() as before:
        batch = Batch(batcher_class)
        await batch.publish(b"one")
        await batch.turn()
    with asked_for() as asked:
        await turns(20)
    if len(asked) > 20 + 2:  # its own
        raise Wrong("nothing", "something that runs in every turn")
    if any(not timer.cancelled() for timer in timers([*before, *asked])):
        raise Wrong("nothing", "a timer", hint=NO_TIMER)


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
        asyncio.get_running_loop().call_soon(note)
        result = batch.batcher.publish(b"answer")
        if asyncio.iscoroutine(result):
            tasks.append(asyncio.ensure_future(result))

    def note() -> None:
        too_early.extend(writes for writes in batch.written() if b"answer" in writes)

    tasks: list[asyncio.Future[None]] = []
    too_early: list[list[bytes]] = []
    batch.members[1].answer = answer
    await batch.publish(b"question")
    await batch.turn()
    if too_early:
        hint = "one flush, one write: where each write leads to a publish, no other would end"
        raise Wrong("b'answer' to be written in a later turn", "in the same turn", hint=hint)
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
