"""A client that sends what no library would send, and reads as little as it likes."""

import select
import selectors
import socket
import time
import zlib
from ipaddress import ip_address

OFFER = "Sec-WebSocket-Extensions: permessage-deflate\r\n"
REQUEST = (
    "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{offer}\r\n"
)
ANSWER_SECONDS = 10.0  # a guard: until a server answers
MOMENT_SECONDS = 0.5
CHUNK = 1 << 16
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10


class Place:
    """Where an attack goes: a port of this machine, and the path of a WebSocket there.

    Raises:
        ValueError: it is another machine.
    """

    def __init__(self, host: str, port: int, path: str) -> None:
        if not ip_address(host).is_loopback:
            raise ValueError(f"expected an address of this machine, such as 127.0.0.1; got {host}")
        self.host, self.port, self.path = host, port, path

    def connect(self, buffer: int = 0) -> socket.socket:
        """Return a connection without a request."""
        connection = socket.socket(socket.AF_INET6 if ":" in self.host else socket.AF_INET)
        if buffer:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        connection.settimeout(ANSWER_SECONDS)
        connection.connect((self.host, self.port))
        return connection


class Visitor:
    """A client of a WebSocket, once it has asked for one.

    Args:
        place: where.
        compression: whether it offers compression.
        buffer: how many bytes the operating system shall keep of what it has not read; 0: as many
            as usual.

    Attributes:
        status: how the server answered: 101 if it let the client in; 0 if it did not answer.
        got: how many frames of each kind have come.
        code: the close code that has come, if one has.
        ended: whether the server has ended the connection.
    """

    def __init__(self, place: Place, *, compression: bool = False, buffer: int = 0) -> None:
        self.got = dict.fromkeys(range(16), 0)
        self.code: int | None = None
        self.ended = False
        self._rest = b""
        self._skip = 0
        self.socket = place.connect(buffer)
        host, offer = f"{place.host}:{place.port}", OFFER if compression else ""
        request = REQUEST.format(path=place.path, host=host, offer=offer)
        self.socket.sendall(request.encode())
        head = b""
        while b"\r\n\r\n" not in head and (data := self.socket.recv(CHUNK)):
            head += data
        head, _, rest = head.partition(b"\r\n\r\n")
        self.status = int(head.split()[1]) if head else 0
        self.compresses = b"permessage-deflate" in head
        self.socket.setblocking(False)
        self._take(rest)

    def exchange(self, data: bytes, seconds: float, answers: int = 0) -> None:
        """Send `data`, and read what comes, until the server closes or `seconds` are over.

        It ends sooner once all is sent and `answers` texts have come. After the beginning it waits
        a moment for the server to say something: what closes a connection with much on the way may
        cut it off, and a close frame is lost then.
        """
        end = time.monotonic() + seconds
        view = memoryview(data)
        sent = self._send(view[:CHUNK])
        select.select([self.socket], [], [], MOMENT_SECONDS)
        with selectors.DefaultSelector() as selector:
            selector.register(self.socket, selectors.EVENT_READ | selectors.EVENT_WRITE)
            while not self.ended and self.code is None:
                done = sent == len(view)
                left = end - time.monotonic()
                if left <= 0 or (done and self.got[TEXT] >= answers):
                    return
                if done:
                    selector.modify(self.socket, selectors.EVENT_READ)
                events = selector.select(left)
                if any(mask & selectors.EVENT_READ for _, mask in events):
                    self.read()
                elif events:
                    sent += self._send(view[sent : sent + CHUNK])

    def push(self, data: bytes, seconds: float) -> int:
        """Send `data` and read nothing; return how many bytes could be sent in so many seconds."""
        end = time.monotonic() + seconds
        view, sent = memoryview(data), 0
        with selectors.DefaultSelector() as selector:
            selector.register(self.socket, selectors.EVENT_WRITE)
            while sent < len(view) and not self.ended and (left := end - time.monotonic()) > 0:
                if selector.select(left):
                    sent += self._send(view[sent : sent + CHUNK])
        return sent

    def _send(self, data: memoryview) -> int:
        try:
            return self.socket.send(data)
        except BlockingIOError:
            return 0
        except OSError:
            self.ended = True
            return 0

    def read(self) -> None:
        """Read what there is."""
        try:
            data = self.socket.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self.ended = self.ended or not data
        self._take(data)

    def _take(self, data: bytes) -> None:
        """Count the frames in `data`. A server's are not masked."""
        if self._skip:
            passed = min(self._skip, len(data))
            self._skip -= passed
            data = data[passed:]
        data = self._rest + data
        start = 0
        while len(data) >= start + 2:
            length, head = data[start + 1], 2
            if length >= 126:
                head = 4 if length == 126 else 10
                if len(data) < start + head:
                    break
                length = int.from_bytes(data[start + 2 : start + head], "big")
            opcode = data[start] & 15
            if opcode == CLOSE:
                if len(data) < start + head + length:
                    break
                self.code = int.from_bytes(data[start + head : start + head + 2], "big") or 1005
            self.got[opcode] += 1
            start += head + length
        self._rest = data[start:]
        if start > len(data):
            self._skip, self._rest = start - len(data), b""

    def close(self) -> None:
        """Hang up."""
        self.socket.close()


def send_until_answered(connection: socket.socket, data: bytes, seconds: float) -> bytes:
    """Send `data`; return the beginning of the answer, or nothing if none comes in time."""
    end = time.monotonic() + seconds
    view = memoryview(data)
    connection.setblocking(False)
    with selectors.DefaultSelector() as selector:
        selector.register(connection, selectors.EVENT_READ | selectors.EVENT_WRITE)
        while (left := end - time.monotonic()) > 0:
            for _, mask in selector.select(left):
                try:
                    if mask & selectors.EVENT_READ:
                        return connection.recv(100)
                    view = view[connection.send(view[:CHUNK]) :]
                except OSError:
                    return b""
            if not view:
                selector.modify(connection, selectors.EVENT_READ)
    return b""


def frame(
    payload: bytes, opcode: int = TEXT, *, end: bool = True, compressed: bool = False
) -> bytes:
    """Return a client's frame, masked with zeros, which changes nothing.

    Args:
        payload: what is in it.
        opcode: its kind.
        end: whether it is the last one of its message.
        compressed: whether `payload` is what `deflate` gave.
    """
    head = bytes((end << 7 | compressed << 6 | opcode,))
    size = len(payload)
    if size < 126:
        head += bytes((128 | size,))
    elif size < 1 << 16:
        head += b"\xfe" + size.to_bytes(2, "big")
    else:
        head += b"\xff" + size.to_bytes(8, "big")
    return head + bytes(4) + payload


def deflate(size: int) -> bytes:
    """Return a text of `size` letters, compressed as the payload of a message."""
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (squeeze.compress(b"x" * size) + squeeze.flush(zlib.Z_SYNC_FLUSH))[:-4]
