"""An HTTP protocol for uvicorn that does not wait for ever for the head of a request.

    uvicorn --http chatlib.core.head:TimedHead app:app

A WebSocket begins as an HTTP request. uvicorn has no time-out before the end of its head, so a
client that sends half of one keeps a connection for as long as it likes.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

TOO_LATE = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class TimedHead(HttpToolsProtocol):
    """uvicorn's own protocol, which answers 408 and closes if no whole head comes in 10 seconds.

    The time begins with the connection, and with what comes once a request has been answered (RFC
    9110, section 15.5.9). While a request is being answered there is no time-out, nor for its body.
    """

    head_seconds = 10.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.wait_for_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        answered = self.cycle is None or self.cycle.response_complete
        # uvicorn stops its keepalive timer for any data, be it an empty line.
        if answered and self.timeout_keep_alive_task is None and self in self.connections:
            self.wait_for_head()

    def on_headers_complete(self) -> None:
        self.wait_no_more()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self.wait_no_more()
        super().connection_lost(exc)

    def wait_for_head(self) -> None:
        if self.head_timer is None:
            self.head_timer = self.loop.call_later(self.head_seconds, self.head_is_late)

    def wait_no_more(self) -> None:
        if self.head_timer is not None:
            self.head_timer.cancel()
            self.head_timer = None

    def head_is_late(self) -> None:
        self.head_timer = None
        if not self.transport.is_closing():
            self.transport.write(TOO_LATE)
            self.transport.close()
