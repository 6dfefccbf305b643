"""Who is connected, and sending to one of them or to all."""

from fastapi import WebSocket

from chatlib.core.room import Room


class ConnectionManager:
    """Keeps the open connections of a chat, and sends to one of them or to all.

    It has the names that everybody's manager has, and stands on a `Room`: nobody waits for a slow
    client beyond the room's patience, and one that is gone costs nobody else anything.

    Args:
        room: the room to stand on, where `Room()` with its own bounds will not do.

    Attributes:
        room: the room, with its `stats`; and its `publish` and `send` take bytes too.
    """

    def __init__(self, room: Room | None = None) -> None:
        self.room = Room() if room is None else room

    @property
    def active_connections(self) -> list[WebSocket]:
        """The open connections, in the order in which they came: a new list each time."""
        return self.room.members

    async def connect(self, websocket: WebSocket) -> None:
        """Accept `websocket` and add it to the connections."""
        await websocket.accept()
        self.room.join(websocket)

    def disconnect(self, websocket: WebSocket) -> None:
        """Take `websocket` off the connections. Harmless if it is not among them."""
        self.room.leave(websocket)

    async def send_personal_message(self, message: str, websocket: WebSocket) -> None:
        """Send the text `message` to one connection. It may wait, as `Room.send` says.

        Raises:
            TypeError: `message` is no text.
            LookupError: `websocket` never came through `connect`, or was disconnected.
            WebSocketDisconnect: the client has gone.

        Cancelling it leaves the message sent or unsent, never half sent.
        """
        await self.room.send(text(message), websocket)

    async def broadcast(self, message: str) -> None:
        """Send the text `message` to every connection. It may wait, as `Room.publish` says.

        Raises:
            TypeError: `message` is no text.

        Cancelling it leaves the message with everybody or with nobody.
        """
        await self.room.publish(text(message))


def text(message: str) -> str:
    """Return `message` if it is text, and raise what its sender should read if it is not."""
    if isinstance(message, str):
        return message
    came = f"{type(message).__name__}: {message!r:.80}"
    if isinstance(message, bytes):
        raise TypeError(f"a message is text (str); got {came}. For bytes use manager.room.publish")
    raise TypeError(f"a message is text (str); got {came}. json.dumps() makes text of most things")
