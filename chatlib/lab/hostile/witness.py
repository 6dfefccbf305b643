"""Another client of a server that is attacked, who does nothing but say something and listen."""

import threading
import time

from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

PAUSE_SECONDS = 0.02
PATIENCE_SECONDS = 20.0  # a guard: how long it waits for an answer


class Witness:
    """A client that notes how long it waits for each answer. It is a context manager.

    Args:
        url: of a WebSocket that answers each text with one text.

    Attributes:
        longest: the longest wait so far, in seconds. Infinite if its connection was closed.
    """

    def __init__(self, url: str) -> None:
        self.longest = 0.0
        self._enough = threading.Event()
        self._socket = connect(url, proxy=None, compression=None, ping_interval=None)
        self._thread = threading.Thread(target=self._talk, daemon=True)
        self._thread.start()

    def _talk(self) -> None:
        while not self._enough.wait(PAUSE_SECONDS):
            before = time.perf_counter()
            try:
                self._socket.send("Hello")
                self._socket.recv(PATIENCE_SECONDS)
            except (WebSocketException, TimeoutError, OSError):
                self.longest = float("inf")
                return
            self.longest = max(self.longest, time.perf_counter() - before)

    def __enter__(self) -> "Witness":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._enough.set()
        self._thread.join()
        self._socket.close()
