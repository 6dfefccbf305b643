"""Clients that send too much, read nothing, or never come to the point."""

import asyncio
import contextlib

from websockets.frames import Frame

from chatlib.lab.check.readiness.bench import (
    ANSWER_SECONDS,
    Bench,
    NotLookedAt,
    Remark,
    outcome,
)
from chatlib.lab.check.readiness.caller import LOST, PING, TEXT, Caller
from chatlib.lab.check.readiness.checklist import FLOOD, HEAD_SECONDS
from chatlib.lab.check.tools.wrong import Wrong

BEFORE = "look at bad input first: the app has not got over it"
BATCH = 250  # frames that are written at a time
MEGABYTE = 1 << 20
BIG = 16 * 1024  # of a message that shall fill the connection of one who does not read
PUSHED = 6 * MEGABYTE  # more than the kernel takes for one connection
MUCH = 32 * MEGABYTE
MAY_GROW = 16 * MEGABYTE
IN_TURN = 16  # messages, before somebody has to have heard them
HELD_SECONDS = 14.0  # how long a client that reads nothing may hold up the others
SPEAKERS = 50  # connections, one after the other, where the app ends each soon
PINGS = 16 * MEGABYTE
PINGS_MAY_COST = 6 * MEGABYTE
STUCK_SECONDS = 2.0  # after which a server reads no more


async def flood(bench: Bench) -> None:
    async with bench.caller() as witness, bench.caller() as culprit:
        await bench.expect_answer(witness, "a client, before the flood", hint=BEFORE)
        flooding = asyncio.create_task(pour(bench, culprit))
        try:
            await bench.expect_answer(witness, "another client, while one floods")
            while not flooding.done():
                await asyncio.wait({flooding}, timeout=0.1)
                await bench.expect_answer(witness, "another client, while one floods")
        finally:
            flooding.cancel()
        if culprit.code is None:
            await culprit.pong(ANSWER_SECONDS)  # behind all that it has sent
        await bench.expect_answer(witness, "another client, after a flood")
        code = culprit.code
        if code == 1011:
            raise Wrong("close 1008, or none, for one who floods", outcome(code))
        if code is None:
            raise Remark(
                f"{bench.flood or FLOOD:,} messages at once from one client, and all are taken"
            )


async def pour(bench: Bench, culprit: Caller) -> None:
    """Send many messages at once, and read what comes."""
    for _ in range(0, bench.flood or FLOOD, BATCH):
        for _ in range(BATCH):
            culprit.write(bench.message()[0])
        if not await culprit.flush() or culprit.code is not None:
            return


async def slow(bench: Bench) -> None:
    if not bench.fans_out:
        hint = "" if bench.say else "; say='…' may be a message that others hear"
        raise NotLookedAt(f"what one client says here, no other hears{hint}")
    async with bench.caller() as witness:
        if not await Speakers(bench, witness).push(PUSHED):  # nobody reads nothing yet
            raise NotLookedAt(f"the app lets nobody say {PUSHED // MEGABYTE} MB in a short time")
        async with bench.caller(reads=False) as stalled:
            before = bench.target.memory()
            speakers = Speakers(bench, witness, HELD_SECONDS)
            if not await speakers.push(PUSHED):
                came = f"nothing for {HELD_SECONDS:.0f} s"
                raise Wrong("a client that reads to hear what is said", came)
            if before is None:
                return
            while speakers.said < MUCH and not is_cut(stalled):
                await speakers.push(PUSHED)
            grown = (bench.target.memory() or 0) - before
            if grown > MAY_GROW:
                came = f"{grown // MEGABYTE} MB more, of {speakers.said // MEGABYTE} MB said"
                raise Wrong("memory to be bounded while a client reads nothing", came)


class Speakers:
    """Clients that say much, one after the other, where the app closes each soon.

    Args:
        bench: where.
        witness: who has to hear it.
        seconds: how long that may take.

    Attributes:
        said: how many bytes.
    """

    def __init__(self, bench: Bench, witness: Caller, seconds: float = ANSWER_SECONDS) -> None:
        self.bench, self.witness, self.seconds = bench, witness, seconds
        self.said = 0

    async def push(self, size: int) -> bool:
        """Say so many bytes, and return whether the witness hears them."""
        until = self.said + size
        for _ in range(SPEAKERS):
            async with self.bench.caller() as speaker:
                while speaker.code is None:
                    if not await self.turn(speaker):
                        return False
                    if self.said >= until:
                        return True
                if speaker.code in {LOST, 1011}:
                    came = outcome(speaker.code)
                    raise Wrong("a client to stay when it says something", came)
        return False

    async def turn(self, speaker: Caller) -> bool:
        """Say some messages, and return whether they are heard, or the speaker is closed."""
        self.witness.forget()
        speaker.forget()
        mark = ""
        for _ in range(IN_TURN):
            message, mark = self.bench.message(BIG)
            speaker.write(message)
            self.said += len(message)
        hearing = asyncio.create_task(self.bench.hears(self.witness, mark, self.seconds))
        ended = asyncio.create_task(speaker.ended.wait())
        try:
            await speaker.flush()
            await asyncio.wait({hearing, ended}, return_when=asyncio.FIRST_COMPLETED)
            return not hearing.done() or hearing.result()
        finally:
            hearing.cancel()
            ended.cancel()


def is_cut(stalled: Caller) -> bool:
    """Return whether a client that reads nothing is cut off: then nothing takes what it sends."""
    with contextlib.suppress(OSError):
        stalled.write(b"", PING)
    return stalled.writer.transport.is_closing()


async def pings(bench: Bench) -> None:
    target = bench.target
    async with bench.caller() as witness, bench.caller(reads=False) as culprit:
        before = target.memory()
        if before is None:
            raise NotLookedAt("the memory of a process is looked up on Linux alone")
        batch = Frame(PING, b"x" * 125).serialize(mask=True) * BATCH
        for _ in range(0, PINGS, len(batch)):
            culprit.write_raw(batch)
            if not await culprit.flush(STUCK_SECONDS):
                break
        await bench.expect_answer(witness, "another client, while one sends pings")
        grown = (target.memory() or 0) - before
        if grown > PINGS_MAY_COST:
            came = f"{grown // MEGABYTE} MB more, of {PINGS // MEGABYTE} MB of pings"
            raise Wrong("memory to be bounded while pings come and no pong is read", came)


async def head(bench: Bench) -> None:
    reader, writer = await bench.place.connect()
    try:
        writer.write(b"GET / HTTP/1.1\r\nHost: half")
        with contextlib.suppress(OSError):
            async with asyncio.timeout(HEAD_SECONDS):
                while await reader.read(1 << 16):
                    pass
                return
        if not reader.at_eof() and reader.exception() is None:
            raise Wrong("the connection to end", f"it is open after {HEAD_SECONDS:.0f} s")
    finally:
        writer.close()


async def stuff(bench: Bench, stalled: Caller) -> None:
    """Have the app write to a client that reads nothing until it has to wait."""
    message, _ = bench.message(BIG)
    frames = Frame(TEXT, message.encode()).serialize(mask=True) * IN_TURN
    for _ in range(0, MUCH, len(frames)):
        stalled.write_raw(frames)
        if not await stalled.flush(STUCK_SECONDS / 2):
            break
