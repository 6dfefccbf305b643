"""A WebSocket protocol for uvicorn that takes frames which are ready to go.

    uvicorn --ws chatlib.core.fanout:FanoutProtocol app:app

An ASGI app can only hand over one message for one client at a time, and each time the server
encodes it anew. `FanoutProtocol` offers a `Line` besides, in `scope["extensions"]`, and a `Room`
writes to it. It stands on uvicorn's internals: where a uvicorn lacks them, `FanoutProtocol` is that
uvicorn's own protocol, with one warning, and rooms work as they do on any other server.
"""

import asyncio
import socket
import struct
import warnings
from typing import Any

import uvicorn
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.server import ServerState
from websockets.protocol import OPEN

from chatlib.core.line import EXTENSION, Line

try:
    from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
except ImportError:
    from uvicorn.protocols.websockets import auto

    WebSocketsSansIOProtocol = auto.AutoWebSocketsProtocol  # type: ignore[assignment, misc]

# Where Linux keeps the number of bytes that the peer has acknowledged, in `struct tcp_info`.
BYTES_ACKED = struct.Struct("120xQ")
NEEDED = (
    *("close_sent", "close_timeout", "conn", "disconnected", "loop", "ping_timeout", "pong_timer"),
    *("curr_msg_data_type", "frames", "read_paused", "transport", "writable"),
    *("connection_lost", "eof_received", "handle_close", "handle_connect", "keepalive_timeout"),
    *("handle_parser_exception", "pause_writing", "receive", "resume_writing", "run_asgi", "send"),
    *("send_receive_event_to_app", "shutdown"),
)


class TransportLine(Line):
    """A line that writes straight to uvicorn's transport."""

    __slots__ = ("transport", "write", "written")

    def __init__(self, protocol: WebSocketsSansIOProtocol) -> None:
        super().__init__(protocol.loop, protocol.writable)
        self.transport = protocol.transport
        self.written = 0
        self.write = self.transport.write  # type: ignore[assignment, method-assign]
        if self.acknowledged() is None:
            self.write = self.count_and_write  # type: ignore[method-assign]

    def count_and_write(self, frames: bytes) -> None:
        """`write` where the system does not count what the client has taken."""
        self.written += len(frames)
        self.transport.write(frames)

    def progress(self) -> int:
        """Return what the client has acknowledged, or where nobody knows, what has left for it.

        The two differ: the kernel takes megabytes for a client that has stalled, and on a slow
        connection asks for more only once a third of them is gone.
        """
        acknowledged = self.acknowledged()
        if acknowledged is None:
            return self.written - self.transport.get_write_buffer_size()
        return acknowledged

    def acknowledged(self) -> int | None:
        """Return how many bytes the client has acknowledged, or None where nobody knows."""
        sock = self.transport.get_extra_info("socket")
        try:
            info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, BYTES_ACKED.size)
            return int(BYTES_ACKED.unpack(info)[0])
        except (AttributeError, OSError, struct.error):  # not Linux, or not TCP
            return None

    def abort(self) -> None:
        self.end()
        self.transport.abort()


