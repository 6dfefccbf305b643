"""What clients of a chat hear, in the rules that have them talk."""

import asyncio
import contextlib

from chatlib.lab.check.bench import Bench, Client, Outcome, Wrong

PLAY_SECONDS = 3.0  # how long an app may take for what is done at once


async def enters(client: Client, number: int) -> list[str]:
    """Have `client` hear itself, so that it is in the chat; return what it heard before."""
    await client.send("here I am")
    return await heard_until(client, f"Client #{number} says: here I am")


async def heard_until(client: Client, last: str) -> list[str]:
    """Return what `client` hears before `last`."""
    heard: list[str] = []
    while (got := await client.next_message()) != last:
        if isinstance(got, Outcome):
            raise Wrong(repr(last), got)
        heard.append(str(got))
    return heard


async def ended(bench: Bench, others: frozenset[asyncio.Task[None]]) -> None:
    """Wait until no handlers run but `others`, or one that does not end: a page that joined."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PLAY_SECONDS):
            await bench.server.settled(besides=others)
