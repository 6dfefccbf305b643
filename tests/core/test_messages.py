"""Reading a message that has to be text, and what is sent for each kind of message."""

import asyncio
import enum
import uuid
from datetime import UTC, datetime
from pathlib import PurePosixPath

import pytest
from fastapi import WebSocket, WebSocketDisconnect
from pydantic import BaseModel, Field
from starlette.websockets import WebSocketState

from chatlib.core.frames import decode, encode, plain
from chatlib.core.messages import WRONG_KIND, receive_text


def reading(*messages):
    """Read one text where a server gives `messages`. Return it, and what was sent meanwhile."""
    incoming = iter([{"type": "websocket.connect"}, *messages])
    sent = []

    async def receive():
        return next(incoming)

    async def send(message):
        sent.append(message)

    async def run():
        websocket = WebSocket({"type": "websocket", "headers": []}, receive, send)
        await websocket.accept()
        sent.clear()
        return await receive_text(websocket)

    return lambda: asyncio.run(run()), sent


def test_a_text_is_returned():
    read, _ = reading({"type": "websocket.receive", "text": "hello"})
    assert read() == "hello"


def test_the_empty_text_is_a_text():
    """Some servers send both keys, and leave the other one None."""
    read, _ = reading({"type": "websocket.receive", "text": "", "bytes": None})
    assert read() == ""


def test_a_binary_message_closes_with_1003_and_a_reason():
    read, sent = reading({"type": "websocket.receive", "bytes": b"\x00", "text": None})
    with pytest.raises(WebSocketDisconnect) as closed:
        read()
    assert (closed.value.code, closed.value.reason) == (1003, WRONG_KIND)
    assert sent == [{"type": "websocket.close", "code": 1003, "reason": WRONG_KIND}]


def test_a_client_that_leaves_raises_with_its_code_and_reason():
    read, sent = reading({"type": "websocket.disconnect", "code": 4000, "reason": "bye"})
    with pytest.raises(WebSocketDisconnect) as closed:
        read()
    assert (closed.value.code, closed.value.reason) == (4000, "bye")
    assert sent == []


def test_reading_before_accept_says_so_and_answers_nothing():
    sent = []

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        sent.append(message)

    websocket = WebSocket({"type": "websocket", "headers": []}, receive, send)
    with pytest.raises(RuntimeError, match=r"await its accept\(\) first"):
        asyncio.run(receive_text(websocket))
    assert sent == []


def test_reading_what_was_never_accepted_says_so_after_the_client_has_left_too():
    websocket = WebSocket({"type": "websocket", "headers": []}, None, None)
    websocket.client_state = WebSocketState.DISCONNECTED
    with pytest.raises(RuntimeError, match="not accepted yet"):
        asyncio.run(receive_text(websocket))


def test_reading_on_after_the_client_has_left_is_starlette_s_own_error():
    async def run():
        incoming = iter([{"type": "websocket.connect"}, {"type": "websocket.disconnect"}])

        async def receive():
            return next(incoming)

        async def send(message):
            pass

        websocket = WebSocket({"type": "websocket", "headers": []}, receive, send)
        await websocket.accept()
        with pytest.raises(WebSocketDisconnect):
            await receive_text(websocket)
        await receive_text(websocket)

    with pytest.raises(RuntimeError, match="once a disconnect message has been received"):
        asyncio.run(run())


# --- what is sent ---------------------------------------------------------------------------------


class Colour(enum.Enum):
    RED = "red"


class Said(BaseModel):
    by: str
    at: datetime
    reply_to: int | None = Field(None, alias="replyTo")


WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SAID = Said(by="Zoë", at=WHEN, replyTo=3)
SAID_JSON = '{"by":"Zoë","at":"2026-01-02T03:04:05Z","replyTo":3}'


def by_send_json(data):
    """Return the text that Starlette's `send_json` sends for `data`."""
    sent = []

    async def send(message):
        sent.append(message)

    websocket = WebSocket({"type": "websocket", "headers": []}, None, send)
    websocket.application_state = WebSocketState.CONNECTED
    asyncio.run(websocket.send_json(data))
    return sent[0]["text"]


