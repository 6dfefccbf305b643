"""`check.total` tells right answers from wrong ones."""

import ast
import asyncio
import json
import traceback
from math import fsum

import pytest
from answers import expect_accepted, expect_rejected
from fastapi import APIRouter, FastAPI, WebSocket, WebSocketDisconnect
from pydantic import TypeAdapter, ValidationError

from chatlib import receive_text
from chatlib.lab import check

ADDS = '[1, 2, 3] is answered with {"total": 6}'
ERROR = 'anything else is answered with {"error": …}, and the connection stays'
NO_EVAL = "what Python could read, and JSON is not, is an error too"
APART = "two clients do not hear each other"
QUIET = "a client that leaves leaves no traceback"


def at(function, path="/total"):
    """Return an app with `function` for its endpoint."""
    app = FastAPI()
    app.websocket(path)(function)
    return app


def answering(answer, catch=WebSocketDisconnect):
    """Return an app that answers each text with what `answer` returns, which may raise."""

    async def total(websocket: WebSocket):
        await websocket.accept()
        try:
            while True:
                await websocket.send_json(answer(await receive_text(websocket)))
        except catch:
            pass

    return at(total)


def right(text):
    try:
        numbers = json.loads(text)
        if not isinstance(numbers, list):
            raise TypeError("that is no list")
        return {"total": sum(numbers)}
    except (ValueError, TypeError) as error:
        return {"error": str(error)}


def always_six(text):
    return {"total": 6}


def by_eval(text):
    try:
        return {"total": sum(eval(text))}
    except Exception as error:
        return {"error": str(error)}


def by_literal_eval(text):
    try:
        numbers = ast.literal_eval(text.strip())
        if not isinstance(numbers, list):
            raise TypeError("that is no list")
        return {"total": sum(numbers)}
    except Exception as error:
        return {"error": str(error)}


def by_split(text):
    try:
        return {"total": sum(float(each) for each in text.strip("[] \n").split(",") if each)}
    except ValueError as error:
        return {"error": str(error)}


def catches_no_type_error(text):
    try:
        return {"total": sum(json.loads(text))}
    except ValueError as error:
        return {"error": str(error)}


def takes_a_dict(text):
    try:
        return {"total": sum(json.loads(text))}
    except (ValueError, TypeError) as error:
        return {"error": str(error)}


def takes_whole_numbers(text):
    answer = right(text)
    return {"total": int(answer["total"])} if "total" in answer else answer


def error_that_is_true(text):
    answer = right(text)
    return {"error": True} if "error" in answer else answer


def error_and_total(text):
    answer = right(text)
    return {"error": "no list", "total": 0} if "error" in answer else answer


def reads_what_begins_like_a_list(text):
    if not text.strip().startswith("["):
        return {"error": "no list"}
    return {"total": sum(json.loads(text))}


def goes_on_adding():
    so_far = []

    def answer(text):
        answer = right(text)
        if "total" in answer:
            so_far.append(answer["total"])
            return {"total": sum(so_far)}
        return answer

    return answering(answer)


async def ends_at_an_error(websocket: WebSocket):
    await websocket.accept()
    async for text in websocket.iter_text():
        answer = right(text)
        await websocket.send_json(answer)
        if "error" in answer:
            break


async def receives_json(websocket: WebSocket):
    await websocket.accept()
    try:
        while True:
            await websocket.send_json({"total": sum(await websocket.receive_json())})
    except (ValueError, TypeError) as error:
        await websocket.send_json({"error": str(error)})


async def sends_python(websocket: WebSocket):
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(str(right(text)))


async def sends_json_twice(websocket: WebSocket):
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_json(json.dumps(right(text)))


async def sends_bytes(websocket: WebSocket):
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_bytes(json.dumps(right(text)).encode())


async def forgets_await(websocket: WebSocket):
    await websocket.accept()
    numbers = json.loads(websocket.receive_text())
    await websocket.send_json({"total": sum(numbers)})


