"""The load: a crowd of clients in one process that does as little as it can.

Sockets and `epoll`, no WebSocket library: what a client does to a byte costs this process a
fraction of what it cost the server, so that the server is what is measured.
"""

import contextlib
import os
import select
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass

REQUEST = (
    "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Version: 13\r\n{extra}\r\n"
)
# What Chromium and Firefox send.
OFFER = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
SILENCE_SECONDS = 10.0


def frame(payload: bytes) -> bytes:
    """Return a client's text frame, masked with zeros."""
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else struct.pack("!BH", 0x80 | 126, size)
    return b"\x81" + length + bytes(4) + payload


@dataclass
class Run:
    """What one run came to.

    Attributes:
        deliveries: messages that clients received, each counted for each client.
        seconds: how long it took.
        busy: which part of that time the load was on a processor.
    """

    deliveries: int
    seconds: float
    busy: float


class Frames:
    """Counts the frames in a stream, where they are not all of one size."""

    def __init__(self) -> None:
        self.rest = b""

    def count(self, data: memoryview) -> int:
        stream = self.rest + bytes(data)
        start = found = 0
        while len(stream) - start >= 4:
            size = stream[start + 1]
            step = 2 + size
            if size == 126:
                step = 4 + int.from_bytes(stream[start + 2 : start + 4], "big")
            if start + step > len(stream):
                break
            start += step
            found += 1
        self.rest = stream[start:]
        return found


class Crowd:
    """`number` clients of the server at `port`. A context manager, which hangs up."""

    def __init__(
        self,
        port: int,
        number: int,
        *,
        compressed: bool = False,
        socketio: bool = False,
        receive_buffer: int | None = None,
    ) -> None:
        self.port, self.number, self.compressed = port, number, compressed
        self.path = "/socket.io/?EIO=4&transport=websocket" if socketio else "/ws/1"
        self.socketio = socketio
        self.receive_buffer = receive_buffer
        self.buffer = memoryview(bytearray(1 << 18))
        self.poll = select.epoll()
        self.sockets: dict[int, socket.socket] = {}
        self.frames: dict[int, Frames] = {}
        self.got_bytes = self.got_frames = 0
        for _ in range(number):
            client = self.connect()
            client.setblocking(False)
            self.sockets[client.fileno()] = client
            self.frames[client.fileno()] = Frames()
            self.poll.register(client, select.EPOLLIN)
        self.sender = next(iter(self.sockets.values()))
        self.read_until_quiet()

    def __enter__(self) -> "Crowd":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.poll.close()
        for client in self.sockets.values():
            client.close()

    def connect(self) -> socket.socket:
        """Return a connection on which the handshake is done."""
        client = socket.socket()
        client.settimeout(SILENCE_SECONDS)
        if self.receive_buffer:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.receive_buffer)
        client.connect(("127.0.0.1", self.port))
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        extra = OFFER if self.compressed else ""
        client.sendall(REQUEST.format(path=self.path, port=self.port, extra=extra).encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):  # byte by byte: a frame may follow at once
            if not (byte := client.recv(1)):
                break
            head += byte
        if b" 101 " not in head:
            raise RuntimeError(f"the handshake failed: {head!r}")
        if self.socketio:
            client.recv(4096)
            client.sendall(frame(b"40"))
            client.recv(4096)
        return client

    def message(self, size: int) -> bytes:
        """Return the frame that has the server send `size` bytes of text to all."""
        text = (os.urandom(size).hex())[:size]
        return frame(f'42["message","{text}"]'.encode() if self.socketio else text.encode())

    def read(self, wait: float) -> bool:
        """Read what has come, waiting for it for `wait` seconds. Return whether anything came."""
        ready = self.poll.poll(wait)
        for number, _ in ready:
            size = self.sockets[number].recv_into(self.buffer)
            if not size:
                raise RuntimeError("the server has closed a connection")
            self.got_bytes += size
            if self.compressed:
                self.got_frames += self.frames[number].count(self.buffer[:size])
        return bool(ready)

    def read_until_quiet(self) -> None:
        while self.read(0.2):
            pass

    def frames_each(self, message: bytes) -> tuple[int, Callable[[], int]]:
        """Return the bytes that one message comes to, and what counts the messages received."""
        self.got_bytes = self.got_frames = 0
        self.sender.sendall(message)
        self.read(SILENCE_SECONDS)  # the first of it may take its time
        self.read_until_quiet()
        total, frames = self.got_bytes, self.got_frames
        if not total:
            raise RuntimeError("nothing came of a message")
        if self.compressed:
            each = frames / self.number
            return total, lambda: int(self.got_frames / each)
        return total, lambda: self.got_bytes * self.number // total

    def run(self, seconds: float, in_flight: int, size: int = 100) -> Run:
        """Keep `in_flight` messages on their way for `seconds`, and then read the last of them."""
        message = self.message(size)
        _, delivered = self.frames_each(message)
        self.got_bytes = self.got_frames = 0
        published = 0
        began, cpu = time.perf_counter(), time.process_time()
        until, now = began + seconds, began
        while True:
            done = delivered()
            if now < until:
                due = in_flight - (published - done // self.number)
                if due > 0:
                    self.say(message, due)
                    published += due
            elif done >= published * self.number:
                break
            if not self.read(SILENCE_SECONDS):
                raise RuntimeError(f"{published * self.number - done} messages did not come")
            now = time.perf_counter()
        spent = time.perf_counter() - began
        return Run(published * self.number, spent, (time.process_time() - cpu) / spent)

    def say(self, message: bytes, times: int) -> None:
        """Send a message so many times."""
        self.send(message * times)

    def send(self, data: bytes) -> None:
        """Send, and read meanwhile if the server takes no more."""
        rest = memoryview(data)
        while rest:
            with contextlib.suppress(BlockingIOError):
                rest = rest[self.sender.send(rest) :]
            if rest:
                self.read(0.01)
