"""What is behind a proxy in these tests, and what any proxy in front of it has to do."""

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import ssl
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal
from probe import CHUNK, CHUNKS
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.asyncio.client import connect

from chatlib.core.rooms.identity import Tokens
from chatlib.lab.certificate import make_certificate
from chatlib.lab.loopback import listen
from chatlib.lab.supervise import Supervised

DEPLOY = Path(__file__).parents[2] / "deploy"
PROBE = str(Path(__file__).with_name("probe.py"))
SECRET = "a secret of the tests, which is long enough"
GUARD_SECONDS = 30.0
LOOK_SECONDS = 0.02
HOST = "localhost"  # instead of chat.example.com
OPERATORS = ("metrics", "livez", "healthz", "readyz")
FORGED = {"X-Forwarded-For": "203.0.113.9"}


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

    def stop(self, number):
        """Send it a signal, and wait until it has ended."""
        self.process.end(number, GUARD_SECONDS)


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

    The client of websockets that has none reads and writes in two threads, and Python's TLS is for
    one thread at a time before 3.13: one handshake in some hundreds gets lost.
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


class Program(Proxy):
    """A proxy that is a program with a file. It is a context manager, which starts and stops it.

    A class gives `changes(app)`, which puts what is of this machine into the recipe, and
    `command()`.
    """

    RECIPE = ""
    UP = ""  # what it writes once it heeds signals

    def __init__(self, app, changes=None):
        self._temporary = tempfile.TemporaryDirectory()
        self.folder = Path(self._temporary.name)
        self.certificate = make_certificate(self.folder)
        self._reserved = [listen(0), listen(0)]
        ports = [sock.getsockname()[1] for sock in self._reserved]
        super().__init__(*ports, self.certificate.ssl_context)
        if "/rooms" in app.uds:
            changes = {"/readyz": "/healthz"}  # TEMP
        self.text = recipe(self.RECIPE, {**self.changes(app), **(changes or {})})
        self.file = self.folder / "configuration"
        self.file.write_text(self.text)
        self._log = self.folder / "log"
        self._log.touch()
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder)}

    @property
    def log(self):
        """What it has written."""
        return self._log.read_text("utf-8")

    def __enter__(self):
        self.process = Supervised(self.command(), self._log, self.environment)
        try:
            wait_until(self._serves, "it does not lead to the app")
        except BaseException:
            self.__exit__()
            raise
        return self

    def _serves(self):
        assert self.process.running, self.log
        if self.UP not in self.log:
            return False
        with contextlib.suppress(OSError):
            return self.status("/chat/")[0] == 200
        return False

    def stop(self):
        """Stop it, as an operator does."""
        if self.process is not None:
            self.process.end(signal.SIGTERM, GUARD_SECONDS)
            self.process = None

    def __exit__(self, *exc_info):
        self.stop()
        for sock in self._reserved:
            sock.close()
        self._temporary.cleanup()


def say(websocket, text, key):
    """Say something in a room, and wait until it is said there."""
    websocket.send(json.dumps({"type": "say", "key": key, "text": text}))
    told = {}
    while told.get("type") != "message" or told["text"] != text:
        told = json.loads(websocket.recv())


def code_of(websocket):
    """Return the code with which a connection is closed; 1006 if it is cut."""
    try:
        while True:
            websocket.recv()
    except ConnectionClosed as end:
        return end.rcvd.code if end.rcvd is not None else 1006


