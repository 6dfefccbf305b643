"""Reading what a client sent, and answering what it should not have sent."""

from fastapi import WebSocket, WebSocketDisconnect, status
from starlette.websockets import WebSocketState

WRONG_KIND = "this endpoint takes text messages, and a binary one came"


async def receive_text(websocket: WebSocket) -> str:
    """Return the next message of `websocket`, which has to be text.

    A binary message closes the connection with 1003, *unsupported data* (RFC 6455, section 7.4.1),
    and a reason. Starlette's own `receive_text` raises `KeyError` there.

    Raises:
        RuntimeError: `websocket` has not been accepted.
        WebSocketDisconnect: the client has gone, or was closed for a binary message.

    Cancelling it loses no message.
    """
    if getattr(websocket, "application_state", None) is WebSocketState.CONNECTING:
        raise RuntimeError("this WebSocket is not accepted yet: await its accept() first")
    message = await websocket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", 1005), message.get("reason"))
    text: str | None = message.get("text")
    if text is None:
        await websocket.close(status.WS_1003_UNSUPPORTED_DATA, WRONG_KIND)
        raise WebSocketDisconnect(status.WS_1003_UNSUPPORTED_DATA, WRONG_KIND)
    return text
