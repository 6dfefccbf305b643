"""A client that connects to a server again and again: when is it refused?

with Knocks(server, "/ws/1", "/readyz") as knocks:
    server.signal(signal.SIGHUP)
    ...
print(knocks.answers("/ws/1"))
"""

import json
import socket
import threading
import time
from collections import Counter
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, Self

from chatlib.lab.child import Child
from chatlib.lab.cut import HasPort, port_of
from chatlib.lab.loopback import HOST
from chatlib.lab.measured import hear_the_parent

EVERY_SECONDS = 0.01
ANSWER_SECONDS = 10.0  # in which an answer has to come
REQUEST = "GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: {connection}\r\n{upgrade}\r\n"
UPGRADE = (
    "Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Version: 13\r\n"
)
REFUSED, CUT, SILENT = "refused", "cut off", "no answer"


@dataclass(frozen=True)
class Knock:
    """One of them: when, by `time.monotonic`; where; and what came, an HTTP status as a rule.

    `answer` is `"refused"` if nobody listens, `"cut off"` if somebody took the connection and gave
    no answer on it, and `"no answer"` if none came for ten seconds.
    """

    at: float
    path: str
    answer: int | str


class Knocks:
    """One who connects each 10 ms, in a process of its own, until the end of a `with`.

    Each connect is a new one. It has been answered once, at each path, when this returns.

    Args:
        server: a port of 127.0.0.1, or what has one.
        path: of a WebSocket, which is left at once.
        http: where it asks over HTTP besides, each time.

    Attributes:
        all: every knock, the first one first. They are there at the end.
    """

    def __init__(self, server: HasPort | int, path: str, *, http: str | None = None) -> None:
        self._child = Child("from chatlib.lab.knocks import main; main()")
        self.all: list[Knock] = []
        try:
            self._child.order([port_of(server), path, http])
            self._child.answer()
        except BaseException:
            self._child.kill()
            raise

    def answers(self, path: str, since: float = 0.0) -> Counter[int | str]:
        """Return how often each answer came at `path` to knocks since a moment."""
        return Counter(each.answer for each in self.all if each.path == path and each.at >= since)

    def first(self, path: str, answer: int | str) -> float:
        """Return when `answer` came first at `path`.

        Raises:
            StopIteration: it never came.
        """
        return next(each.at for each in self.all if (each.path, each.answer) == (path, answer))

    def look(self) -> list[Knock]:
        """Return those up to now; the next ones go on. They are in `all` as well."""
        if self._child.running:
            self._child.order("all")
            self.all = [Knock(*each) for each in self._child.answer()]
        return self.all

    def stop(self) -> None:
        """Have it knock no more. Harmless if it does not."""
        if self._child.running:
            self.look()
            self._child.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()


def knock(port: int, path: str, is_socket: bool) -> int | str:
    """Connect to a port, ask for a path, and return what came."""
    request = REQUEST.format(
        path=path,
        host=HOST,
        port=port,
        connection="Upgrade" if is_socket else "close",
        upgrade=UPGRADE if is_socket else "",
    )
    data = b""
    try:
        with socket.create_connection((HOST, port), ANSWER_SECONDS) as client:
            client.sendall(request.encode())
            while b"\r\n" not in data:
                if not (more := client.recv(4096)):
                    return CUT
                data += more
    except ConnectionRefusedError:
        return REFUSED
    except TimeoutError:
        return SILENT
    except ConnectionError:
        return CUT
    return int(data.split()[1])


def main() -> None:
    """Knock where the first line of stdin says, answer each line after it, end with stdin."""
    lines: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=hear_the_parent, args=(lines,), daemon=True).start()
    port, path, http = json.loads(lines.get())
    doors = [(path, True)] + ([(http, False)] if http else [])
    done: list[Any] = []

    def say(what: Any) -> None:
        print(json.dumps(what), flush=True)

    while True:
        for where, is_socket in doors:
            done.append((time.monotonic(), where, knock(port, where, is_socket)))
        if len(done) == len(doors):
            say(None)
        if not lines.empty():
            lines.get()
            say(done)
        time.sleep(EVERY_SECONDS)
