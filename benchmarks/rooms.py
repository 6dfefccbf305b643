"""What it costs that rooms remember: `python -m benchmarks.rooms` prints the tables.

Candidates run in turn, round after round, so that what else the machine does hits them alike.
"""

import argparse
import asyncio
import json
import os
import secrets
import statistics
import tempfile
import time
from pathlib import Path

from websockets.asyncio.client import ClientConnection, connect

from benchmarks.measure import Figure, measure
from benchmarks.process import serving
from benchmarks.tables import costs, ratios, table
from chatlib.core.rooms.identity import Tokens
from chatlib.rooms import SECRET, STORE

NUMBERS = {100: 2.5, 1000: 1.3}  # members, and the goal: how many times the cost without a log
IN_FLIGHT = 32
SAID = 500
PAUSE_SECONDS = 0.005  # between two messages: nobody is in a hurry


def deliveries(rounds: int, seconds: float) -> str:
    """Return the table of what a delivery costs with a log in memory, and without one."""
    rows = []
    for number, goal in NUMBERS.items():
        room: list[Figure] = []
        hub: list[Figure] = []
        for _ in range(rounds):
            room += measure(("room", False), number, [IN_FLIGHT], seconds)
            hub += measure(("hub", False), number, [IN_FLIGHT], seconds)
        times = ratios(costs(hub), costs(room))
        rows.append(
            [
                str(number),
                f"{statistics.median(costs(room)):.2f}",
                f"{statistics.median(costs(hub)):.2f}",
                f"{statistics.median(times):.2f} ({min(times):.2f} to {max(times):.2f})",
                f"≤ {goal}",
            ]
        )
    heads = ["members", "a room, µs a delivery", "a hub in memory, µs", "×", "goal"]
    return table(heads, rows)


async def next_message(client: ClientConnection) -> float:
    """Wait for a message; return when it came."""
    while True:
        frame = await client.recv()
        came = time.perf_counter()
        if json.loads(frame)["type"] == "message":
            return came


async def between_workers(ports: tuple[int, int], tokens: Tokens) -> list[float]:
    """Return after how many milliseconds each message of one worker is heard at the other."""
    urls = [f"ws://127.0.0.1:{port}/rooms/lobby?last=0" for port in ports]
    headers = {"Authorization": f"Bearer {tokens.sign('ana', 3600)}"}
    waits = []
    async with (
        connect(urls[0], additional_headers=headers, proxy=None) as speaker,
        connect(urls[1], additional_headers=headers, proxy=None) as hearer,
    ):
        await speaker.recv()
        await hearer.recv()  # both have been welcomed
        reading = asyncio.create_task(drain(speaker))
        for number in range(SAID):
            say = {"type": "say", "key": f"k{number}", "text": "x" * 100}
            began = time.perf_counter()
            await speaker.send(json.dumps(say))
            waits.append(1000 * (await next_message(hearer) - began))
            await asyncio.sleep(PAUSE_SECONDS)
        reading.cancel()
    return sorted(waits)


async def drain(client: ClientConnection) -> None:
    """Read whatever comes."""
    async for _ in client:
        pass


def other_worker() -> str:
    """Return the table of how soon a member of another worker hears what is said."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ[STORE] = f"sqlite:///{Path(folder, 'rooms.db')}"
        os.environ[SECRET] = secrets.token_urlsafe()
        with serving("rooms") as one, serving("rooms") as two:
            tokens = Tokens(os.environ[SECRET])
            waits = asyncio.run(between_workers((one.port, two.port), tokens))
    half, most = statistics.median(waits), waits[int(len(waits) * 0.99)]
    rows = [
        ["half of them within, ms", f"{half:.2f}", "≤ 2"],
        ["99 of 100 within, ms", f"{most:.2f}", "≤ 15"],
    ]
    return table([f"{SAID} messages, said at one worker, heard at another", "", "goal"], rows)


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rooms", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0)
    given = parser.parse_args()
    print(deliveries(given.rounds, given.seconds))
    print(other_worker())


if __name__ == "__main__":
    main()
