"""The rules of the exercises of chapter 00, start here."""

import asyncio
import json
import secrets
from typing import Any

import httpx2
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from chatlib.core.manager import ConnectionManager
from chatlib.core.messages import receive_text
from chatlib.lab.check.report import Rules
from chatlib.lab.check.tools.bench import Bench, Wrong, expect, serving, shorten
from chatlib.lab.check.tools.calling import call, expect_returned
from chatlib.lab.check.tools.doors import endpoints_of, leads_to, no_endpoint

PING, SAY = Rules(), Rules()
PONG = '{"pong": true}'
HANG_UP_SECONDS = 1.0  # how long a client may stay after `say` has returned
GET_SECONDS = 3.0  # how long an answer may take
WAITS = "your function does not return: what it waits for does not come, or takes too long"
NO_CONNECTION = "begin with a connection to `url`; without one nothing can come back"
AS_DICT = "return the dict {'pong': True}; FastAPI makes JSON of it"


@PING.rule(
    "GET /ping answers 200",
    hint="an app answers what it has an endpoint for: a function, with a decorator above it",
    essential=True,
)
async def ping_is_there(bench: Bench) -> None:
    await get(bench, "/ping")


@PING.rule(f"the answer is {PONG}", hint=AS_DICT)
async def ping_answers(bench: Bench) -> None:
    for _ in range(3):
        response = await get(bench, "/ping")
        kind = response.headers.get("content-type", "no content type")
        if "json" not in kind:
            raise Wrong("JSON, which is application/json", kind, hint=AS_DICT)
        expect_pong(response.text)


def expect_pong(text: str) -> None:
    """Raise `Wrong` unless `text` is the right JSON."""
    try:
        got = json.loads(text)
    except ValueError:
        raise Wrong(PONG, shorten(text)) from None
    if isinstance(got, dict) and list(got) == ["pong"] and got["pong"] is True:
        return
    hint = None
    if isinstance(got, str):
        hint = "that is a text in JSON: return the dict itself, without json.dumps"
    elif got is None:
        hint = "the function returns None: it lacks a `return`"
    elif isinstance(got, dict) and "pong" in got:
        hint = "the value is the truth value True, and pong is the only key"
    raise Wrong(PONG, text, hint=hint)


async def get(bench: Bench, path: str) -> httpx2.Response:
    """Return the answer to a GET of `path`, which has to be 200."""
    async with httpx2.AsyncClient(trust_env=False, verify=False, timeout=GET_SECONDS) as client:
        try:
            response = await client.get(bench.server.http_url(path))
        except httpx2.TimeoutException:
            raise Wrong("200", f"no answer within {GET_SECONDS:.0f} s", hint=WAITS) from None
    if response.status_code == 200:
        return response
    endpoints = endpoints_of(bench.server.app)
    came, hint = str(response.status_code), None
    if endpoints is not None and response.status_code in {307, 404, 405}:
        fitting = [kind for kind, each in endpoints if leads_to(each, path)]
        if "GET" not in fitting:
            why, hint = no_endpoint("GET", path, endpoints, fitting)
            came += f", {why}"
    if response.status_code == 422:
        hint = "the function needs something from the client: leave out its parameters"
    elif hint is None and (endpoints is None or "GET" in [kind for kind, _ in endpoints]):
        hint = "that is what your function answers: return the dict"
    raise Wrong("200", came, hint=hint)


# --- say ----------------------------------------------------------------------------------------


@SAY.rule(
    "say(url, 'hello') returns the two messages that come back",
    hint="each recv() gives one message, in the order in which they come: return the first two",
    essential=True,
)
async def say_returns_both(say: Any) -> None:
    async with serving(listener := Listener(a_chat())) as server:
        try:
            got = await call(say, server.ws_url("/ws/7"), "hello", takes="(url, text)")
        except Exception:
            if binary := [message for message in listener.heard if isinstance(message, bytes)]:
                hint = "send the text itself: encode() makes bytes of it, a binary message"
                raise Wrong("'hello' as a text", shorten(binary[0]), hint=hint) from None
            raise
    expected = ["You wrote: hello", "Client #7 says: hello"]
    if got == [] and not listener.paths:
        raise Wrong(expected, "[], and nobody connected", hint=NO_CONNECTION)
    expect_messages(got, expected)


