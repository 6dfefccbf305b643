"""How long somebody who is connected waits for an answer, asked again and again.

    with Pulse(server) as pulse:
        ...
    print(pulse.longest())

A ping of WebSocket is answered by the server itself, so a late pong says that its event loop was
held up, and everybody with it.
"""

import json
import threading
import time
from queue import SimpleQueue
from typing import Self

from chatlib.lab.child import Child
from chatlib.lab.cut import HasPort, port_of
from chatlib.lab.loopback import HOST
from chatlib.lab.measured import hear_the_parent

EVERY_SECONDS = 0.005


class Pulse:
    """One client in a process of its own, which asks from its beginning to the end of a `with`.

    Args:
        server: a port of 127.0.0.1, or what has one.
        path: where it connects.

    Attributes:
        waits: for each ping when it was sent, by `time.monotonic`, and the seconds until its pong.
            They are there at the end.
    """

    def __init__(self, server: HasPort | int, path: str = "/ws/0") -> None:
        self._child = Child("from chatlib.lab.pulse import main; main()")
        self._child.order([port_of(server), path])
        self._child.answer()
        self.waits: list[tuple[float, float]] = []

    def longest(self, since: float = 0.0) -> float:
        """Return the longest wait, in seconds, of the pings since a moment."""
        return max(wait for sent, wait in self.waits if sent >= since)

    def stop(self) -> None:
        """Note what it has seen, and end it. Harmless if it has ended."""
        if self._child.running:
            self._child.order("waits")
            self.waits = [(sent, wait) for sent, wait in self._child.answer()]
            self._child.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()


def main() -> None:
    """Ask the server that the first line of stdin names, until the second line."""
    from websockets.sync.client import connect

    lines: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=hear_the_parent, args=(lines,), daemon=True).start()
    port, path = json.loads(lines.get())
    waits: list[tuple[float, float]] = []
    with connect(f"ws://{HOST}:{port}{path}", compression=None, proxy=None) as client:
        print(json.dumps(None), flush=True)
        while lines.empty():
            sent = time.monotonic()
            client.ping().wait()
            waits.append((sent, time.monotonic() - sent))
            time.sleep(EVERY_SECONDS)
    print(json.dumps(waits), flush=True)
