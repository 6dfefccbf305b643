"""`check.guests_wait_outside` tells right answers from wrong ones."""

import asyncio
import functools
import threading
from typing import Annotated

import pytest
from answers import expect_accepted, expect_rejected
from fastapi import Depends, Query, WebSocket, WebSocketException
from starlette.requests import HTTPConnection
from starlette.websockets import WebSocketState

from chatlib.lab import check

CLOSED = "a guest is let in and then closed with 4401"
OUTSIDE = "a guest never reaches the endpoint"
WHY = "the reason is 'sign in first'"
STAY = "anybody else stays connected"
APART = "a guest and another client do not mix"
QUIET = "none of this left a traceback in the log"


def guests(code=4401, reason="sign in first", is_guest=lambda token: token.startswith("guest-")):
    """Return an answer that raises with these for whom `is_guest` takes for one."""

    async def guests_wait_outside(websocket: WebSocket):
        await websocket.accept()
        if is_guest(websocket.query_params.get("token", "")):
            raise WebSocketException(code, reason)

    return guests_wait_outside


async def stub(websocket: WebSocket) -> None: ...


async def closes_and_returns(websocket: WebSocket):
    await websocket.accept()
    if websocket.query_params.get("token", "").startswith("guest-"):
        await websocket.close(4401, "sign in first")


async def closes_by_hand(websocket: WebSocket):
    await websocket.accept()
    if websocket.query_params.get("token", "").startswith("guest-"):
        await websocket.send({"type": "websocket.close", "code": 4401, "reason": "sign in first"})


async def closes_and_yields(websocket: WebSocket):
    await closes_and_returns(websocket)
    yield


async def closes_some_and_raises_for_others(websocket: WebSocket):
    if "name" in websocket.query_params:
        return await closes_and_returns(websocket)
    return await guests()(websocket)


async def returns_the_exception(websocket: WebSocket):
    await closes_and_returns(websocket)
    return WebSocketException(4401, "sign in first")


async def closes_and_raises(websocket: WebSocket):
    await websocket.accept()
    if websocket.query_params.get("token", "").startswith("guest-"):
        await websocket.close(4401, "sign in first")
        raise WebSocketException(4401, "sign in first")


async def refuses(websocket: WebSocket):
    if websocket.query_params.get("token", "").startswith("guest-"):
        raise WebSocketException(4401, "sign in first")
    await websocket.accept()


async def closes_before_it_accepts(websocket: WebSocket):
    if websocket.query_params.get("token", "").startswith("guest-"):
        await websocket.close(4401, "sign in first")
    await websocket.accept()


async def accepts_guests_alone(websocket: WebSocket):
    if websocket.query_params.get("token", "").startswith("guest-"):
        await websocket.accept()
        raise WebSocketException(4401, "sign in first")


async def takes_a_token_for_granted(websocket: WebSocket):
    await websocket.accept()
    if websocket.query_params["token"].startswith("guest-"):
        raise WebSocketException(4401, "sign in first")


async def forgets_await_before_accept(websocket: WebSocket):
    websocket.accept()


async def forgets_await_before_close(websocket: WebSocket):
    await websocket.accept()
    if websocket.query_params.get("token", "").startswith("guest-"):
        websocket.close(4401, "sign in first")


async def listens(websocket: WebSocket):
    await websocket.accept()
    if websocket.query_params.get("token", "").startswith("guest-"):
        raise WebSocketException(4401, "sign in first")
    await websocket.receive_text()


async def speaks(websocket: WebSocket):
    await websocket.accept()
    await websocket.send_text("hello")
    if websocket.query_params.get("token", "").startswith("guest-"):
        await websocket.close(4401, "sign in first")


async def closes_twice(websocket: WebSocket):
    await websocket.accept()
    if websocket.query_params.get("token", "").startswith("guest-"):
        await websocket.close(4401, "sign in first")
        await websocket.close(1000)


async def in_the_wrong_order(websocket: WebSocket):
    await websocket.accept()
    if websocket.query_params.get("token", "").startswith("guest-"):
        await websocket.close("sign in first", 4401)


