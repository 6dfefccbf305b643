"""The rules of the exercises of chapter 06, in your own app."""

import asyncio
import contextlib
import inspect
from collections.abc import AsyncIterator, Coroutine
from contextvars import ContextVar
from typing import Any, TypeVar

from fastapi import FastAPI, WebSocket

from chatlib.lab.check.bench import Bench, Client, Wrong, serving, shorten
from chatlib.lab.check.report import Rules
from chatlib.lab.serve import Server

FOLLOW = Rules()

RETURN_SECONDS = 1.5  # how long `follow` may take to return after its client has left
A_FEW_TURNS = 5  # of the event loop: what waits for a queue, or was cancelled, has run by then

T = TypeVar("T")


class Feed:
    """An app whose `/ws` accepts, and calls the reader's `follow(websocket, queue)`.

    Attributes:
        app: the app.
        queue: what `follow` shall send.
        outcome: what became of the call of `follow`, in words; empty while it runs.
        tasks: what `follow` has started.
        abandoned: whether the check is over, and `follow` shall end.
    """

    def __init__(self, function: Any) -> None:
        self.function = function
        self.app = FastAPI()
        self.queue: asyncio.Queue[str] = asyncio.Queue()
        self.outcome = ""
        self.abandoned = False
        self.ended = asyncio.Event()
        self.handler: asyncio.Task[Any] | None = None
        self.tasks: list[asyncio.Task[Any]] = []
        self.app.add_api_websocket_route("/ws", self.endpoint)

    async def endpoint(self, websocket: WebSocket) -> None:
        """Accept, let `follow` do the rest, and note how it ends."""
        await websocket.accept()
        self.handler = asyncio.current_task()
        asyncio.get_running_loop().set_task_factory(note_task)
        within.set(self)
        try:
            result = self.function(websocket, self.queue)
            if inspect.isawaitable(result):
                await result
                self.outcome = "follow returned"
            else:
                self.outcome = f"follow returned {shorten(result)} at once: write `async def`"
        except BaseException as error:
            self.outcome = f"follow raised {type(error).__name__}"
            self.outcome += f": {error}" if str(error) else ""
            if not self.abandoned:
                raise
        finally:
            self.ended.set()

    async def put(self, *items: str) -> int:
        """Put `items` into the queue, and return how many are in it when all had a chance."""
        for item in items:
            await self.queue.put(item)
        await turns()
        return self.queue.qsize()

    async def tasks_left(self) -> int:
        """Return how many tasks `follow` has started that run on."""
        await turns()
        return sum(not task.done() for task in self.tasks)

    def abandon(self) -> None:
        """End `follow` if it runs, so that the server need not wait for it."""
        self.abandoned = True
        if self.handler is not None:
            self.handler.cancel()

    async def has_ended(self) -> bool:
        """Return whether `follow` ends, within a deadline."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RETURN_SECONDS):
                await self.ended.wait()
        return self.ended.is_set()


within: ContextVar[Feed] = ContextVar("within")


def note_task(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
    """Make a task, as an event loop does, and note it if `follow` starts it.

    The server starts tasks meanwhile too. What `follow` starts has the context of its handler.
    """
    task: asyncio.Task[Any] = asyncio.Task(coroutine, loop=loop, **options)
    feed = within.get(None)
    if feed is not None:
        feed.tasks.append(task)
    return task


class Following:
    """A feed that is served, and one client of it."""

    def __init__(self, feed: Feed, server: Server, client: Client) -> None:
        self.feed = feed
        self.server = server
        self.client = client

    async def inside(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run `coroutine` in the server's event loop, and return its result."""
        running = asyncio.run_coroutine_threadsafe(coroutine, self.server.loop)
        return await asyncio.wrap_future(running)

    async def hears(self, *items: str) -> None:
        """Put `items` into the queue, and expect that the client gets them."""
        await self.inside(self.feed.put(*items))
        for item in items:
            try:
                await self.client.hears(item)
            except Wrong:
                if self.feed.outcome:
                    raise Wrong(repr(item), self.feed.outcome) from None
                raise

    async def returns(self, how: str) -> None:
        """Have the client leave, and expect that `follow` returns."""
        if how == "cut":
            await self.client.vanish()
        else:
            await self.client.connection.close()
        if not await self.inside(self.feed.has_ended()):
            raise Wrong("follow to return", f"it runs on after the client has left ({how})")
        if self.feed.outcome != "follow returned":
            raise Wrong("follow to return", self.feed.outcome)


@contextlib.asynccontextmanager
async def following(function: Any) -> AsyncIterator[Following]:
    """Serve a feed that `function` sends, with one client."""
    feed = Feed(function)
    async with serving(feed.app) as server, Bench(server).client("/ws") as client:
        try:
            yield Following(feed, server, client)
        finally:
            server.loop.call_soon_threadsafe(feed.abandon)


async def turns() -> None:
    """Let everything run that is ready, or was cancelled."""
    for _ in range(A_FEW_TURNS):
        await asyncio.sleep(0)


@FOLLOW.rule(
    "each item of the queue goes to the client, in order, an empty text too",
    hint="in a loop: await websocket.send_text(await queue.get())",
    essential=True,
)
async def items_arrive(function: Any) -> None:
    async with following(function) as it:
        await it.hears("one", "", "two")
        await it.hears("two")


@FOLLOW.rule(
    "what the client says is thrown away, text or bytes, and the feed goes on",
    hint="websocket.receive() takes whatever comes; call it until its 'type' says disconnect",
)
async def client_may_talk(function: Any) -> None:
    async with following(function) as it:
        for said in ("hello", b"\x00\xff", "", b"", "stop", "close", "quit", "exit", "bye"):
            await it.client.send(said)
        await it.hears("after that")
        await it.client.send("more")
        await it.hears("and after that")
        await it.client.stays_connected()


@FOLLOW.rule(
    "it returns when the client has left, though nothing is in the queue",
    hint="one task sends; you receive until the client has gone, and then cancel the task",
    essential=True,
)
async def it_returns(function: Any) -> None:
    for how in ("close", "cut"):
        async with following(function) as it:
            await it.hears("one")
            await it.returns(how)
    async with following(function) as it:
        await it.client.send("only a word")
        await it.returns("close")


@FOLLOW.rule(
    "after the client has left, it takes nothing more from the queue",
    hint="whatever waits in queue.get() must be cancelled, or it takes the next item",
)
async def nothing_is_taken(function: Any) -> None:
    async with following(function) as it:
        await it.hears("one")
        await it.returns("close")
        left = await it.inside(it.feed.put("for somebody else", "for one more"))
        if left != 2:
            raise Wrong("the 2 new items in the queue", f"{left} in the queue")


@FOLLOW.rule("it leaves no task behind", hint="cancel what you started, or use a TaskGroup")
async def no_task_is_left(function: Any) -> None:
    async with following(function) as it:
        await it.hears("one")
        await it.returns("close")
        left = await it.inside(it.feed.tasks_left())
        if left:
            raise Wrong("no task that follow started", f"{left}, still running")
