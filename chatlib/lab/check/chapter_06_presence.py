"""The rules of the exercise on presence in chapter 06: who is here, not how many tabs."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

from chatlib.lab.check.bench import RUNS_ON, Bench, Client, Outcome, Wrong, shorten
from chatlib.lab.check.play import STOPS_NOBODY, Play, stops_nobody
from chatlib.lab.check.report import Rules

PRESENCE = Rules()
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


@PRESENCE.rule(
    "what a user says is heard by all as 'ana: hello', as before",
    hint="leave the loop as it is",
    essential=True,
)
async def talk_goes_on(bench: Bench) -> None:
    async with lobby(bench) as there, there.tab("ana"):
        expected = f"ana: {HELLO}"
        while (got := await there.next_news(repr(expected))) != expected:
            if got.startswith("ana: "):  # all else is the concern of the next rule
                raise Wrong(repr(expected), shorten(got))


@PRESENCE.rule(
    "the first tab opens: all hear 'bea is here', once, even if she says nothing",
    hint="publish before the loop, where a tab opens. How do you know that it is the first one?",
    essential=True,
)
async def first_tab_is_told(bench: Bench) -> None:
    async with lobby(bench) as there, bench.client("/ws/bea"):
        news: list[str] = []
        with contextlib.suppress(Wrong):  # the next line says what came
            while not news or not news[-1].endswith(COMINGS):
                news.append(await there.next_news("news"))
        if news[-1:] != ["bea is here"]:
            raise Wrong("'bea is here'", in_words(news))
        await there.told()


@PRESENCE.rule(
    "a second tab of hers opens, and a third: nobody is told",
    hint="only where the count becomes 1",
)
async def more_tabs_are_not_told(bench: Bench) -> None:
    async with lobby(bench) as there, there.tab("cleo"):
        await there.told("cleo is here")
        async with there.tab("cleo"):
            await there.told()
            async with there.tab("cleo"):
                await there.told()


@PRESENCE.rule(
    "a tab closes, and another one is left: nobody is told",
    hint="count down in finally, and publish only where the count becomes 0",
)
async def one_of_several_is_not_told(bench: Bench) -> None:
    async with lobby(bench) as there, there.tab("dora"):
        async with there.tab("dora"):
            async with there.tab("dora"):
                pass
            await there.told("dora is here")
        await there.told()


@PRESENCE.rule(
    "the last tab closes: all hear 'eva has left', once",
    hint="in finally, where the count becomes 0, publish",
)
async def last_tab_is_told(bench: Bench) -> None:
    async with lobby(bench) as there:
        async with there.tab("eva"), there.tab("eva"):
            await there.told("eva is here")
        await there.told("eva has left")


@PRESENCE.rule(
    "names that are alike are of different users: 'mia2', 'mia' and 'Mia'",
    hint="a user is the whole name, as it is in the path: count by it, and say it",
)
async def names_are_whole(bench: Bench) -> None:
    async with lobby(bench) as there:
        async with there.tab("mia2"):
            await there.told("mia2 is here")
            async with there.tab("mia"):
                await there.told("mia is here")
                async with there.tab("Mia"):
                    await there.told("Mia is here")
                await there.told("Mia has left")
            await there.told("mia has left")
        await there.told("mia2 has left")


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


@PRESENCE.rule(
    "a tab that is dead, or closes just then, keeps nobody else from hearing",
    hint=STOPS_NOBODY,
)
async def the_dead_stop_nobody(bench: Bench) -> None:
    play = Play(bench, hears=lambda user, text: f"{user}: {text}")
    await stops_nobody(play, "jo", "kim")
