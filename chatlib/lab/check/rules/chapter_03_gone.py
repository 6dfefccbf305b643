"""Scenes for the first exercise of chapter 03: what happens while a chat sends.

A server knows at once of a client that has gone, and no real client could say in which turn of the
event loop it comes or goes. So the rules play the clients themselves.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from starlette.types import ASGIApp

from chatlib.lab.check.tools.bench import Bench, Wrong
from chatlib.lab.check.tools.lost import none_lost
from chatlib.lab.check.tools.mishap import let_go, told
from chatlib.lab.check.tools.puppet import Puppet, turns
from chatlib.lab.check.tools.talk import PLAY_SECONDS

HEAR_SECONDS = 1.0  # how long a message may take
LEAVING_TURNS = 30  # of the event loop: a client that goes is off the list by then
STAYS_OFF = "what `disconnect` takes off the list while you wait has to stay off it"


class Chat:
    """The clients of a chat, by their numbers, and the handlers that the app has for them."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.clients: dict[int, Puppet] = {}
        self.handlers: dict[int, asyncio.Future[None]] = {}

    def opens(self, number: int) -> Puppet:
        """Have client `number` come and say nothing."""
        puppet = self.clients[number] = Puppet(f"/ws/{number}")
        running = self.app(puppet.scope, puppet.receive, puppet.send)
        self.handlers[number] = asyncio.ensure_future(running)
        return puppet

    async def comes(self, number: int) -> Puppet:
        """Have client `number` come and say something, and expect it to hear that."""
        puppet = self.opens(number)
        puppet.says("here")
        await self.expect_heard((number,), f"Client #{number} says: here", number)
        return puppet

    async def expect_heard(self, numbers: tuple[int, ...], text: str, sender: int) -> None:
        """Expect that these clients hear `text`, which the handler of `sender` has to send."""

        async def hear() -> None:
            for number in numbers:
                await self.clients[number].hears(text)

        hearing, handler = asyncio.ensure_future(hear()), self.handlers[sender]
        ends = asyncio.FIRST_COMPLETED
        await asyncio.wait({hearing, handler}, timeout=HEAR_SECONDS, return_when=ends)
        await turns()
        ended = handler.done() and not handler.cancelled()
        error = handler.exception() if ended else None
        if error is not None and not self.clients[sender].gone:  # one that leaves may well raise
            hearing.cancel()
            came = told(error)
            let_go(error)
            raise Wrong(f"the handler of client {sender} to send {text!r} to all", came)
        if ended:  # and what it has left to others to do may take a while
            await asyncio.wait({hearing}, timeout=HEAR_SECONDS)
        hearing.cancel()
        for number in numbers:
            if text not in self.clients[number].heard:
                came = "it never came" + (f", and client {sender}'s handler ended" if ended else "")
                raise Wrong(f"client {number} to hear {text!r}", came)


@contextlib.asynccontextmanager
async def chat_of(app: ASGIApp) -> AsyncIterator[Chat]:
    """Have clients in the chat meanwhile, and have all of them go at the end."""
    chat = Chat(app)
    try:
        yield chat
    finally:
        for puppet in chat.clients.values():
            puppet.meanwhile = None
            puppet.goes()
        handlers = chat.handlers.values()
        _, running_on = await asyncio.wait(handlers, timeout=PLAY_SECONDS)
        for handler in running_on:
            handler.cancel()
        # What they raise now is the concern of another rule.
        await asyncio.gather(*handlers, return_exceptions=True)


async def play(bench: Bench, scene: Callable[[Chat], Awaitable[None]]) -> None:
    """Play `scene` in the event loop of the server, since a manager may know that one alone."""

    async def played() -> None:
        with none_lost():
            async with chat_of(bench.server.app) as chat:
                await scene(chat)

    await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(played(), bench.server.loop))


async def the_dead_stop_nobody(chat: Chat) -> None:
    """Expect that all goes on where a member is gone, and its handler does not know yet."""
    await chat.comes(221)
    dead = [await chat.comes(number) for number in (222, 223, 224)]
    one = await chat.comes(225)
    leaver = await chat.comes(226)

    dead[0].gone = True
    chat.opens(227)
    await chat.expect_heard((221, 225), "Client #227 joined the chat", 227)
    chat.opens(228)
    await chat.expect_heard((221, 225), "Client #228 joined the chat", 228)

    dead[1].gone = True
    one.says("hello")
    await chat.expect_heard((221, 225, 227), "Client #225 says: hello", 225)

    dead[2].gone = True
    leaver.goes()
    await chat.expect_heard((221, 225, 227), "Client #226 left the chat", 226)


async def one_leaves_meanwhile(chat: Chat) -> None:
    """Expect that others hear of a newcomer where a member leaves just as it is told."""
    first = await chat.comes(229)
    for number in (230, 231):
        await chat.comes(number)

    async def leave() -> None:
        first.meanwhile = None
        first.goes()
        await turns(LEAVING_TURNS)

    first.meanwhile = leave
    await chat.comes(232)
    await chat.expect_heard((230, 231), "Client #232 joined the chat", 232)
    if first.sent_in_vain:
        raise Wrong(
            "nothing to be sent to client 229 after it had left", "a message", hint=STAYS_OFF
        )


async def two_come_at_once(chat: Chat) -> None:
    """Expect that each of two newcomers is announced, and not to itself."""
    present = await chat.comes(233)
    present.meanwhile = turns
    await asyncio.gather(chat.comes(234), chat.comes(235))
    for number in (234, 235):
        text = f"Client #{number} joined the chat"
        await chat.expect_heard((233,), text, number)
        if text in chat.clients[number].heard:
            raise Wrong(f"client {number} to hear nothing of itself", repr(text))
