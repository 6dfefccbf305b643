"""Another client of a server that is attacked, who does nothing but say something and listen."""

import threading
import time
from contextlib import ExitStack
from typing import Self

from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

PAUSE_SECONDS = 0.02
PATIENCE_SECONDS = 20.0  # a guard: how long it waits for an answer


class Witness:
    """A client that notes how long it waits for each answer. A context manager, which begins it.

    Args:
        url: of a WebSocket that answers each text with one text.

    Attributes:
        longest: the longest wait so far, in seconds. Infinite if its connection was closed.
    """

    def __init__(self, url: str) -> None:
        self.longest = 0.0
        self._url = url
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._talk, daemon=True)
        self._opened = ExitStack()

    def _talk(self) -> None:
        while not self._enough.wait(PAUSE_SECONDS):
            before = time.perf_counter()
            try:
                self._ask()
            except (WebSocketException, TimeoutError, OSError):
                self.longest = float("inf")
                return
            self.longest = max(self.longest, time.perf_counter() - before)

    def _ask(self) -> None:
        self._socket.send("Hello")
        self._socket.recv(PATIENCE_SECONDS)

    def cut(self) -> None:
        """Wait until its connection is cut."""
        self._thread.join()

    def __enter__(self) -> Self:
        connecting = connect(self._url, proxy=None, compression=None, ping_interval=None)
        self._socket = self._opened.enter_context(connecting)
        self._ask()
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._enough.set()
        self._thread.join()
        self._opened.close()
