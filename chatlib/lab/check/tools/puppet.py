"""Clients without a network, for rules on what happens between two awaits.

A real client comes in through a socket, and nobody can say in which turn of the event loop. The
client of a `Puppet` is played by the rule itself.
"""

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from fastapi import WebSocket
from starlette.types import Message, Scope

from chatlib.lab.check.tools.bench import Wrong

TURNS = 10  # of the event loop: what a right answer has started is done by then


class Puppet:
    """A WebSocket at `path`, which may have a query, and what its client hears.

    Attributes:
        websocket: what an app is given.
        heard: the messages that have come to the client.
        gone: whether it has gone, so that to send to it fails as with a lost client.
        sent_in_vain: how many messages were sent to it after that.
        meanwhile: awaited each time something is on its way to the client.
    """

    def __init__(self, path: str, **path_params: str) -> None:
        path, _, query = path.partition("?")
        self.scope: Scope = {
            **{"type": "websocket", "asgi": {"version": "3.0", "spec_version": "2.4"}},
            **{"http_version": "1.1", "scheme": "ws", "server": ("127.0.0.1", 80)},
            # As the client of Starlette's TestClient has it: a room knows that this is no server.
            "client": ("testclient", 50000),
            **{
                "path": path,
                "raw_path": path.encode(),
                "root_path": "",
                "query_string": query.encode(),
            },
            **{"headers": [(b"host", b"127.0.0.1")], "subprotocols": [], "extensions": {}},
            **({"path_params": path_params} if path_params else {}),
        }
        self.inbox: asyncio.Queue[Message] = asyncio.Queue()
        self.inbox.put_nowait({"type": "websocket.connect"})
        self.heard: list[str | bytes | None] = []
        self.gone = False
        self.sent_in_vain = 0
        self.meanwhile: Callable[[], Awaitable[None]] | None = None
        self.news = asyncio.Event()
        self.websocket = WebSocket(self.scope, self.receive, self.send)

    async def receive(self) -> Message:
        """Return what the client does next."""
        return await self.inbox.get()

    async def send(self, message: Message) -> None:
        """Take what the app sends, as a server does."""
        if message["type"] != "websocket.send":
            return
        if self.gone:
            self.sent_in_vain += 1
            raise OSError("the client has gone")
        text = message.get("text")
        self.heard.append(message.get("bytes") if text is None else text)
        self.news.set()
        if self.meanwhile is not None:
            await self.meanwhile()

    async def hears(self, text: str) -> None:
        """Wait until `text` has come."""
        while text not in self.heard:
            self.news.clear()
            await self.news.wait()

    async def hears_messages(self, number: int) -> None:
        """Wait until so many messages have come, whatever they are."""
        while len(self.heard) < number:
            self.news.clear()
            await self.news.wait()

    def says(self, text: str) -> None:
        """Have the client send `text`."""
        self.inbox.put_nowait({"type": "websocket.receive", "text": text})

    def goes(self, code: int = 1006) -> None:
        """Have the client go: without a word, or with another code."""
        self.gone = True
        self.inbox.put_nowait({"type": "websocket.disconnect", "code": code})


def new(answer: Any, *args: Any) -> Any:
    """Return a new object of the class `answer`."""
    wanted, hint = "the class itself, without ()", "hand in the name of the class alone"
    if inspect.iscoroutinefunction(answer):
        raise Wrong(wanted, f"the function {answer.__name__}", hint=hint)
    if not callable(answer):
        what = "None" if answer is None else f"an object: {type(answer).__name__}"
        raise Wrong(wanted, what, hint=hint)
    return answer(*args)


async def turns(number: int = TURNS) -> None:
    """Let the event loop do what is ready, `number` times."""
    for _ in range(number):
        await asyncio.sleep(0)


async def settle(result: Any) -> Any:
    """Return `result`, which may have to be awaited, when all that it has started is done."""
    if isinstance(result, Awaitable):
        result = await result
    await turns()
    return result


@contextmanager
def asked_for() -> Iterator[list[asyncio.Handle]]:
    """Have what the running event loop is asked to call, by its own thread, in a list."""
    loop: Any = asyncio.get_running_loop()
    own = threading.get_ident()
    asked: list[asyncio.Handle] = []

    def noting(ask: Callable[..., asyncio.Handle]) -> Callable[..., asyncio.Handle]:
        def note(*args: Any, **options: Any) -> asyncio.Handle:
            handle = ask(*args, **options)
            if threading.get_ident() == own:
                asked.append(handle)
            return handle

        return note

    names = ("call_soon", "call_soon_threadsafe", "call_at")  # call_later calls call_at
    for name in names:
        setattr(loop, name, noting(getattr(loop, name)))
    try:
        yield asked
    finally:
        for name in names:
            delattr(loop, name)
