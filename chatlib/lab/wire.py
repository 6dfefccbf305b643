"""What crosses one WebSocket connection, read off the bytes as they arrive and leave.

A trace taken in the app would miss what the server does by itself: the 403 that a refusal becomes,
the close frames, the pings. So the reading is done between uvicorn's protocol and its transport.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Literal

from websockets.exceptions import ProtocolError
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Close, Frame, Opcode
from websockets.streams import StreamReader

from chatlib.core.fanout import FanoutProtocol

HEAD_END = b"\r\n\r\n"
DATA = {Opcode.TEXT, Opcode.BINARY, Opcode.CONT}

Kind = Literal[
    "request", "accept", "refuse", "text", "binary", "ping", "pong", "close", "lost", "bad"
]


@dataclass(frozen=True)
class Event:
    """One thing that crossed a connection.

    Attributes:
        connection: which connection, counted from 1 in the order in which they came to the server.
        kind: what it was. `lost` is a connection that ended without a close frame, `bad` a frame
            that breaks the protocol.
        to_server: whether it came from the client.
        path: of the `request`, with its query string.
        payload: of a message, a ping or a pong; the status line of an answer to the `request`.
        code: the close code, or the HTTP status of an answer to the `request`.
        reason: of a close.
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
    """Reads one connection's bytes, both ways, and emits an `Event` for each thing in them."""

    def __init__(self, connection: int, emit: Callable[[Event], None]) -> None:
        self.connection = connection
        self.emit = emit
        self.path = ""
        self.raised: int | None = None
        self.over = False  # nothing more can come that means anything
        self.in_reader, self.out_reader = StreamReader(), StreamReader()
        self.in_frames: Generator[None] | None = None
        self.out_frames: Generator[None] | None = None
        self.in_head, self.out_head = b"", b""

    def tell(self, kind: Kind, to_server: bool, **details: Any) -> None:
        """Emit an event of this connection."""
        self.emit(Event(self.connection, kind, to_server, self.path, **details))

    def received(self, data: bytes) -> None:
        """Read what came from the client: a request, then masked frames."""
        if not self.path:
            head, end, data = (self.in_head + data).partition(HEAD_END)
            if not end:
                self.in_head = head
                return
            self.path = head.split(b" ", 2)[1].decode("latin-1")
            self.tell("request", to_server=True)
        if data:
            self.in_reader.feed_data(data)
            self.advance(self.in_frames)

    def sent(self, data: bytes, extensions: Callable[[], list[Any]]) -> None:
        """Read what left for the client: an answer to its request, then frames."""
        if self.out_frames is None:
            head, end, data = (self.out_head + data).partition(HEAD_END)
            if self.over or not end:
                self.out_head = head
                return
            self.answered(head, extensions())
        if data:
            self.out_reader.feed_data(data)
            self.advance(self.out_frames)

    def answered(self, head: bytes, extensions: list[Any]) -> None:
        """Read the head of the answer to the request, and get ready for frames if it is a 101."""
        line = head.split(b"\r\n", 1)[0].decode("latin-1").partition(" ")[2].strip()
        status = int(line.split(" ")[0])
        if status != 101:
            self.over = True
            self.tell("refuse", to_server=False, payload=line, code=status, raised=self.raised)
            return
        self.tell("accept", to_server=False, payload=line, code=status)
        self.in_frames = self.frames(
            self.in_reader, True, [reader_of(e, False) for e in extensions]
        )
        self.out_frames = self.frames(
            self.out_reader, False, [reader_of(e, True) for e in extensions]
        )
        self.advance(self.in_frames)

    def lost(self) -> None:
        """The connection has ended."""
        if self.path and not self.over:
            self.over = True
            self.tell("lost", to_server=True)

    def advance(self, frames: Generator[None] | None) -> None:
        """Read on in one direction, as far as the bytes go."""
        if frames is not None:
            next(frames, None)

    def frames(
        self, reader: StreamReader, to_server: bool, extensions: list[Any]
    ) -> Generator[None]:
        """Emit an event for each whole message and each control frame in `reader`."""
        parts: list[bytes] = []
        opcode = Opcode.BINARY
        while True:
            try:
                frame = yield from Frame.parse(
                    reader.read_exact, mask=to_server, extensions=extensions
                )
            except (ProtocolError, EOFError) as error:
                self.tell("bad", to_server, payload=str(error))
                return
            if frame.opcode in DATA:
                if frame.opcode is not Opcode.CONT:
                    parts, opcode = [], frame.opcode
                parts.append(bytes(frame.data))
                if frame.fin:
                    self.message(opcode, b"".join(parts), to_server)
            else:
                self.control(frame, to_server)

    def message(self, opcode: Opcode, data: bytes, to_server: bool) -> None:
        """Emit a whole message."""
        if opcode is Opcode.TEXT:
            self.tell("text", to_server, payload=data.decode(errors="backslashreplace"))
        else:
            self.tell("binary", to_server, payload=data)

    def control(self, frame: Frame, to_server: bool) -> None:
        """Emit a ping, a pong or a close."""
        data = bytes(frame.data)
        if frame.opcode is Opcode.PING:
            self.tell("ping", to_server, payload=data)
        elif frame.opcode is Opcode.PONG:
            self.tell("pong", to_server, payload=data)
        else:
            self.over = True
            close = Close.parse(data)
            self.tell("close", to_server, code=close.code, reason=close.reason)


def reader_of(extension: Any, of_server: bool) -> Any:
    """Return an extension that reads what the server's `extension` writes, or what it reads."""
    side = "local" if of_server else "remote"
    no_context_takeover = getattr(extension, f"{side}_no_context_takeover")
    max_window_bits = getattr(extension, f"{side}_max_window_bits")
    return PerMessageDeflate(no_context_takeover, False, max_window_bits, 15)


class RecordingTransport:
    """A transport that shows what is written to a `Wire` first, and is otherwise the one inside."""

    def __init__(self, transport: Any, wrote: Callable[[bytes], None]) -> None:
        self._transport = transport
        self._wrote = wrote

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        self._wrote(bytes(data))
        self._transport.write(data)

    def writelines(self, lines: Any) -> None:
        self.write(b"".join(lines))


def recording_protocol(emit: Callable[[Event], None]) -> type:
    """Return uvicorn's WebSocket protocol with a `Wire` on each of its connections.

    `emit` is called in the server's thread, for each event and in the order in which they happen.
    """
    opened = 0

    class RecordingProtocol(FanoutProtocol):
        def connection_made(self, transport: Any) -> None:
            nonlocal opened
            opened += 1
            self.wire = Wire(opened, emit)
            wrote = lambda data: self.wire.sent(data, lambda: self.conn.extensions)  # noqa: E731
            super().connection_made(RecordingTransport(transport, wrote))  # type: ignore[arg-type]

        def data_received(self, data: bytes) -> None:
            self.wire.received(data)
            super().data_received(data)

        def connection_lost(self, exc: Exception | None) -> None:
            self.wire.lost()
            super().connection_lost(exc)

        async def send(self, message: Any) -> None:
            if message["type"] == "websocket.close":
                self.wire.raised = message.get("code", 1000)
            await super().send(message)

    return RecordingProtocol
