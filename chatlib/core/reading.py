"""The reading side of a WebSocket connection on uvicorn, with bounds for what a client sends.

uvicorn parses all that one read brings, which is up to 256 KB, and then reads nothing until the
handler has received every message. The first makes 170 MB of 256 KB that are well compressed. The
second leaves a client's pong, close frame and end unseen for as long as its handler is busy.
"""

import contextlib
import sys
from collections.abc import Generator
from typing import Any

try:
    from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
except ImportError:
    from uvicorn.protocols.websockets import auto

    WebSocketsSansIOProtocol = auto.AutoWebSocketsProtocol  # type: ignore[assignment, misc]

__all__ = ["BoundedReading", "WebSocketsSansIOProtocol"]

FRAMES_A_TURN = 500  # parsed from one client before everything else has its turn: some 2 ms
READ_AHEAD = 64 * 1024
READ_ON = READ_AHEAD // 2  # lower: to stop and go on at each message is a third slower
# What a message in the queue costs besides its payload: measured 240 bytes on CPython 3.11 to 3.13.
OVERHEAD = 256
IN_ITS_OBJECT = sys.getsizeof("")  # the part of it that `getsizeof` counts


def memory_of(message: Any) -> int:
    """Return how many bytes a `websocket.receive` takes in the queue."""
    content = message["text"] if "text" in message else message["bytes"]
    return OVERHEAD - IN_ITS_OBJECT + sys.getsizeof(content)


class Few(list[Any]):
    """A deque for few items, in 56 bytes instead of 760. Most connections wait, and hold none."""

    __slots__ = ()

    def popleft(self) -> Any:
        return self.pop(0)


class BoundedReading(WebSocketsSansIOProtocol):
    """uvicorn's own protocol, which reads ahead of the handler, and never far.

    - Reading and parsing go on until the messages that the handler has not received come to
      `READ_AHEAD`. The rest of a read stays unparsed until the handler has received half of them.
    - Of frames that bring the handler nothing (pings, empty fragments) `FRAMES_A_TURN` are parsed
      in one turn of the event loop.
    - A message in many fragments costs a few times its payload, however small they are.
    - For a client that does not read its pongs one pong is kept, the latest (RFC 6455, 5.5.3).
    - Text that is not UTF-8 is closed with 1007 (RFC 6455, 8.1), and logs no traceback. A close
      frame that came in the same read is answered as it came.
    - The app receives the messages that came before one which breaks the protocol.
    """

    frames: list[Any]  # at most one item: `bytes`, or a `bytearray` to which fragments are added

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Private names: a Python whose asyncio has others goes on with deques.
        of_queue = [(self.queue, name) for name in ("_queue", "_getters", "_putters")]
        for owner, name in [(self.writable, "_waiters"), *of_queue]:
            setattr(owner, name, Few())
        self.unread = 0  # the memory of the messages in the queue
        self.coming = 0  # the same, with the frames that are parsed and not yet handled
        self.held = False
        self.parsed = 0  # frames, in this turn
        self.turning = False
        self.late_pong = b""
        self.has_ended = self.conn.reader.at_eof
        self.conn.reader.at_eof = self.before_frame  # type: ignore[method-assign]

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        # uvicorn's HTTP protocol and its parser refer to each other, and have done their part.
        with contextlib.suppress(AttributeError, NotImplementedError):  # a mock
            transport.get_protocol().parser = None

    def before_frame(self) -> Any:
        """Hold the parser before its next frame while enough is unread.

        It does `yield from` this before each frame, to learn whether the stream has ended. `()`
        says no, at less cost than a generator.
        """
        self.parsed += 1
        if self.conn.events:
            self.coming += OVERHEAD + len(getattr(self.conn.events[-1], "data", b""))
        if self.conn.reader.buffer and not self.enough():
            return ()
        return self.wait_before_frame()

    def wait_before_frame(self) -> Generator[None, None, bool]:
        while self.enough() and not self.close_sent:
            self.held = True
            yield
        self.held = False
        return (yield from self.has_ended())

    def enough(self) -> bool:
        return self.coming >= READ_AHEAD or self.parsed >= FRAMES_A_TURN

    def data_received(self, data: bytes) -> None:
        if self.disconnected:  # Windows delivers what was read before
            return
        self.coming = self.unread
        super().data_received(data)
        if self.held:
            self.parse()

    def parse(self) -> None:
        """Parse on until enough is unread, and read on if nothing is left to parse."""
        while self.held and (self.unread < READ_AHEAD or self.close_sent):
            if self.transport.is_closing():
                return
            if self.parsed >= FRAMES_A_TURN and not self.close_sent:
                self.parse_soon()
                break
            self.coming = self.unread
            super().data_received(b"")
        if self.held != self.read_paused:
            self.read_paused = self.held
            (self.transport.pause_reading if self.held else self.transport.resume_reading)()
            if not self.held:
                self.reads_on()

    def reads_on(self) -> None:
        """Reading goes on, after a pause."""

    def parse_soon(self) -> None:
        """Parse on in the next turn: a handler that only receives gives way to nobody else."""
        if not self.turning:
            self.turning = True
            self.loop.call_soon(self.next_turn)

    def next_turn(self) -> None:
        self.turning = False
        self.parsed = 0
        if self.held:
            self.parse()

    async def receive(self) -> Any:
        message: Any = await self.queue.get()
        if message["type"] == "websocket.receive":
            self.unread -= memory_of(message)
            if self.held and self.unread < READ_ON:
                self.parse_soon()
        return message

    async def send(self, message: Any) -> None:
        await super().send(message)
        if self.held and self.close_sent:
            self.parse()  # the client's answer to the close may be in what is left

    def handle_cont(self, event: Any) -> None:
        """Add a fragment to those before it."""
        if not isinstance(self.frames[0], bytearray):
            self.frames[0] = bytearray(self.frames[0])
        self.frames[0] += event.data
        if event.fin:
            self.frames[0] = bytes(self.frames[0])
            self.send_receive_event_to_app()

    def send_receive_event_to_app(self) -> None:
        """Queue a message, without uvicorn's pause after each."""
        (data,) = self.frames
        self.frames = []
        if self.close_sent:
            return
        message: Any = {"type": "websocket.receive"}
        try:
            if self.curr_msg_data_type == "text":
                message["text"] = data.decode()
            else:
                message["bytes"] = data
        except UnicodeDecodeError:
            self.conn.fail(1007, "text that is not UTF-8")
            self.handle_parser_exception()
            return
        self.queue.put_nowait(message)
        self.unread += memory_of(message)

    def handle_ping(self) -> None:
        pongs = self.conn.data_to_send()
        # Once the parsing has ended, the close frame is among them.
        if self.writable.is_set() or self.conn.close_rcvd or self.conn.close_sent:
            self.transport.write(b"".join(pongs))
        elif pongs:
            self.late_pong = pongs[-1]

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.conn.parser.close()  # it refers to this protocol, which refers to it
        del self.conn.reader.at_eof

    def handle_parser_exception(self) -> None:
        if self.handshake_complete:
            self.handle_events()
        super().handle_parser_exception()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.late_pong and not self.transport.is_closing():
            self.transport.write(self.late_pong)
        self.late_pong = b""
