"""Clients that send too much, read nothing, or never come to the point."""

import asyncio
import contextlib

from websockets.frames import Frame

from chatlib.lab.check.readiness.bench import ANSWER_SECONDS, Bench, NotLookedAt, Remark, outcome
from chatlib.lab.check.readiness.caller import PING, TEXT, Caller
from chatlib.lab.check.readiness.checklist import FLOOD, HEAD_SECONDS
from chatlib.lab.check.tools.wrong import Wrong

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
            raise Remark(f"{FLOOD:,} messages at once from one client, and all are taken")


async def pour(bench: Bench, culprit: Caller) -> None:
    """Send many messages at once, and read what comes."""
    for _ in range(0, FLOOD, BATCH):
        for _ in range(BATCH):
            culprit.write(bench.message()[0])
        await culprit.flush()
        if culprit.code is not None:
            return


async def slow(bench: Bench) -> None:
    if not bench.fans_out:
        hint = "" if bench.say else "; say='…' may be a message that others hear"
        raise NotLookedAt(f"what one client says here, no other hears{hint}")
    async with bench.caller() as witness, bench.caller(reads=False) as stalled:
        before, pushed = bench.target.memory(), 0
        most = PUSHED if before is None else MUCH
        async with contextlib.AsyncExitStack() as stack:
            speaker, speakers = await stack.enter_async_context(bench.caller()), 1
            while pushed < most and (pushed < PUSHED or not is_cut(stalled)):
                pushed += await push(bench, speaker, witness)
                if speaker.code is not None:
                    if speakers == SPEAKERS:
                        size = f"{PUSHED // MEGABYTE} MB"
                        raise NotLookedAt(f"the app's limits let nobody say {size} in this time")
                    speaker = await stack.enter_async_context(bench.caller())
                    speakers += 1
        grown = (bench.target.memory() or 0) - (before or 0)
        if before is not None and grown > MAY_GROW:
            came = f"{grown // MEGABYTE} MB more, of {pushed // MEGABYTE} MB that were said"
            raise Wrong("memory to be bounded while a client reads nothing", came)


async def push(bench: Bench, speaker: Caller, witness: Caller) -> int:
    """Say some messages, expect that the witness hears the last, and return how much it was."""
    witness.forget()
    speaker.forget()
    size, mark = 0, ""
    for _ in range(IN_TURN):
        message, mark = bench.message(BIG)
        speaker.write(message)
        size += len(message)
    hearing = asyncio.create_task(bench.hears(witness, mark, HELD_SECONDS))
    ended = asyncio.create_task(speaker.ended.wait())
    try:
        await speaker.flush()
        await asyncio.wait({hearing, ended}, return_when=asyncio.FIRST_COMPLETED)
        if not hearing.done() or hearing.result():
            return size
        came = f"nothing for {HELD_SECONDS:.0f} s"
        raise Wrong("a client that reads to hear what is said", came)
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
        with contextlib.suppress(OSError):
            for _ in range(0, PINGS, len(batch)):
                culprit.writer.write(batch)
                async with asyncio.timeout(STUCK_SECONDS):
                    await culprit.writer.drain()
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
    with contextlib.suppress(OSError):
        for _ in range(0, PUSHED, len(frames)):
            stalled.writer.write(frames)
            async with asyncio.timeout(STUCK_SECONDS / 4):
                await stalled.writer.drain()
