"""The visitors of `chatlib.lab.visitors`, in a process of their own.

They are on raw sockets, and read no more than they must: the answer to their handshake, and the
frame that closes their connection.
"""

import asyncio
import base64
import contextlib
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from uvicorn.loops.auto import auto_loop_factory

from chatlib.lab.crowd import allow_files
from chatlib.lab.loopback import HOST
from chatlib.lab.measured import hear_the_parent

REQUEST = (
    "GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
CUT = 1006
CLOSE_OPCODE = 8
SMALL_BYTES = 4096  # of what a deaf one's kernel takes for it
END_OF_HEAD = b"\r\n\r\n"
ComeBack = Callable[[int, int, float], float | None]


class Connection(asyncio.Protocol):
    """One connection of a visitor.

    Args:
        request: its handshake.
        deaf: whether it reads nothing once it is in.

    Attributes:
        is_in: done when the handshake is answered: whether it was let in.
        code: done when it has ended: the code that the server sent, or 1006.
    """

    def __init__(self, request: bytes, deaf: bool) -> None:
        loop = asyncio.get_running_loop()
        self.request, self.deaf = request, deaf
        self.is_in: asyncio.Future[bool] = loop.create_future()
        self.code: asyncio.Future[int] = loop.create_future()
        self.data = b""
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        self.data += data
        if not self.is_in.done():
            head, end, rest = self.data.partition(END_OF_HEAD)
            if not end:
                return
            self.data = rest
            self.is_in.set_result(b" 101 " in head.partition(b"\r\n")[0])
            if self.deaf:
                self.transport.pause_reading()
        while (frame := self.next_frame()) is not None:
            opcode, payload = frame
            if opcode == CLOSE_OPCODE and not self.code.done():
                self.code.set_result(int.from_bytes(payload[:2], "big") or CUT)
                self.transport.close()

    def next_frame(self) -> tuple[int, bytes] | None:
        """Take the next whole frame from what has come; None: there is none yet."""
        data, start = self.data, 2
        if len(data) < start:
            return None
        size = data[1] & 0x7F
        if size > 125:
            start = 4 if size == 126 else 10
            size = int.from_bytes(data[2:start], "big")
        if len(data) < start + size:
            return None
        self.data = data[start + size :]
        return data[0] & 0x0F, data[start : start + size]

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.is_in.done():
            self.is_in.set_result(False)
        if not self.code.done():
            self.code.set_result(CUT)


class Visitors:
    """All visitors, and what happened to them.

    Args:
        order: what `chatlib.lab.visitors` says.
        come_back: their rule.

    Attributes:
        tries: of all: when a connect began and ended, and whether the visitor was let in.
        told: of all: when a connection ended, and its code.
    """

    def __init__(self, order: dict[str, Any], come_back: ComeBack) -> None:
        self.order = order
        self.come_back = come_back
        self.number = order["number"]
        self.tries: list[tuple[float, float, bool]] = []
        self.told: list[tuple[float, int]] = []
        self.first: list[bool] = []  # of each whether it was let in when it came first
        self.inside = self.over = 0
        self.changed = asyncio.Event()
        self.door = asyncio.Semaphore(order["at_once"])
        self.tasks = [asyncio.create_task(self.visit(number)) for number in range(self.number)]

    async def visit(self, number: int) -> None:
        """Come, and come back, until the rule says that it is no use."""
        path = self.order["path"].replace("{number}", str(number))
        key = base64.b64encode(os.urandom(16)).decode()
        port = self.order["port"]
        request = REQUEST.format(path=path, host=HOST, port=port, key=key).encode()
        async with self.door:  # for the first time, not too many at once
            connection = await self.connect(request, self.order["port"])
        self.first.append(connection is not None)
        self.changed.set()
        attempt = 0
        while True:
            code = CUT
            if connection is not None:
                code = await connection.code
                self.inside -= 1
                self.told.append((time.monotonic(), code))
                self.changed.set()
            attempt = 0 if connection is not None else attempt + 1
            wait = self.come_back(code, attempt, self.order["retry"])
            if wait is None:
                self.over += 1
                self.changed.set()
                return
            await asyncio.sleep(wait)
            connection = await self.connect(request, self.order["back_to"])

    async def all_have_come(self) -> list[bool]:
        """Wait until each has tried to come in once. Return whether it was let in."""
        while len(self.first) < self.number:
            self.changed.clear()
            await self.changed.wait()
        return self.first

    async def connect(self, request: bytes, port: int) -> Connection | None:
        """Connect. Return the connection, or None if it was refused, or not answered in time."""
        began = time.monotonic()
        connection = Connection(request, self.order["deaf"])
        is_in = False
        try:
            async with asyncio.timeout(self.order["patience"]):
                await self.reach(connection, port)
                is_in = await connection.is_in
        except (OSError, TimeoutError):
            if connection.transport is not None:
                connection.transport.abort()
        self.tries.append((began, time.monotonic(), is_in))
        self.inside += is_in
        self.changed.set()
        return connection if is_in else None

    async def reach(self, connection: Connection, port: int) -> None:
        sock = socket.socket()
        if self.order["deaf"]:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BYTES)
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        try:
            await loop.sock_connect(sock, (HOST, port))
        except BaseException:
            sock.close()
            raise
        await loop.create_connection(lambda: connection, sock=sock)

    async def wait_for(self, what: str, times: int) -> None:
        """Wait until each has been told to go so many times, and with `"back"` is not outside."""
        while len(self.told) < times * self.number or (
            what == "back" and self.inside + self.over < self.number
        ):
            self.changed.clear()
            await self.changed.wait()


def main() -> None:
    """Do what the lines of stdin say, and end with stdin."""
    lines: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=hear_the_parent, args=(lines,), daemon=True).start()
    order = json.loads(lines.get())
    answers, sys.stdout = sys.stdout, sys.stderr  # where a rule may print what it likes
    allow_files()
    space: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(order["program"], "<notebook>", "exec"), space)

    async def obey() -> None:
        visitors = Visitors(order, space[order["come_back"]])
        while True:
            answer: Any = None
            match await asyncio.to_thread(lambda: json.loads(lines.get())):
                case {"wait_for": what, "times": times, "seconds": seconds}:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(seconds):
                            await visitors.wait_for(what, times)
                    answer = len(visitors.told), visitors.inside, visitors.over
                case "come":
                    tries = await visitors.all_have_come()
                    answer = tries.count(False), tries.count(True)
                case "record":
                    answer = {"tries": visitors.tries, "told": visitors.told}
            print(json.dumps(answer), file=answers, flush=True)

    with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
        runner.run(obey())
