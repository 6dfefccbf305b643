"""A line that writes straight to the transport of a server, past its `send`."""

import asyncio
import contextlib
import functools
import socket
import struct
import sys

from chatlib.core.line import Line

try:
    from fcntl import ioctl
except ImportError:  # Windows
    ioctl = None  # type: ignore[assignment]

# Where Linux keeps the number of bytes that the peer has acknowledged, in `struct tcp_info`.
BYTES_ACKED = struct.Struct("120xQ")
TCP_FAMILIES = (socket.AF_INET, socket.AF_INET6)
SIOCOUTQ = 0x5411  # asks Linux how much has been written to a socket and not acknowledged


def acknowledged(sock: socket.socket) -> int | None:
    """Return how many bytes the peer has acknowledged, or None where nobody counts them."""
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, BYTES_ACKED.size)
        return int(BYTES_ACKED.unpack(info)[0])
    except (AttributeError, OSError, struct.error):  # not Linux or an old one, or not TCP
        return None


@functools.cache
def kernel_counts() -> bool:
    """Return whether this kernel counts what a peer acknowledges: some have the field, and 0 in it.

    It is tried on a connection to itself, once.
    """
    try:
        with (
            socket.create_server(("127.0.0.1", 0)) as server,
            socket.create_connection(server.getsockname(), timeout=1) as client,
            server.accept()[0] as peer,
        ):
            peer.sendall(b"x")
            client.recv(1)
            client.sendall(b"x")  # it carries the acknowledgement
            peer.recv(1)
            return bool(acknowledged(peer))
    except OSError:
        return False


class TransportLine(Line):
    """A line that writes straight to uvicorn's transport."""

    __slots__ = ("counted", "transport", "write", "written")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        writable: asyncio.Event,
        transport: asyncio.Transport,
    ) -> None:
        super().__init__(loop, writable)
        self.transport = transport
        self.written = 0
        self.write = self.transport.write  # type: ignore[assignment, method-assign]
        family = getattr(transport.get_extra_info("socket"), "family", None)
        # uvicorn calls each socket that it is given with `--fd` a Unix socket, whatever it is.
        known = family in TCP_FAMILIES or self._acknowledged() is not None
        self.counted = known and kernel_counts()
        if not self.counted:
            self.write = self.count_and_write  # type: ignore[method-assign]

    def count_and_write(self, frames: bytes) -> None:
        """`write` where the system does not count what the client has taken."""
        self.written += len(frames)
        self.transport.write(frames)

    def progress(self) -> int:
        """Return what the client has acknowledged, or, if nobody counts that, what the kernel has.

        The two differ: the kernel takes megabytes for a client that has stalled, and on a slow
        connection asks for more only once a third of them is gone.
        """
        if self.counted:
            return self._acknowledged() or 0
        return self.written - self.buffered()

    def buffered(self) -> int:
        """Return how many bytes the transport holds, as far as it tells: a mock may not."""
        size: int = getattr(self.transport, "get_write_buffer_size", int)()
        return size

    def _acknowledged(self) -> int | None:
        return acknowledged(self.transport.get_extra_info("socket"))

    def backlog(self) -> int:
        """Return how many bytes the client has yet to acknowledge, as far as anybody knows."""
        waiting = bytearray(4)
        with contextlib.suppress(
            TypeError, ValueError, AttributeError, OSError
        ):  # no Linux, no TCP
            ioctl(self.transport.get_extra_info("socket").fileno(), SIOCOUTQ, waiting)
        return self.buffered() + int.from_bytes(waiting, sys.byteorder)

    def abort(self, after: float = 0.0) -> None:
        self.end()
        if after > 0:
            self.loop.call_later(after, self.abort)
            return
        # A reset: a FIN would stand behind all that is not read. There is none without TCP, nor
        # once the transport is closed, which each kind of transport says in its own way.
        with contextlib.suppress(AttributeError, OSError, ValueError):
            sock = self.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()
