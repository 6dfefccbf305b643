"""The rules of the exercises of chapter 02, items."""

import base64
import inspect
import secrets
from typing import Annotated, Any

from fastapi import Depends, FastAPI, WebSocket

from chatlib.lab.check.bench import Bench, Outcome, Wrong, serving, shorten
from chatlib.lab.check.calling import expect_function, expect_returned
from chatlib.lab.check.report import Rules

GUESTS, BEARER = Rules(), Rules()
CLOSES = "right after accept(): if the token starts with 'guest-', await websocket.close(4401, …)"
LISTENS = "the function comes to its end at once: the endpoint behind it does the talking"

# --- guests_wait_outside ------------------------------------------------------------------------


@GUESTS.rule(
    "a guest is let in and then closed with 4401",
    hint="a close code needs an open WebSocket to travel in",
    essential=True,
)
async def guests_are_closed(function: Any) -> None:
    async with serving(app_that_greets(function)) as server:
        bench = Bench(server)
        for name in ("1", "", f"guest-{secrets.token_hex(3)}"):
            async with bench.client(f"/ws?token=guest-{name}") as client:
                await client.send("may I?")
                await client.is_closed_with(4401, hint=CLOSES)


@GUESTS.rule("the reason is 'sign in first'", hint="websocket.close(code, reason)")
async def guests_are_told_why(function: Any) -> None:
    async with (
        serving(app_that_greets(function)) as server,
        Bench(server).client("/ws?token=guest-2") as client,
    ):
        await client.is_closed_with(4401, "sign in first")


NO_GUESTS = ("?token=member-1", "?token=my-guest-1", "?token=guest", "?token=guests-1", "?token=")
ALIKE = ("?token=Guest-1", "?token=GUEST-1", "?token=%20guest-1", "?token=guest_1", "?token=guest1")
ELSEWHERE = ("", "?name=guest-1", "?token=ana&name=guest-1", "?mytoken=guest-1")


@GUESTS.rule("anybody else stays connected", hint="close only a token that starts with 'guest-'")
async def members_stay(function: Any) -> None:
    async with serving(app_that_greets(function)) as server:
        bench = Bench(server)
        for query in (*NO_GUESTS, *ALIKE, *ELSEWHERE, f"?token={secrets.token_hex(3)}-guest-1"):
            async with bench.client(f"/ws{query}") as client:
                await client.send("may I?")
                got = await client.next_message()
                if got != "you may":
                    waited = isinstance(got, Outcome) and got.code is None
                    raise Wrong("to stay", shorten(got), hint=LISTENS if waited else None)


@GUESTS.rule("none of this left a traceback in the log", hint="after a close, do nothing more")
async def guests_leave_quietly(function: Any) -> None:
    async with serving(app_that_greets(function)) as server:
        bench = Bench(server)
        for token in ("guest-3", "member-3"):
            async with bench.client(f"/ws?token={token}"):
                pass
        await bench.no_traceback()


def app_that_greets(function: Any) -> FastAPI:
    """Return an app whose `/ws` has `function` greet a client, and then answers it."""
    expect_function(function, "(websocket)")
    app = FastAPI()

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket, _: Annotated[Any, Depends(greeter(function))]) -> None:
        while websocket.client_state.name == websocket.application_state.name == "CONNECTED":
            if (await websocket.receive())["type"] == "websocket.receive":
                await websocket.send_text("you may")

    return app


def greeter(function: Any) -> Any:
    """Return `function`, or where the type of its one parameter is left out, one that has it."""
    parameters = list(inspect.signature(function).parameters.values())
    if [each.annotation for each in parameters] != [inspect.Parameter.empty]:
        return function

    async def greet(websocket: WebSocket) -> Any:
        returned = function(websocket)
        return await returned if inspect.isawaitable(returned) else returned

    return greet


# --- bearer -------------------------------------------------------------------------------------


@BEARER.rule(
    "Authorization: Bearer t opens the door, and the credential is t",
    hint="a parameter authorization: Annotated[str | None, Header()], then partition(' ')",
    essential=True,
)
async def bearer_opens(dependency: Any) -> None:
    await expect_credentials(dependency, "t1", "t2")


