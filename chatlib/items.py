"""The item socket: a cookie or a token opens it."""

from typing import Annotated

from fastapi import (
    Cookie,
    Depends,
    FastAPI,
    Query,
    WebSocket,
    WebSocketDisconnect,
    WebSocketException,
    status,
)

from chatlib.core.guard import Guard
from chatlib.core.messages import receive_text
from chatlib.core.origins import origins_from_environment
from chatlib.core.pages import add_page
from chatlib.core.redact import redact_logs

redact_logs("token")

app = FastAPI(title="Items")
app.add_middleware(Guard, origins=origins_from_environment())
add_page(app, "items")


async def get_cookie_or_token(
    session: Annotated[str | None, Cookie()] = None,
    token: Annotated[str | None, Query()] = None,
) -> str:
    """Return the session cookie or else the token; refuse a visitor who has neither.

    Raises:
        WebSocketException: with 1008, *policy violation*. No WebSocket is open yet, so what the
            client sees is HTTP 403.
    """
    credential = session or token
    if not credential:
        raise WebSocketException(code=status.WS_1008_POLICY_VIOLATION)
    return credential


@app.websocket("/items/{item_id}/ws")
async def websocket_endpoint(
    websocket: WebSocket,
    item_id: str,
    cookie_or_token: Annotated[str, Depends(get_cookie_or_token)],
    q: int | None = None,
) -> None:
    """Answer each text with the credential, with `q` if it was given, and with the text itself."""
    await websocket.accept()
    try:
        while True:
            text = await receive_text(websocket)
            await websocket.send_text(f"Session cookie or query token value is: {cookie_or_token}")
            if q is not None:
                await websocket.send_text(f"Query parameter q is: {q}")
            await websocket.send_text(f"Message text was: {text}, for item ID: {item_id}")
    except WebSocketDisconnect:
        pass