def plain(websocket: WebSocket):
    websocket.accept()


async def leaves_the_close_to_a_task(websocket: WebSocket):
    await websocket.accept()
    if websocket.query_params.get("token", "").startswith("guest-"):
        tasks.append(asyncio.create_task(websocket.close(4401, "sign in first")))


async def closes_at_the_end(websocket: WebSocket):
    await websocket.accept()
    yield
    if websocket.query_params.get("token", "").startswith("guest-"):
        await websocket.close(4401, "sign in first")


async def waits_for_a_word(websocket: WebSocket):
    await websocket.accept()
    if websocket.query_params.get("token", "").startswith("guest-"):
        await websocket.receive_text()
        await websocket.close(4401, "sign in first")


async def never_comes_to_its_end(websocket: WebSocket):
    await closes_and_returns(websocket)
    if websocket.query_params.get("token", "").startswith("guest-"):
        await asyncio.Event().wait()


async def needs_a_token(websocket: WebSocket, token: str):
    await guests()(websocket)


async def looks_at_the_address(websocket: WebSocket):
    await websocket.accept()
    if websocket.url.query.startswith("token=guest-"):
        await websocket.close(4401, "sign in first")


tasks = []
let_in = []


async def closes_each_token_once(websocket: WebSocket):
    await websocket.accept()
    token = websocket.query_params.get("token", "")
    if token.startswith("guest-") and token not in let_in:
        let_in.append(token)
        await websocket.close(4401, "sign in first")


class KeepsTheClient:
    async def __call__(self, websocket: WebSocket):
        self.websocket = websocket
        await websocket.accept()
        if self.websocket.query_params.get("token", "").startswith("guest-"):
            raise WebSocketException(4401, "sign in first")


class Guests:
    async def __call__(self, websocket: WebSocket):
        await guests()(websocket)


WRONG = {
    "the stub": (stub, CLOSED, "await websocket.accept() comes first"),
    "it refuses": (refuses, CLOSED, "a close code needs an open WebSocket"),
    "it closes before it accepts": (closes_before_it_accepts, CLOSED, "got: HTTP 403"),
    "it closes and returns": (
        closes_and_returns,
        OUTSIDE,
        "the endpoint ran for /ws?token=guest-1",
    ),
    "a close by hand": (closes_by_hand, OUTSIDE, "an exception ends the call"),
    "a close in front of yield": (closes_and_yields, OUTSIDE, "an exception ends the call"),
    "it closes some": (closes_some_and_raises_for_others, OUTSIDE, "/ws?name=ana&token=guest-2"),
    "it returns the exception": (returns_the_exception, OUTSIDE, "an exception ends the call"),
    "it closes and raises": (closes_and_raises, QUIET, "after a close there is nothing"),
    "another code": (guests(code=1008), CLOSED, "a token that starts with 'guest-'"),
    "no guest at all": (guests(is_guest=lambda token: False), CLOSED, "the message 'you may'"),
    "one guest alone": (guests(is_guest="guest-1".__eq__), CLOSED, "the message 'you may'"),
    "no reason": (guests(reason=None), WHY, "with the reason 'sign in first', got: close 4401"),
    "another reason": (guests(reason="Sign in first."), WHY, "'Sign in first.'"),
    "everybody": (guests(is_guest=lambda token: True), STAY, "got: close 4401"),
    "a guest anywhere": (guests(is_guest=lambda token: "guest-" in token), STAY, "close 4401"),
    "no dash": (guests(is_guest=lambda token: token.startswith("guest")), STAY, "close 4401"),
    "it accepts guests alone": (accepts_guests_alone, STAY, "accept() comes first"),
    "a token for granted": (takes_a_token_for_granted, STAY, ".get(key, …)"),
    "no await before accept": (forgets_await_before_accept, CLOSED, "the call of accept()"),
    "no await before close": (forgets_await_before_close, CLOSED, "the call of close()"),
    "it listens itself": (listens, STAY, "the endpoint behind it does the talking"),
    "it speaks": (speaks, CLOSED, "got: the message 'hello'"),
    "it closes twice": (closes_twice, QUIET, "after a close there is nothing"),
    "code and reason in the wrong order": (in_the_wrong_order, CLOSED, "Error"),
    "def": (plain, CLOSED, "the call of accept()"),
    "a class for a function": (Guests, CLOSED, "an instance: Guests()"),
    "nothing for a function": (None, CLOSED, "a function that takes (websocket)"),
    "capitals too": (
        guests(is_guest=lambda token: token.lower().startswith("guest-")),
        STAY,
        "to stay for /ws?token=Guest-1, got: close 4401",
    ),
    "a task that nobody awaits": (leaves_the_close_to_a_task, OUTSIDE, "the endpoint ran"),
    "behind yield": (closes_at_the_end, CLOSED, "right after accept()"),
    "it waits for a word": (waits_for_a_word, CLOSED, "for a guest that says nothing"),
    "it never comes to its end": (never_comes_to_its_end, CLOSED, "comes to its end at once"),
    "it needs a token": (needs_a_token, STAY, "needs a default"),
    "the address begins so": (looks_at_the_address, CLOSED, "for /ws?name=ana&token=guest-2"),
    "each token once": (closes_each_token_once, CLOSED, "got: the message 'you may'"),
    "the client is kept in self": (KeepsTheClient(), APART, "in a local variable"),
}


