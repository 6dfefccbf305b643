"""A WebSocket protocol for uvicorn that takes frames which are ready to go.

    uvicorn --ws chatlib.core.fanout:FanoutProtocol app:app

An ASGI app can only hand over one message for one client at a time, and each time the server
encodes it anew. `FanoutProtocol` offers a `Line` besides, in `scope["extensions"]`, and a `Room`
writes to it. It stands on uvicorn's internals: where a uvicorn lacks them, `FanoutProtocol` is that
uvicorn's own protocol, with one warning, and rooms work as they do on any other server.
"""

import asyncio
import warnings
from typing import Any

import uvicorn
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.server import ServerState
from websockets.exceptions import InvalidState

from chatlib.core.keepalive import LEAST_RATE, PatientKeepalive
from chatlib.core.line import EXTENSION, EndedError
from chatlib.core.log import log_end
from chatlib.core.reading import WebSocketsSansIOProtocol
from chatlib.core.transportline import TransportLine

NEEDED = (
    *("close_sent", "close_timeout", "conn", "disconnected", "loop", "ping_timeout", "pong_timer"),
    *("curr_msg_data_type", "frames", "read_paused", "transport", "writable"),
    *("connection_lost", "eof_received", "handle_close", "handle_connect", "keepalive_timeout"),
    *("data_received", "handle_cont", "handle_ping", "queue", "send_keepalive_ping"),
    *("handle_parser_exception", "on_task_complete", "pause_writing", "receive", "resume_writing"),
    *("send", "send_receive_event_to_app", "shutdown"),
)

BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class FanoutProtocol(PatientKeepalive):
    """uvicorn's own protocol, with a line for rooms, and without what harms in a crowd.

    - What the app sends by itself keeps its place among what the rooms have for this client; and
      however the handler ends, the client gets all that was said to it.
    - A missed pong counts while the server reads, which it does up to 64 KiB ahead of the handler,
      and unless the ping stands behind what the client takes at `LEAST_RATE`. It cuts a connection
      that takes nothing.
    - No closing connection is waited for once its client takes less than that for 11 seconds.
    - What one client sends, or does not read, costs little memory: see `BoundedReading`.
    - Compression keeps nothing between messages, so a browser costs no more memory than others.
    - Once the server itself has closed, `send` raises `OSError`, as ASGI asks, and not
      `RuntimeError`. It may be called in any event loop.
    - A client's close is seen at once, even behind messages that the handler has not received yet:
      it still receives them, but can answer none of them.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.inner_app, self.app = self.app, self.run_app
        self.app_closed = False
        self.opened: float | None = None
        self.abort_timer: asyncio.TimerHandle | None = None
        self.stopping: asyncio.Task[None] | None = None
        for factory in self.conn.available_extensions or ():
            factory.server_no_context_takeover = True  # type: ignore[attr-defined]
            factory.client_no_context_takeover = True  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            # uvicorn leaves the answer to that where it is. To a request with a body there is none.
            self.transport.write(b"".join(self.conn.data_to_send()) or BAD_REQUEST)
            self.transport.close()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self.line is not None:
            self.line.pause()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.line is not None:
            self.line.resume()

    async def send(self, message: Any) -> None:
        kind, line = message["type"], self.line
        if asyncio.get_running_loop() is not self.loop:
            sending = asyncio.run_coroutine_threadsafe(self.send(message), self.loop)
            await asyncio.wrap_future(sending)
            return
        if self.close_sent and not self.app_closed:
            raise ClientDisconnected
        if line is not None and (line.sources or not line.idle):
            if kind == "websocket.send":
                await self.say(line, message)
                return
            if kind == "websocket.close":
                self.cut_when_it_stands()
                await line.drain()
                if self.disconnected or (self.close_sent and not self.app_closed):
                    raise ClientDisconnected
        if kind in {"websocket.close", "websocket.http.response.start"}:
            self.app_closed = True
        if kind == "websocket.close":
            self.finish()
        await super().send(message)
        if self.close_sent:
            self.finish()  # an answer that refuses is sent with the last part of its body
        if kind == "websocket.accept" and self.handshake_complete:
            self.opened = self.loop.time()
            # 2 KB that nothing needs after the handshake. The parser keeps the request itself.
            self.request.headers.clear()
            del self.request, self.response

    async def say(self, line: TransportLine, message: Any) -> None:
        """Send what the app sends by itself, in its place among what the rooms send."""
        try:
            if message.get("bytes") is not None:
                self.conn.send_binary(message["bytes"])
            elif message.get("text") is not None:
                self.conn.send_text(message["text"].encode())
            await line.say(b"".join(self.conn.data_to_send()))
        except (EndedError, InvalidState):
            raise ClientDisconnected from None

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        if self.close_sent:
            self.finish()

    def handle_close(self, event: Any) -> None:
        self.finish()
        super().handle_close(event)

    def handle_parser_exception(self) -> None:
        self.finish()
        if self.conn.close_sent is not None:
            super().handle_parser_exception()
            return
        # No WebSocket yet: the answer to the handshake, if there is one, says what is wrong.
        self.queue.put_nowait({"type": "websocket.disconnect", "code": 1006})
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.transport.close()

    def eof_received(self) -> None:
        self.finish()
        super().eof_received()

    def shutdown(self) -> None:
        """Close as the server stops, after all that was said to this client until now."""
        line = self.line
        if line is not None and not line.ended:
            line.feed()
            if not line.idle:
                if self.stopping is None:
                    self.cut_when_it_stands()
                    self.stopping = self.loop.create_task(self.drain_and_shut_down(line))
                return
        self.finish()
        super().shutdown()

    async def drain_and_shut_down(self, line: TransportLine) -> None:
        await line.drain()
        if not self.disconnected:
            self.finish()
            super().shutdown()

    async def run_app(self, scope: Any, receive: Any, send: Any) -> None:
        """Run the app, in its task; and bring its client all that was said, however it ends."""
        self.line = line = TransportLine(self.loop, self.writable, self.transport)
        line.handler = asyncio.current_task()
        scope["extensions"][EXTENSION] = {"line": line}
        try:
            await self.inner_app(scope, receive, send)
        finally:
            if not self.close_sent:
                if not self.disconnected and self.conn.close_rcvd is None:
                    line.why = line.why or "by the app, without a close frame"
                if not line.idle:
                    self.cut_when_it_stands()
                await line.drain()

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        super().on_task_complete(task)
        self.finish()

    def finish(self) -> None:
        """Have no room write any more, and cut the connection if it is not gone soon."""
        if self.line is not None:
            self.line.end()
        self.cut_when_it_stands()

    def cut_when_it_stands(self) -> None:
        """Cut the connection once its client takes too little of what is left for it."""
        if self.abort_timer is None and not self.disconnected:
            self.look_again(float("-inf"))

    def look_again(self, before: float) -> None:
        if self.disconnected:
            return
        seconds = self.close_timeout + 1
        taken = 0 if self.line is None else self.line.progress()
        if taken - before >= LEAST_RATE * seconds:
            self.abort_timer = self.loop.call_later(seconds, self.look_again, taken)
        elif self.line is not None:
            self.line.why = self.line.why or "cut off, closing took too long"
            self.line.abort()
        else:
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.line is not None:
            self.line.end()
            if self.opened is not None:
                seconds = self.loop.time() - self.opened
                log_end(self.scope, self.line, seconds, self.conn, self.app_closed)
        if self.abort_timer is not None:
            self.abort_timer.cancel()
        super().connection_lost(exc)
        self.app = self.inner_app  # or else this would refer to itself


def lacking() -> list[str]:
    """Return what `FanoutProtocol` needs and this uvicorn's protocol has not."""
    # It takes what it is not given from the environment, where anything may stand.
    config = uvicorn.Config("", interface="asgi3", log_config=None, workers=1)
    config.loaded, config.loaded_app = True, None
    loop: Any = object()  # nothing is done with it
    try:
        protocol = WebSocketsSansIOProtocol(config, ServerState(), {}, loop)
        lacks = [name for name in NEEDED if not hasattr(protocol, name)]
        if not lacks:
            PatientKeepalive(config, ServerState(), {}, loop)
    except Exception as error:
        return [f"its constructor: {error}"]
    return lacks


if lacks := lacking():
    warnings.warn(
        f"uvicorn {uvicorn.__version__} lacks what FanoutProtocol stands on ({', '.join(lacks)}): "
        "rooms work, and cost as much as on any other server",
        RuntimeWarning,
        stacklevel=1,
    )
    FanoutProtocol = WebSocketsSansIOProtocol  # type: ignore[assignment, misc]