def leaving(goodbye):
    """Return an app that calls `goodbye(websocket)` when a client has left."""

    async def total(websocket: WebSocket):
        await websocket.accept()
        try:
            while True:
                await websocket.send_json(right(await receive_text(websocket)))
        except WebSocketDisconnect:
            goodbye(websocket)

    return at(total)


async def ends_after_silence(websocket: WebSocket):
    await websocket.accept()
    try:
        while True:
            text = await asyncio.wait_for(receive_text(websocket), 0.5)
            await websocket.send_json(right(text))
    except (TimeoutError, WebSocketDisconnect):
        pass


async def catches_all_inside(websocket: WebSocket):
    await websocket.accept()
    while True:
        try:
            numbers = await websocket.receive_json()
            assert isinstance(numbers, list)
            await websocket.send_json({"total": sum(numbers)})
        except Exception as error:
            await websocket.send_json({"error": str(error)})


def to_all():
    members = []

    async def total(websocket: WebSocket):
        await websocket.accept()
        members.append(websocket)
        async for text in websocket.iter_text():
            for member in members:
                await member.send_json(right(text))
        members.remove(websocket)

    return at(total)


def converts(text):
    try:
        numbers = json.loads(text)
        if not isinstance(numbers, list):
            raise TypeError("that is no list")
        return {"total": sum(float(each) for each in numbers)}
    except (ValueError, TypeError) as error:
        return {"error": str(error)}


async def does_not_catch(websocket: WebSocket):
    await websocket.accept()
    while True:
        await websocket.send_json(right(await websocket.receive_text()))


WRONG = {
    "the stub": (answering(lambda text: {"error": text}), ADDS, "got: {'error': '[1, 2, 3]'}"),
    "another path": (at(does_not_catch, "/sum"), ADDS, "at /total; your app has: /sum"),
    "always six": (answering(always_six), ADDS, '{"total": 0} for []'),
    "the number alone": (answering(lambda text: right(text)["total"]), ADDS, "got: 6"),
    "a text for the number": (
        answering(lambda text: {"total": str(right(text)["total"])}),
        ADDS,
        "got: {'total': '6'}",
    ),
    "another key": (answering(lambda text: {"sum": 6}), ADDS, "got: {'sum': 6}"),
    "one key too many": (answering(lambda text: {"total": 6, "n": 3}), ADDS, "'n': 3"),
    "whole numbers alone": (answering(takes_whole_numbers), ADDS, "for [0.5, 1]"),
    "it goes on adding": (goes_on_adding(), ADDS, '{"total": 0} for []'),
    "eval": (answering(by_eval), ERROR, '{"error": a text} for {}'),
    "eval, and a look at the type": (
        answering(lambda text: by_eval(text) if text[:1] in "[(s1" and text else right(text)),
        NO_EVAL,
        "never eval",
    ),
    "literal_eval": (answering(by_literal_eval), NO_EVAL, "for [1, 2,]"),
    "split": (answering(by_split), ERROR, "for 6, got: {'total': 6"),
    "no TypeError is caught": (answering(catches_no_type_error), ERROR, "TypeError: 'int' object"),
    "a dict is added up": (answering(takes_a_dict), ERROR, "for {}, got: {'total': 0}"),
    "a look at the first letter": (
        answering(reads_what_begins_like_a_list),
        ERROR,
        "TypeError: unsupported operand",
    ),
    "an error that is no text": (answering(error_that_is_true), ERROR, "{'error': True}"),
    "an error and a total": (answering(error_and_total), ERROR, "'total': 0"),
    "it ends at an error": (at(ends_at_an_error), ERROR, "the loop goes on after"),
    "the try is around the loop": (at(receives_json), ERROR, "for 6, got: the connection ended"),
    "Python instead of JSON": (at(sends_python), ADDS, "str(…) does not"),
    "JSON twice": (at(sends_json_twice), ADDS, "JSON of JSON"),
    "bytes": (at(sends_bytes), ADDS, "send_json(…) sends a text"),
    "a forgotten await": (at(forgets_await), ADDS, "you forgot `await`"),
    "nothing is no total": (
        answering(lambda text: right(text) if text != "[]" else {"error": "nothing"}),
        ADDS,
        '{"total": 0} for []',
    ),
    "half a second of silence ends it": (at(ends_after_silence), ADDS, "no timeout ends it"),
    "texts are converted": (answering(converts), ERROR, "convert nothing"),
    "to all": (to_all(), APART, "answer on the websocket that asked"),
    "a try for all inside the loop": (at(catches_all_inside), QUIET, "send nothing after that"),
    "another error when one leaves": (
        leaving([].remove),
        QUIET,
        "no `except WebSocketDisconnect` catches what it raised",
    ),
    "no except": (at(does_not_catch), QUIET, "catch WebSocketDisconnect"),
    "the function for the app": (does_not_catch, "the app starts", "the function does_not_catch"),
    "what is no number is left out": (
        answering(
            lambda text: (
                {"total": sum(n for n in json.loads(text) if not isinstance(n, str))}
                if text.startswith('[1, 2, "')
                else right(text)
            )
        ),
        ERROR,
        "for [1, 2, ",
    ),
}

