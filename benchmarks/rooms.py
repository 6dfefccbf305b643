"""What it costs that rooms remember: `python -m benchmarks.rooms` prints the tables.

Candidates run in turn, round after round, so that what else the machine does hits them alike.
"""

import argparse
import asyncio
import json
import os
import secrets
import statistics
import time

from websockets.asyncio.client import ClientConnection, connect

from benchmarks.measure import Figure, measure
from benchmarks.places import KINDS, new_store
from benchmarks.process import serving
from benchmarks.tables import GOAL_HEADS, costs, goal_row, ratios, table
from chatlib.core.rooms.identity import Tokens
from chatlib.rooms import SECRET, STORE

NUMBERS = {100: "≤ 2.5", 1000: "≤ 1.3"}  # members, and the goal
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
        rows += [
            goal_row(f"N={number}: a room without a log, µs", costs(room), ""),
            goal_row(f"N={number}: a hub with a log in memory, µs", costs(hub), ""),
            goal_row(f"N={number}: the one over the other", ratios(costs(hub), costs(room)), goal),
        ]
    heads = [f"a delivery, {IN_FLIGHT} in flight, {rounds} rounds", *GOAL_HEADS[1:]]
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


def other_worker(kind: str) -> str:
    """Return the table of how soon a member of another worker hears what is said."""
    with new_store(kind) as address:
        os.environ[STORE] = address
        os.environ[SECRET] = secrets.token_urlsafe()
        with serving("rooms") as one, serving("rooms") as two:
            tokens = Tokens(os.environ[SECRET])
            waits = asyncio.run(between_workers((one.port, two.port), tokens))
    rows = [
        goal_row("half of them within, ms", [statistics.median(waits)], "≤ 2"),
        goal_row("99 of 100 within, ms", [waits[int(len(waits) * 0.99)]], "≤ 15"),
    ]
    heads = [f"{SAID} messages, {kind}, said at one worker, heard at another", *GOAL_HEADS[1:]]
    return table(heads, rows)


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rooms", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0)
    given = parser.parse_args()
    print(deliveries(given.rounds, given.seconds))
    for kind in KINDS:
        print(other_worker(kind))


if __name__ == "__main__":
    main()