async def without_types(ws):
    await ws.accept()
    if (ws.query_params.get("token") or "")[:6] == "guest-":
        raise WebSocketException(code=4401, reason="sign in first")


async def with_query(socket: WebSocket, token: Annotated[str, Query()] = ""):
    await socket.accept()
    if token.startswith("guest-"):
        raise WebSocketException(reason="sign in first", code=4401)


async def with_default(ws: WebSocket, token: str | None = None):
    await ws.accept()
    if token is not None and token.startswith("guest-"):
        raise WebSocketException(4401, "sign in first")


async def with_yield(websocket: WebSocket):
    await guests()(websocket)
    yield
    assert websocket.client_state in WebSocketState


async def two(websocket: WebSocket, code: int):
    await guests(code)(websocket)


async def in_tasks(websocket: WebSocket):
    """It gives way before the exception, so that a client may have left by then."""
    async with asyncio.TaskGroup() as group:
        group.create_task(websocket.accept())
    if websocket.query_params.get("token", "").startswith("guest-"):
        await asyncio.create_task(refuse())


async def refuse():
    raise WebSocketException(4401, "sign in first")


async def by_hand(websocket: WebSocket):
    await websocket.receive()
    await websocket.send({"type": "websocket.accept"})
    match websocket.query_params.get("token", "").partition("guest-"):
        case ("", "guest-", _):
            raise WebSocketException(4401, "sign in first")


def is_guest(connection: HTTPConnection):
    return connection.query_params.get("token", "").startswith("guest-")


async def asks_another(websocket: WebSocket, guest: Annotated[bool, Depends(is_guest)]):
    await websocket.accept()
    if guest:
        await refuse()
    return guest


RIGHT = {
    "the solution": guests(),
    "no types": without_types,
    "a parameter for the token": with_query,
    "a default": with_default,
    "yield": with_yield,
    "an instance of a class": Guests(),
    "tasks that are awaited": in_tasks,
    "messages by hand": by_hand,
    "a dependency of its own": asks_another,
    "a partial": functools.partial(two, code=4401),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_answer_is_rejected_by_its_rule(name):
    answer, rule, words = WRONG[name]
    expect_rejected(check.guests_wait_outside(answer), rule, words)


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_answer_is_accepted(name):
    expect_accepted(check.guests_wait_outside(RIGHT[name]))


def test_code_that_blocks_is_named():
    free = threading.Event()

    async def blocks(websocket: WebSocket):
        free.wait()

    report = check.guests_wait_outside(blocks)
    free.set()
    expect_rejected(report, CLOSED, "your code blocks the server: its thread is in blocks()")
