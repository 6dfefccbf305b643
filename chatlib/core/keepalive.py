"""Pings and pongs on uvicorn, where a client may have much to read before it comes to a ping."""

from typing import Any

from chatlib.core.reading import BoundedReading
from chatlib.core.transportline import TransportLine

LEAST_RATE = 1024  # bytes a second that a client has to take, to be waited for
KERNEL_BYTES = 8 * 1024 * 1024  # what a client may have yet to read of what its kernel has


class PatientKeepalive(BoundedReading):
    """uvicorn's keepalive, which gives a client all its time again while no pong can be there yet.

    - While nobody reads: the handler is busy, and more is unread than is read ahead.
    - While the client takes what was sent before the ping, at `LEAST_RATE` at least.

    A client that takes nothing is cut, where uvicorn closes politely and waits for ever.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.line: TransportLine | None = None
        self.taken = self.ping_taken = 0

    def reads_on(self) -> None:
        if self.pong_timer is not None:
            self.wait_for_pong()  # it may have come while nobody read

    def send_keepalive_ping(self) -> None:
        super().send_keepalive_ping()
        if self.line is not None:
            self.taken = self.line.progress()
            self.ping_taken = self.taken + self.line.backlog() + KERNEL_BYTES

    def wait_for_pong(self) -> None:
        """Give the client all its time again to answer a ping."""
        if self.pong_timer is not None:
            self.pong_timer.cancel()
        assert self.ping_timeout is not None
        self.pong_timer = self.loop.call_later(self.ping_timeout, self.keepalive_timeout)

    def keepalive_timeout(self) -> None:
        if self.transport.is_closing():
            self.pong_timer = None
        elif self.read_paused or self.ping_stands_behind_much():
            self.wait_for_pong()
        elif self.line is not None and self.line.buffered():
            self.pong_timer = None
            self.line.why = self.line.why or "cut off, no pong came and nothing was read"
            self.line.abort()
        else:
            super().keepalive_timeout()

    def ping_stands_behind_much(self) -> bool:
        """Return whether the client takes what was sent before the ping, and has not come to it."""
        if self.line is None or not self.line.backlog():
            return False
        before, self.taken = self.taken, self.line.progress()
        rate = (self.taken - before) / (self.ping_timeout or 1.0)
        return rate >= LEAST_RATE and self.taken < self.ping_taken
