"""Whether a process has been told to stop: from SIGTERM on, before the server does anything."""

import asyncio
import contextlib
import math
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

from chatlib.core.log import logger

VARIABLE = "CHATLIB_DRAIN"


def drain_from_environment() -> float:
    """Return how many seconds `$CHATLIB_DRAIN` says; 0 if it is not set, or empty.

    Raises:
        ValueError: it is no number of seconds.
    """
    text = os.environ.get(VARIABLE) or "0"
    try:
        return Stopping(float(text)).drain
    except ValueError:
        raise ValueError(f"${VARIABLE}: expected seconds from 0 on, got {text!r}") from None


class Stopping:
    """Notes SIGTERM, and hands it on to the server, at once or some seconds later.

    A server that is told to stop accepts nobody from then on. What is in front of it, a proxy or a
    load balancer, finds that out when a connection of some client is refused. With a delay it can
    find out before, from a probe, while clients are served as ever. A second SIGTERM ends the wait.
    (gunicorn hands the first one on to its workers, and no other.)

    Args:
        drain: how many seconds the server goes on.

    Raises:
        ValueError: it is below 0, or no number of seconds.

    Attributes:
        began: whether SIGTERM has come.
    """

    def __init__(self, drain: float = 0.0) -> None:
        if not 0 <= drain < math.inf:
            raise ValueError(f"expected drain in seconds from 0 on, got {drain!r}")
        self.drain = drain
        self.began = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._handler: Any = None  # the server's
        self._handed_on = False

    @contextlib.contextmanager
    def noted(self) -> Iterator[None]:
        """Note SIGTERM, in the event loop of the main thread. In another one do nothing.

        Python lets only the main thread handle signals, and a server that runs in another one is
        not stopped by them. A handler that was not set in Python stays, since it could not be set
        again.
        """
        in_main = threading.current_thread() is threading.main_thread()
        self._handler = signal.getsignal(signal.SIGTERM) if in_main else None
        if self._handler is None:
            yield
            return
        self._loop = asyncio.get_running_loop()
        mine = self._on_sigterm
        signal.signal(signal.SIGTERM, mine)
        try:
            yield
        finally:
            # The server, or the app, may have set another one since.
            if signal.getsignal(signal.SIGTERM) == mine:
                signal.signal(signal.SIGTERM, self._handler)
            # It stops for another reason while it waits: later there is nobody to tell.
            if self.began and not self._handed_on and callable(self._handler):
                self._hand_on(signal.SIGTERM)

    def _on_sigterm(self, number: int, frame: FrameType | None) -> None:
        again, self.began = self.began, True
        if self._loop is None or self._loop.is_closed() or again or not self.drain:
            self._hand_on(number)
            return
        # The handler runs between two steps of whatever the main thread does.
        self._loop.call_soon_threadsafe(self._wait, number)

    def _wait(self, number: int) -> None:
        assert self._loop is not None
        logger.info("not ready from now on; the server stops in %g seconds", self.drain)
        self._loop.call_later(self.drain, self._end_wait, number)

    def _end_wait(self, number: int) -> None:
        if not self._handed_on:  # by a second SIGTERM
            self._hand_on(number)

    def _hand_on(self, number: int) -> None:
        self._handed_on = True
        if callable(self._handler):
            self._handler(number, None)
        elif self._handler == signal.SIG_DFL:  # nobody handles it: so it ends the process
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
