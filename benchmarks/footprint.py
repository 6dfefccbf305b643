"""What a worker of `chatlib.rooms` has in memory: `python -m benchmarks.footprint` prints a table.

The same is done to one worker round after round: people connect to one room and do nothing, new
rooms are opened and left, and a room of many hears many messages. If a room or a person left
anything behind, each round would leave as much as the one before. The store is in a file, of which
SQLite keeps 2 MB in memory for each of three connections: that is full after some rounds.
"""

import argparse
import asyncio
import json
import os
import resource
import secrets
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from websockets.asyncio.client import ClientConnection, connect

from benchmarks.process import Process, serving
from benchmarks.rooms import drain
from benchmarks.tables import GOAL_HEADS, goal_row, table
from chatlib.core.rooms.identity import Tokens
from chatlib.rooms import SECRET, STORE

ROOMS = 1000
IDLE = 2000
CROWD = 1000
MESSAGES = 1000  # that the crowd hears
AT_A_TIME = 50  # connects
TEXT = "x" * 100
GUARD_SECONDS = 300.0


class Crowd:
    """People who connect to the rooms of a worker.

    Args:
        server: the worker.
        tokens: sign who they are.
    """

    def __init__(self, server: Process, tokens: Tokens) -> None:
        self._url = f"ws://127.0.0.1:{server.port}/rooms"
        self._tokens = tokens
        self._turns = asyncio.Semaphore(AT_A_TIME)

    @asynccontextmanager
    async def one(self, room: str, name: str) -> AsyncIterator[ClientConnection]:
        """Have `name` in `room` in the block."""
        headers = {"Authorization": f"Bearer {self._tokens.sign(name, 3600)}"}
        url = f"{self._url}/{room}?last=0"
        async with self._turns:
            client = await connect(url, additional_headers=headers, proxy=None, ping_interval=None)
            await client.recv()  # the welcome
        try:
            yield client
        finally:
            async with self._turns:
                await client.close()

    async def visit(self, room: str, name: str) -> None:
        """Say something in `room`, and leave."""
        async with self.one(room, name) as client:
            await say(client, "hello")

    async def stay(self, name: str, here: asyncio.Semaphore, end: asyncio.Event) -> None:
        """Be in the lobby until the `end`, and read whatever comes."""
        async with self.one("lobby", name) as client:
            here.release()
            reading = asyncio.create_task(drain(client))
            await end.wait()
            reading.cancel()

    @asynccontextmanager
    async def many(self, number: int) -> AsyncIterator[None]:
        """Have so many people in the lobby in the block."""
        here, end = asyncio.Semaphore(0), asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for index in range(number):
                group.create_task(self.stay(f"p{index}", here, end))
            for _ in range(number):
                await here.acquire()
            yield
            end.set()


async def say(client: ClientConnection, text: str) -> None:
    """Say something, and wait until it is acknowledged."""
    key = secrets.token_hex(8)
    await client.send(json.dumps({"type": "say", "key": key, "text": text}))
    while json.loads(await client.recv()).get("type") != "ack":
        pass


async def one_round(server: Process, crowd: Crowd, number: int) -> dict[str, float]:
    """Do all of it once; return what the worker had in memory meanwhile, in MB."""
    seen = {}

    def look(what: str) -> None:
        seen[what] = server.memory() / 1e6

    look("before")
    async with crowd.many(IDLE):
        look("idle")
    async with asyncio.TaskGroup() as group:
        for index in range(ROOMS):
            group.create_task(crowd.visit(f"room-{number}-{index}", f"p{number}-{index}"))
    look("rooms")
    async with crowd.many(CROWD), crowd.one("lobby", "talker") as talker:
        for _ in range(MESSAGES):
            await say(talker, TEXT)
        look("talk")
    look("after")
    return seen


async def measure(rounds: int) -> list[dict[str, float]]:
    """Return what each round saw."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ[STORE] = f"sqlite:///{Path(folder, 'rooms.db')}"
        os.environ[SECRET] = secrets.token_urlsafe()
        with serving("rooms") as server:
            crowd = Crowd(server, Tokens(os.environ[SECRET]))
            async with asyncio.timeout(GUARD_SECONDS * rounds):
                return [await one_round(server, crowd, number) for number in range(rounds)]


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.footprint", description=__doc__)
    parser.add_argument("--rounds", type=int, default=8, help="default: %(default)s")
    rounds = parser.parse_args().rounds
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 3 * IDLE), most))
    seen = asyncio.run(measure(rounds))
    first = seen[0]
    idle = 1000 * (first["idle"] - first["before"]) / IDLE
    after = ", ".join(f"{each['after']:.1f}" for each in seen)
    rows = [
        goal_row("the worker, before anybody came, MB", [first["before"]], "", 1),
        goal_row(f"one of {IDLE:,} idle connections, KB", [idle], "", 1),
        goal_row(f"after {ROOMS:,} rooms were opened and left, MB", [first["rooms"]], "", 1),
        goal_row(
            f"with a room of {CROWD:,} that heard {MESSAGES:,} messages, MB", [first["talk"]], "", 1
        ),
        ["after each round of all this, MB", after, "", ""],
    ]
    print(table([f"{rounds} rounds, one worker on a file", *GOAL_HEADS[1:]], rows))


if __name__ == "__main__":
    main()