@BEARER.rule(
    "the credential stays as it is, whatever letters are in it",
    hint="take off the word and the space in front, and nothing else",
)
async def bearer_takes_all(dependency: Any) -> None:
    await expect_credentials(
        dependency,
        "Bearer",
        "rarer-Bear-error",
        "xBearerx",
        "eyJh.eyJz-_~+/.c2ln==",
        "BEARER",
        f"{secrets.token_urlsafe(9)}Bearer",
        secrets.token_urlsafe(200),
    )


@BEARER.rule(
    "no header at all: refused with 403",
    hint="it is None then: look before you take it apart, and raise WebSocketException(1008)",
)
async def bearer_refuses_nothing(dependency: Any) -> None:
    async with serving(app_that_depends(dependency, [])) as server:
        bench = Bench(server)
        for query in ("", "?authorization=Bearer%20t3", "?token=t3"):
            await bench.is_refused(f"/ws{query}")
        await bench.is_refused("/ws", cookie="session=t3; authorization=Bearer t3")


@BEARER.rule(
    "Authorization: Basic dDE6, another scheme: refused with 403",
    hint="compare the whole first word with 'Bearer'",
)
async def bearer_refuses_basic(dependency: Any) -> None:
    secret = base64.b64encode(secrets.token_bytes(9)).decode()
    await expect_refusals(
        dependency, "Basic dDE6", f"Basic {secret}", "Basic Bearer", "Digest Bearer", "Token t4"
    )


@BEARER.rule(
    "Authorization: BearerX t, another word: refused with 403",
    hint="the first word has to be Bearer, and not only begin or end with it",
)
async def bearer_refuses_like_words(dependency: Any) -> None:
    await expect_refusals(dependency, "BearerX t5", "Bearert5", "XBearer t5", "Bear t5", "t5")


@BEARER.rule(
    "Authorization: Bearer, with nothing behind it: refused with 403",
    hint="an empty credential counts as none",
)
async def bearer_refuses_empty(dependency: Any) -> None:
    await expect_refusals(dependency, "Bearer ", "Bearer", "")


@BEARER.rule(
    "none of this left a traceback in the log",
    hint="a refusal is an exception: nothing is returned after it",
)
async def bearer_refuses_quietly(dependency: Any) -> None:
    async with serving(app_that_depends(dependency, [])) as server:
        bench = Bench(server)
        await bench.is_refused("/ws")
        async with bench.client("/ws", authorization="Bearer t6"):
            pass
        await bench.no_traceback()


async def expect_credentials(dependency: Any, *credentials: str) -> None:
    """Expect that each of `credentials` is let in as a bearer token, and returned."""
    returned: list[Any] = []
    async with serving(app_that_depends(dependency, returned)) as server:
        bench = Bench(server)
        for credential in credentials:
            async with bench.client("/ws", authorization=f"Bearer {credential}") as client:
                await client.hears("in")
            got = returned.pop()
            if isinstance(dependency, type) and isinstance(got, dependency):
                name = dependency.__name__
                hint = f"hand in a function, or an instance: {name}()"
                raise Wrong(repr(credential), f"an object of the class {name}", hint=hint)
            expect_returned(got, str, repr(credential))
            if got != credential:
                raise Wrong(repr(credential), shorten(got))


async def expect_refusals(dependency: Any, *headers: str) -> None:
    """Expect that a client with any of these headers is refused."""
    async with serving(app_that_depends(dependency, [])) as server:
        bench = Bench(server)
        for header in headers:
            try:
                await bench.is_refused("/ws", authorization=header)
            except Wrong as wrong:
                raise wrong.where(f"Authorization: {header}") from None


def app_that_depends(dependency: Any, returned: list[Any]) -> FastAPI:
    """Return an app that lets in whom `dependency` lets in, and notes what that `returned`."""
    if not isinstance(dependency, type):  # which FastAPI can depend on, too
        expect_function(dependency, "(authorization)")
    app = FastAPI()

    @app.websocket("/ws")
    async def endpoint(
        websocket: WebSocket, credential: Annotated[Any, Depends(dependency)]
    ) -> None:
        returned.append(credential)
        await websocket.accept()
        await websocket.send_text("in")

    return app
