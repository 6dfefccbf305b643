"""The rules of the exercises of chapter 00, start here."""

from typing import Any

import httpx2
from fastapi import FastAPI, WebSocket

from chatlib.core.manager import ConnectionManager
from chatlib.lab.check.bench import Bench, expect, serving
from chatlib.lab.check.report import Rules

PING, SAY = Rules(), Rules()


@PING.rule("GET /ping answers 200", hint="@pings.get('/ping') above a function", essential=True)
async def ping_is_there(bench: Bench) -> None:
    expect((await get(bench, "/ping")).status_code, 200)


@PING.rule('the answer is {"pong": true}', hint="return a dict; FastAPI makes JSON of it")
async def ping_answers(bench: Bench) -> None:
    expect((await get(bench, "/ping")).json(), {"pong": True})


async def get(bench: Bench, path: str) -> httpx2.Response:
    """Return the answer to a GET of `path`."""
    async with httpx2.AsyncClient(trust_env=False, verify=False) as client:
        return await client.get(bench.server.http_url(path))


@SAY.rule(
    "say(url, 'hello') returns the two messages that come back",
    hint="async with websockets.connect(url) as client: send once, recv twice, return a list",
    essential=True,
)
async def say_returns_both(say: Any) -> None:
    async with serving(a_chat()) as server:
        got = await say(server.ws_url("/ws/7"), "hello")
    expect(got, ["You wrote: hello", "Client #7 says: hello"])


@SAY.rule("it hangs up when it has them", hint="`async with` closes the connection at its end")
async def say_hangs_up(say: Any) -> None:
    async with serving(a_chat()) as server:
        await say(server.ws_url("/ws/8"), "bye")
        # It returns only when the handler of every connection has ended.
        await server.settled()


def a_chat() -> FastAPI:
    """Return a chat of its own: the finished one may have the reader's page in it."""
    app, manager = FastAPI(), ConnectionManager()

    @app.websocket("/ws/{client_id}")
    async def endpoint(websocket: WebSocket, client_id: int) -> None:
        await manager.connect(websocket)
        async for text in websocket.iter_text():
            await manager.send_personal_message(f"You wrote: {text}", websocket)
            await manager.broadcast(f"Client #{client_id} says: {text}")
        manager.disconnect(websocket)

    return app
