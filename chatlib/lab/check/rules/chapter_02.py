"""The rules of the exercises of chapter 02, items."""

import asyncio
import inspect
import secrets
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import Depends, FastAPI, WebSocket
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketState

from chatlib.lab.check.report import Rules
from chatlib.lab.check.rules.chapter_02_bearer import BEARER
from chatlib.lab.check.tools.bench import Bench, Outcome, Wrong, serving, shorten
from chatlib.lab.check.tools.calling import expect_function

__all__ = ["BEARER", "GUESTS"]

GUESTS = Rules()
CLOSES = "right after accept(): a token that starts with 'guest-' ends the connection with 4401"
LISTENS = "the function comes to its end at once: the endpoint behind it does the talking"
STAYS_TOO = "a client without a token stays, too: a parameter for it needs a default"

GUEST, MEMBER = "?token=guest-1", "?token=member-1"
ANA = "?token=ana&name=guest-1"
GUESTS_TOO = ("?token=guest-", "?name=ana&token=guest-2", "?token=guest%2D3")
NO_GUESTS = (MEMBER, "?token=my-guest-1", "?token=guest", "?token=guests-1", "?token=", ANA)
ALIKE = ("?token=Guest-1", "?token=GUEST-1", "?token=%20guest-1", "?token=guest_1", "?token=guest1")
NO_TOKEN = ("", "?name=guest-1", "?mytoken=guest-1")


@GUESTS.rule(
    "a guest is let in and then closed with 4401",
    hint="a close code needs an open WebSocket to travel in",
    essential=True,
)
async def guests_are_closed(function: Any) -> None:
    async with serving(app_that_greets(function)) as server:
        bench = Bench(server)
        for query in (GUEST, GUEST, *GUESTS_TOO, f"?token=guest-{secrets.token_hex(3)}"):
            async with bench.client(f"/ws{query}") as client:
                await client.send("may I?")
                try:
                    await client.is_closed_with(4401, hint=CLOSES)
                except Wrong as wrong:
                    raise wrong.where(f"/ws{query}") from None
        async with bench.client(f"/ws{GUEST}") as client:
            try:
                await client.is_closed_with(4401, hint=CLOSES)
            except Wrong as wrong:
                raise wrong.where("a guest that says nothing") from None
        await bench.no_handler_runs_on(hint=LISTENS)


@GUESTS.rule(
    "a guest never reaches the endpoint",
    hint="after a function that returns, the endpoint runs; an exception ends the call, and "
    "WebSocketException closes too",
)
async def guests_stay_outside(function: Any) -> None:
    reached: list[str] = []
    async with serving(app_that_greets(function, reached)) as server:
        bench = Bench(server)
        for query in (GUEST, *GUESTS_TOO):
            async with bench.client(f"/ws{query}") as client:
                await client.next_message()
        await bench.no_handler_runs_on(hint=LISTENS)
    if reached:
        raise Wrong("a call that ends in your function", f"the endpoint ran for /ws?{reached[0]}")


@GUESTS.rule("the reason is 'sign in first'", hint="WebSocketException(code, reason)")
async def guests_are_told_why(function: Any) -> None:
    async with (
        serving(app_that_greets(function)) as server,
        Bench(server).client(f"/ws{GUEST}") as client,
    ):
        await client.is_closed_with(4401, "sign in first")


@GUESTS.rule(
    "anybody else stays connected",
    hint="close only a token that starts with 'guest-'",
    essential=True,
)
async def members_stay(function: Any) -> None:
    async with serving(app_that_greets(function)) as server:
        bench = Bench(server)
        await expect_to_stay(bench, (*NO_GUESTS, *ALIKE, f"?token={secrets.token_hex(3)}-guest-1"))
        await expect_to_stay(bench, NO_TOKEN, hint=STAYS_TOO)


async def expect_to_stay(bench: Bench, queries: Sequence[str], hint: str | None = None) -> None:
    """Expect that a client with any of these queries is let in and answered."""
    for query in queries:
        try:
            async with bench.client(f"/ws{query}") as client:
                await client.send("may I?")
                got = await client.next_message()
                if got != "you may":
                    waited = isinstance(got, Outcome) and got.code is None
                    raise Wrong("to stay", shorten(got), hint=LISTENS if waited else None)
        except Wrong as wrong:
            wrong.hint = wrong.hint or hint
            raise wrong.where(f"/ws{query}") from None


@GUESTS.rule(
    "a guest and another client do not mix",
    hint="while you `await`, other clients come: keep what belongs to one in a local variable",
)
async def guests_come_beside_others(function: Any) -> None:
    async with serving(meeting(app_that_greets(function))) as server:
        bench = Bench(server)
        for first, second in ((GUEST, MEMBER), (MEMBER, GUEST)):
            async with bench.client(f"/ws{first}") as one, bench.client(f"/ws{second}") as two:
                guest, member = (one, two) if first == GUEST else (two, one)
                await guest.send("may I?")
                await guest.is_closed_with(4401)
                await member.send("may I?")
                await member.hears("you may")


@GUESTS.rule("none of this left a traceback in the log", hint="after a close, do nothing more")
async def guests_leave_quietly(function: Any) -> None:
    async with serving(app_that_greets(function)) as server:
        bench = Bench(server)
        for query in (GUEST, MEMBER):
            async with bench.client(f"/ws{query}") as client:
                await client.send("may I?")
                await client.next_message()  # to close a client that has left already may raise
        await bench.no_traceback()


def app_that_greets(function: Any, reached: list[str] | None = None) -> FastAPI:
    """Return an app whose `/ws` has `function` greet a client, and then answers it.

    Args:
        function: what the reader handed in.
        reached: where the query of each client is noted for which the endpoint begins.
    """
    expect_function(function, "(websocket)")
    app = FastAPI()

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket, _: Annotated[Any, Depends(greeter(function))]) -> None:
        if reached is not None:
            reached.append(websocket.url.query)
        while is_open(websocket):
            message = await websocket.receive()
            if message["type"] == "websocket.receive" and is_open(websocket):
                await websocket.send_text("you may")

    return app


def is_open(websocket: WebSocket) -> bool:
    """Return whether neither side has closed `websocket`, as far as it knows."""
    return websocket.client_state is websocket.application_state is WebSocketState.CONNECTED


def meeting(app: ASGIApp) -> ASGIApp:
    """Return `app`, in which a client that is let in waits until another one is."""
    waiting: list[asyncio.Event] = []

    async def meet(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_and_meet(message: Message) -> None:
            await send(message)
            if message["type"] == "websocket.accept":
                if waiting:
                    waiting.pop().set()
                else:
                    waiting.append(other := asyncio.Event())
                    await other.wait()

        await app(scope, receive, send_and_meet)

    return meet


def greeter(function: Any) -> Any:
    """Return `function`, or where the type of its one parameter is left out, one that has it."""
    parameters = list(inspect.signature(function).parameters.values())
    if [each.annotation for each in parameters] != [inspect.Parameter.empty]:
        return function

    async def greet(websocket: WebSocket) -> Any:
        returned = function(websocket)
        return await returned if inspect.isawaitable(returned) else returned

    return greet
