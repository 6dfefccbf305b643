"""An app that tells what reaches it through a proxy: `python tests/shared/probe.py SOCKET`."""

import asyncio
import sys

import uvicorn
from fastapi import FastAPI, Response, WebSocket, WebSocketDisconnect

from chatlib.core.guard import Guard

MOST_FROM_ONE_ADDRESS = 3
CHUNK = b"x" * 65536
CHUNKS = 512  # 32 MB, more than all buffers on the way have room for
BLOCKED_SECONDS = 1.0  # nothing moves for so long: whoever reads does not

app = FastAPI()
app.add_middleware(Guard, max_connections_per_address=MOST_FROM_ONE_ADDRESS)
seen: list[str] = []
is_ready = True
stalled: "asyncio.Queue[int]" = asyncio.Queue()


@app.middleware("http")
async def note_path(request, call_next):
    if "x-forwarded-for" in request.headers:  # and no question of the proxy itself
        seen.append(request.scope["path"])
    return await call_next(request)


@app.get("/")
async def page():
    return "a page"


@app.get("/seen")
async def paths():
    """The paths of the requests so far."""
    return seen


@app.get("/readyz")
async def ready(response: Response):
    """Whether the app takes new connections, as `say_ready` has it."""
    response.status_code = 200 if is_ready else 503
    return is_ready


@app.get("/say-ready")
async def say_ready(now: bool):
    """Have the app be ready from now on, or not."""
    global is_ready
    is_ready = now


@app.get("/livez")
@app.get("/healthz")
@app.get("/metrics")
async def for_operators():
    """What no client shall see."""
    return "for operators"


@app.websocket("/ws")
async def tell(websocket: WebSocket):
    """Tell what is known of the connection, then echo."""
    await websocket.accept()
    await websocket.send_json(
        {
            "client": websocket.client.host,
            "scheme": websocket.url.scheme,
            "host": websocket.headers["host"],
            "path": websocket.scope["path"],
        }
    )
    try:
        while True:
            await websocket.send_text(await websocket.receive_text())
    except WebSocketDisconnect:
        pass


@app.websocket("/flood")
async def flood(websocket: WebSocket):
    """Once told to begin, send as much as the way takes, and then the rest."""
    await websocket.accept()
    await websocket.receive_text()
    for sent in range(CHUNKS):
        sending = asyncio.ensure_future(websocket.send_bytes(CHUNK))
        done, _ = await asyncio.wait([sending], timeout=BLOCKED_SECONDS)
        if not done:
            stalled.put_nowait(sent)
        await sending
    stalled.put_nowait(CHUNKS)


@app.get("/stalled")
async def how_many():
    """Answer once a flood can go no further: how many chunks were sent by then."""
    return await stalled.get()


if __name__ == "__main__":
    uvicorn.run(
        app,
        uds=sys.argv[1],
        root_path="/chat",
        forwarded_allow_ips="*",
        timeout_graceful_shutdown=1,
    )
