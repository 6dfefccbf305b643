"""`check.shout` tells right answers from wrong ones."""

import asyncio

import pytest
from answers import expect_accepted, expect_rejected
from fastapi import APIRouter, FastAPI, WebSocket, WebSocketDisconnect
from starlette.applications import Starlette
from starlette.endpoints import WebSocketEndpoint
from starlette.routing import WebSocketRoute

from chatlib.lab import check

LET_IN = "a client is let in at /shout"
CAPITALS = "each text comes back in capitals"
APART = "two clients do not hear each other"
QUIET = "a client that leaves leaves no traceback"
STARTS = "the app starts"


def at(function, path="/shout"):
    """Return an app with `function` for its endpoint."""
    app = FastAPI()
    app.websocket(path)(function)
    return app


def answering(change):
    """Return an app that answers a text with `change(text)`."""

    async def shout(websocket: WebSocket):
        await websocket.accept()
        try:
            while True:
                await websocket.send_text(change(await websocket.receive_text()))
        except WebSocketDisconnect:
            pass

    return at(shout)


def on_a_get():
    app = FastAPI()
    app.get("/shout")(lambda: "HELLO")
    return app


async def stub(websocket: WebSocket):
    pass


async def once(websocket: WebSocket):
    await websocket.accept()
    await websocket.send_text((await websocket.receive_text()).upper())


async def does_not_catch(websocket: WebSocket):
    await websocket.accept()
    while True:
        await websocket.send_text((await websocket.receive_text()).upper())


async def catches_goodbye_alone(websocket: WebSocket):
    await websocket.accept()
    try:
        while True:
            await websocket.send_text((await websocket.receive_text()).upper())
    except WebSocketDisconnect as gone:
        if gone.code != 1000:
            raise


async def forgets_await_before_accept(websocket: WebSocket):
    websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(text.upper())


async def forgets_await_before_send(websocket: WebSocket):
    await websocket.accept()
    async for text in websocket.iter_text():
        websocket.send_text(text.upper())


async def forgets_await_before_receive(websocket: WebSocket):
    await websocket.accept()
    text = websocket.receive_text()
    await websocket.send_text(text.upper())


async def no_accept(websocket: WebSocket):
    async for text in websocket.iter_text():
        await websocket.send_text(text.upper())


async def no_type(websocket):
    await websocket.accept()


async def misspells(websocket: WebSocket):
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(text.uper())


async def twice(websocket: WebSocket):
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(text.upper())
        await websocket.send_text(text.upper())


async def in_bytes(websocket: WebSocket):
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_bytes(text.upper().encode())


async def greets(websocket: WebSocket):
    await websocket.accept()
    await websocket.send_text("WELCOME")
    async for text in websocket.iter_text():
        await websocket.send_text(text.upper())


async def ends_at_an_empty_text(websocket: WebSocket):
    await websocket.accept()
    async for text in websocket.iter_text():
        if not text:
            break
        await websocket.send_text(text.upper())


async def waits_before_accept(websocket: WebSocket):
    await asyncio.Event().wait()


def to_all():
    members = []

    async def shout(websocket: WebSocket):
        await websocket.accept()
        members.append(websocket)
        async for text in websocket.iter_text():
            for member in members:
                await member.send_text(text.upper())
        members.remove(websocket)

    return at(shout)


def to_the_last():
    latest = []

    async def shout(websocket: WebSocket):
        await websocket.accept()
        latest[:] = [websocket]
        async for text in websocket.iter_text():
            await latest[0].send_text(text.upper())

    return at(shout)


