"""The rules of the first exercise of chapter 06: a handler that only sends."""

import asyncio
import contextlib
from typing import Any

from chatlib.lab.check.report import Rules
from chatlib.lab.check.tools.bench import Wrong
from chatlib.lab.check.tools.feed import RETURN_SECONDS, WAYS_TO_LEAVE, following
from chatlib.lab.check.tools.puppet import Puppet, turns

FOLLOW = Rules()

SAID: tuple[str | bytes, ...] = (
    *("hello", b"\x00\xff", "", b""),
    *("stop", "close", "quit", "exit", "bye"),  # which end nothing
)
ON_THEIR_WAY = 1  # items that may be lost, since they were taken just when the client left


@FOLLOW.rule(
    "each item of the queue goes to the client, in order, an empty text too",
    hint="in a loop: await websocket.send_text(await queue.get())",
    essential=True,
)
async def items_arrive(function: Any) -> None:
    async with following(function) as it:
        await it.hears("one", "", " two\n", "3" * 3000)
        await it.hears("one")


@FOLLOW.rule(
    "what the client says is thrown away, text or bytes, and the feed goes on",
    hint="websocket.receive() takes whatever comes; call it until its 'type' says disconnect",
)
async def client_may_talk(function: Any) -> None:
    async with following(function) as it:
        for number, words in enumerate(SAID, start=1):
            await it.client.send(words)
            with contextlib.suppress(Wrong):  # the next line says why
                await it.client.stays_connected()  # and so the server has these words
            await it.hears(f"item {number}", when=f" after the client has said {words!r}")
        for words in SAID:
            await it.client.send(words)
        await it.hears("the last item", when=" after the client has said much at once")


@FOLLOW.rule(
    "it returns when the client has left, though nothing is in the queue",
    hint="what waits for the queue does not see the client leave: listen meanwhile, and end both",
    essential=True,
)
async def it_returns(function: Any) -> None:
    for how in WAYS_TO_LEAVE:
        async with following(function) as it:
            await it.hears("one")
            await it.returns(how)
    async with following(function) as it:
        await it.client.send("only a word")
        await it.returns("close")


@FOLLOW.rule(
    "after the client has left, it takes nothing more from the queue",
    hint="whatever waits in queue.get() must be cancelled, and what is in the queue stays there",
)
async def nothing_is_taken(function: Any) -> None:
    async with following(function) as it:
        await it.hears("one")
        await it.returns("close")
        left = await it.inside(it.feed.put("for somebody else", "for one more"))
        if left != 2:
            raise Wrong("the 2 new items in the queue", f"{left} in the queue")
    async with following(function) as it:
        await it.hears("one")
        it.feed.last_items = [f"item {number}" for number in range(5)]
        await it.returns("close")
        if (left := await it.inside(it.feed.put())) < 5 - ON_THEIR_WAY:
            came = f"{left} in the queue"
            raise Wrong("the 5 items in the queue that came when the client left", came)


@FOLLOW.rule("it leaves no task behind", hint="cancel what you started, or use a TaskGroup")
async def no_task_is_left(function: Any) -> None:
    async with following(function) as it:
        await it.hears("one")
        await it.returns("close")
        left = await it.inside(it.feed.tasks_left())
        if left:
            raise Wrong("no task that follow started", f"{left}, still running")


@FOLLOW.rule(
    "a send that fails before the client is known to have left: it raises nothing",
    hint="catch WebSocketDisconnect around send_text: a send may learn first that nobody is there",
)
async def a_failed_send_is_no_error(function: Any) -> None:
    puppet, queue = Puppet("/ws"), asyncio.Queue[str]()
    await puppet.websocket.accept()
    running = asyncio.ensure_future(function(puppet.websocket, queue))
    try:
        queue.put_nowait("one")
        await turns()
        puppet.gone = True  # a send fails from now on, and receive still waits
        queue.put_nowait("two")
        await turns()
        puppet.goes()
        await asyncio.wait({running}, timeout=RETURN_SECONDS)
        if not running.done():
            raise Wrong("follow to return", "it runs on after a send has failed")
        if running.cancelled():
            raise Wrong("follow to return", "follow raised CancelledError")
        if (error := running.exception()) is not None:
            came = f"follow raised {type(error).__name__} after a send has failed"
            raise Wrong("follow to return", came)
    finally:
        running.cancel()
        await asyncio.wait({running}, timeout=RETURN_SECONDS)
