"""`check.echo` tells right apps from wrong ones."""

import asyncio
import contextlib
import html
import traceback

import broken
import pytest
from answers import expect_accepted, expect_rejected
from fastapi import APIRouter, FastAPI, WebSocket, WebSocketDisconnect
from fastapi.responses import HTMLResponse
from starlette.applications import Starlette
from starlette.routing import Route, WebSocketRoute

import chatlib.echo
from chatlib import receive_text
from chatlib.lab import check

LET_IN = "a client is let in at /ws"
ANSWERS = "each text m comes back as 'Message text was: m'"
PAGE = "GET / is the page"
APART = "two clients do not hear each other"
BINARY = "a binary message: closed with 1003, nobody else notices"
TOO_BIG = "more than 64 KiB: 1009, nobody else notices"
UTF8 = "text that is not UTF-8: 1007, nobody else notices"
QUIET = "none of this, and no way of leaving, left a traceback in the log"
HTML = "<!DOCTYPE html><title>Echo</title>"


def at(function, path="/ws", page=HTML):
    """Return an app with `function` for its endpoint."""
    app = FastAPI()
    app.websocket(path)(function)
    if page:
        app.get("/")(lambda: HTMLResponse(page))
    return app


def answering(answer):
    """Return an app that answers a text with `answer(text)`."""

    async def echo(websocket: WebSocket):
        await websocket.accept()
        try:
            while True:
                await websocket.send_text(answer(await receive_text(websocket)))
        except WebSocketDisconnect:
            pass

    return at(echo)


def receiving(receive, gone=lambda: None):
    """Return an app that answers what `receive(websocket)` returns, and calls `gone` at the end."""

    async def echo(websocket: WebSocket):
        await websocket.accept()
        try:
            while True:
                await websocket.send_text(f"Message text was: {await receive(websocket)}")
        except (TimeoutError, WebSocketDisconnect):
            gone()

    return at(echo)


def one_at_a_time():
    lock = asyncio.Lock()

    async def echo(websocket: WebSocket):
        await websocket.accept()
        async with lock:
            async for text in websocket.iter_text():
                await websocket.send_text(f"Message text was: {text}")

    return at(echo)


async def last_text_first(websocket: WebSocket):
    """A task for each text; with several under way, the last one is the first to answer."""
    await websocket.accept()
    waiting = []

    async def answer(text):
        waiting.append(text)
        await asyncio.sleep(0.001)
        await websocket.send_text(f"Message text was: {waiting.pop()}")

    with contextlib.suppress(WebSocketDisconnect):
        async with asyncio.TaskGroup() as group:
            while True:
                group.create_task(answer(await receive_text(websocket)))


async def says_no_reason(websocket: WebSocket):
    await websocket.accept()
    while (message := await websocket.receive())["type"] == "websocket.receive":
        if message.get("text") is None:
            await websocket.close(1003)
            break
        await websocket.send_text(f"Message text was: {message['text']}")


async def answers_bytes(websocket: WebSocket):
    await websocket.accept()
    while (message := await websocket.receive())["type"] == "websocket.receive":
        text = message.get("text")
        await websocket.send_text(f"Message text was: {text}")


async def ends_at_once(websocket: WebSocket):
    await websocket.accept()
    text = await websocket.receive_text()
    await websocket.send_text(f"Message text was: {text}")


async def does_not_catch(websocket: WebSocket):
    await websocket.accept()
    while True:
        await websocket.send_text(f"Message text was: {await receive_text(websocket)}")


async def forgets_await(websocket: WebSocket):
    await websocket.accept()
    try:
        while True:
            text = receive_text(websocket)
            await websocket.send_text(f"Message text was: {await websocket.receive_text()}{text}")
    except WebSocketDisconnect:
        pass


