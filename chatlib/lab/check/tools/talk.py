"""What clients of a chat hear, in the rules that have them talk."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence

from chatlib.lab.check.tools.bench import Bench, Client, Outcome, Wrong, shorten

APART = "answer on the websocket that asked, and have no client wait for another"
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


async def keep_apart(
    one: Client,
    other: Client,
    one_hears: Callable[[str], Sequence[str]],
    other_hears: Callable[[str], Sequence[str]],
) -> None:
    """Expect that two clients are answered in turn, at once, and several times, and hear no more.

    The last two make of what the client sends the messages with which it is answered.
    """
    for _ in range(2):
        await one.send("mine")
        await one.hears(*one_hears("mine"))
        await other.send("yours")
        await other.hears(*other_hears("yours"))
    for _ in range(3):
        await one.send("mine too")
        await other.send("and yours")
        await one.hears(*one_hears("mine too"))
        await other.hears(*other_hears("and yours"))
    several = [f"number {number} of mine" for number in range(5)]
    for text in several:
        await one.send(text)
    for text in several:
        await one.hears(*one_hears(text))


async def in_any_order(client: Client, *expected: str) -> None:
    """Wait until `client` hears exactly these messages, in whichever order they come."""
    missing = [*expected]
    while missing:
        got = await client.next_message()
        if got not in missing:
            raise Wrong(" or ".join(shorten(message) for message in missing), shorten(got))
        missing.remove(str(got))


async def ended(bench: Bench, others: frozenset[asyncio.Task[None]]) -> None:
    """Wait until no handlers run but `others`, or one that does not end: a page that joined."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PLAY_SECONDS):
            await bench.server.settled(besides=others)
