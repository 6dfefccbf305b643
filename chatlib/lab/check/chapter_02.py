"""The rules of the exercises of chapter 02, items."""

from typing import Annotated, Any

from fastapi import Depends, FastAPI, WebSocket

from chatlib.lab.check.bench import Bench, serving
from chatlib.lab.check.report import Rules

GUESTS, BEARER = Rules(), Rules()


@GUESTS.rule(
    "a guest is let in and then closed with 4401",
    hint="a close code needs an open WebSocket to travel in",
    essential=True,
)
async def guests_are_closed(function: Any) -> None:
    async with serving(app_that_greets(function)) as server:
        bench = Bench(server)
        async with bench.client("/ws?token=guest-1") as client:
            await client.is_closed_with(4401)


@GUESTS.rule("the reason is 'sign in first'", hint="websocket.close(code, reason)")
async def guests_are_told_why(function: Any) -> None:
    async with (
        serving(app_that_greets(function)) as server,
        Bench(server).client("/ws?token=guest-2") as client,
    ):
        await client.is_closed_with(4401, "sign in first")


@GUESTS.rule("anybody else stays connected", hint="close only a token that starts with 'guest-'")
async def members_stay(function: Any) -> None:
    async with serving(app_that_greets(function)) as server:
        for query in ("?token=member-1", "?token=my-guest-1", ""):
            async with Bench(server).client(f"/ws{query}") as client:
                await client.stays_connected()


def app_that_greets(function: Any) -> FastAPI:
    """Return an app whose `/ws` has `function` greet a client, and then listens to it."""
    app = FastAPI()

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket, _: Annotated[Any, Depends(function)]) -> None:
        while websocket.client_state.name == websocket.application_state.name == "CONNECTED":
            await websocket.receive()

    return app


@BEARER.rule(
    "Authorization: Bearer t opens the door, and the credential is t",
    hint="a parameter authorization: Annotated[str | None, Header()], then partition(' ')",
    essential=True,
)
async def bearer_opens(dependency: Any) -> None:
    async with (
        serving(app_that_depends(dependency)) as server,
        Bench(server).client("/ws", authorization="Bearer t1") as client,
    ):
        await client.hears("t1")


@BEARER.rule(
    "no header at all: refused with 403",
    hint="it is None then: look before you take it apart, and raise WebSocketException(1008)",
)
async def bearer_refuses_nothing(dependency: Any) -> None:
    async with serving(app_that_depends(dependency)) as server:
        await Bench(server).is_refused("/ws")


@BEARER.rule(
    "Authorization: Basic dDE6, another scheme: refused with 403", hint="compare the first word"
)
async def bearer_refuses_basic(dependency: Any) -> None:
    async with serving(app_that_depends(dependency)) as server:
        await Bench(server).is_refused("/ws", authorization="Basic dDE6")


@BEARER.rule(
    "Authorization: Bearer, with nothing behind it: refused with 403",
    hint="an empty credential counts as none",
)
async def bearer_refuses_empty(dependency: Any) -> None:
    async with serving(app_that_depends(dependency)) as server:
        await Bench(server).is_refused("/ws", authorization="Bearer ")


def app_that_depends(dependency: Any) -> FastAPI:
    """Return an app whose `/ws` sends what `dependency` returned."""
    app = FastAPI()

    @app.websocket("/ws")
    async def endpoint(
        websocket: WebSocket, credential: Annotated[Any, Depends(dependency)]
    ) -> None:
        await websocket.accept()
        await websocket.send_text(str(credential))

    return app