class ProxyContract:
    """What holds for each of the proxies.

    A module has `running(app, changes)`, which makes a `Proxy` in front of an app, from the recipe
    with changes that are for one test; `stop` is what an operator does to it.
    """

    DOWN = (502, 503)  # what clients get while the app is not there
    TOO_BIG = (400, 431)
    STOPPED = 1006
    SHORTER = ("", "")  # the change that has half a request ended soon

    def test_a_client_of_the_rooms_speaks_and_hears_over_tls_below_the_prefix(self, chat):
        with chat.enter() as ada, chat.enter("bob") as bob:
            say(ada, "hello", "1")
            say(bob, "good morning", "2")

    def test_a_page_of_the_proxied_host_is_let_in_and_a_foreign_one_is_not(self, chat, tell):
        with tell.connect("/chat/ws", origin=tell.origin) as websocket:
            websocket.recv()
        assert tell.refusal(origin="https://example.org") == 403
        assert tell.refusal(origin=f"https://{HOST}:1") == 403
        with chat.enter(origin=chat.origin) as websocket:
            assert json.loads(websocket.recv())["type"] == "welcome"

    def test_the_app_knows_how_the_client_has_reached_it(self, tell):
        with tell.connect("/chat/ws") as websocket:
            assert json.loads(websocket.recv()) == {
                "client": "127.0.0.1",
                "scheme": "wss",
                "host": f"{HOST}:{tell.port}",
                "path": "/chat/ws",
            }

    def test_a_client_cannot_choose_its_address(self, tell, probe):
        with contextlib.ExitStack() as stack:
            for number in range(3):
                forged = {"X-Forwarded-For": f"203.0.113.{number}"}
                websocket = stack.enter_context(tell.connect("/chat/ws", additional_headers=forged))
                assert json.loads(websocket.recv())["client"] == "127.0.0.1"
            assert tell.refusal(additional_headers=FORGED) == 503
        assert "203.0.113" not in probe.log
        assert re.search(r'127\.0\.0\.1:\d+ - "WebSocket /chat/ws" \[accepted\]', probe.log)

    def test_half_a_request_is_ended(self, front, probe):
        with front(probe, dict([self.SHORTER])) as proxy:
            proxy.answer(b"GET /chat/half HTTP/1.1\r\nHost: ")
            assert "/chat/half" not in proxy.get("/chat/seen")

    def test_a_big_head_is_answered_and_does_not_reach_the_app(self, tell):
        assert tell.status("/chat/big", f"X-Big: {'x' * 30_000}")[0] in self.TOO_BIG
        assert "/chat/big" not in tell.get("/chat/seen")
        assert tell.status("/chat/small", "X-Small: x")[0] == 404
        assert "/chat/small" in tell.get("/chat/seen")

    @pytest.mark.parametrize("name", OPERATORS)
    def test_what_is_for_operators_is_refused(self, tell, name):
        encoded = f"%{ord(name[0]):x}{name[1:]}"
        for path in (name, f"{name}/", f"/{name}", f"./{name}", f"x/../{name}", encoded):
            status, answer = tell.status(f"/chat/{path}?x=1")
            assert status in (400, 404), (path, answer)
        assert f"/chat/{name}" not in tell.get("/chat/seen")

    def test_browsers_are_told_to_use_tls(self, tell):
        assert "strict-transport-security: max-age=31536000" in tell.status("/chat/")[1].lower()
        address = ("127.0.0.1", tell.plain_port)
        with socket.create_connection(address, timeout=GUARD_SECONDS) as sock:
            sock.sendall(f"GET /chat/ HTTP/1.0\r\nHost: {HOST}\r\n\r\n".encode())
            answer = sock.makefile().read().lower()
        assert " 30" in answer.splitlines()[0]
        assert f"location: https://{HOST}" in answer

    def test_the_prefix_without_its_slash_leads_to_the_page(self, tell):
        status, answer = tell.status("/chat")
        assert status in (301, 302)
        assert re.search(r"(?i)location: (https://localhost)?/chat/\r\n", answer)

    def test_another_name_gets_no_answer(self, tell):
        said = b""
        with contextlib.suppress(OSError), tell.raw(name="127.0.0.1") as sock:
            sock.settimeout(1)
            sock.sendall(b"GET /chat/other HTTP/1.0\r\nHost: example.org\r\n\r\n")
            said = sock.recv(100)
        assert not said.startswith(b"HTTP/1.1 2")
        assert "/chat/other" not in tell.get("/chat/seen")

    def test_a_client_that_does_not_read_slows_the_app_down(self, tell):
        with tell.connect("/chat/flood", max_size=None, max_queue=1) as websocket:
            websocket.send("begin")
            assert tell.get("/chat/stalled") < CHUNKS / 2
            for _ in range(CHUNKS):
                assert websocket.recv() == CHUNK
            assert tell.get("/chat/stalled") == CHUNKS

    def test_when_the_proxy_stops_clients_see_it(self, front, probe):
        with front(probe) as proxy, proxy.connect("/chat/ws") as websocket:
            websocket.recv()
            proxy.stop()
            assert code_of(websocket) == self.STOPPED

    def test_clients_of_an_app_that_restarts_see_1012_and_come_back(self, chat, rooms):
        with chat.enter() as websocket:
            rooms.stop(15)
            assert code_of(websocket) == 1012
        try:
            assert chat.refusal("/chat/rooms/lobby") in self.DOWN
        finally:
            rooms.start()
        wait_until(lambda: chat.status("/chat/")[0] == 200, "the app does not come back")
        with chat.enter() as websocket:
            say(websocket, "here again", "3")
