"""How long a server in the notebook's kernel takes to start, and to stop.

`make bench` runs it. It prints a Markdown table; the first start, which imports and warms what
later ones use, is left out.
"""

import asyncio
import contextlib
import statistics
import time

import websockets

from chatlib.chat import app
from chatlib.lab.serve import Server

ROUNDS = 30
CLIENTS = 10


def row(what: str, seconds: list[float]) -> str:
    """Return a line of the table, in milliseconds."""
    figures = min(seconds), statistics.median(seconds), max(seconds)
    return f"| {what} | " + " | ".join(f"{1000 * figure:.0f}" for figure in figures) + " |"


def measure_bare() -> tuple[list[float], list[float]]:
    """Start and stop servers that nobody connects to."""
    starts, stops = [], []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        server = Server(app)
        starts.append(time.perf_counter() - began)
        began = time.perf_counter()
        server.stop()
        stops.append(time.perf_counter() - began)
    return starts, stops


async def measure_stop_with_clients() -> list[float]:
    """Stop servers that have clients."""
    stops = []
    for _ in range(ROUNDS):
        server = Server(app)
        async with contextlib.AsyncExitStack() as stack:
            for number in range(CLIENTS):
                url = server.ws_url(f"/ws/{number}")
                await stack.enter_async_context(websockets.connect(url))
            began = time.perf_counter()
            await asyncio.to_thread(server.stop)
            stops.append(time.perf_counter() - began)
    return stops


def main() -> None:
    """Measure, and print the table."""
    Server(app).stop()
    starts, stops = measure_bare()
    print(f"| milliseconds, {ROUNDS} rounds | min | median | max |")
    print("|---|---:|---:|---:|")
    print(row("start", starts))
    print(row("stop", stops))
    print(row(f"stop with {CLIENTS} clients", asyncio.run(measure_stop_with_clients())))


if __name__ == "__main__":
    main()
