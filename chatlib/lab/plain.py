"""The connection manager that everybody copies, and the same without its three slips.

Chapter 03 builds the one and mends it into the other, chapter 04 breaks both, and chapter 05
measures against the first.
"""

from fastapi import WebSocket, WebSocketDisconnect


class PlainManager:
    """Keeps the open connections, and sends to one of them or to all."""

    def __init__(self) -> None:
        self.active_connections: list[WebSocket] = []

    async def connect(self, websocket: WebSocket) -> None:
        """Accept `websocket` and add it to the list."""
        await websocket.accept()
        self.active_connections.append(websocket)

    def disconnect(self, websocket: WebSocket) -> None:
        """Take `websocket` off the list, on which it has to be."""
        self.active_connections.remove(websocket)

    async def send_personal_message(self, message: str, websocket: WebSocket) -> None:
        """Send the text `message` to one connection."""
        await websocket.send_text(message)

    async def broadcast(self, message: str) -> None:
        """Send the text `message` to one connection after the other."""
        for connection in self.active_connections:
            await connection.send_text(message)


class MendedManager(PlainManager):
    """One that a dead member does not stop, and that may be told of a leaving twice."""

    def disconnect(self, websocket: WebSocket) -> None:
        """Take `websocket` off the list. Harmless if it is not on it."""
        if websocket in self.active_connections:
            self.active_connections.remove(websocket)

    async def broadcast(self, message: str) -> None:
        """Send the text `message` to one connection after the other; drop those that are gone."""
        for connection in list(self.active_connections):
            try:
                await connection.send_text(message)
            except (WebSocketDisconnect, RuntimeError):
                self.disconnect(connection)
