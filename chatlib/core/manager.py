"""Who is connected, and sending to one of them or to all."""

import asyncio

from fastapi import WebSocket, WebSocketDisconnect


class ConnectionManager:
    """Keeps the open connections of a chat, and sends to one of them or to all.

    A connection that cannot be sent to is dropped from the list, and costs nobody else anything.
    Each connection may live in an event loop of its own, as under Starlette's `TestClient`.

    Attributes:
        active_connections: the open connections, in the order in which they came.
    """

    def __init__(self) -> None:
        self.active_connections: list[WebSocket] = []
        self._loops: dict[WebSocket, asyncio.AbstractEventLoop] = {}

    async def connect(self, websocket: WebSocket) -> None:
        """Accept `websocket` and add it to the list."""
        await websocket.accept()
        self._loops[websocket] = asyncio.get_running_loop()
        self.active_connections.append(websocket)

    def disconnect(self, websocket: WebSocket) -> None:
        """Take `websocket` off the list. Harmless if it is not on it."""
        if websocket in self.active_connections:
            self.active_connections.remove(websocket)
        self._loops.pop(websocket, None)

    async def send_personal_message(self, message: str, websocket: WebSocket) -> None:
        """Send the text `message` to one connection.

        Raises:
            WebSocketDisconnect: the client has gone.

        Cancelling it may leave the message sent or unsent, never half sent.
        """
        here = asyncio.get_running_loop()
        home = self._loops.get(websocket, here)
        sending = websocket.send_text(message)
        if home is here:
            await sending
        elif home.is_closed():
            sending.close()
            raise WebSocketDisconnect(1006, "the event loop of this connection is closed")
        else:
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(sending, home))

    async def broadcast(self, message: str) -> None:
        """Send the text `message` to every connection, one after the other.

        A connection that has gone is taken off the list. One that comes or goes meanwhile disturbs
        nobody. Cancelling it leaves the message with those that it reached.
        """
        for connection in list(self.active_connections):
            try:
                await self.send_personal_message(message, connection)
            except (WebSocketDisconnect, RuntimeError):
                self.disconnect(connection)
