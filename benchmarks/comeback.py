"""How long 1,000 clients take to come back: `python -m benchmarks.comeback` prints a table.

They are in one room, on a worker that is killed and started again at once. Another worker keeps
messages meanwhile. They are back when each has got all of them. Each tries again at once, gives a
handshake 10 seconds, and waits a random time of up to a second between two tries.
"""

import argparse
import asyncio
import contextlib
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.places import KINDS, new_store
from benchmarks.storm.clients import Client
from benchmarks.storm.worker import SECRET
from benchmarks.storm.workers import Worker
from benchmarks.tables import GOAL_HEADS, goal_row, table
from chatlib.core.rooms.identity import Tokens

GOAL = "≤ 10"  # seconds, in the worst round too
MISSED = 100  # messages, said while the worker was dead
GIVE_UP_SECONDS = 120.0
BEAT_SECONDS = 25.0
OPEN_SECONDS = 10.0  # a handshake may take, as websockets has it
AT_A_TIME = 50  # connects, at the beginning


def address(worker: Worker) -> str:
    """Return the address of the room at a worker."""
    return f"ws://127.0.0.1:{worker.port}/rooms/lobby"


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds. `TimeoutError` if it takes too long."""
    async with asyncio.timeout(GIVE_UP_SECONDS):
        while not holds():  # noqa: ASYNC110 - clients have no event for it
            await asyncio.sleep(0.02)


async def come_back(worker: Worker, other: Worker, number: int) -> tuple[float, float]:
    """Kill `worker`; return after how many seconds it served again, and when all were back."""
    tokens = Tokens(SECRET)

    def client(name: str, where: Worker, due: list[float]) -> Client:
        token = tokens.sign(name, 3600)
        return Client(name, token, lambda: address(where), due, 32, BEAT_SECONDS, OPEN_SECONDS)

    crowd = [client(f"p{index}", worker, []) for index in range(number)]
    talker = client("talker", other, [0.0] * MISSED)
    async with asyncio.TaskGroup() as group:
        running = []
        for index, one in enumerate(crowd):
            running.append(group.create_task(one.run()))
            if index % AT_A_TIME == 0:
                await until(lambda: sum(each.is_here for each in crowd) >= index - AT_A_TIME)  # noqa: B023
        await until(lambda: all(each.is_here for each in crowd))
        killed = time.monotonic()
        worker.kill()
        running.append(group.create_task(talker.run()))
        await worker.start()
        await until(lambda: talker.is_done and talker.record.cursor.id == MISSED)
        head = talker.record.cursor
        await until(lambda: all(each.is_here and each.record.cursor == head for each in crowd))
        back = time.monotonic()
        for task in running:
            task.cancel()
    return worker.served - killed, back - killed


async def measure(kind: str, number: int) -> tuple[float, float]:
    """Do it once, with two workers on a new store of a kind."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        store = stack.enter_context(new_store(kind))
        workers = [
            stack.enter_context(
                Worker(store, [f"--beat={BEAT_SECONDS}"], Path(folder, f"worker-{number}.log"))
            )
            for number in range(2)
        ]
        for worker in workers:
            await worker.start()
        return await come_back(*workers, number)


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.comeback", description=__doc__)
    parser.add_argument("--clients", type=int, default=1000, help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--store", choices=KINDS, default="sqlite", help="default: %(default)s")
    options = parser.parse_args()
    rounds = [asyncio.run(measure(options.store, options.clients)) for _ in range(options.rounds)]
    served, back = zip(*rounds, strict=True)
    heads = [f"seconds after the kill, {options.store}, {options.rounds} rounds", *GOAL_HEADS[1:]]
    rows = [
        goal_row("the worker serves again", served, "", 1),
        goal_row(f"{options.clients:,} clients have all that they missed", back, GOAL, 1, max),
    ]
    print(table(heads, rows))


if __name__ == "__main__":
    main()
