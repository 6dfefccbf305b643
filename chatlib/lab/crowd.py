"""A crowd of clients on raw sockets, which do to a byte as little as they can."""

import contextlib
import os
import selectors
import socket
from typing import Any

from chatlib.lab.loopback import HOST

SILENCE_SECONDS = 30.0  # how long it may take until the next byte comes, on a busy machine too
MESSAGE_BYTES = 100
FILES = 10_000
# What Chromium and Firefox offer.
OFFER = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
REQUEST = (
    "GET /ws HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{offer}\r\n"
)


class CrowdError(RuntimeError):
    """A client was not let in, was cut off, or waited for nothing."""


class Crowd:
    """`members` clients of a server that sends what one of them says to all.

    Args:
        port: where it listens on 127.0.0.1.
        members: how many clients there are.
        compression: whether they offer compression, as browsers do.

    Raises:
        CrowdError, OSError: one was not let in.
    """

    def __init__(self, port: int, members: int, *, compression: bool = False) -> None:
        allow_files()
        self._members, self._compression = members, compression
        self._selector = selectors.DefaultSelector()
        self._rest: dict[socket.socket, bytes] = {}
        request = REQUEST.format(host=HOST, offer=OFFER if compression else "").encode()
        try:
            for _ in range(members):
                self._connect(port, request)
            self._speaker = next(iter(self._rest))
            self.deliver(1, 1)  # to the last of them too, who is let in by now
        except BaseException:
            self.close()
            raise

    def _connect(self, port: int, request: bytes) -> None:
        client = socket.create_connection((HOST, port), timeout=SILENCE_SECONDS)
        self._rest[client] = b""
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.sendall(request)
        answer = client.recv(4096)
        if not answer.startswith(b"HTTP/1.1 101") or not answer.endswith(b"\r\n\r\n"):
            raise CrowdError(f"a client was not let in: {answer[:40]!r}")
        client.setblocking(False)
        self._selector.register(client, selectors.EVENT_READ)

    def deliver(self, messages: int, in_flight: int) -> None:
        """Send `messages`, `in_flight` of them at a time, and read until all have all.

        Raises:
            CrowdError: not all came.
        """
        sent = got = 0
        while got < messages * self._members:
            due = min(messages, got // self._members + in_flight) - sent
            if due > 0:
                self._speaker.sendall(b"".join(masked_frame() for _ in range(due)))
                sent += due
            ready = self._selector.select(SILENCE_SECONDS)
            if not ready:
                missing = sent * self._members - got
                raise CrowdError(f"{missing} of {sent * self._members} deliveries did not come")
            got += sum(self._read(key.fileobj) for key, _ in ready)

    def _read(self, client: Any) -> int:
        """Return how many messages have come to `client`; each is a frame below 126 bytes."""
        try:
            data = client.recv(1 << 18)
        except ConnectionError:
            data = b""
        if not data:
            raise CrowdError("the server has closed a connection")
        data = self._rest[client] + data
        found = start = 0
        if not self._compression:  # all are of one size
            found = len(data) // (2 + MESSAGE_BYTES)
            start = found * (2 + MESSAGE_BYTES)
        while len(data) >= start + 2 and len(data) >= (end := start + 2 + data[start + 1]):
            found, start = found + 1, end
        self._rest[client] = data[start:]
        return found

    def close(self) -> None:
        """Hang up."""
        self._selector.close()
        for client in self._rest:
            client.close()


def masked_frame() -> bytes:
    """Return a client's text frame, masked with zeros, with a text that does not repeat."""
    return bytes((0x81, 0x80 | MESSAGE_BYTES)) + bytes(4) + os.urandom(50).hex().encode()


def allow_files() -> None:
    """Let this process, and those that it starts, have as many sockets open as they may."""
    with contextlib.suppress(ImportError, ValueError, OSError):  # not on Windows
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = FILES if hard == resource.RLIM_INFINITY else min(hard, FILES)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
