"""A feed that the reader's `follow` sends, and one client of it."""

import asyncio
import contextlib
import inspect
from collections.abc import AsyncIterator, Coroutine
from contextvars import ContextVar
from typing import Any, TypeVar

from fastapi import FastAPI, WebSocket
from starlette.types import Message, Receive, Scope, Send

from chatlib.lab.check.tools.bench import Bench, Client, Wrong, serving, shorten
from chatlib.lab.check.tools.calling import expect_function
from chatlib.lab.serve import Server
from chatlib.lab.wire import Event

KNOWS_AND_WAITS = (
    "your code has received that the client left, and something still waits: cancel that task. A "
    "TaskGroup ends the others only on an error"
)
LEAVE_SECONDS = 2.0  # how long it may take until the server knows that the client has left
RETURN_SECONDS = 0.5  # and then `follow`, if it looks now and then and is not woken up
A_FEW_TURNS = 5  # of the event loop: what waits for a queue, or was cancelled, has run by then
WAYS_TO_LEAVE = {"close": "the client has left", "cut": "the connection was cut"}

T = TypeVar("T")


class Feed:
    """An app whose `/ws` accepts, and calls the reader's `follow(websocket, queue)`.

    Attributes:
        app: the app.
        queue: what `follow` shall send.
        last_items: what comes into the queue just when `follow` is told that its client has left.
        outcome: what became of the call of `follow`, in words; empty while it runs.
        tasks: what `follow` has started.
        left: set once the server knows that the client has left.
        told: whether a call of `receive` has returned that.
        abandoned: whether the check is over, and `follow` shall end.
    """

    def __init__(self, function: Any) -> None:
        self.function = function
        self.app = FastAPI()
        self.queue: asyncio.Queue[str] = asyncio.Queue()
        self.last_items: list[str] = []
        self.outcome = ""
        self.told = self.abandoned = False
        self.left, self.ended = asyncio.Event(), asyncio.Event()
        self.handler: asyncio.Task[Any] | None = None
        self.tasks: list[asyncio.Task[Any]] = []
        self.app.add_api_websocket_route("/ws", self.endpoint)

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the app, with a `receive` that adds the last items."""

        async def receive_or_leave() -> Message:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                self.told = True
                while self.last_items:
                    self.queue.put_nowait(self.last_items.pop(0))
            return message

        await self.app(scope, receive_or_leave, send)

    def note_leaving(self, event: Event) -> None:
        """Note that the client has left. The server calls this in its thread."""
        if event.to_server and event.kind in {"close", "lost"}:
            self.left.set()

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
        """Return whether `follow` ends once its client has left."""
        for event, seconds in ((self.left, LEAVE_SECONDS), (self.ended, RETURN_SECONDS)):
            await turns()  # what is woken up needs no time, however slow the machine is
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await event.wait()
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

    async def hears(self, *items: str, when: str = "") -> None:
        """Put `items` into the queue, and expect that the client gets them, `when` in words."""
        await self.inside(self.feed.put(*items))
        for item in items:
            try:
                await self.client.hears(item)
            except Wrong as wrong:
                _, got = wrong.parts
                came = self.feed.outcome or got
                raise Wrong(f"the item {shorten(item)}{when}", came, hint=wrong.hint) from None

    async def returns(self, how: str) -> None:
        """Have the client leave, and expect that `follow` returns."""
        if how == "cut":
            await self.client.vanish()
        else:
            await self.client.connection.close()
        if not await self.inside(self.feed.has_ended()):
            hint = KNOWS_AND_WAITS if self.feed.told else None
            raise Wrong("follow to return", f"it runs on after {WAYS_TO_LEAVE[how]}", hint=hint)
        if self.feed.outcome != "follow returned":
            raise Wrong("follow to return", self.feed.outcome)


@contextlib.asynccontextmanager
async def following(function: Any) -> AsyncIterator[Following]:
    """Serve a feed that `function` sends, with one client."""
    expect_function(function, "(websocket, queue)", 2)
    feed = Feed(function)
    async with serving(feed.serve) as server, Bench(server).client("/ws") as client:
        server.observers.append(feed.note_leaving)
        try:
            yield Following(feed, server, client)
        finally:
            server.loop.call_soon_threadsafe(feed.abandon)


async def turns() -> None:
    """Let everything run that is ready, or was cancelled."""
    for _ in range(A_FEW_TURNS):
        await asyncio.sleep(0)
