"""Servers that a command line starts, and that a notebook signals and kills."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest
import websockets
import websockets.sync.client

from chatlib.lab import commands
from chatlib.lab.loopback import ServerError

CHAT = "python -m chatlib chat --port {port}"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals")


@pytest.fixture(autouse=True)
def none_left():
    yield
    commands.stop()


@pytest.fixture(scope="module")
def server():
    with commands.Command(CHAT) as server:
        yield server


def talk(server):
    """Say hello; return what comes back."""
    with websockets.sync.client.connect(server.ws_url("/ws/1")) as client:
        client.send("Hello")
        return client.recv()


def test_it_is_up_as_soon_as_it_exists_and_its_log_is_there(server):
    server.start()
    assert talk(server) == "You wrote: Hello"
    assert repr(server) == f"<server: http://127.0.0.1:{server.port}/>"
    server.wait_for("[closed]")
    assert any("Application startup complete." in line for line in server.log)


def test_a_signal_comes_to_it_and_its_exit_code_is_told(server):
    server.start()

    async def run():
        async with websockets.connect(server.ws_url("/ws/1")) as client:
            asked = server.signal(signal.SIGTERM)
            await client.wait_closed()
            assert client.close_code == 1012
        return asked

    asked = asyncio.run(run())
    assert server.wait() == -signal.SIGTERM == server.exit_code
    assert server.ended > asked
    assert repr(server) == "<server: ended>"
    with pytest.raises(ServerError, match="start the server again"):
        server.signal(signal.SIGTERM)


def test_it_can_be_started_again_at_its_port(server):
    server.start()
    server.kill()
    port, pid = server.port, server.pid
    with pytest.raises(ConnectionRefusedError):
        talk(server)
    server.start()
    assert (server.port, server.pid == pid) == (port, False)
    assert talk(server) == "You wrote: Hello"


def test_what_goes_on_is_waited_for_no_longer_than_asked(server):
    server.start()
    with pytest.raises(TimeoutError, match=r"server runs on after 0\.01 s"):
        server.wait(0.01)
    with pytest.raises(ServerError, match="has not written 'never'"):
        server.wait_for("never", seconds=0.01)


def test_one_that_cannot_start_tells_why():
    with pytest.raises(ServerError, match=r"server did not start: .*unrecognized arguments: --no"):
        commands.start(f"{CHAT} --no")
    assert len(commands._started) == 0


def test_it_heeds_sighup_although_this_process_ignores_it_as_below_nohup():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        server = commands.start("uvicorn chatlib.chat:app --port {port}")
    finally:
        signal.signal(signal.SIGHUP, before)
    server.signal(signal.SIGHUP)
    assert server.wait() == -signal.SIGHUP


@pytest.mark.parametrize("line", ["bash -c true", "python", "python -c 1", ""])
def test_what_is_no_command_of_that_kind_is_refused(line):
    with pytest.raises(ValueError, match="expected a command such as"):
        commands.Command(line)


def test_a_new_one_takes_the_place_of_the_old_with_the_variables_that_it_is_given():
    before = commands.start(CHAT, name="it")
    line = "uvicorn chatlib.chat:app --port {port}"  # as one types it
    after = commands.start(line, name="it", UVICORN_LOG_LEVEL="debug")
    talk(after)
    after.wait_for("DEBUG:")
    assert (before.running, after.running) == (False, True)
    with pytest.raises(ServerError, match="it was stopped; start the server again"):
        before.http_url()
    with pytest.raises(ServerError, match="it was stopped; start the server again"):
        _ = before.port
    with pytest.raises(ServerError, match="start the server again"):
        before.start()


def test_it_ends_with_the_process_that_started_it_and_so_do_its_workers():
    """They hold the pipe to which their parent's stderr leads, so its end is the end of all."""
    parent = textwrap.dedent(f"""
        import os, signal
        from chatlib.lab import commands
        server = commands.start({CHAT + " --workers 2"!r}, workers=2)
        print(server.pid, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    done = subprocess.run(
        [sys.executable, "-c", parent],
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    group = int(done.stdout)
    guard = time.monotonic() + 20
    while alive(group):
        assert time.monotonic() < guard


def alive(group):
    """Return whether a process of this group lives."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
