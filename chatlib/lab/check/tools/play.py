"""Rules of a chat on what no real client can show, played by puppets."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from chatlib.lab.check.tools.bench import Bench, Wrong
from chatlib.lab.check.tools.puppet import Puppet, turns

PLAY_SECONDS = 3.0  # how long an app may take for what is done at once
STOPS_NOBODY = (
    "go through a copy of the list, and let a send that fails end neither the loop over the "
    "others nor the handler of who speaks"
)

T = TypeVar("T")
Name = int | str


def client_says(name: Name, text: str) -> str:
    """Return what all hear in the chat of chapter 03."""
    return f"Client #{name} says: {text}"


class Play:
    """Puppets in a chat, each a client at `/ws/NAME`.

    Args:
        bench: whose app it is.
        before: what each says when it comes, before all else.
        hears: returns what all hear when NAME has said a text.
    """

    def __init__(
        self,
        bench: Bench,
        before: Sequence[str] = (),
        hears: Callable[[Name, str], str] = client_says,
    ) -> None:
        self.bench = bench
        self.before = before
        self.hears = hears

    async def run(self, play: Coroutine[Any, Any, T]) -> T:
        """Run `play` in the event loop of the server: a manager may know one event loop alone."""
        return await asyncio.wrap_future(
            asyncio.run_coroutine_threadsafe(play, self.bench.server.loop)
        )

    @contextlib.asynccontextmanager
    async def cast(self, *names: Name) -> AsyncIterator[list["Actor"]]:
        """Have puppets of these names in the chat meanwhile, who have come in this order."""
        actors: list[Actor] = []
        try:
            for name in names:
                actors.append(Actor(self, name))
                for text in self.before:
                    actors[-1].puppet.says(text)
                await actors[-1].speaks("here")
            yield actors
        finally:
            for actor in actors:
                actor.puppet.goes()
            handlers = [actor.handler for actor in actors]
            _, running_on = await asyncio.wait(handlers, timeout=PLAY_SECONDS)
            for handler in running_on:
                handler.cancel()
            # What they raise is the concern of another rule.
            await asyncio.gather(*handlers, return_exceptions=True)


class Actor:
    """A puppet in a chat, and the handler that the app runs for it."""

    def __init__(self, play: Play, name: Name) -> None:
        self.play = play
        self.name = name
        self.puppet = puppet = Puppet(f"/ws/{name}")
        running = play.bench.server.app(puppet.scope, puppet.receive, puppet.send)
        self.handler = asyncio.ensure_future(running)

    async def speaks(self, text: str, *others: "Actor", command: str = "", when: str = "") -> None:
        """Say `text`, behind a `command`; this one and `others` shall hear it, `when` in words."""
        self.puppet.says(command + text)
        said = self.play.hears(self.name, text)
        for actor in (self, *others):
            hearing = asyncio.ensure_future(actor.puppet.hears(said))
            await asyncio.wait(
                {hearing, actor.handler}, timeout=PLAY_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            if not hearing.done():
                hearing.cancel()
                came = "nothing, its handler has ended" if actor.handler.done() else "nothing"
                raise Wrong(f"{actor.name} to hear {said!r}{when}", came)


async def leaves_nothing_behind(
    bench: Bench, stays: Name, leaves: Name, before: Sequence[str] = (), after: Sequence[str] = ()
) -> None:
    """Expect that client `leaves` is sent nothing more once its handler knows that it has gone.

    Both send `before` when they come, and the other one `after` when this one has gone.
    """
    play = Play(bench, before)

    async def one_leaves(code: int) -> int:
        async with play.cast(leaves, stays) as (one, other):
            one.puppet.goes(code)
            for text in ("alone", "still alone"):
                for said in after:
                    other.puppet.says(said)
                await other.speaks(text)
        return one.puppet.sent_in_vain

    for code in (1000, 1006):
        if sent := await play.run(one_leaves(code)):
            came = "a message" if sent == 1 else f"{sent} messages"
            raise Wrong(f"nothing to be sent to client {leaves} after it had left", came)


async def stops_nobody(play: Play, name: Name, other: Name, command: str = "") -> None:
    """Expect that all others hear what client `name` says while one of them is dead, or leaves.

    It says that behind `command`. There are two of the name `other`: one is dead, or leaves just
    then, and the other one stays.
    """

    async def some_are_dead() -> None:
        async with play.cast(other, name, other, other) as (first, speaker, witness, last):
            first.puppet.gone = last.puppet.gone = True  # and the server has not noticed
            for text in ("anybody?", "and still?"):
                when = " while another client is dead"
                await speaker.speaks(text, witness, command=command, when=when)

    async def one_leaves() -> None:
        async with play.cast(other, name, other) as (first, speaker, witness):

            async def leave() -> None:
                first.puppet.meanwhile = None
                first.puppet.goes(1000)
                await turns()

            first.puppet.meanwhile = leave
            when = " while another client leaves"
            await speaker.speaks("anybody?", witness, command=command, when=when)

    for scene in (some_are_dead, one_leaves):
        await play.run(scene())
