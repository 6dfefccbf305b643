"""The chat keeps its contract, on uvicorn, under a bare TestClient and on another server."""

import asyncio
import contextlib
import socket
import subprocess
import sys

import pytest
import websockets
from fastapi.testclient import TestClient

from chatlib.chat import app, manager
from chatlib.lab.check.rules.contract import CHAT
from chatlib.lab.check.tools.bench import Bench
from chatlib.lab.serve import Server


@pytest.mark.parametrize("rule", CHAT, ids=lambda rule: rule.says)
def test_contract(rule):
    with Server(app) as server:
        asyncio.run(rule.attempt(Bench(server)))


def test_nobody_is_left_in_the_list_when_all_have_gone():
    async def come_and_go(server):
        async with asyncio.timeout(10):
            async with contextlib.AsyncExitStack() as stack:
                for number in range(10):
                    url = server.ws_url(f"/ws/{number}")
                    await stack.enter_async_context(websockets.connect(url))
            await server.settled()

    with Server(app) as server:
        asyncio.run(come_and_go(server))
        assert manager.active_connections == []


def test_clients_hear_each_other_under_a_bare_test_client():
    client = TestClient(app)
    with client.websocket_connect("/ws/1") as ana:
        with client.websocket_connect("/ws/2") as ben:
            ben.send_text("hello")
            assert ben.receive_text() == "You wrote: hello"
            assert ben.receive_text() == "Client #2 says: hello"
            assert ana.receive_text() == "Client #2 says: hello"
        assert ana.receive_text() == "Client #2 left the chat"


@pytest.mark.skipif(sys.platform == "win32", reason="Hypercorn takes no open socket there")
def test_clients_hear_each_other_on_hypercorn():
    with listening_hypercorn() as port:
        asyncio.run(talk_and_leave(f"ws://127.0.0.1:{port}/ws"))


@contextlib.contextmanager
def listening_hypercorn():
    """Run the chat on Hypercorn in a process of its own, and give its port."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        command = [sys.executable, "-m", "hypercorn", "--bind", f"fd://{sock.fileno()}"]
        process = subprocess.Popen(
            [*command, "chatlib.chat:app"],
            pass_fds=[sock.fileno()],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield sock.getsockname()[1]
        finally:
            process.terminate()
            process.wait(10)


async def talk_and_leave(url):
    async with asyncio.timeout(20), websockets.connect(f"{url}/1", proxy=None) as ana:
        async with websockets.connect(f"{url}/2", proxy=None) as ben:
            await ben.send("hello")
            assert [await ben.recv(), await ben.recv()] == [
                "You wrote: hello",
                "Client #2 says: hello",
            ]
            assert await ana.recv() == "Client #2 says: hello"
            await ben.send(b"\x00")
            with pytest.raises(websockets.ConnectionClosedError) as closed:
                await ben.recv()
            assert closed.value.rcvd.code == 1003
        assert await ana.recv() == "Client #2 left the chat"
