"""`check.items` tells right apps from wrong ones."""

import asyncio
import contextlib
import logging
import traceback
from typing import Annotated
from urllib.parse import urlsplit

import broken
import pytest
from answers import expect_accepted, expect_rejected
from fastapi import (
    APIRouter,
    Cookie,
    Depends,
    FastAPI,
    HTTPException,
    Query,
    WebSocket,
    WebSocketDisconnect,
    WebSocketException,
)

import chatlib.items
from chatlib import Guard, receive_text
from chatlib.core import redact
from chatlib.core.pages import add_page
from chatlib.lab import check

TOKEN = "a token in the query opens /items/{item_id}/ws"
ANSWERS = "each text is answered with the credential, then the text and the item"
APART = "two clients do not hear each other"
COOKIE = "the cookie `session` opens it too"
WINS = "where both come, the cookie wins"
EMPTY = "an empty cookie counts as none"
Q = "q is told if it was given, 0 too"
REFUSED = "neither cookie nor token, or an empty token: refused with 403"
NO_INTEGER = "a q that is no integer: refused with 403"
LOG = "the token never reaches the log"
PAGE = "GET / is the page"
UTF8 = "text that is not UTF-8: 1007, nobody else notices"
TOO_BIG = "more than 64 KiB: 1009, nobody else notices"
BINARY = "a binary message: closed with 1003, nobody else notices"
FOREIGN = "a page of another origin is refused with 403"
OWN = "a page of the same host and port is let in"
QUIET = "none of this, and no way of leaving, left a traceback in the log"


class Credential:
    """A dependency; `wrong` says in which way."""

    def __init__(self, wrong=None):
        self.wrong = wrong

    def __call__(
        self,
        session: Annotated[str | None, Cookie()] = None,
        token: Annotated[str | None, Query()] = None,
    ):
        if self.wrong == "one token" and token and token not in {"t0", "t1"}:
            raise WebSocketException(1008)
        if self.wrong == "None alone is none":
            given = session if session is not None else token
            if given is None:
                raise WebSocketException(1008)
            return given
        given = session or token
        if not given:
            if self.wrong == "http":
                raise HTTPException(403)
            raise WebSocketException(4401 if self.wrong == "4401" else 1008)
        return given.upper() if self.wrong == "capitals" else given


def items(wrong=None, guard=Guard):
    app, latest = FastAPI(), {}
    add_page(app, "items")
    if guard:
        app.add_middleware(guard)

    @app.websocket("/items/{item_id}/ws")
    async def endpoint(
        websocket: WebSocket,
        item_id: str,
        credential: Annotated[str, Depends(Credential(wrong))],
        q: int | None = None,
    ):
        await websocket.accept()
        latest["credential"] = credential
        if wrong == "a log of its own":
            logging.getLogger("uvicorn.error").info("%s was let in", credential)
        try:
            while True:
                async with asyncio.timeout(300 if wrong == "timeout" else None):
                    text = await receive_text(websocket)
                if wrong == "one credential for all":
                    credential = latest["credential"]
                told = f"Session cookie or query token value is: {credential}"
                asked = f"Query parameter q is: {q}"
                last = f"Message text was: {text}, for item ID: {item_id}"
                if wrong == "one message":
                    await websocket.send_text(f"{told}\n{last}")
                    continue
                await websocket.send_text(told)
                if (q is not None and q >= 0) if wrong == "no negative q" else q is not None:
                    await websocket.send_text(asked)
                await websocket.send_text(
                    f"Message text was: {text}" if wrong == "no item" else last
                )
        except (TimeoutError, WebSocketDisconnect):
            if wrong == "traceback":
                traceback.print_exc()

    return app


def credential_that(looks):
    """Return an app that takes for a credential what `looks` finds in the WebSocket."""
    app = FastAPI()
    add_page(app, "items")
    app.add_middleware(Guard)

    @app.websocket("/items/{item_id}/ws")
    async def endpoint(websocket: WebSocket, item_id: str, q: int | None = None):
        credential = looks(websocket.cookies, websocket.query_params)
        if not credential:
            raise WebSocketException(1008)
        await websocket.accept()
        with contextlib.suppress(WebSocketDisconnect):
            while True:
                text = await receive_text(websocket)
                await websocket.send_text(f"Session cookie or query token value is: {credential}")
                if q is not None:
                    await websocket.send_text(f"Query parameter q is: {q}")
                await websocket.send_text(f"Message text was: {text}, for item ID: {item_id}")

    return app


