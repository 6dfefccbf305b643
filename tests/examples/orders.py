"""Orders that a dashboard follows: rooms that remember, in an app without any chat.

uvicorn orders:app --workers 2 --ws chatlib.core.fanout:FanoutProtocol
python orders.py tea cake
"""

import asyncio
import os
import sys
from typing import Annotated

from fastapi import BackgroundTasks, FastAPI, Header, Request, WebSocket
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel

from chatlib import Hub, Publisher
from chatlib.stores import NotKept, Receipt, Unsure

STORE = os.environ.get("ORDERS_STORE", "sqlite:///orders.db")
ROOM = "orders"

hub = Hub(STORE)
app = FastAPI(lifespan=hub.lifespan)

Key = Annotated[str | None, Header(alias="Idempotency-Key")]


class Order(BaseModel):
    """What somebody wants."""

    item: str
    table: int = 0


class Kept(BaseModel):
    """Where it is kept; `again` if it was before."""

    id: int
    again: bool


def kept(receipt: Receipt) -> Kept:
    return Kept(id=receipt.id, again=receipt.again)


@app.post("/orders", status_code=201)
async def order(order: Order, key: Key = None) -> Kept:
    return kept(await hub.publish(ROOM, order, key=key))


@app.post("/phone-orders", status_code=201)
def phone_order(order: Order, key: Key = None) -> Kept:
    """A route that blocks runs in a thread."""
    return kept(hub.publish_from_thread(ROOM, order, key=key))


@app.post("/orders/{number}/cook", status_code=202)
async def cook(number: int, tasks: BackgroundTasks) -> None:
    """The dashboard hears when it is ready."""
    tasks.add_task(tell_ready, number)


async def tell_ready(number: int) -> None:
    await hub.publish(ROOM, {"ready": number}, key=f"ready-{number}")


@app.exception_handler(NotKept)
@app.exception_handler(Unsure)
async def try_again(request: Request, error: Exception) -> JSONResponse:
    """With the same key nothing is ordered twice."""
    return JSONResponse({"detail": str(error)}, 503, {"Retry-After": "1"})


@app.websocket("/orders")
async def dashboard(websocket: WebSocket, after: str | None = None) -> None:
    await websocket.accept()
    await hub.follow(websocket, ROOM, after=after, last=20)


@app.get("/")
async def page() -> HTMLResponse:
    return HTMLResponse(PAGE)


PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Orders</title>
<link rel="icon" href="data:,">
<h1>Orders</h1>
<p id="status" role="status"></p>
<ol id="orders"></ol>
<script>
const status = document.getElementById("status");
const orders = document.getElementById("orders");
let cursor = null; // up to where this page has heard

function connect() {
  const url = new URL("orders", location.href);
  url.protocol = url.protocol.replace("http", "ws");
  if (cursor) url.searchParams.set("after", cursor);
  const socket = new WebSocket(url);
  let heard = Date.now();
  let patience = 60_000;
  const watch = setInterval(() => {
    if (Date.now() - heard > patience) socket.close();
  }, 1000);
  socket.onmessage = ({ data }) => {
    const frame = JSON.parse(data);
    heard = Date.now();
    if (frame.type === "welcome") {
      patience = (frame.beat + 10) * 1000;
      if (frame.history !== "complete") orders.replaceChildren();
      cursor = frame.after;
      status.textContent = "Connected.";
    } else if (frame.type === "message") {
      cursor = `${frame.id}.${frame.tag}`;
      const line = document.createElement("li");
      line.value = frame.id;
      line.textContent = frame.data.item ?? `Order ${frame.data.ready} is ready`;
      orders.append(line);
    } else if (frame.type === "beat" && frame.head > parseInt(cursor)) {
      socket.close(); // something was missed: come back for it
    }
  };
  socket.onclose = () => {
    clearInterval(watch);
    status.textContent = "Connection lost. Reconnecting…";
    setTimeout(connect, 200 + 800 * Math.random());
  };
}
connect();
</script>
</html>
"""


async def main(items: list[str]) -> None:
    """Order `items` from a process that serves nothing."""
    async with Publisher(STORE) as publisher:
        for item in items:
            receipt = await publisher.publish(ROOM, Order(item=item))
            print(f"{item}: order {receipt.id}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