@SAY.rule(
    "it sends the text once, as it is, to the address it is given",
    hint="connect to `url`, send `text`, and nothing else",
    essential=True,
)
async def say_sends(say: Any) -> None:
    async with serving(listener := Listener(a_chat())) as server:
        for text in ("", f"{secrets.token_hex(4)}  naïve ☕ ", "x" * 3000):
            listener.paths.clear()
            listener.heard.clear()
            path = f"/ws/{secrets.randbelow(10**6)}"
            await call(say, server.ws_url(path), text, takes="(url, text)")
            if not listener.paths:
                raise Wrong("a client that connects to url", "none came")
            expect(listener.paths, [path])
            expect(listener.heard, [text])


@SAY.rule(
    "what it returns is what came, whatever that is",
    hint="return what recv() gives, and do not make the messages yourself",
)
async def say_returns_what_came(say: Any) -> None:
    answers: list[str] = []
    async with serving(answering(answers)) as server:
        for more in ([], ["what somebody else says"]):
            two = [f" {secrets.token_hex(6)} ", f"{secrets.token_hex(6)}\n"]
            answers[:] = [*two, *more]
            got = await call(say, server.ws_url("/ws/9"), "what comes?", takes="(url, text)")
            expect_messages(got, two)


@SAY.rule("it hangs up when it has them", hint="`async with` closes the connection at its end")
async def say_hangs_up(say: Any) -> None:
    async with serving(listener := Listener(a_chat())) as server:
        await call(say, server.ws_url("/ws/8"), "bye", takes="(url, text)")
        try:
            async with asyncio.timeout(HANG_UP_SECONDS):
                # It returns only when the handler of every connection has ended.
                await server.settled()
        except TimeoutError:
            came = f"still connected {HANG_UP_SECONDS:.0f} s after it returned"
            raise Wrong("a client that closes its connection", came) from None
    expect(listener.heard, ["bye"])


def expect_messages(got: Any, messages: list[str]) -> None:
    """Raise `Wrong` unless `got` is the list of `messages`."""
    expect_returned(got, list, "a list of two texts", "return [the first, the second]")
    binary = any(isinstance(message, bytes) for message in got)
    expect(got, messages, hint="recv() gives a text, unless it is told not to" if binary else None)


class Listener:
    """An app that notes who connects to another one, what they send."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.paths: list[str] = []
        self.heard: list[str | bytes] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def listen() -> Any:
            message = await receive()
            if message["type"] == "websocket.receive":
                text = message.get("text")
                self.heard.append(message["bytes"] if text is None else text)
            return message

        if scope["type"] == "websocket":
            self.paths.append(scope["path"])
        await self.app(scope, listen, send)


def a_chat() -> FastAPI:
    """Return a chat of its own: the finished one may have the reader's page in it."""
    app, manager = FastAPI(), ConnectionManager()

    @app.websocket("/ws/{client_id}")
    async def endpoint(websocket: WebSocket, client_id: int) -> None:
        await manager.connect(websocket)
        try:
            while True:
                text = await receive_text(websocket)
                await manager.send_personal_message(f"You wrote: {text}", websocket)
                await manager.broadcast(f"Client #{client_id} says: {text}")
        except WebSocketDisconnect:
            manager.disconnect(websocket)

    return app


def answering(answers: list[str]) -> FastAPI:
    """Return an app that answers a text with these."""
    app = FastAPI()

    @app.websocket("/ws/9")
    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            while True:
                await websocket.receive_text()
                for answer in answers:
                    await websocket.send_text(answer)
        except WebSocketDisconnect:
            pass

    return app