def refusing(refuse):
    """Return an app that deals with a visitor without a credential by `refuse(websocket)`."""
    app = FastAPI()
    add_page(app, "items")
    app.add_middleware(Guard)

    @app.websocket("/items/{item}/ws")
    async def endpoint(
        websocket: WebSocket,
        item: str,
        session: Annotated[str | None, Cookie()] = None,
        token: str | None = None,
        q: int | None = None,
    ):
        if not (session or token):
            await refuse(websocket)
            return
        await websocket.accept()
        with contextlib.suppress(WebSocketDisconnect):
            while True:
                text = await receive_text(websocket)
                await websocket.send_text(
                    f"Session cookie or query token value is: {session or token}"
                )
                if q is not None:
                    await websocket.send_text(f"Query parameter q is: {q}")
                await websocket.send_text(f"Message text was: {text}, for item ID: {item}")

    return app


async def accepts_and_closes(websocket):
    await websocket.accept()
    await websocket.close(1008)


async def says_nothing(websocket):
    pass


def guard(lets_in):
    """Return a guard that lets in the origins of which `lets_in(origin, host)` is true."""

    class Judge:
        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            headers = {name: value.decode() for name, value in scope.get("headers", ())}
            origin = headers.get(b"origin")
            if scope["type"] == "websocket" and origin and not lets_in(origin, headers[b"host"]):
                await receive()
                await send({"type": "websocket.close", "code": 1008})
            else:
                await self.app(scope, receive, send)

    return Judge


WRONG = {
    "another path": (broken.items("another path"), TOKEN, "your app has: /elsewhere"),
    "another order": (broken.items("another order"), ANSWERS, "got: 'Message text was: hello"),
    "one message of two lines": (items("one message"), ANSWERS, "two messages an answer"),
    "no item": (items("no item"), ANSWERS, "got: 'Message text was: hello'"),
    "two tokens that it knows": (items("one token"), ANSWERS, "got: HTTP 403"),
    "the credential in capitals": (items("capitals"), ANSWERS, "got: 'Session cookie"),
    "to all": (broken.items("answers all"), APART, "answer on the websocket that asked"),
    "no cookies": (broken.items("no cookies"), COOKIE, "got: HTTP 403"),
    "the token wins": (broken.items("the token wins"), WINS, "value is: t2'"),
    "an empty cookie is one": (broken.items("an empty cookie is one"), EMPTY, "got: HTTP 403"),
    "None alone is none": (items("None alone is none"), EMPTY, "'' is not None"),
    "0 is no number": (broken.items("0 is no number"), Q, "since 0 is false"),
    "no number below 0": (items("no negative q"), Q, "Query parameter q is: -1"),
    "open to all": (broken.items("open to all"), REFUSED, "got: let in"),
    "HTTPException": (items("http"), REFUSED, "raise WebSocketException(1008)"),
    "another code": (items("4401"), REFUSED, "got: 4401"),
    "any q": (broken.items("any q"), NO_INTEGER, "q: int | None"),
    "bare page": (broken.items("bare page"), PAGE, "WebSocket Chat"),
    "text for granted": (broken.items("takes text for granted"), BINARY, "KeyError: 'text'"),
    "no guard": (items(guard=None), FOREIGN, "app.add_middleware(Guard)"),
    "a guard that looks anywhere": (
        items(guard=guard(lambda origin, host: host in origin)),
        FOREIGN,
        "for the origin http://127.0.0.1:",
    ),
    "a guard that looks at the name": (
        items(guard=guard(lambda origin, host: urlsplit(origin).hostname == "127.0.0.1")),
        FOREIGN,
        "got: let in",
    ),
    "a guard for http alone": (
        items(guard=guard(lambda origin, host: origin == f"http://{host}")),
        OWN,
        "for the origin https://",
    ),
    "a header for the cookie": (
        credential_that(lambda cookies, query: query.get("token") or query.get("session")),
        COOKIE,
        "got: HTTP 403",
    ),
    "a cookie for the token, too": (
        credential_that(
            lambda cookies, query: (
                cookies.get("session") or query.get("token") or cookies.get("token")
            )
        ),
        REFUSED,
        "for the query ?session=c4 and the cookie token=c4, got: let in",
    ),
    "a key that is not there": (
        credential_that(lambda cookies, query: cookies["session"] or query["token"]),
        TOKEN,
        "KeyError: 'session'",
    ),
    "it accepts, then closes": (refusing(accepts_and_closes), REFUSED, "before accept()"),
    "it returns before accept": (refusing(says_nothing), REFUSED, "got: HTTP 500"),
    "one credential for all": (items("one credential for all"), APART, "value is: other'"),
    "a timeout": (items("timeout"), ANSWERS, "no timeout ends it"),
    "a log of its own": (items("a log of its own"), LOG, "secret… was let in"),
    "all out after 1007": (broken.items("one out by 1007, all out"), UTF8, "close 1001"),
    "all out after 1009": (broken.items("one out by 1009, all out"), TOO_BIG, "close 1001"),
    "a traceback that it prints": (items("traceback"), QUIET, "prints or logs"),
    "a guard against all browsers": (items(guard=broken.Hermit), OWN, "compare Origin with Host"),
    "no except": (broken.items("lets it escape"), QUIET, "catch WebSocketDisconnect"),
}