WRONG = {
    "the stub": (at(stub), LET_IN, "await websocket.accept() comes first"),
    "no endpoint": (FastAPI(), LET_IN, "hand in the app that it belongs to"),
    "another path": (at(once, "/shot"), LET_IN, "at /shout; your app has: /shot"),
    "a path that ends with a slash": (at(once, "/shout/"), LET_IN, "leave out the slash"),
    "GET instead": (on_a_get(), LET_IN, "for WebSocket the decorator is .websocket"),
    "no type": (at(no_type), LET_IN, "websocket: WebSocket"),
    "no accept": (at(no_accept), LET_IN, "accept() comes first"),
    "no await before accept": (at(forgets_await_before_accept), LET_IN, "the call of accept()"),
    "no await before send": (at(forgets_await_before_send), CAPITALS, "the call of send_text()"),
    "no await before receive": (
        at(forgets_await_before_receive),
        CAPITALS,
        "the call of receive_text()",
    ),
    "it answers one text": (at(once), CAPITALS, "expected 'STRASSE', got: the connection ended"),
    "as it came": (answering(str), CAPITALS, "expected 'HELLO', got: 'hello'"),
    "the first letter alone": (answering(str.capitalize), CAPITALS, "got: 'Hello'"),
    "the other case": (answering(str.swapcase), CAPITALS, "got: 'sTRASSE'"),
    "letters of English alone": (
        answering(lambda text: text.encode().upper().decode()),
        CAPITALS,
        "expected 'STRASSE'",
    ),
    "without the spaces": (answering(lambda text: text.strip().upper()), CAPITALS, "AS IT IS"),
    "with a mark": (answering(lambda text: f"{text.upper()}!"), CAPITALS, "got: 'HELLO!'"),
    "a misspelled method": (at(misspells), CAPITALS, "AttributeError: 'str' object has no"),
    "twice": (at(twice), CAPITALS, "expected 'STRASSE', got: 'HELLO'"),
    "bytes": (at(in_bytes), CAPITALS, "that is a binary message"),
    "a greeting": (at(greets), CAPITALS, "expected 'HELLO', got: 'WELCOME'"),
    "an empty text ends it": (
        at(ends_at_an_empty_text),
        CAPITALS,
        "'', got: the connection ended",
    ),
    "to all": (to_all(), APART, "expected 'YOURS', got: 'MINE'"),
    "to the last who came": (to_the_last(), APART, "expected 'MINE', got: nothing"),
    "no except": (at(does_not_catch), QUIET, "catch WebSocketDisconnect around the loop"),
    "no except where a client is cut": (
        at(catches_goodbye_alone),
        QUIET,
        "WebSocketDisconnect, code 100",
    ),
    "it never accepts": (at(waits_before_accept), LET_IN, "neither accepted nor refused"),
    "the function for the app": (stub, STARTS, "the function stub"),
    "without the last line break": (
        answering(lambda text: text.rstrip("\n").upper()),
        CAPITALS,
        "TWO",
    ),
    "a hundred letters": (answering(lambda text: text.upper()[:100]), CAPITALS, "characters"),
}


def with_router():
    router = APIRouter()

    @router.websocket("/shout")
    async def shout(ws: WebSocket):
        await ws.accept()
        async for text in ws.iter_text():
            await ws.send_text(text.upper())

    app = FastAPI()
    app.include_router(router)
    return app


async def by_receive(socket: WebSocket):
    await socket.accept()
    while (message := await socket.receive())["type"] != "websocket.disconnect":
        await socket.send({"type": "websocket.send", "text": message["text"].upper()})


class Shout(WebSocketEndpoint):
    encoding = "text"

    async def on_receive(self, websocket, data):
        await websocket.send_text(data.upper())


async def plain_asgi(scope, receive, send):
    if scope["type"] != "websocket":
        return
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"].upper()})


async def with_tasks(websocket: WebSocket):
    texts = asyncio.Queue()

    async def answer():
        while True:
            await websocket.send_text((await texts.get()).upper())

    await websocket.accept()
    task = asyncio.create_task(answer())
    async for text in websocket.iter_text():
        texts.put_nowait(text)
    task.cancel()


RIGHT = {
    "try around while": answering(str.upper),
    "iter_text, on a router": with_router(),
    "receive": at(by_receive),
    "Starlette's endpoint": Starlette(routes=[WebSocketRoute("/shout", Shout)]),
    "a plain ASGI app": plain_asgi,
    "a queue and a task": at(with_tasks),
    "a path with a parameter": at(by_receive, "/{name}"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_answer_is_rejected_by_its_rule(name):
    answer, rule, words = WRONG[name]
    expect_rejected(check.shout(answer), rule, words)


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_answer_is_accepted(name):
    expect_accepted(check.shout(RIGHT[name]))
