"""The rules of the second exercise of chapter 02: a dependency that takes a bearer token."""

import base64
import contextlib
import secrets
from typing import Annotated, Any

from fastapi import Depends, FastAPI, WebSocket

from chatlib.lab.check.report import Rules
from chatlib.lab.check.tools.bench import Bench, Wrong, serving, shorten
from chatlib.lab.check.tools.calling import expect_function, expect_returned

BEARER = Rules()
ELSEWHERE = "the header Authorization counts alone: no cookie does, and nothing in the query"
HEADER = "where it comes from is said by the parameter: Annotated[str | None, Header()]"
RAISED = (
    "raise WebSocketException(1008): any other exception here is an error of the server, HTTP 500"
)

SCHEMES = ("Basic dDE6", "Basic Bearer", "Digest Bearer", "Token t4")
LIKE_WORDS = ("BearerX t5", "Bearert5", "XBearer t5", "Bear t5", "t5")
EMPTY = ("Bearer ", "Bearer", "")


@BEARER.rule(
    "Authorization: Bearer t opens the door, and the credential is t",
    hint="the credential is what stands behind the first word and a space",
    essential=True,
)
async def bearer_opens(dependency: Any) -> None:
    try:
        await expect_credentials(dependency, "t1", "t2")
    except Wrong as wrong:
        if wrong.parts[0] == "to be let in":
            wrong.hint = wrong.hint or HEADER
        raise


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
        await refuses(bench, "/ws")
        for query in ("?authorization=Bearer%20t3", "?token=t3"):
            await refuses(bench, f"/ws{query}", hint=ELSEWHERE)
        cookie = "session=t3; authorization=Bearer t3"
        await refuses(bench, "/ws", hint=ELSEWHERE, cookie=cookie)


@BEARER.rule(
    "Authorization: Basic dDE6, another scheme: refused with 403",
    hint="compare the whole first word with 'Bearer'",
)
async def bearer_refuses_basic(dependency: Any) -> None:
    secret = base64.b64encode(secrets.token_bytes(9)).decode()
    await expect_refusals(dependency, *SCHEMES, f"Basic {secret}")


@BEARER.rule(
    "Authorization: BearerX t, another word: refused with 403",
    hint="the first word has to be Bearer, and not only begin or end with it",
)
async def bearer_refuses_like_words(dependency: Any) -> None:
    await expect_refusals(dependency, *LIKE_WORDS)


@BEARER.rule(
    "Authorization: Bearer, with nothing behind it: refused with 403",
    hint="an empty credential counts as none",
)
async def bearer_refuses_empty(dependency: Any) -> None:
    await expect_refusals(dependency, *EMPTY)


@BEARER.rule(
    "none of this left a traceback in the log",
    hint="a refusal is an exception: nothing is returned after it",
)
async def bearer_refuses_quietly(dependency: Any) -> None:
    async with serving(app_that_depends(dependency, [])) as server:
        bench = Bench(server)
        with contextlib.suppress(Wrong):  # how it is refused is the concern of other rules
            await bench.is_refused("/ws")
        for header in (*SCHEMES, *LIKE_WORDS, *EMPTY):
            with contextlib.suppress(Wrong):
                await bench.is_refused("/ws", authorization=header)
        async with bench.client("/ws", authorization="Bearer t6") as client:
            await client.hears("in")
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
                raise Wrong(shorten(credential), shorten(got))


async def expect_refusals(dependency: Any, *headers: str) -> None:
    """Expect that a client with any of these headers is refused."""
    async with serving(app_that_depends(dependency, [])) as server:
        bench = Bench(server)
        for header in headers:
            await refuses(bench, "/ws", authorization=header)


async def refuses(bench: Bench, path: str, hint: str | None = None, **headers: str) -> None:
    """Expect that a client with these headers is refused at `path`.

    Args:
        bench: with a server that runs the reader's dependency.
        path: where the client connects.
        hint: what to look at where such a client is let in, if it is not what the rule says.
        headers: those of the client.
    """
    try:
        await bench.is_refused(path, **headers)
    except Wrong as wrong:
        _, got = wrong.parts
        if got == "let in":
            wrong.hint = hint
        elif got == "HTTP 500" and headers:
            wrong.hint = RAISED
        given = [f"{name.capitalize()}: {value}" for name, value in headers.items()]
        raise wrong.where(", ".join(given) or path) from None


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
