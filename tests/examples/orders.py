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
from pydantic import BaseModel, Field

from chatlib import Hub, Publisher
from chatlib.stores import NotKept, Receipt, Unsure

STORE = os.environ.get("ORDERS_STORE", "sqlite:///orders.db")
ROOM = "orders"

hub = Hub(STORE)
app = FastAPI(lifespan=hub.lifespan)

Key = Annotated[str | None, Header(alias="Idempotency-Key", min_length=1, max_length=200)]


class Order(BaseModel):
    """What somebody wants."""

    item: Annotated[str, Field(min_length=1, max_length=200)]
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
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Orders</title>
<link rel="icon" href="data:,">
<h1>Orders</h1>
<form><label>Item <input name="item" required maxlength="200"></label> <button>Order</button></form>
<p id="unsent"></p>
<p id="status" role="status"></p>
<p id="note"></p>
<ol id="orders"></ol>
<script>
const show = (id, text) => { document.getElementById(id).textContent = text; };
const orders = document.getElementById("orders");
const form = document.querySelector("form");
// By chance, so that not all pages come at once: up to 1, 2, 4 … 30 seconds.
const pause = (failures) => Math.random() * Math.min(1000 * 2 ** failures, 30_000);

const NOTES = {
  trimmed: "Older orders are no longer kept. The list begins anew.",
  diverged: "The orders on the server have changed. The list begins anew.",
};
let cursor = null; // "id.tag" of the last message that is here
let failures = 0; // since the last welcome

function connect() {
  const url = new URL("orders", location.href);
  url.protocol = url.protocol.replace("http", "ws");
  if (cursor) url.searchParams.set("after", cursor);
  const socket = new WebSocket(url);
  let beat = 0; // seconds
  let silence;
  show("status", "Connecting…");
  listen();

  function listen() {
    clearTimeout(silence);
    silence = setTimeout(leave, (beat + 10) * 1000);
  }

  function leave() {
    clearTimeout(silence);
    socket.onmessage = socket.onclose = null; // to close a dead connection may take a minute
    socket.close();
    show("status", "Connection lost. Reconnecting…");
    setTimeout(connect, pause(failures++));
  }

  socket.onmessage = ({ data }) => {
    listen();
    const frame = JSON.parse(data);
    if (frame.type === "welcome") {
      failures = 0;
      beat = frame.beat;
      listen();
      if (frame.history !== "complete") {
        orders.replaceChildren();
        show("note", NOTES[frame.history] ?? "");
      }
      cursor = frame.after;
      show("status", "Connected.");
    } else if (frame.type === "message") {
      if (frame.id !== parseInt(cursor) + 1) return leave(); // come back for those between
      add(frame);
      cursor = `${frame.id}.${frame.tag}`;
    } else if (frame.type === "beat" && frame.head !== parseInt(cursor)) {
      leave();
    }
  };
  socket.onclose = ({ code, reason }) => {
    if (code !== 1008) return leave(); // 4409 too: the next welcome says what has changed
    clearTimeout(silence);
    show("status", `The server refuses this page (${reason || code}). Reload it to begin anew.`);
  };
}

function add({ id, data }) {
  const line = document.createElement("li");
  line.value = id;
  line.textContent = data?.item ?? (data?.ready ? `Order ${data.ready} is ready` : "unreadable");
  orders.append(line);
}

const unsent = []; // in order; a reload forgets them

form.onsubmit = (event) => {
  event.preventDefault();
  const bytes = crypto.getRandomValues(new Uint8Array(16)); // randomUUID() needs https
  const key = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  unsent.push({ item: new FormData(form).get("item"), key });
  form.reset();
  showUnsent();
  if (unsent.length === 1) send();
};

function showUnsent() {
  const items = unsent.map(({ item }) => item).join(", ");
  show("unsent", items && `Not ordered yet: ${items}`);
}

// Without an answer an order may be kept, or not. With the same key it is kept once.
async function send() {
  for (let tries = 0; unsent.length; ) {
    const [{ item, key }] = unsent;
    const code = await fetch("orders", {
      method: "POST",
      headers: { "Content-Type": "application/json", "Idempotency-Key": key },
      body: JSON.stringify({ item }),
      signal: AbortSignal.timeout(10_000),
    }).then(({ status }) => status, () => null);
    if (code === null || code === 429 || code >= 500) {
      await new Promise((done) => setTimeout(done, pause(tries++)));
      continue;
    }
    unsent.shift();
    tries = 0;
    showUnsent();
    if (code >= 400) show("note", `The server does not take the order of ${item} (${code}).`);
  }
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
