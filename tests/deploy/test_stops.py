"""Starts and stops without the command of chatlib: on gunicorn, and on uvicorn alone."""

import asyncio
import signal
import sys

import websockets
from ports import reserved_port
from recipes import (
    SECRET,
    Running,
    close_code,
    in_a_room,
    knock,
    listening_socket,
    run_async,
)

DEAF = """
import asyncio
from fastapi import FastAPI, WebSocket

app = FastAPI()

@app.websocket("/ws")
async def deaf(websocket: WebSocket):
    await websocket.accept()
    await websocket.send_text("hello")
    while True:
        try:
            await asyncio.Event().wait()
        finally:
            print("cancelled", flush=True)
"""


def test_gunicorn_replaces_its_workers_at_sighup_and_refuses_nobody_and_ends_with_0(tmp_path):
    command = [sys.executable, "-m", "gunicorn", "-k", "chatlib.worker.FanoutWorker"]
    command += ["chatlib.rooms:app", "--graceful-timeout", "7"]
    variables = {"CHATLIB_SECRET": SECRET, "CHATLIB_STORE": f"sqlite:///{tmp_path}/chat.db"}

    async def scenario(server, port):
        async with in_a_room(port, "ana") as ana:
            server.send(signal.SIGHUP)
            ended = asyncio.create_task(
                asyncio.to_thread(server.wait_for, "Application shutdown complete")
            )
            assert await knock(port, ended) > 0
            await ended
            assert await close_code(ana) == 1012
        async with in_a_room(port, "ana") as ana:
            server.send(signal.SIGTERM)
            assert await close_code(ana) == 1012

    with (
        reserved_port() as port,
        Running([*command, "--bind", f"127.0.0.1:{port}"], variables) as server,
    ):
        server.wait_for("Application startup complete")
        run_async(scenario(server, port))
        assert server.status() == 0


def deaf(folder, sock):
    """Run uvicorn, by the environment, with a handler that does not end by itself."""
    (folder / "deaf.py").write_text(DEAF)
    command = [sys.executable, "-m", "uvicorn", "--app-dir", str(folder), "deaf:app"]
    variables = {
        "UVICORN_WS": "chatlib.core.fanout:FanoutProtocol",
        "UVICORN_TIMEOUT_GRACEFUL_SHUTDOWN": "1",
        "UVICORN_FD": str(sock.fileno()),
    }
    return Running(command, variables, pass_fds=[sock.fileno()])


def connect(sock):
    return websockets.connect(
        f"ws://127.0.0.1:{sock.getsockname()[1]}/ws", proxy=None, open_timeout=None
    )


def test_a_handler_that_does_not_end_keeps_uvicorn_for_no_longer_than_the_environment_says(
    tmp_path,
):
    async def scenario(server, sock):
        async with connect(sock) as client:
            assert await client.recv() == "hello"
            server.send(signal.SIGTERM)
            assert await close_code(client) == 1012

    with listening_socket() as sock, deaf(tmp_path, sock) as server:
        run_async(scenario(server, sock))
        assert server.status() == -signal.SIGTERM
        assert "cancelled" in server.printed


def test_one_process_alone_does_not_survive_sighup(tmp_path):
    """So whoever wants to replace the code without a stop has two workers, or systemd's socket."""
    with listening_socket() as sock, deaf(tmp_path, sock) as server:
        server.wait_for("Uvicorn running on")
        server.send(signal.SIGHUP)
        assert server.status() == -signal.SIGHUP
