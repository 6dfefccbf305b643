"""The floor under every server that sends to each client: a loop of `send(2)`, and nothing else.

What a system call costs differs from machine to machine. So each table has this floor, measured in
the same run. It is a C program, compiled when it is first needed; where no compiler is, the same
loop in Python, and the tables say so. The environment variable `CC` names another compiler.

    python -m benchmarks.floor

serves that loop in Python. It prints its port, and ends with its stdin.

What stands on an event loop cannot get below a loop of `transport.write`, which is here as well.
"""

import asyncio
import atexit
import contextlib
import functools
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import ClassVar

ANSWER = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"


@functools.cache
def compiled() -> Path | None:
    """Return the C program, in a folder that goes when this process ends; None if none came."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    program, source = folder / "floor", Path(__file__).with_name("floor.c")
    try:
        command = [os.environ.get("CC", "cc"), "-O2", "-o", str(program), str(source)]
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return program


def language() -> str:
    """Return the language of the loop that `command` runs."""
    return "C" if compiled() else "Python"


def command() -> list[str]:
    """Return the command that serves the floor."""
    program = compiled()
    return [str(program)] if program else [sys.executable, "-m", "benchmarks.floor"]


def echoed(data: bytes) -> tuple[list[bytes], bytes]:
    """Return the frames for all that come of the client's in `data`, and the rest of `data`."""
    frames, at = [], 0
    while len(data) - at >= 4:
        head, length = 2, data[at + 1] & 127
        if length == 126:
            head, length = 4, int.from_bytes(data[at + 2 : at + 4], "big")
        payload = at + head + 4  # behind a mask, which is zeros
        if len(data) < payload + length:
            break
        frame = bytes([data[at], data[at + 1] & 127]) + data[at + 2 : at + head]
        frames.append(frame + data[payload : payload + length])
        at = payload + length
    return frames, data[at:]


class Writes(asyncio.Protocol):
    """The same loop, over the transports of an event loop."""

    members: ClassVar["list[Writes]"] = []  # of all connections
    held = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.write = transport.write  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        if self not in self.members:  # the load sends its request in one piece
            self.write(ANSWER)
            self.members.append(self)
            return
        frames, self.held = echoed(self.held + data)
        for frame in frames:
            for member in self.members:
                member.write(frame)

    def connection_lost(self, error: Exception | None) -> None:
        self.members.remove(self)


class Floor:
    """The loop in Python. What it does is what `floor.c` does."""

    def __init__(self) -> None:
        self.members: dict[int, socket.socket] = {}
        self.held = b""  # one will do: only one client speaks

    def join(self, client: socket.socket) -> None:
        client.recv(4096)  # the load sends its request in one piece
        client.send(ANSWER)
        self.members[client.fileno()] = client

    def broadcast(self) -> None:
        """Send all the whole frames that have come to everybody."""
        frames, self.held = echoed(self.held)
        for frame in frames:
            for fd in self.members:
                with contextlib.suppress(ConnectionError):
                    os.write(fd, frame)

    def serve(self, listener: socket.socket) -> None:
        """Serve until stdin has ended."""
        clients: dict[int, socket.socket] = {}
        epoll = select.epoll()
        epoll.register(sys.stdin, select.EPOLLIN)
        epoll.register(listener, select.EPOLLIN)
        while True:
            for fd, _ in epoll.poll():
                if fd == sys.stdin.fileno():
                    return
                if fd == listener.fileno():
                    client, _ = listener.accept()
                    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    clients[client.fileno()] = client
                    epoll.register(client, select.EPOLLIN)
                elif fd not in self.members:
                    self.join(clients[fd])
                elif data := self.read(clients[fd]):
                    self.held += data
                    self.broadcast()
                else:
                    del self.members[fd]
                    clients.pop(fd).close()

    def read(self, client: socket.socket) -> bytes:
        """Return what has come, or nothing once the client has gone."""
        with contextlib.suppress(ConnectionError):
            return client.recv(1 << 18)
        return b""


def main() -> None:
    """Serve the loop in Python."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(2048)
    print(listener.getsockname()[1], flush=True)
    Floor().serve(listener)


if __name__ == "__main__":
    main()
