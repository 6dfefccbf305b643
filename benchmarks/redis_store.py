"""What it costs to keep messages in Redis: `python -m benchmarks.redis_store` prints the table.

The yardstick is `redis-benchmark`, which comes with Redis: as many clients as there are messages in
flight, each of which adds an entry of the same size to a stream and waits for the answer. It runs
in turn with the store, each on a new Redis that writes all to the disk before it answers.
"""

import argparse
import gc
import statistics
import subprocess
from urllib.parse import urlsplit

import uvloop

from benchmarks.places import new_store
from benchmarks.stores import BODY, IN_FLIGHT, ROUNDS, SECONDS, append, hear, two_processes
from benchmarks.tables import GOAL_HEADS, goal_row, table
from chatlib.__main__ import GC_THRESHOLDS

ENTRIES = 60_000


def plain_entries(address: str) -> float:
    """Return how many entries a second `redis-benchmark` adds to a stream."""
    command = ["redis-benchmark", "-p", str(urlsplit(address).port), "-n", str(ENTRIES), "--csv"]
    command += ["-c", str(IN_FLIGHT), "-P", "1", "XADD", "lobby", "*", "body", BODY.decode()]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(ran.stdout.splitlines()[-1].split('","')[1].strip('"'))


def measure(rounds: int, seconds: float) -> str:
    """Measure; return the table."""
    rates, ratios, sums, longest = [], [], [], []
    for _ in range(rounds):
        with new_store("redis") as address:
            plain = plain_entries(address)
        with new_store("redis") as address:
            one, wait = uvloop.run(append(address, seconds))
        with new_store("redis") as address:
            two = two_processes(address, seconds)
        rates.append(one)
        ratios.append(one / plain)
        sums.append(sum(rate for rate, _ in two) / one)
        longest.append(1000 * wait)
    with new_store("redis") as address:
        waits = sorted(uvloop.run(hear(address)))
    rows = [
        goal_row(f"appends a second, {IN_FLIGHT} in flight", rates, "", 0),
        goal_row("the same, as a share of redis-benchmark", ratios, "≥ 0.45"),
        goal_row("two processes, sum as a share of one", sums, ""),
        goal_row("the longest append, ms", longest, "", 0, max),
        goal_row("heard by another process after, ms: median", [statistics.median(waits)], ""),
        goal_row("99 of 100 within, ms", [waits[int(len(waits) * 0.99)]], ""),
    ]
    heads = [f"Redis, on the disk at each append, {rounds} rounds", *GOAL_HEADS[1:]]
    return table(heads, rows)


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.redis_store", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    given = parser.parse_args()
    gc.set_threshold(*GC_THRESHOLDS)
    print(measure(given.rounds, given.seconds))


if __name__ == "__main__":
    main()
