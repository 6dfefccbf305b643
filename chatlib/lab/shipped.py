"""The app of chapter 09: an echo, as one has it at first, and with what lets it be shipped.

uvicorn chatlib.lab.shipped:app
uvicorn chatlib.lab.shipped:guarded --http chatlib.lab.shipped:QuickHead …
"""

from fastapi import FastAPI, Request, WebSocket, WebSocketDisconnect

from chatlib.core.guard import Guard
from chatlib.core.head import TimedHead


def echo() -> FastAPI:
    """Return an app that sends each text back, and says where a client and its page are."""
    app = FastAPI()

    @app.get("/you")
    async def you(request: Request) -> dict[str, str | None]:
        address = request.client.host if request.client else None
        return {"address": address, "page": str(request.url_for("you"))}

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            while True:
                text = await websocket.receive_text()
                await websocket.send_text(f"You wrote: {text}")
        except WebSocketDisconnect:
            pass

    return app


def echo_with_limits() -> FastAPI:
    """Return the same app behind a guard."""
    app = echo()
    app.add_middleware(
        Guard,
        max_connections_per_address=50,
        messages_per_second=200,
        bytes_per_second=1_000_000,
    )
    return app


class QuickHead(TimedHead):
    """`TimedHead`, which waits 1.5 seconds instead of ten: so a notebook need not wait."""

    head_seconds = 1.5


app = echo()
guarded = echo_with_limits()
