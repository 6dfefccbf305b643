"""The rules of the exercise on presence in chapter 06: who is here, not how many tabs."""

import asyncio
import contextlib

from chatlib.lab.check.report import Rules
from chatlib.lab.check.tools.bench import Bench, Wrong, shorten
from chatlib.lab.check.tools.lobby import COMINGS, HELLO, in_words, lobby
from chatlib.lab.check.tools.play import PLAY_SECONDS, STOPS_NOBODY, Actor, Name, Play, stops_nobody
from chatlib.lab.check.tools.puppet import TURNS, turns

PRESENCE = Rules()


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
    play = Play(bench, hears=user_says)
    for at_once in (True, False):
        await play.run(comes_again(play, "max" if at_once else "tom", at_once=at_once))


async def comes_again(play: Play, user: str, *, at_once: bool) -> None:
    """Expect that all are told rightly when a tab of `user` closes and another one opens.

    That one opens at once, or while it is told that the user has left.
    """
    here, left = f"{user} is here", f"{user} has left"
    async with play.cast("lea", user) as actors:
        watcher, tab = actors

        async def come_again() -> None:
            if watcher.puppet.heard[-1] == left:
                actors.append(Actor(play, user))
                await turns()

        tab.puppet.goes(1000)
        if at_once:
            await turns()
            actors.append(Actor(play, user))
        else:
            watcher.puppet.meanwhile = come_again
        await asyncio.wait({tab.handler}, timeout=PLAY_SECONDS)
        await turns()
        if len(actors) == 2:
            raise Wrong(repr(left), "nothing")
        await actors[-1].speaks("back again", watcher)
        news = [str(text) for text in watcher.puppet.heard if text in (here, left)]
    if news not in ([here], [here, left, here]):
        raise Wrong(f"{here!r} to be the last, since {user} has come again", in_words(news))


@PRESENCE.rule(
    "a tab whose handler is cancelled, at any moment, has gone too",
    hint="count up inside `try` and down in `finally`: what is cancelled raises CancelledError",
)
async def a_cancelled_handler_counts(bench: Bench) -> None:
    play = Play(bench, hears=user_says)
    for moment in range(TURNS):
        await play.run(is_cancelled(play, f"pat{moment}", moment))
    await play.run(is_cancelled(play, "quinn", None))


async def is_cancelled(play: Play, user: str, moment: int | None) -> None:
    """Expect that all are told rightly when a tab of `user` is cancelled, and she comes again.

    It is cancelled `moment` turns of the event loop after it has come, or else while the others
    are told that she is here.
    """
    here, left = f"{user} is here", f"{user} has left"

    def last_news() -> str:
        news = [str(text) for text in watcher.puppet.heard if text in (here, left)]
        return news[-1] if news else "nothing"

    async def cancel_if_told() -> None:
        if watcher.puppet.heard[-1] == here:
            watcher.puppet.meanwhile = None
            tab.handler.cancel()
            await turns()

    async with play.cast("lea") as actors:
        watcher = actors[0]
        if moment is None:
            watcher.puppet.meanwhile = cancel_if_told
        actors.append(tab := Actor(play, user))
        await turns(TURNS if moment is None else moment)
        if watcher.puppet.meanwhile is not None or moment is not None:  # not yet cancelled
            watcher.puppet.meanwhile = None
            tab.handler.cancel()
        await asyncio.wait({tab.handler}, timeout=PLAY_SECONDS)
        await turns()
        if (came := last_news()) == here:
            raise Wrong(f"{left!r}, since the handler of her only tab was cancelled", repr(came))
        actors.append(again := Actor(play, user))
        await again.speaks("back again", watcher)
        if (came := last_news()) != here:
            raise Wrong(f"{here!r}, since {user} has come again after a cancelled handler", came)


def user_says(user: Name, text: str) -> str:
    """Return what all hear when `user` says `text`."""
    return f"{user}: {text}"


@PRESENCE.rule(
    "a tab that is dead, or closes just then, keeps nobody else from hearing",
    hint=STOPS_NOBODY,
)
async def the_dead_stop_nobody(bench: Bench) -> None:
    await stops_nobody(Play(bench, hears=user_says), "jo", "kim")
