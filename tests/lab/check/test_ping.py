"""`check.ping` tells right answers from wrong ones."""

import asyncio
import json

import pytest
from answers import expect_accepted, expect_rejected
from fastapi import APIRouter, FastAPI, HTTPException, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.routing import Route

from chatlib.lab import check

STATUS = "GET /ping answers 200"
PONG = 'the answer is {"pong": true}'
STARTS = "the app starts"


def answering(content, path="/ping", method="get", **options):
    """Return an app that answers with `content`."""
    app = FastAPI()

    async def ping():
        return content

    getattr(app, method)(path, **options)(ping)
    return app


def at_ping(function, **options):
    """Return an app that has `function` answer."""
    app = FastAPI()
    app.get("/ping", **options)(function)
    return app


async def forgets_to_return():
    {"pong": True}  # noqa: B018


async def stumbles():
    return {"pong": True}["ping"]


async def misspells():
    return {"pong": ture}  # noqa: F821


async def is_true():
    return True


async def forgets_await():
    asyncio.sleep(0)
    return {"pong": is_true() == True}  # noqa: E712


async def promises_a_text() -> str:
    return {"pong": True}


async def refuses():
    raise HTTPException(404)


async def never_answers():
    await asyncio.Event().wait()


class EverySecondTime:
    def __init__(self):
        self.asked = 0

    async def __call__(self):
        self.asked += 1
        return {"pong": self.asked != 3}


WRONG = {
    "nothing at all": (FastAPI(), STATUS, "an app answers what it has an endpoint for"),
    "another path": (
        answering({"pong": True}, "/pong"),
        STATUS,
        "your app has: /pong",
    ),
    "a path that ends with a slash": (
        answering({"pong": True}, "/ping/"),
        STATUS,
        "leave out the slash",
    ),
    "POST instead": (answering({"pong": True}, method="post"), STATUS, "there is one for POST"),
    "another status": (answering({"pong": True}, status_code=201), STATUS, "got: 201"),
    "no return": (at_ping(forgets_to_return), PONG, "lacks a `return`"),
    "1 for true": (answering({"pong": 1}), PONG, 'got: {"pong":1}'),
    "a text for true": (answering({"pong": "true"}), PONG, "the truth value True"),
    "false": (answering({"pong": False}), PONG, 'got: {"pong":false}'),
    "another key": (answering({"ping": True}), PONG, 'got: {"ping":true}'),
    "one key too many": (answering({"pong": True, "by": "me"}), PONG, "the only key"),
    "a list": (answering([{"pong": True}]), PONG, "got: [{"),
    "JSON twice": (answering(json.dumps({"pong": True})), PONG, "without json.dumps"),
    "JSON that is no JSON to a browser": (
        at_ping(lambda: PlainTextResponse('{"pong": true}')),
        PONG,
        "got: text/plain",
    ),
    "Python instead of JSON": (
        at_ping(lambda: Response("{'pong': True}", media_type="application/json")),
        PONG,
        "FastAPI makes JSON",
    ),
    "right for the first two who ask": (at_ping(EverySecondTime().__call__), PONG, "pong"),
    "a key that is not there": (at_ping(stumbles), STATUS, 'return {"pong": True}["ping"]'),
    "a name that is not there": (at_ping(misspells), STATUS, "Python does not know that name"),
    "a forgotten await": (at_ping(forgets_await), PONG, "you forgot `await` before"),
    "a type that it does not keep": (
        at_ping(promises_a_text),
        STATUS,
        "the annotation behind `->`",
    ),
    "a parameter": (at_ping(lambda name: {"pong": True}), STATUS, "leave out its parameters"),
    "an error": (at_ping(refuses), STATUS, "got: 404"),
    "JSON with more behind it": (
        at_ping(lambda: Response('{"pong": true};', media_type="application/json")),
        PONG,
        """got: '{"pong": true};'""",
    ),
    "the function for the app": (forgets_to_return, STARTS, "the function forgets_to_return"),
    "the class for the app": (FastAPI, STARTS, "the class FastAPI"),
    "a router for the app": (APIRouter(), STARTS, "include_router"),
    "nothing for the app": (None, STARTS, "an ASGI app"),
}


def with_router():
    router = APIRouter(prefix="/ping")
    router.get("")(lambda: {"pong": True})
    app = FastAPI()
    app.include_router(router)
    return app


def with_model():
    class Pong(BaseModel):
        pong: bool = True

    app = FastAPI()

    @app.get("/ping")
    def ping() -> Pong:
        return Pong()

    return app


async def plain_asgi(scope, receive, send):
    assert scope["type"] == "http"
    headers = [(b"content-type", b"application/json; charset=utf-8")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b'{ "pong" : true }\n'})


def at_ping_with_name():
    app = FastAPI()
    app.get("/{name}")(lambda name: {"pong": name == "ping"})
    return app


def mounted():
    app = FastAPI()
    app.mount("/", answering({"pong": True}))
    return app


RIGHT = {
    "async def and a dict": answering({"pong": True}),
    "def": at_ping(lambda: {"pong": True}),
    "a response of its own": at_ping(lambda: JSONResponse({"pong": True})),
    "a router": with_router(),
    "a model": with_model(),
    "a part of the path": at_ping_with_name(),
    "an app that is mounted": mounted(),
    "a parameter that may be left out": at_ping(lambda n=1: {"pong": n == 1}),
    "Starlette alone": Starlette(
        routes=[Route("/ping", lambda request: JSONResponse({"pong": True}))]
    ),
    "a plain ASGI app": plain_asgi,
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_answer_is_rejected_by_its_rule(name):
    answer, rule, words = WRONG[name]
    expect_rejected(check.ping(answer), rule, words)


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_answer_is_accepted(name):
    expect_accepted(check.ping(RIGHT[name]))


def test_an_answer_that_never_comes_is_said_not_to(monkeypatch):
    monkeypatch.setattr("chatlib.lab.check.rules.chapter_00.GET_SECONDS", 0.2)
    expect_rejected(check.ping(at_ping(never_answers)), STATUS, "your function does not return")
