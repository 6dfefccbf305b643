"""The WebSockets of an app, counted at its edge: how many are open, and how they were closed."""

import threading
from collections import Counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

# What a client may close with is counted by its code if it is one of these (RFC 6455 and IANA's
# list, and those of chatlib). A client can send any of 3,000 others, and each would be a series.
CODES = (
    *(1000, 1001, 1002, 1003, 1005, 1006, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014),
    *(3000, 3003, 3008, 4401, 4403, 4409),
)
OWN_CODES = 32  # that the app itself closes with, besides
OTHER = "other"
LOST = 1006


class Traffic:
    """Counts the WebSockets of an app. In any thread.

    Attributes:
        open: how many have been accepted, and their handlers have not ended.
        accepted: how many there were.
        refused: how many handshakes were answered with no WebSocket.
        closed: how many have ended, by close code: the one that the app sent, or else was told. One
            whose handler was told none counts as 1006.
    """

    def __init__(self) -> None:
        self.open = self.accepted = self.refused = 0
        self.closed: Counter[str] = Counter({str(code): 0 for code in (*CODES, OTHER)})
        self._lock = threading.Lock()

    def begin(self) -> None:
        """Count one that was accepted."""
        with self._lock:
            self.open += 1
            self.accepted += 1

    def end(self, code: int, by_app: bool) -> None:
        """Count one that has ended."""
        label = str(code)
        most = len(CODES) + 1 + OWN_CODES
        with self._lock:
            self.open -= 1
            if label not in self.closed and not (by_app and len(self.closed) < most):
                label = OTHER
            self.closed[label] += 1

    def refuse(self) -> None:
        """Count a handshake that was refused."""
        with self._lock:
            self.refused += 1


class Counted:
    """ASGI middleware that counts the WebSockets of an app.

    Args:
        app: the ASGI app.
        traffic: where they are counted.
    """

    def __init__(self, app: ASGIApp, traffic: Traffic) -> None:
        self.app = app
        self.traffic = traffic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            await self.app(scope, receive, send)
            return
        one = Connection(receive, send, self.traffic)
        try:
            await self.app(scope, one.receive, one.send)
        finally:
            one.end()


def code_in(message: Message) -> int:
    """Return how a connection has ended, by what the server says.

    uvicorn says 1005 where no frame came at all as well, but then it says nothing of a reason.
    """
    code: int = message.get("code") or 1005
    return LOST if code == 1005 and "reason" not in message else code


class Connection:
    """One WebSocket: its `receive` and its `send`."""

    __slots__ = ("_receive", "_send", "accepted", "by_app", "code", "traffic")

    def __init__(self, receive: Receive, send: Send, traffic: Traffic) -> None:
        self._receive = receive
        self._send = send
        self.traffic = traffic
        self.accepted = self.by_app = False
        self.code: int | None = None

    async def receive(self) -> Message:
        """Receive, and note the code of the end."""
        message = await self._receive()
        if message["type"] == "websocket.disconnect" and self.code is None:
            self.code = code_in(message)
        return message

    async def send(self, message: Message) -> None:
        """Send, and note whether the connection begins or ends with that."""
        await self._send(message)
        kind = message["type"]
        if kind == "websocket.accept":
            self.accepted = True
            self.traffic.begin()
        elif kind == "websocket.close" and self.code is None:
            self.code, self.by_app = message.get("code") or 1000, True

    def end(self) -> None:
        """Note that the handler has ended."""
        if self.accepted:
            self.traffic.end(LOST if self.code is None else self.code, self.by_app)
        elif self.by_app or self.code is None:  # or else the client went before there was an answer
            self.traffic.refuse()