@pytest.mark.parametrize(
    "data",
    [
        {"type": "chat", "text": 'Grüße, "Ben" 🎉 \u2028', "n": [1, 2.5, -0.0, True, None]},
        {1: "a", None: "b", False: "c", 2.5: "d"},
        [],
        {},
        [[{}], "x"],
        ("a", ("b",)),
    ],
    ids=repr,
)
def test_what_json_knows_is_sent_as_starlette_s_send_json_sends_it(data):
    assert plain(data) == by_send_json(data)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_what_is_like_bytes_is_sent_as_these(kind):
    assert plain(kind(b"\x00\xff")) == b"\x00\xff"


def test_a_model_is_sent_as_its_json_with_the_names_that_fastapi_gives_it():
    assert plain(SAID) == SAID_JSON
    assert plain([SAID]) == f"[{SAID_JSON}]"


@pytest.mark.parametrize(
    ("value", "json"),
    [
        (WHEN, '"2026-01-02T03:04:05+00:00"'),
        (Colour.RED, '"red"'),
        (uuid.UUID(int=5), '"00000000-0000-0000-0000-000000000005"'),
        (PurePosixPath("a/b"), '"a/b"'),
        ({1}, "[1]"),
    ],
    ids=repr,
)
def test_what_fastapi_knows_is_sent_as_it_writes_it_in_a_response(value, json):
    assert plain({"a": [value]}) == f'{{"a":[{json}]}}'


def test_a_key_that_only_fastapi_knows_is_written_too():
    assert plain({Colour.RED: {uuid.UUID(int=5): WHEN}}) == (
        '{"red":{"00000000-0000-0000-0000-000000000005":"2026-01-02T03:04:05+00:00"}}'
    )


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ([float("nan")], "not JSON compliant"),
        ({"a": float("inf")}, "not JSON compliant"),
        ({"a": object()}, "JSON cannot express object: <object"),
        ({"a": [object]}, "JSON cannot express type: <class 'object'>"),
        ({("a", "b"): 1}, r"JSON cannot express dict: \{\('a', 'b'\): 1\}"),
    ],
    ids=["nan", "inf", "object", "class", "key"],
)
def test_what_json_cannot_express_is_a_value_error(data, says):
    with pytest.raises(ValueError, match=says):
        encode(data)


def test_what_contains_itself_is_a_value_error():
    data = []
    data.append(data)
    with pytest.raises(ValueError, match="Circular"):
        encode(data)


def test_a_websocket_in_a_message_is_a_value_error():
    websocket = WebSocket({"type": "websocket", "headers": []}, None, None)
    websocket.scope["websocket"] = websocket
    with pytest.raises(ValueError, match="JSON cannot express WebSocket"):
        encode({"from": websocket})


@pytest.mark.parametrize("data", ["\ud800", ["\ud800"]], ids=ascii)
def test_what_utf_8_cannot_express_is_a_value_error(data):
    with pytest.raises(ValueError, match="surrogates not allowed"):
        encode(data)


@pytest.mark.parametrize("message", [None, 3, 2.5, True, {1}, object, Colour.RED], ids=repr)
def test_anything_else_is_a_type_error_that_says_what_may_be_sent_and_what_came(message):
    says = (
        r"text \(str\) or bytes; or a Pydantic model, a dict, a list or a tuple, which goes as JSON"
    )
    with pytest.raises(TypeError, match=rf"{says}; got {type(message).__name__}: "):
        encode(message)


def test_where_an_await_was_forgotten_it_is_asked_for():
    async def text():
        return "hello"

    coroutine = text()
    with pytest.raises(TypeError, match=r"got coroutine: .*; write await before the call"):
        encode(coroutine)
    with pytest.raises(ValueError, match=r"JSON cannot express coroutine: .*; write await before"):
        encode({"text": coroutine})
    coroutine.close()


def test_a_message_as_json_is_a_text_message():
    (message,) = decode(encode({"a": "é"}))
    assert message == {"type": "websocket.send", "text": '{"a":"é"}'}