async def credential_of(websocket: WebSocket) -> str:
    """Look at the WebSocket itself."""
    given = websocket.cookies.get("session") or websocket.query_params.get("token")
    if not given:
        raise WebSocketException(code=1008)
    return given


def with_router():
    router, app = APIRouter(prefix="/items"), FastAPI()
    add_page(app, "items")
    app.add_middleware(Guard)

    @router.websocket("/{name}/ws")
    async def talk(
        ws: WebSocket, name: str, q: int = Query(None), who: str = Depends(credential_of)
    ):
        await ws.accept()
        lines = [f"Session cookie or query token value is: {who}"]
        lines += [] if q is None else [f"Query parameter q is: {q}"]
        while (message := await ws.receive())["type"] == "websocket.receive":
            if message.get("text") is None:
                await ws.close(1003, "text alone")
                break
            for line in [*lines, f"Message text was: {message['text']}, for item ID: {name}"]:
                await ws.send_text(line)

    app.include_router(router)
    return app


class Item:
    """The endpoint's parameters, as a dependency."""

    def __init__(
        self,
        websocket: WebSocket,
        item_id: str,
        credential: Annotated[str, Depends(Credential())],
        q: int | None = None,
    ):
        self.websocket = websocket
        self.first = [f"Session cookie or query token value is: {credential}"]
        self.first += [] if q is None else [f"Query parameter q is: {q}"]
        self.last = f", for item ID: {item_id}"

    async def answer(self, text):
        for line in (*self.first, f"Message text was: {text}{self.last}"):
            await self.websocket.send_text(line)


def with_a_class():
    app = FastAPI()
    add_page(app, "items")
    app.add_middleware(Guard)

    @app.websocket("/items/{item_id:path}/ws")
    async def talk(item: Annotated[Item, Depends()]):
        await item.websocket.accept()
        try:
            async for text in item.websocket.iter_text():
                await item.answer(text)
        except KeyError:
            await item.websocket.close(1003, "text alone")

    return app


def closes_before_accept(websocket):
    return websocket.close(code=1008, reason="neither a cookie nor a token")


RIGHT = {
    "a class for a dependency, and iter_text": with_a_class(),
    "close before accept": refusing(closes_before_accept),
    "a guard of its own": items(guard=guard(lambda origin, host: origin.endswith(f"//{host}"))),
    "what the WebSocket has": credential_that(
        lambda cookies, query: cookies.get("session") or query.get("token")
    ),
    "the finished one": chatlib.items.app,
    "an instance for a dependency": items(),
    "the parameters in the endpoint": broken.items(),
    "a router, and the WebSocket's own cookies": with_router(),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_answer_is_rejected_by_its_rule(name):
    answer, rule, words = WRONG[name]
    expect_rejected(check.items(answer), rule, words)


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_answer_is_accepted(name):
    expect_accepted(check.items(RIGHT[name]))


def test_a_token_that_the_server_itself_logs_is_noticed(monkeypatch):
    monkeypatch.setattr(redact._filter, "parameters", set())  # what redact_logs("token") added
    expect_rejected(check.items(items()), LOG, "ws?token=secret…")