class FanoutProtocol(WebSocketsSansIOProtocol):
    """uvicorn's own protocol, with a line for rooms, and without what harms in a crowd.

    - What the app sends by itself goes out after what the rooms have for this client.
    - A missed pong aborts a connection that does not take what is sent; and it counts only while
      the server reads, since a handler that is busy leaves the pong unread.
    - No closing connection is waited for beyond a second more than the 10 that uvicorn gives it.
    - Compression keeps nothing between messages, so a browser costs no more memory than others.
    - Once the server itself has closed, `send` raises `OSError`, as ASGI asks, and not
      `RuntimeError`. Text that is not UTF-8 is closed with 1007, and logs no traceback.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.line: TransportLine | None = None
        self.app_closed = False
        self.abort_timer: asyncio.TimerHandle | None = None
        for factory in self.conn.available_extensions or ():
            factory.server_no_context_takeover = True  # type: ignore[attr-defined]
            factory.client_no_context_takeover = True  # type: ignore[attr-defined]

    def handle_connect(self, event: Any) -> None:
        super().handle_connect(event)
        if self.response.status_code == 101:
            self.line = TransportLine(self)
            self.scope["extensions"][EXTENSION] = {"line": self.line}

    def pause_writing(self) -> None:
        super().pause_writing()
        if self.line is not None:
            self.line.pause()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.line is not None:
            self.line.resume()

    async def send(self, message: Any) -> None:
        kind = message["type"]
        if self.close_sent and not self.app_closed:
            raise ClientDisconnected
        if self.line is not None and self.line.listeners:
            await self.line.catch_up()
            if kind == "websocket.send" and not self.close_sent and self.conn.state is OPEN:
                # Not through uvicorn's send, which would wait again if others have been faster.
                self.write_message(message)
                return
        if kind in {"websocket.close", "websocket.http.response.start"}:
            self.app_closed = True
            self.finish()
        await super().send(message)

    def write_message(self, message: Any) -> None:
        """Send a message just now, as the app gave it."""
        if message.get("bytes") is not None:
            self.conn.send_binary(message["bytes"])
        else:
            self.conn.send_text(message["text"].encode())
        assert self.line is not None
        self.line.write(b"".join(self.conn.data_to_send()))

    async def receive(self) -> Any:
        message = await super().receive()
        if self.pong_timer is not None and not self.read_paused:
            self.wait_for_pong()  # it may have come while nobody read
        return message

    def wait_for_pong(self) -> None:
        """Give the client all its time again to answer a ping."""
        if self.pong_timer is not None:
            self.pong_timer.cancel()
        assert self.ping_timeout is not None
        self.pong_timer = self.loop.call_later(self.ping_timeout, self.keepalive_timeout)

    def keepalive_timeout(self) -> None:
        if self.read_paused:
            self.wait_for_pong()
        elif self.transport.get_write_buffer_size():
            self.pong_timer = None
            self.transport.abort()
        else:
            self.finish()
            super().keepalive_timeout()

    def send_receive_event_to_app(self) -> None:
        if self.curr_msg_data_type == "text" and not self.close_sent:
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                self.frames = []
                self.conn.fail(1007, "text that is not UTF-8")
                self.handle_parser_exception()
                return
        super().send_receive_event_to_app()

    def handle_close(self, event: Any) -> None:
        self.finish()
        super().handle_close(event)

    def handle_parser_exception(self) -> None:
        self.finish()
        super().handle_parser_exception()

    def eof_received(self) -> None:
        self.finish()
        super().eof_received()

    def shutdown(self) -> None:
        if self.line is not None:
            for listener in tuple(self.line.listeners):
                listener.feed()
        self.finish()
        super().shutdown()

    async def run_asgi(self) -> None:
        await super().run_asgi()
        self.finish()

    def finish(self) -> None:
        """Have no room write any more, and cut the connection if it is not gone soon."""
        if self.line is not None:
            self.line.end()
        if self.abort_timer is None and not self.disconnected:
            self.abort_timer = self.loop.call_later(self.close_timeout + 1, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.line is not None:
            self.line.end()
        if self.abort_timer is not None:
            self.abort_timer.cancel()
        super().connection_lost(exc)


def lacking() -> list[str]:
    """Return what `FanoutProtocol` needs and this uvicorn's protocol has not."""
    config = uvicorn.Config("", interface="asgi3", log_config=None)
    config.loaded, config.loaded_app = True, None
    loop: Any = object()  # nothing is done with it
    try:
        protocol = WebSocketsSansIOProtocol(config, ServerState(), {}, loop)
    except Exception as error:
        return [f"its constructor: {error}"]
    return [name for name in NEEDED if not hasattr(protocol, name)]


if lacks := lacking():
    warnings.warn(
        f"uvicorn {uvicorn.__version__} lacks what FanoutProtocol stands on ({', '.join(lacks)}): "
        "rooms work, and cost as much as on any other server",
        RuntimeWarning,
        stacklevel=1,
    )
    FanoutProtocol = WebSocketsSansIOProtocol  # type: ignore[assignment, misc]
