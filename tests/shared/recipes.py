"""What the recipes in deploy/ say, and their commands really run."""

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path

import websockets

from chatlib.core.rooms.identity import Tokens

ROOT = Path(__file__).parent.parent.parent
DEPLOY = ROOT / "deploy"
GUARD_SECONDS = 120.0
KNOCK_SECONDS = 0.05  # between two clients, so that they leave the processor to what starts
SECRET = "a secret that is known to all tests"
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def listening_socket():
    """Return a socket that listens at a free port of this machine."""
    return socket.create_server(("127.0.0.1", 0), backlog=4096)


class Running:
    """A process, and what it prints. It is a context manager that ends it.

    Args:
        command: what to run.
        environment: all the variables that it has, besides where Python finds chatlib.
        options: as `subprocess.Popen` takes them.
    """

    def __init__(self, command, environment, **options):
        self.printed = ""
        self._more = threading.Condition()
        self._process = subprocess.Popen(
            command,
            env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"], **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            **options,
        )
        self.pid = self._process.pid
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self._process.stdout:
            with self._more:
                self.printed += line
                self._more.notify_all()
        with self._more:
            self.printed += "\0"  # it will print nothing more
            self._more.notify_all()

    def wait_until(self, condition):
        """Wait until `condition` of all that was printed is true."""
        with self._more:
            self._more.wait_for(
                lambda: condition(self.printed) or "\0" in self.printed, GUARD_SECONDS
            )
            assert condition(self.printed), f"what was waited for is not here:\n{self.printed}"

    def wait_for(self, pattern, count=1):
        """Return what matches `pattern` once it was printed `count` times."""
        self.wait_until(lambda printed: len(re.findall(pattern, printed)) >= count)
        return re.findall(pattern, self.printed)

    def send(self, number):
        """Send it a signal."""
        os.kill(self.pid, number)

    def status(self, seconds=GUARD_SECONDS):
        """Wait until it has ended; return its exit status, negative if a signal ended it."""
        status = self._process.wait(seconds)
        self._reader.join(GUARD_SECONDS)
        return status

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        if exc_info[0] is not None:
            print(self.printed)
        if self._process.poll() is None:
            self.send(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(GUARD_SECONDS)
        self._process.kill()
        self._process.wait()
        self._reader.join(GUARD_SECONDS)
        self._process.stdout.close()


def status_of(port, path):
    """Return the HTTP status with which `path` is answered."""
    try:
        with DIRECT.open(f"http://127.0.0.1:{port}{path}", timeout=GUARD_SECONDS) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


@contextlib.asynccontextmanager
async def in_a_room(port, name):
    """Connect to the lobby, and give the connection once it is welcomed."""
    headers = {"Authorization": f"Bearer {Tokens(SECRET).sign(name, 60)}"}
    url = f"ws://127.0.0.1:{port}/rooms/lobby?last=0"
    # A client may have to wait until a server has started; `run_async` has the guard.
    options = {"proxy": None, "additional_headers": headers, "open_timeout": None}
    async with websockets.connect(url, **options) as client:
        assert json.loads(await client.recv())["type"] == "welcome"
        yield client


async def knock(port, event):
    """Come and go until the future `event` is done; return how often one was let in.

    Who is let in may be told at once that the server restarts. Whom a worker has accepted in the
    moment in which it stops may get no answer. Nobody may be refused.
    """
    ends = Counter()
    while not event.done():
        try:
            async with in_a_room(port, f"guest {ends.total()}"):
                ends["let in"] += 1
        except websockets.ConnectionClosed as closed:
            ends[closed.rcvd.code if closed.rcvd else 1006] += 1
        except (websockets.InvalidMessage, ConnectionResetError):
            ends["no answer"] += 1
        await asyncio.sleep(KNOCK_SECONDS)
    assert set(ends) <= {"let in", "no answer", 1012}
    return ends["let in"]


async def close_code(client):
    """Return the code with which the server closes this connection."""
    with contextlib.suppress(websockets.ConnectionClosed):
        while True:
            await client.recv()
    return client.close_code


def run_async(coroutine):
    """Run `coroutine`, with a guard."""

    async def guarded():
        async with asyncio.timeout(GUARD_SECONDS):
            return await coroutine

    return asyncio.run(guarded())


def with_this_python(command):
    """Return `command` with this Python for the one that it names: the first word."""
    assert Path(command[0]).name == "python", f"{command[0]} is no Python"
    return [sys.executable, *command[1:]]
