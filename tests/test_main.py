"""`python -m chatlib`, and the other ways to run an app, as an engineer types them."""

import asyncio
import contextlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
import uvicorn
import websockets

from chatlib.__main__ import main

ROOT = Path(__file__).parent.parent
COMMANDS = {
    "python -m chatlib": [sys.executable, "-m", "chatlib", "{app}", "--port", "0"],
    "uvicorn": [sys.executable, "-m", "uvicorn", "chatlib.{app}:app", "--port", "0"],
    "uvicorn with ready frames": [
        *[sys.executable, "-m", "uvicorn", "--ws", "chatlib.core.fanout:FanoutProtocol"],
        *["chatlib.{app}:app", "--port", "0"],
    ],
    "fastapi dev": [
        *[sys.executable, "-m", "fastapi", "dev", "chatlib/{app}.py"],
        *["--port", "0", "--no-reload"],
    ],
}


@contextlib.contextmanager
def running(command, app):
    """Run `app` by `command`, and give the address at which it says it listens, and its output."""
    process = subprocess.Popen(
        [part.format(app=app) for part in command],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
    )
    output = []
    try:
        for line in process.stdout:
            output.append(line)
            if address := re.search(r"running on http://(127\.0\.0\.1:[1-9]\d*)", line):
                yield address[1], output
                break
        else:
            pytest.fail("it did not start:\n" + "".join(output))
    finally:
        process.terminate()
        output += process.stdout
        process.wait(10)
        process.stdout.close()


@pytest.mark.parametrize("how", COMMANDS)
def test_the_chat_runs(how):
    async def talk(address):
        url = f"ws://{address}/ws/7"
        async with asyncio.timeout(20), websockets.connect(url, proxy=None) as client:
            await client.send("hello")
            return await client.recv()

    with running(COMMANDS[how], "chat") as (address, _):
        assert asyncio.run(talk(address)) == "You wrote: hello"


@pytest.mark.parametrize("how", COMMANDS)
def test_no_token_and_no_traceback_reaches_the_log(how):
    async def knock_and_misbehave(address):
        url = f"ws://{address}/items/foo/ws?%74oken=s3cret&q=1"
        async with asyncio.timeout(20), websockets.connect(url, proxy=None) as client:
            await client.send(b"\xff", text=True)
            with pytest.raises(websockets.ConnectionClosedError):
                await client.recv()

    with running(COMMANDS[how], "items") as (address, output):
        asyncio.run(knock_and_misbehave(address))
    text = "".join(output)
    assert "[accepted]" in text
    assert "s3cret" not in text
    assert "Traceback" not in text


def test_more_than_64_kib_is_refused_with_1009():
    async def shout(address):
        async with (
            asyncio.timeout(20),
            websockets.connect(f"ws://{address}/ws", proxy=None) as client,
        ):
            await client.send("x" * (64 * 1024 + 1))
            with pytest.raises(websockets.ConnectionClosedError) as closed:
                await client.recv()
            return closed.value.rcvd.code

    with running(COMMANDS["python -m chatlib"], "echo") as (address, _):
        assert asyncio.run(shout(address)) == 1009


def test_by_default_it_listens_at_port_8000_of_this_machine_alone(monkeypatch):
    seen = {}
    monkeypatch.setattr(uvicorn, "run", lambda app, **options: seen.update(options, app=app))
    main(["chat"])
    assert (seen["app"], seen["host"], seen["port"]) == ("chatlib.chat:app", "127.0.0.1", 8000)


def test_an_app_that_does_not_exist_is_refused_with_the_names_of_those_that_do(capsys):
    with pytest.raises(SystemExit):
        main(["party"])
    assert "'echo', 'items', 'chat'" in capsys.readouterr().err.replace(
        "echo, items, chat", "'echo', 'items', 'chat'"
    )
