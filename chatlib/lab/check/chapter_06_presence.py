"""The rules of the exercise on presence in chapter 06: who is here, not how many tabs."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

from chatlib.lab.check.bench import Bench, Client, Outcome, Wrong, shorten
from chatlib.lab.check.report import Rules

PRESENCE = Rules()
WATCHER = "watcher"  # a user who is there all the time
ITSELF = {f"{WATCHER} is here", f"{WATCHER} has left"}  # which it may hear or not
HELLO = "hello"  # what the other users say


class Lobby:
    """What a rule is given: tabs of users, and what the watcher hears of them.

    No user of one rule comes in another, so what an app got wrong is seen once.
    """

    def __init__(self, bench: Bench, watcher: Client) -> None:
        self.bench = bench
        self.watcher = watcher
        self.said = 0

    async def next_news(self, expected: str) -> str:
        """Return the next message that the watcher hears and that is not about itself.

        Raises `Wrong`, which says what was `expected`, if there is none.
        """
        while (got := await self.watcher.next_message()) in ITSELF:
            pass
        if isinstance(got, Outcome):
            raise Wrong(expected, got)
        return str(got)

    async def told(self, *expected: str) -> None:
        """Expect that the watcher has been told exactly this since it was asked last."""
        self.said += 1
        words = f"so far {self.said}"
        await self.watcher.send(words)
        own, news = f"{WATCHER}: {words}", []
        while (got := await self.next_news(f"'{own}', as it has said it itself")) != own:
            if not got.endswith(f": {HELLO}"):
                news.append(got)
        if news != list(expected):
            raise Wrong(in_words(expected), in_words(news))

    @contextlib.asynccontextmanager
    async def tab(self, user: str) -> AsyncIterator[Client]:
        """Open a tab of `user`, wait until it is one of those who hear, and close it.

        After it, its handler has ended.
        """
        others = self.bench.server.handlers
        async with self.bench.client(f"/ws/{user}") as client:
            await client.send(HELLO)
            while (got := await client.next_message()) != f"{user}: {HELLO}":
                if isinstance(got, Outcome):
                    raise Wrong(f"'{user}: {HELLO}', as {user} has said it", got)
            yield client
        try:
            async with asyncio.timeout(2):
                await self.bench.server.settled(besides=others)
        except TimeoutError:
            raise Wrong("the handler to end when its tab is gone", "it goes on") from None


def in_words(news: Sequence[str]) -> str:
    """Return what somebody was told, in words."""
    return shorten(list(news)) if news else "nothing"


@contextlib.asynccontextmanager
async def lobby(bench: Bench) -> AsyncIterator[Lobby]:
    """Let the watcher in, and wait until it is one of those who hear."""
    async with bench.client(f"/ws/{WATCHER}") as watcher:
        there = Lobby(bench, watcher)
        await there.told()
        yield there


@PRESENCE.rule(
    "what a user says is heard by all as 'ana: hello', as before",
    hint="leave the loop as it is",
    essential=True,
)
async def talk_goes_on(bench: Bench) -> None:
    async with lobby(bench) as there, there.tab("ana"):
        expected = f"ana: {HELLO}"
        while (got := await there.next_news(repr(expected))) != expected:
            if got != "ana is here":  # the next rule's concern
                raise Wrong(repr(expected), shorten(got))


@PRESENCE.rule(
    "the first tab opens: all hear 'bea is here', once, even if she says nothing",
    hint="count the tabs of each user in a Counter; where the count becomes 1, publish",
    essential=True,
)
async def first_tab_is_told(bench: Bench) -> None:
    # Of two names one begins like the other: each user has a count of its own.
    async with lobby(bench) as there, there.tab("beatrice"):
        await there.told("beatrice is here")
        async with bench.client("/ws/bea"):
            expected = "bea is here"
            if (got := await there.next_news(repr(expected))) != expected:
                raise Wrong(repr(expected), shorten(got))
            await there.told()


@PRESENCE.rule(
    "a second tab of hers opens: nobody is told",
    hint="only where the count becomes 1",
)
async def second_tab_is_not_told(bench: Bench) -> None:
    async with lobby(bench) as there, there.tab("cleo"):
        await there.told("cleo is here")
        async with there.tab("cleo"):
            await there.told()


@PRESENCE.rule(
    "one of two tabs closes: nobody is told",
    hint="count down in finally, and publish only where the count becomes 0",
)
async def one_of_two_is_not_told(bench: Bench) -> None:
    async with lobby(bench) as there, there.tab("dora"):
        async with there.tab("dora"):
            pass
        await there.told("dora is here")


@PRESENCE.rule(
    "the last tab closes: all hear 'eva has left', once",
    hint="in finally, where the count becomes 0, publish",
)
async def last_tab_is_told(bench: Bench) -> None:
    async with lobby(bench) as there, there.tab("evangeline"):
        async with there.tab("eva"), there.tab("eva"):
            await there.told("evangeline is here", "eva is here")
        await there.told("eva has left")


@PRESENCE.rule(
    "who comes again is announced again, and so is the leaving",
    hint="after the last tab has gone, all has to be as if the user had never been there",
)
async def who_comes_again_is_told(bench: Bench) -> None:
    async with lobby(bench) as there:
        for _ in range(2):
            async with there.tab("fay"):
                pass
            await there.told("fay is here", "fay has left")


@PRESENCE.rule(
    "two tabs that come at the same time, and go so: all are told once",
    hint="no `await` between the counting and the question whether it is the first, or the last",
)
async def tabs_at_once(bench: Bench) -> None:
    async with lobby(bench) as there:
        others = bench.server.handlers
        async with contextlib.AsyncExitStack() as first, contextlib.AsyncExitStack() as second:
            tabs = [stack.enter_async_context(there.tab("ida")) for stack in (first, second)]
            await asyncio.gather(*tabs)
            await there.told("ida is here")
            await asyncio.gather(first.aclose(), second.aclose())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2):
                await bench.server.settled(besides=others)
        await there.told("ida has left")


@PRESENCE.rule(
    "a tab that is cut off, or closed for a binary message, has gone too",
    hint="count down in finally, however the handler ends",
)
async def any_end_counts(bench: Bench) -> None:
    async with lobby(bench) as there:
        async with there.tab("gil") as client:
            await client.vanish()
        await there.told("gil is here", "gil has left")
        async with there.tab("hal") as client:
            await client.send(b"\x00")
            await client.connection.wait_closed()
        await there.told("hal is here", "hal has left")
