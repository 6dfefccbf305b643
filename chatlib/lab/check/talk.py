"""What clients of a chat hear, in the rules that have them talk."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence

from chatlib.lab.check.bench import Bench, Client, Outcome, Wrong, shorten
from chatlib.lab.check.puppet import Puppet

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


async def leaves_nothing_behind(
    bench: Bench, stays: int, leaves: int, before: Sequence[str] = (), after: Sequence[str] = ()
) -> None:
    """Expect that client `leaves` is sent nothing more once its handler knows that it has gone.

    No real client could tell. Both send `before` when they come, and the other one `after` when
    this one has gone.
    """

    async def play(code: int) -> int:
        one, other = Puppet(f"/ws/{leaves}"), Puppet(f"/ws/{stays}")
        handlers = []
        try:
            async with asyncio.timeout(PLAY_SECONDS):
                for puppet, number in ((one, leaves), (other, stays)):
                    running = bench.server.app(puppet.scope, puppet.receive, puppet.send)
                    handlers.append(asyncio.ensure_future(running))
                    for text in (*before, "here"):
                        puppet.says(text)
                    await puppet.hears(f"Client #{number} says: here")
                one.goes(code)
                for text in ("alone", "still alone"):
                    for said in (*after, text):
                        other.says(said)
                    await other.hears(f"Client #{stays} says: {text}")
        except TimeoutError:
            raise Wrong(f"clients {leaves} and {stays} to hear themselves", "nothing") from None
        finally:
            other.goes()
            _, running_on = await asyncio.wait(handlers, timeout=PLAY_SECONDS)
            for handler in running_on:
                handler.cancel()
            # What they raise is the concern of another rule.
            await asyncio.gather(*handlers, return_exceptions=True)
        return one.sent_in_vain

    for code in (1000, 1006):
        # Where the connections of the app are served: a manager may know one event loop alone.
        playing = asyncio.run_coroutine_threadsafe(play(code), bench.server.loop)
        if sent := await asyncio.wrap_future(playing):
            came = "a message" if sent == 1 else f"{sent} messages"
            raise Wrong(f"nothing to be sent to client {leaves} after it had left", came)
