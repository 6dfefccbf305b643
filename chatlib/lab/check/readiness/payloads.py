"""Messages that are too big, and input that nobody has asked for."""

import asyncio
import functools
import zlib

from chatlib.lab.check.readiness.bench import ANSWER_SECONDS, QUIET_SECONDS, Bench, outcome
from chatlib.lab.check.readiness.caller import BINARY, CONT, LOST, TEXT, Caller
from chatlib.lab.check.readiness.checklist import BIGGEST
from chatlib.lab.check.readiness.targets import TRACEBACK
from chatlib.lab.check.tools.wrong import Wrong

PIECE = 64 * 1024
SHOWN = 4  # exceptions
HUGE = 16 * 1024 * 1024  # what uvicorn lets in if not told otherwise
# How an app may close the connection of one who sends what it does not take.
POLITE = {1003, 1007, 1008, 1009}
BAD_INPUT: dict[str, tuple[bytes, bool]] = {  # with whether it is binary
    "a binary message": (b"\x00\x01\xff", True),
    "text that is not UTF-8": (b"caf\xe9 \xff", False),
    "text that is no JSON": (b"{", False),
    "JSON of a wrong form": (b'{"type": 5, "text": [null]}', False),
    "null": (b"null", False),
    "JSON that is 10,000 lists deep": (b"[" * 10_000, False),
}


async def size(bench: Bench) -> None:
    async with bench.caller() as caller:
        message = b"x" * (BIGGEST + 1)
        # The head of the frame says how much comes, and a server may close at once. What is sent
        # after that would cost us its close frame.
        caller.announce(len(message))
        for start in range(0, len(message), PIECE):
            if caller.code is None:
                caller.write_raw(message[start : start + PIECE])
                await caller.flush()
                await caller.closed(0.3 if start == 0 else 0)
        await expect_1009(caller, f"a message of {BIGGEST + 1:,} bytes")


async def fragments(bench: Bench) -> None:
    async with bench.caller() as caller:
        opcode, sent = TEXT, 0
        while caller.code is None and sent < 2 * BIGGEST:
            await caller.send(b"x" * PIECE, opcode, fin=False)
            opcode, sent = CONT, sent + PIECE
            await caller.pong(ANSWER_SECONDS)  # it is not ahead of the server
        await expect_1009(caller, f"{sent // PIECE} fragments of 64 KiB")


async def inflates(bench: Bench) -> None:
    async with bench.caller(deflate=True) as caller:
        if "permessage-deflate" not in caller.extensions:
            return  # nothing is decompressed here
        bomb = await asyncio.to_thread(make_bomb)
        await caller.send(bomb, TEXT, deflated=True)
        await expect_1009(caller, f"{len(bomb) // 1024} KB that become 16 MiB")


async def expect_1009(caller: Caller, what: str) -> None:
    """Expect that `caller` is closed because of `what` it has sent."""
    await caller.pong(ANSWER_SECONDS)  # so the server has read it, or has closed
    code = await caller.closed(QUIET_SECONDS)
    if code != 1009:
        came = outcome(code) or "it stays open"
        raise Wrong(f"close 1009 for {what}", came)


@functools.cache
def make_bomb() -> bytes:
    """Return the payload of a frame that becomes 16 MiB."""
    # The smallest window that there is, so that a server of any window can read it.
    deflating = zlib.compressobj(9, zlib.DEFLATED, -9)
    packed = deflating.compress(b"x" * HUGE) + deflating.flush(zlib.Z_SYNC_FLUSH)
    return packed.removesuffix(b"\x00\x00\xff\xff")


async def bad_input(bench: Bench) -> None:
    async with bench.caller() as witness:
        trying = [try_bad_input(bench, what) for what in BAD_INPUT]
        for wrong in await asyncio.gather(*trying, return_exceptions=True):
            if isinstance(wrong, BaseException):
                raise wrong
        await bench.expect_answer(witness, "another client, after bad input")


async def try_bad_input(bench: Bench, what: str) -> None:
    """Expect that whoever sends it is answered, or closed with a code that says why."""
    payload, binary = BAD_INPUT[what]
    async with bench.caller() as caller:
        await caller.send(payload, BINARY if binary else TEXT)
        await caller.pong(ANSWER_SECONDS)  # so the server has read it, or has closed
        code = await caller.closed(QUIET_SECONDS)
        if code is None and not await bench.answered(caller):
            code = caller.code
            if code is None:
                came = f"nobody is answered for {ANSWER_SECONDS:.0f} s"
                raise Wrong(f"an answer after {what}", came)
        if code is not None and code not in POLITE and code < 3000:
            hint = None
            if code == LOST and what == "text that is not UTF-8":
                hint = "leave that to the server: uvicorn closes with 1007"
            expected = f"an answer to {what}, or close 1003, 1007 or 1008"
            raise Wrong(expected, outcome(code), hint=hint)


async def traceback(bench: Bench) -> None:
    """Look at all that was logged meanwhile."""
    raised = sorted({raised_in(each) for each in bench.target.log().split(TRACEBACK)[1:]})
    # That a client has gone is told in many ways, and matters least.
    others = [name for name in raised if "Disconnect" not in name]
    if raised:
        names = others or raised
        more = ", …" if len(names) > SHOWN else ""
        raise Wrong("no traceback in the log", ", ".join(names[:SHOWN]) + more)


def raised_in(traceback: str) -> str:
    """Return the name of the exception that a traceback, and more of a log, tells of."""
    lines = (line for line in traceback.splitlines() if line and not line.startswith((" ", "\t")))
    return next(lines, "one").partition(":")[0].rpartition(".")[2][:40]
