"""What crosses one WebSocket connection, read off the bytes as they arrive and leave.

A trace taken in the app would miss what the server does by itself: the 403 that a refusal becomes,
the close frames, the pings. So the reading is done between uvicorn's protocol and its transport.
"""

import logging
import zlib
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Literal

from websockets.exceptions import InvalidHeaderFormat, PayloadTooBig, ProtocolError
from websockets.extensions import Extension
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Close, Frame, Opcode
from websockets.headers import parse_extension
from websockets.streams import StreamReader

MAX_HEAD_BYTES = 64 * 1024

Kind = Literal[
    "request", "accept", "refuse", "text", "binary", "ping", "pong", "close", "lost", "bad"
]


@dataclass(frozen=True)
class Event:
    """One thing that crossed a connection.

    Attributes:
        connection: which connection, counted from 1 in the order in which they came to the server.
        kind: what it was. `lost` is a connection that ended without a close frame, `bad` a frame
            that breaks the protocol or is larger than the server takes: nothing after it counts.
        to_server: whether it came from the client. A `lost` that did not is a connection that the
            server dropped.
        path: of the `request`, with its query string.
        payload: of a message, a ping or a pong; the status and its phrase, as in `403 Forbidden`,
            of an answer to the `request`; what is wrong with a `bad` frame.
        code: the close code, if the close frame has one; the HTTP status of the answer to the
            `request`.
        reason: of a close; the body of a `refuse`.
        raised: at a `refuse`, the close code that the app gave, which never left the server.
    """

    connection: int
    kind: Kind
    to_server: bool
    path: str
    payload: str | bytes = ""
    code: int | None = None
    reason: str = ""
    raised: int | None = None


