"""The echo: every text that a client sends comes back to it."""

from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from chatlib.core.guard import Guard
from chatlib.core.messages import receive_text
from chatlib.core.origins import origins_from_environment
from chatlib.core.pages import add_page
from chatlib.core.redact import redact_logs

redact_logs()

app = FastAPI(title="Echo")
app.add_middleware(Guard, origins=origins_from_environment(default="*"))
add_page(app, "echo")


@app.websocket("/ws")
async def websocket_endpoint(websocket: WebSocket) -> None:
    """Answer each text `m` with `Message text was: {m}`, until the client leaves."""
    await websocket.accept()
    try:
        while True:
            text = await receive_text(websocket)
            await websocket.send_text(f"Message text was: {text}")
    except WebSocketDisconnect:
        pass
