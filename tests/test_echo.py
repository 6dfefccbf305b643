"""The echo keeps its contract, and what else may come to it does no harm."""

import asyncio

import pytest
import websockets
from fastapi.testclient import TestClient

from chatlib.echo import app
from chatlib.lab.check.rules.contract import ECHO
from chatlib.lab.check.tools.bench import Bench
from chatlib.lab.serve import Server


@pytest.mark.parametrize("rule", ECHO, ids=lambda rule: rule.says)
def test_contract(rule):
    with Server(app) as server:
        asyncio.run(rule.attempt(Bench(server)))


def test_a_message_and_one_that_is_too_big_in_one_read_leave_no_traceback():
    async def talk(server):
        async with (
            asyncio.timeout(10),
            websockets.connect(server.ws_url(), max_size=None) as client,
        ):
            for text in ("small", "x" * (64 * 1024 + 1)):
                client.protocol.send_text(text.encode())
            client.transport.write(b"".join(client.protocol.data_to_send()))
            await client.wait_closed()
            await server.settled()
            return client.close_code

    with Server(app) as server:
        assert asyncio.run(talk(server)) == 1009
        assert server.log.errors == []


def test_it_works_under_a_bare_test_client():
    with TestClient(app).websocket_connect("/ws") as client:
        client.send_text("hello")
        assert client.receive_text() == "Message text was: hello"
