"""uvicorn, saying when it accepts connections, and stopping without waiting for its tick."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable

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
