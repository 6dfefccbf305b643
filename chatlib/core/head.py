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

    The time begins with the connection, and again with each later request on it (RFC 9110, section
    15.5.9). It is no bound for the body of a request.
    """

    head_seconds = 10.0

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.head_timer = self.wait_for_head()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.head_timer.cancel()
        self.head_timer = self.wait_for_head()

    def on_headers_complete(self) -> None:
        self.head_timer.cancel()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self.head_timer.cancel()
        super().connection_lost(exc)

    def wait_for_head(self) -> asyncio.TimerHandle:
        return self.loop.call_later(self.head_seconds, self.head_is_late)

    def head_is_late(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(TOO_LATE)
            self.transport.close()
