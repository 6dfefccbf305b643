"""The item socket keeps its contract, and no secret of a visitor's reaches a log."""

import asyncio

import pytest
from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from chatlib.items import app
from chatlib.lab.check.rules.contract import ITEMS
from chatlib.lab.check.tools.bench import Bench
from chatlib.lab.serve import Server


@pytest.mark.parametrize("rule", ITEMS, ids=lambda rule: rule.says)
def test_contract(rule):
    with Server(app) as server:
        asyncio.run(rule.attempt(Bench(server)))


def test_it_works_under_a_bare_test_client():
    with TestClient(app).websocket_connect("/items/foo/ws?token=t&q=0") as client:
        client.send_text("hello")
        assert [client.receive_text() for _ in range(3)] == [
            "Session cookie or query token value is: t",
            "Query parameter q is: 0",
            "Message text was: hello, for item ID: foo",
        ]


def test_a_test_client_is_told_1008_where_the_wire_has_403():
    with pytest.raises(WebSocketDisconnect) as refusal:
        TestClient(app).websocket_connect("/items/foo/ws").__enter__()
    assert refusal.value.code == 1008
