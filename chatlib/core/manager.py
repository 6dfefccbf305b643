"""The open connections of an app, and sending to one of them or to all."""

from collections.abc import Iterable
from typing import Annotated, Any

from fastapi import Depends, WebSocket
from starlette.websockets import WebSocketState

from chatlib.core.connections import Connections
from chatlib.core.frames import Content, plain
from chatlib.core.room import Room

NO_LIST_OF_YOUR_OWN = (
    "active_connections shows the members of the room, and cannot be replaced: write "
    ".append(websocket), .remove(websocket) or .clear(), and give a list of your own another name"
)


async def no_room() -> None:
    """Stand in for the room in `Depends(ConnectionManager)`: FastAPI cannot make one."""


class ConnectionManager:
    """Keeps the open connections of a chat, and sends to one of them or to all.

    It has the names of the class in FastAPI's documentation, and is built on a `Room`, which says
    how long the others wait for a slow client. One that is gone costs nobody else anything.

    A message is text (`str`) or bytes; or a Pydantic model, a dict, a list or a tuple, which is
    sent as JSON in a text message.

    Args:
        room: the room to use, if it should not be `Room()` with its default bounds.

    Attributes:
        room: the room, with its `stats`.
    """

    def __init__(self, room: Annotated[Room | None, Depends(no_room)] = None) -> None:
        self.room = Room() if room is None else room

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if not hasattr(vars(cls).get("active_connections", property()), "__get__"):
            raise AttributeError(NO_LIST_OF_YOUR_OWN)

    @property
    def active_connections(self) -> Connections:
        """The open connections, in the order in which they came.

        Use it as a list: `append` adds a connection, as `add` does, and `remove` disconnects it.
        """
        return Connections(self.room)

    @active_connections.setter
    def active_connections(self, value: Connections) -> None:
        # `active_connections += [websocket]` has extended it, and then assigns it.
        if not (isinstance(value, Connections) and value.room is self.room):
            raise AttributeError(NO_LIST_OF_YOUR_OWN)

    async def connect(
        self,
        websocket: WebSocket,
        subprotocol: str | None = None,
        headers: Iterable[tuple[bytes, bytes]] | None = None,
    ) -> None:
        """Accept `websocket`, with the options of its `accept`, and add it to the connections.

        One that is accepted already is added, and no more. Cancelling it adds nothing.
        """
        if getattr(websocket, "application_state", None) is not WebSocketState.CONNECTED:
            options: dict[str, Any] = {"subprotocol": subprotocol, "headers": headers}
            # No more than was given: the accept() of a fake in people's tests may take nothing.
            await websocket.accept(**{key: options[key] for key in options if options[key]})
        self.room.join(websocket)

    def add(self, websocket: WebSocket) -> None:
        """Add `websocket`, which has been accepted, to the connections.

        It raises `RuntimeError` where it has not been.
        """
        self.active_connections.append(websocket)

    def disconnect(self, websocket: WebSocket) -> None:
        """Take `websocket` off the connections. Harmless if it is not among them."""
        self.room.leave(websocket)

    async def send_personal_message(self, message: Content, websocket: WebSocket) -> None:
        """Send `message` to `websocket`. It may wait, as `Room.send` says.

        Raises:
            TypeError: `message` is nothing that can be sent.
            ValueError: JSON or UTF-8 cannot express it.
            RuntimeError: `websocket` has not been accepted.
            WebSocketDisconnect: the client has gone.

        Cancelling it leaves the message sent or unsent, never half sent.
        """
        if getattr(websocket, "application_state", None) is not WebSocketState.CONNECTING:
            try:
                await self.room.send(message, websocket)
            except LookupError:
                pass  # it is no member, and can be sent to all the same
            else:
                return
        data = plain(message)
        await (websocket.send_text(data) if isinstance(data, str) else websocket.send_bytes(data))

    async def broadcast(self, message: Content) -> None:
        """Send `message` to every connection. It may wait, as `Room.publish` says.

        Raises:
            TypeError: `message` is nothing that can be sent.
            ValueError: JSON or UTF-8 cannot express it.
            WebSocketDisconnect: the client whose handler calls it has gone. It is raised once.

        Cancelling it leaves the message with everybody or with nobody.
        """
        await self.room.publish(message)