LIST = TypeAdapter(list[float])


def with_pydantic(text):
    try:
        return {"total": fsum(LIST.validate_json(text, strict=True))}
    except ValidationError as error:
        return {"error": error.errors()[0]["msg"]}


def with_words(text):
    try:
        match json.loads(text):
            case [*numbers] if all(isinstance(each, int | float) for each in numbers):
                return {"total": sum(numbers)}
            case _:
                return {"error": "send a list of numbers"}
    except json.JSONDecodeError:
        return {"error": ""}


def prints_what_it_caught(text):
    """The rule on tracebacks is about clients that leave."""
    answer = right(text)
    if "error" in answer:
        try:
            raise ValueError(text)
        except ValueError:
            traceback.print_exc()
    return answer


def counts_no_truth(text):
    answer = right(text)
    if "total" in answer and any(isinstance(each, bool) for each in json.loads(text)):
        return {"error": "true and false are no numbers"}
    return answer


async def with_match(websocket: WebSocket):
    await websocket.accept()
    while True:
        match await websocket.receive():
            case {"text": str(text)}:
                await websocket.send_text(json.dumps(right(text)))
            case {"type": "websocket.disconnect"}:
                break
            case _:
                await websocket.send_text('{"error": "text, please"}')


async def receives_json_with_care(ws: WebSocket):
    await ws.accept()
    try:
        while True:
            try:
                numbers = await ws.receive_json()
                assert isinstance(numbers, list)
                await ws.send_text(json.dumps({"total": sum(numbers)}))
            except (ValueError, TypeError, AssertionError):
                await ws.send_text('{"error": "a list, please", "code": 400}')
    except WebSocketDisconnect:
        pass


def with_router():
    router = APIRouter()

    @router.websocket("/total")
    async def total(socket: WebSocket):
        await socket.accept()
        async for text in socket.iter_text():
            await socket.send_json(right(text))

    app = FastAPI()
    app.include_router(router)
    return app


RIGHT = {
    "the solution": answering(right),
    "Pydantic, and floats": answering(with_pydantic),
    "match": answering(with_words),
    "match on what comes": at(with_match),
    "a traceback of bad input": answering(prints_what_it_caught),
    "true is no number": answering(counts_no_truth),
    "receive_json": at(receives_json_with_care),
    "iter_text, on a router": with_router(),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_answer_is_rejected_by_its_rule(name):
    answer, rule, words = WRONG[name]
    expect_rejected(check.total(answer), rule, words)


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_answer_is_accepted(name):
    expect_accepted(check.total(RIGHT[name]))