class Wire:
    """Reads one connection's bytes, both ways, and emits an `Event` for each thing in them.

    It never raises: what it cannot read becomes a `bad` event, and an `emit` that fails is logged.

    Args:
        connection: the number of the connection.
        emit: called with each event.
        max_size: of a message from the client, in bytes; a larger one is `bad`.
    """

    def __init__(
        self, connection: int, emit: Callable[[Event], None], max_size: int | None = None
    ) -> None:
        self.connection = connection
        self.emit = emit
        self.max_size = max_size
        self.path = ""
        self.raised: int | None = None
        self.dropped = False  # by the server
        self.over = False  # nothing more can come that means anything
        self.extensions: list[tuple[str, dict[str, str | None]]] | None = None  # None: not accepted
        self.incoming, self.outgoing = StreamReader(), StreamReader()
        self.from_client, self.from_server = self.read_client(), self.read_server()

    def received(self, data: bytes) -> None:
        """Read what came from the client: a request, then masked frames."""
        self.advance(self.from_client, self.incoming, data, to_server=True)

    def sent(self, data: bytes) -> None:
        """Read what left for the client: an answer to its request, then frames."""
        self.advance(self.from_server, self.outgoing, data, to_server=False)
        if self.extensions is not None:  # what the client sent before it had its answer
            self.advance(self.from_client, self.incoming, b"", to_server=True)

    def lost(self) -> None:
        """Take note that the connection has ended."""
        if self.path and not self.over:
            self.over = True
            self.tell("lost", to_server=not self.dropped)

    def tell(self, kind: Kind, to_server: bool, **details: Any) -> None:
        """Emit an event of this connection."""
        try:
            self.emit(Event(self.connection, kind, to_server, self.path, **details))
        except Exception:
            logging.getLogger("uvicorn.error").exception("An observer of the wire failed")

    def advance(
        self, reading: Generator[None], reader: StreamReader, data: bytes, *, to_server: bool
    ) -> None:
        """Read on in one direction, as far as the bytes go."""
        if reader.eof:
            return
        try:
            reader.feed_data(data)
            next(reading)
            return
        except StopIteration:
            pass
        except (ProtocolError, PayloadTooBig, UnicodeDecodeError) as error:
            self.tell("bad", to_server, payload=str(error))
        except Exception as error:
            self.tell("bad", to_server, payload=f"unreadable ({type(error).__name__}: {error})")
        reader.feed_eof()
        reader.discard()
        self.over |= not to_server  # whether the server still says goodbye will not be seen

    def read_client(self) -> Generator[None]:
        line, _ = yield from read_head(self.incoming)
        self.path = line.split(" ")[1]
        self.tell("request", to_server=True)
        while self.extensions is None:
            yield
        yield from self.read_frames(self.incoming, True, self.max_size)

    def read_server(self) -> Generator[None]:
        line, headers = yield from read_head(self.outgoing)
        answer = line.partition(" ")[2].strip()
        status = int(answer[:3])
        if status != 101:
            self.over = True
            body = bytes(self.outgoing.buffer).decode(errors="backslashreplace")
            self.tell("refuse", False, payload=answer, code=status, reason=body, raised=self.raised)
            return
        self.extensions = agreed(headers.get("sec-websocket-extensions", []))
        self.tell("accept", to_server=False, payload=answer, code=status)
        yield from self.read_frames(self.outgoing, False, None)

    def read_frames(
        self, reader: StreamReader, to_server: bool, max_size: int | None
    ) -> Generator[None]:
        """Emit an event for each whole message and each control frame, up to a close frame."""
        side = "client" if to_server else "server"
        decoders = [
            decoder(parameters, side)
            for name, parameters in self.extensions or []
            if name == PerMessageDeflate.name
        ]
        opcode, message = Opcode.CONT, bytearray()  # CONT: between two messages
        while True:
            left = None if max_size is None else max_size - len(message)
            frame = yield from Frame.parse(
                reader.read_exact, mask=to_server, max_size=left, extensions=decoders
            )
            data = bytes(frame.data)
            if frame.opcode is Opcode.CLOSE:
                self.over = True
                close = Close.parse(data)
                code = close.code if data else None
                self.tell("close", to_server, code=code, reason=close.reason)
                return
            if frame.opcode is Opcode.PING:
                self.tell("ping", to_server, payload=data)
            elif frame.opcode is Opcode.PONG:
                self.tell("pong", to_server, payload=data)
            else:
                if (frame.opcode is Opcode.CONT) is (opcode is Opcode.CONT):
                    raise ProtocolError("a continuation frame out of place, or one missing")
                if frame.opcode is not Opcode.CONT:
                    opcode = frame.opcode
                message += data
                if frame.fin:
                    self.tell_message(opcode, bytes(message), to_server)
                    opcode = Opcode.CONT
                    message.clear()

    def tell_message(self, opcode: Opcode, data: bytes, to_server: bool) -> None:
        """Emit a whole message."""
        if opcode is Opcode.TEXT:
            self.tell("text", to_server, payload=data.decode(errors="backslashreplace"))
        else:
            self.tell("binary", to_server, payload=data)


def read_head(reader: StreamReader) -> Generator[None, None, tuple[str, dict[str, list[str]]]]:
    """Read the head of an HTTP request or answer: its first line, and its headers in lower case."""
    lines = []
    while line := (yield from reader.read_line(MAX_HEAD_BYTES)).decode("latin-1").strip():
        lines.append(line)
    headers: dict[str, list[str]] = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        headers.setdefault(name.lower(), []).append(value.strip())
    return lines[0], headers


def agreed(headers: list[str]) -> list[tuple[str, dict[str, str | None]]]:
    """Return the extensions that an answer names, each with its parameters."""
    try:
        parsed = [extension for header in headers for extension in parse_extension(header)]
    except InvalidHeaderFormat:  # an app may write what it likes, and its client may live with it
        return []
    return [(name, dict(parameters)) for name, parameters in parsed]


def decoder(parameters: dict[str, str | None], side: str) -> Extension:
    """Return what decompresses the messages of `side`, `client` or `server`.

    A decompressor with the largest window reads what was written with any.
    """
    forgets = f"{side}_no_context_takeover" in parameters
    return PerMessageDeflate(forgets, True, zlib.MAX_WBITS, zlib.MAX_WBITS)
