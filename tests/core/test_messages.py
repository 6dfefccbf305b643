"""Reading a message that has to be text."""

import asyncio

import pytest
from fastapi import WebSocket, WebSocketDisconnect

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
