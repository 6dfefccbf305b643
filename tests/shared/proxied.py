"""The proxies of deploy/, each run from its recipe, and the apps that are behind them."""

import asyncio
import contextlib
import json
import socket
import ssl
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from chatlib.core.rooms.identity import Tokens
from chatlib.lab.supervise import Supervised

DEPLOY = Path(__file__).parents[2] / "deploy"
PROBE = str(Path(__file__).with_name("probe.py"))
SECRET = "a secret of the tests, which is long enough"
GUARD_SECONDS = 30.0
LOOK_SECONDS = 0.02
HOST = "localhost"  # instead of chat.example.com
FORGED = {"X-Forwarded-For": "198.51.100.7"}


def wait_until(true, what):
    """Wait until something is so. There is nothing to be told by: other programs do it."""
    end = time.monotonic() + GUARD_SECONDS
    while not true():
        assert time.monotonic() < end, what
        time.sleep(LOOK_SECONDS)


def recipe(name, changes):
    """Return the text of a file of deploy/, with what is of this machine in the place of names.

    `changes` are pairs: a text, which is in the file, and what stands there instead.
    """
    text = (DEPLOY / name).read_text("utf-8")
    for old, new in changes.items():
        assert old in text, f"deploy/{name} has no {old!r}"
        text = text.replace(old, new)
    return text


class App:
    """An app at a Unix socket, in a process of its own."""

    def __init__(self, folder, *command, **environment):
        self.uds = str(folder / "app.sock")
        self._log = folder / "app.log"
        self._command = [sys.executable, *command]
        self._environment = {"PATH": "", "PYTHONPATH": ":".join(sys.path), **environment}
        self.start()

    def start(self):
        """Start it, and wait until it listens."""
        self.process = Supervised(self._command, self._log, self._environment)
        wait_until(self._listens, "the app did not start")

    def _listens(self):
        assert self.process.running, self.log
        with socket.socket(socket.AF_UNIX) as sock, contextlib.suppress(OSError):
            sock.connect(self.uds)
            return True
        return False

    @property
    def log(self):
        return self._log.read_text("utf-8")

    def get(self, path):
        """Ask it, and no proxy, for what is at a path; return the answer."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(GUARD_SECONDS)
            sock.connect(self.uds)
            sock.sendall(f"GET {path} HTTP/1.0\r\nHost: app\r\n\r\n".encode())
            return sock.makefile().read()

    def stop(self, number):
        """Send it a signal, and wait until it has ended."""
        self.process.end(number, GUARD_SECONDS)


def rooms_at(folder):
    """Return the rooms, as an operator starts them behind a proxy."""
    command = ["-m", "chatlib", "rooms", "--root-path", "/chat", "--uds", str(folder / "app.sock")]
    command += ["--store", f"sqlite:///{folder}/chat.db"]
    return App(folder, *command, CHATLIB_SECRET=SECRET, FORWARDED_ALLOW_IPS="*")


class Proxy:
    """A running proxy, as a client sees it.

    Args:
        port: where it listens for TLS.
        plain_port: and without.
        context: trusts its certificate.
    """

    def __init__(self, port, plain_port, context):
        self.port, self.plain_port, self.context = port, plain_port, context
        self.origin = f"https://{HOST}:{port}"

    def raw(self, name=HOST):
        """Return a TLS connection to it, and say which host is meant."""
        sock = socket.create_connection(("127.0.0.1", self.port), timeout=GUARD_SECONDS)
        return self.context.wrap_socket(sock, server_hostname=name)

    def answer(self, head):
        """Return all that it says to a head that is sent as it is, until it ends the connection."""
        said = b""
        with self.raw() as sock:
            with contextlib.suppress(ConnectionResetError, BrokenPipeError, ssl.SSLEOFError):
                sock.sendall(head)
            with contextlib.suppress(ConnectionResetError, ssl.SSLEOFError):
                while part := sock.recv(65536):
                    said += part
        return said.decode("latin-1")

    def status(self, path, *lines):
        """Return the status of the answer to a GET, and the answer."""
        head = [f"GET {path} HTTP/1.1", f"Host: {HOST}:{self.port}", "Connection: close", *lines]
        answer = self.answer("\r\n".join([*head, "", ""]).encode())
        return int(answer.split()[1]) if answer else 0, answer

    def get(self, path):
        """Return the JSON that is at a path."""
        request = urllib.request.Request(f"{self.origin}{path}")
        with self.open(request) as answer:
            return json.loads(answer.read())

    def open(self, request):
        """Return the answer to a request of urllib."""
        handlers = [
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPSHandler(context=self.context),
        ]
        return urllib.request.build_opener(*handlers).open(request, timeout=GUARD_SECONDS)

    @contextlib.contextmanager
    def connect(self, path, **options):
        """Open a WebSocket, for the time of a `with` block."""
        options = {"compression": None, "close_timeout": 1, "ssl": self.context, **options}
        url = f"wss://{HOST}:{self.port}{path}"
        with (
            start_blocking_portal() as portal,
            portal.wrap_async_context_manager(
                connect(url, host="127.0.0.1", port=self.port, proxy=None, **options)
            ) as websocket,
        ):
            yield Blocking(portal, websocket)

    def enter(self, name="ada", **options):
        """Enter the room `lobby`."""
        token = Tokens(SECRET).sign(name, 600)
        headers = {"Authorization": f"Bearer {token}"}
        return self.connect(
            "/chat/rooms/lobby",
            additional_headers=headers,
            subprotocols=["chatlib.rooms.1"],
            **options,
        )

    def refusal(self, path="/chat/ws", **options):
        """Return the status with which a WebSocket is refused."""
        with pytest.raises(InvalidStatus) as refused, self.connect(path, **options):
            pass
        return refused.value.response.status_code


class Blocking:
    """A WebSocket without `await`.

    The client of websockets that has none reads and writes TLS in two threads. Through HAProxy one
    handshake in some hundreds came to nothing so.
    """

    def __init__(self, portal, websocket):
        self._portal, self._websocket = portal, websocket

    def send(self, text):
        self._portal.call(self._websocket.send, text)

    def recv(self):
        async def receive():
            async with asyncio.timeout(GUARD_SECONDS):
                return await self._websocket.recv()

        return self._portal.call(receive)


def say(websocket, text, key):
    """Say something in a room, and wait until it is said there; return what was said before."""
    websocket.send(json.dumps({"type": "say", "key": key, "text": text}))
    said = []
    while text not in said:
        told = json.loads(websocket.recv())
        if told["type"] == "message":
            said.append(told["text"])
    return said[:-1]


def code_of(websocket):
    """Return the code with which a connection is closed; 1006 if it is cut."""
    try:
        while True:
            websocket.recv()
    except ConnectionClosed as end:
        return end.rcvd.code if end.rcvd is not None else 1006
