"""A lobby in which a rule opens and closes tabs, and what a watcher hears there."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

from chatlib.lab.check.tools.bench import RUNS_ON, Bench, Client, Outcome, Wrong, shorten

WATCHER = "watcher"  # a user who is there all the time
ITSELF = {f"{WATCHER} is here", f"{WATCHER} has left"}  # which it may hear or not
COMINGS = (" is here", " has left")  # how the messages end that are tried; others may come too
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
        """Expect that the watcher was told of exactly this coming and going since last time."""
        self.said += 1
        words = f"so far {self.said}"
        await self.watcher.send(words)
        own, news = f"{WATCHER}: {words}", []
        while (got := await self.next_news(f"'{own}', as it has said it itself")) != own:
            if not got.endswith(f": {HELLO}"):
                news.append(got)
        if [each for each in news if each.endswith(COMINGS)] != list(expected):
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
            came = "it runs on"
            raise Wrong("the handler to end when its tab is gone", came, hint=RUNS_ON) from None


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