WRONG = {
    "another path": (broken.echo("another path"), LET_IN, "your app has: /elsewhere"),
    "no app at all": (FastAPI(), LET_IN, "your app has: none"),
    "other words": (broken.echo("other words"), ANSWERS, "got: 'hello'"),
    "one answer": (at(ends_at_once), ANSWERS, "the connection ended"),
    "without the spaces": (
        answering(lambda text: f"Message text was: {text.strip()}"),
        ANSWERS,
        "as it is",
    ),
    "texts that it knows alone": (
        answering(
            lambda text: (
                f"Message text was: {text}"
                if text[:1] in {"", "h", "n", " ", "x"}
                else "I do not know that one"
            )
        ),
        ANSWERS,
        "got: 'I do not know that one'",
    ),
    "short texts alone": (
        answering(lambda text: f"Message text was: {text[:1000]}"),
        ANSWERS,
        "(1020 characters)",
    ),
    "a forgotten await": (at(forgets_await), ANSWERS, "you forgot `await`"),
    "no page": (at(says_no_reason, page=""), PAGE, "expected 200, got: 404"),
    "a page of plain text": (broken.echo("page of plain text"), PAGE, "text/plain"),
    "a page that begins otherwise": (
        at(says_no_reason, page="<html></html>"),
        PAGE,
        "begins with '<!DOCTYPE html>'",
    ),
    "to all": (broken.echo("answers all"), APART, "got: 'Message text was: mine'"),
    "text for granted": (broken.echo("takes text for granted"), BINARY, "KeyError: 'text'"),
    "1003 without a reason": (at(says_no_reason), BINARY, "and no reason"),
    "bytes are answered": (at(answers_bytes), BINARY, "got: the message 'Message text was: None'"),
    "one out, all out": (broken.echo("one out, all out"), BINARY, "the others go on as before"),
    "all out after 1007": (broken.echo("one out by 1007, all out"), UTF8, "close 1001"),
    "all out after 1009": (broken.echo("one out by 1009, all out"), TOO_BIG, "close 1001"),
    "half a second of silence ends it": (
        receiving(lambda websocket: asyncio.wait_for(receive_text(websocket), 0.5)),
        ANSWERS,
        "no timeout ends it",
    ),
    "one client at a time": (one_at_a_time(), APART, "have no client wait for another"),
    "the last text first": (at(last_text_first), APART, "number"),
    "markup is escaped": (
        answering(lambda text: f"Message text was: {html.escape(text)}"),
        ANSWERS,
        "&lt;b&gt;",
    ),
    "a traceback that it prints": (
        receiving(receive_text, lambda: traceback.print_exc()),
        QUIET,
        "got: one that your code prints or logs",
    ),
    "no except": (at(does_not_catch), QUIET, "catch WebSocketDisconnect around the loop"),
}


async def by_receive(ws: WebSocket):
    await ws.accept()
    while (message := await ws.receive())["type"] != "websocket.disconnect":
        if (text := message.get("text")) is None:
            await ws.close(code=1003, reason="text, please")
            return
        await ws.send({"type": "websocket.send", "text": "Message text was: " + text})


async def suppresses(socket: WebSocket):
    await socket.accept()
    try:
        async for text in socket.iter_text():
            await socket.send_text(f"Message text was: {text}")
    except KeyError:
        await socket.close(1003, "no bytes")


def with_router():
    router = APIRouter()
    router.websocket("/ws")(suppresses)
    router.get("/", response_class=HTMLResponse)(lambda: f"{HTML}<p>Mine")
    app = FastAPI(docs_url=None)
    app.include_router(router)
    return app


async def page(request):
    return HTMLResponse(HTML)


async def with_match(websocket: WebSocket):
    await websocket.accept()
    while True:
        match await websocket.receive():
            case {"type": "websocket.receive", "text": str(text)}:
                await websocket.send_text(f"Message text was: {text}")
            case {"type": "websocket.receive"}:
                await websocket.close(1003, "text, please")
            case _:
                break


async def with_a_group(websocket: WebSocket):
    texts = asyncio.Queue()

    async def answer():
        while (text := await texts.get()) is not None:
            await websocket.send_text(f"Message text was: {text}")

    await websocket.accept()
    async with asyncio.TaskGroup() as group:
        group.create_task(answer())
        with contextlib.suppress(WebSocketDisconnect):
            while True:
                texts.put_nowait(await receive_text(websocket))
        texts.put_nowait(None)


def mounted():
    app = FastAPI()
    app.mount("/", at(by_receive))
    return app


RIGHT = {
    "match": at(with_match),
    "a group of tasks": at(with_a_group),
    "mounted": mounted(),
    "the finished one": chatlib.echo.app,
    "receive": at(by_receive),
    "an except for KeyError, on a router": with_router(),
    "Starlette alone": Starlette(routes=[Route("/", page), WebSocketRoute("/ws", by_receive)]),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_answer_is_rejected_by_its_rule(name):
    answer, rule, words = WRONG[name]
    expect_rejected(check.echo(answer), rule, words)


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_answer_is_accepted(name):
    expect_accepted(check.echo(RIGHT[name]))
