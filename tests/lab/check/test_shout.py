"""`check.shout` tells right answers from wrong ones."""

import asyncio
import contextlib
import logging
import traceback
from typing import Annotated

import pytest
from answers import expect_accepted, expect_rejected
from fastapi import APIRouter, Depends, FastAPI, WebSocket, WebSocketDisconnect
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


def leaving(answer_goodbye):
    """Return an app that calls `answer_goodbye(websocket)` when a client has left."""

    async def shout(websocket: WebSocket):
        await websocket.accept()
        try:
            while True:
                await websocket.send_text((await websocket.receive_text()).upper())
        except WebSocketDisconnect:
            if (result := answer_goodbye(websocket)) is not None:
                await result

    return at(shout)


def receiving(receive):
    """Return an app that answers what `receive(websocket)` returns, until that fails."""

    async def shout(websocket: WebSocket):
        await websocket.accept()
        with contextlib.suppress(WebSocketDisconnect, TimeoutError):
            while True:
                await websocket.send_text((await receive(websocket)).upper())

    return at(shout)


async def closes_after_a_minute(websocket: WebSocket):
    await websocket.accept()
    with contextlib.suppress(WebSocketDisconnect, TimeoutError):
        async with asyncio.timeout(60):
            async for text in websocket.iter_text():
                await websocket.send_text(text.upper())


async def a_hundred_times(websocket: WebSocket):
    await websocket.accept()
    with contextlib.suppress(WebSocketDisconnect):
        for _ in range(100):
            await websocket.send_text((await websocket.receive_text()).upper())


async def never_ends(websocket: WebSocket):
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(text.upper())
    await asyncio.Event().wait()


async def closes_each_time(websocket: WebSocket):
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(text.upper())
        await websocket.close()


def one_at_a_time():
    lock = asyncio.Lock()

    async def shout(websocket: WebSocket):
        await websocket.accept()
        async with lock:
            async for text in websocket.iter_text():
                await websocket.send_text(text.upper())

    return at(shout)


def with_one_text_for_all():
    latest = []

    async def shout(websocket: WebSocket):
        await websocket.accept()
        async for text in websocket.iter_text():
            latest[:] = [text]
            await asyncio.sleep(0.001)
            await websocket.send_text(latest[0].upper())

    return at(shout)


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
    "letters of English alone": (
        answering(lambda text: text.encode().upper().decode()),
        CAPITALS,
        "expected 'STRASSE'",
    ),
    "without the spaces": (answering(lambda text: text.strip().upper()), CAPITALS, "AS IT IS"),
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
    "a traceback that it prints": (
        leaving(lambda _: traceback.print_exc()),
        QUIET,
        "got: one that your code prints",
    ),
    "a traceback that it logs": (
        leaving(lambda _: logging.getLogger("shout").exception("gone")),
        QUIET,
        "got: one that your code prints",
    ),
    "a goodbye to who has gone": (
        leaving(lambda websocket: websocket.send_text("BYE")),
        QUIET,
        "send nothing after that",
    ),
    "it closes who has gone": (leaving(WebSocket.close), QUIET, "send nothing after that"),
    "another error when one leaves": (
        leaving([].remove),
        QUIET,
        "no `except WebSocketDisconnect` catches what it raised",
    ),
    "it never ends": (at(never_ends), QUIET, "a handler to end when its client has left"),
    "half a second of silence ends it": (
        receiving(lambda websocket: asyncio.wait_for(websocket.receive_text(), 0.5)),
        CAPITALS,
        "a client that said nothing for hours",
    ),
    "a minute ends it": (at(closes_after_a_minute), CAPITALS, "no timeout ends it"),
    "a hundred texts end it": (at(a_hundred_times), CAPITALS, "each of 200 texts"),
    "it closes after an answer": (at(closes_each_time), CAPITALS, "got: close 1000"),
    "one client at a time": (one_at_a_time(), APART, "have no client wait for another"),
    "one text for all": (with_one_text_for_all(), APART, "expected 'MINE TOO', got: 'AND YOURS'"),
    "it never accepts": (at(waits_before_accept), LET_IN, "neither accepted nor refused"),
    "the function for the app": (stub, STARTS, "the function stub"),
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


async def patient(websocket):
    """Return the next text, and look up now and then meanwhile."""
    while True:
        with contextlib.suppress(TimeoutError):
            return await asyncio.wait_for(websocket.receive_text(), 20)


async def with_match(websocket: WebSocket):
    await websocket.accept()
    while True:
        match await websocket.receive():
            case {"type": "websocket.receive", "text": str(text)}:
                await websocket.send_text(text.upper())
            case _:
                return


async def with_a_group(websocket: WebSocket):
    texts = asyncio.Queue()

    async def answer():
        while (text := await texts.get()) is not None:
            await websocket.send_text(text.upper())

    await websocket.accept()
    async with asyncio.TaskGroup() as group:
        group.create_task(answer())
        async for text in websocket.iter_text():
            texts.put_nowait(text)
        texts.put_nowait(None)


@contextlib.asynccontextmanager
async def lifespan(app):
    yield {"change": str.upper}


def with_a_lifespan():
    app = FastAPI(lifespan=lifespan)

    @app.websocket("/shout")
    async def shout(websocket: WebSocket):
        await websocket.accept()
        async for text in websocket.iter_text():
            await websocket.send_text(websocket.state.change(text))

    return app


async def accepted(websocket: WebSocket):
    await websocket.accept()
    yield websocket
    print("somebody has left")


async def by_a_dependency(websocket: Annotated[WebSocket, Depends(accepted)]):
    async for text in websocket.iter_text():
        await websocket.send_text(text.upper())


RIGHT = {
    "timeouts that end nothing": receiving(patient),
    "match": at(with_match),
    "a group of tasks": at(with_a_group),
    "a lifespan": with_a_lifespan(),
    "a dependency that accepts": at(by_a_dependency),
    "a word when one leaves": leaving(lambda _: print("somebody has left")),
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
