"""The chat: what one client says, all of them hear."""

from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from chatlib.core.guard import Guard
from chatlib.core.manager import ConnectionManager
from chatlib.core.messages import receive_text
from chatlib.core.origins import origins_from_environment
from chatlib.core.pages import add_page
from chatlib.core.redact import redact_logs

redact_logs()

app = FastAPI(title="Chat")
app.add_middleware(Guard, origins=origins_from_environment())
add_page(app, "chat")

manager = ConnectionManager()


@app.websocket("/ws/{client_id}")
async def websocket_endpoint(websocket: WebSocket, client_id: int) -> None:
    """Tell the sender what it wrote and all what it said; on its leaving, those who remain."""
    await manager.connect(websocket)
    try:
        while True:
            text = await receive_text(websocket)
            await manager.send_personal_message(f"You wrote: {text}", websocket)
            await manager.broadcast(f"Client #{client_id} says: {text}")
    except WebSocketDisconnect:
        pass
    finally:
        manager.disconnect(websocket)
        await manager.broadcast(f"Client #{client_id} left the chat")
