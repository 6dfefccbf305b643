"""uvicorn, saying when it accepts connections and where it hangs, and stopping at once."""

import asyncio
import contextlib
import socket
import sys
import sysconfig
import threading
import traceback
from collections.abc import Callable
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send


class PromptServer(uvicorn.Server):
    """A `uvicorn.Server` that sets `ready` once it accepts connections.

    A stock one looks ten times a second whether it shall stop; this one is told.
    """

    def __init__(self, config: uvicorn.Config, ready: threading.Event) -> None:
        super().__init__(config)
        self.ready = ready
        self.exit = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    async def main_loop(self) -> None:
        counter = 0
        while not await self.on_tick(counter):
            counter += 1
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.exit.wait(), 0.1)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        # What a stalled client has not read by now would keep its transport open for ever.
        for connection in list(self.server_state.connections):
            connection.transport.abort()

    async def handlers_end(self, besides: frozenset["asyncio.Task[None]"]) -> None:
        while handlers := self.server_state.tasks - besides:
            await asyncio.wait(handlers)

    def exit_now(self) -> None:
        self.should_exit = True
        self.exit.set()


def watching_lifespan(app: ASGIApp, failed: Callable[[BaseException], None]) -> ASGIApp:
    """Wrap `app` so that `failed` is called with what its lifespan raises: uvicorn only logs it."""

    async def watched(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await app(scope, receive, send)
        except BaseException as error:
            if scope["type"] == "lifespan":
                failed(error)
            raise

    return watched


def where_blocked(thread: threading.Thread) -> str:
    """Return, in words, which function of the app's code a server's `thread` is in just now."""
    frame = sys._current_frames().get(thread.ident or 0)
    stack = traceback.extract_stack(frame) if frame else []
    not_the_apps = (str(Path(__file__).parent), "<frozen", *sysconfig.get_paths().values())
    for entry in reversed(stack):
        if not entry.filename.startswith(not_the_apps):
            return f"its thread is in {entry.name}(), at the line `{entry.line}`"
    return "its event loop is waiting for a task that does not end"
