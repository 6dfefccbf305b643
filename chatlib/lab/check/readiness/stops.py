"""What clients see of a stop."""

import asyncio
import contextlib
import time
from dataclasses import dataclass, field

from chatlib.lab.check.readiness.bench import Bench, outcome
from chatlib.lab.check.readiness.caller import Caller
from chatlib.lab.check.readiness.checklist import STOP_SECONDS
from chatlib.lab.check.readiness.loads import stuff
from chatlib.lab.check.tools.wrong import Wrong

TOLD_SECONDS = 15.0  # how long a server may go on after SIGTERM, so that a proxy sees /readyz
UNREADY_SECONDS = 3.0
LOOK_SECONDS = 0.05
READERS = 3
GOING = {1001, 1012}


@dataclass
class Stop:
    """What came of a SIGTERM.

    Attributes:
        ready: how the last request for /readyz was answered; empty if it was refused, or with 503.
        codes: with which each client that reads was closed; None for one that is still open.
        seconds: from then until the process ended; None if it did not.
    """

    ready: str = ""
    codes: list[int | None] = field(default_factory=list)
    seconds: float | None = None


async def stop(bench: Bench) -> Stop:
    """Stop the server while clients are there, one of whom reads nothing."""
    came = Stop()
    async with contextlib.AsyncExitStack() as stack:
        readers = [await stack.enter_async_context(bench.caller()) for _ in range(READERS)]
        stalled = await stack.enter_async_context(bench.caller(reads=False))
        await stuff(bench, stalled)
        bench.target.terminate()
        asking = asyncio.create_task(until_unready(bench))
        began = time.monotonic()
        came.codes = list(await asyncio.gather(*(told(each) for each in readers)))
        if None not in came.codes:
            began = time.monotonic()
        came.ready = await asking
        while bench.target.running and time.monotonic() < began + STOP_SECONDS:  # noqa: ASYNC110
            await asyncio.sleep(LOOK_SECONDS)
        if not bench.target.running:
            came.seconds = time.monotonic() - began
    return came


async def told(reader: Caller) -> int | None:
    return await reader.closed(TOLD_SECONDS)


async def until_unready(bench: Bench) -> str:
    """Return nothing once /readyz says 503 or nobody is let in; else how it was answered last."""
    until, last = time.monotonic() + UNREADY_SECONDS, ""
    while time.monotonic() < until:
        try:
            code, _ = await bench.place.get("/readyz", UNREADY_SECONDS)
        except OSError:
            return ""
        if code in {0, 503}:
            return ""
        last = f"HTTP {code}"
        await asyncio.sleep(LOOK_SECONDS)
    return last


def unready(came: Stop) -> None:
    if came.ready:
        raise Wrong(f"503 or no answer {UNREADY_SECONDS:.0f} s after SIGTERM", came.ready)


def all_told(came: Stop) -> None:
    for code in came.codes:
        if code not in GOING:
            open_still = f"they are open {TOLD_SECONDS:.0f} s after SIGTERM"
            raise Wrong("close 1012 or 1001", outcome(code) or open_still)


def stops(came: Stop) -> None:
    if came.seconds is None:
        raise Wrong("the process to end", f"it runs {STOP_SECONDS:.0f} s after that")
