"""Rooms on Redis, chatlib and others at the same work: `python -m benchmarks.others`.

It starts a Redis of its own, whose append-only file is on the disk before it answers. Each
candidate has two workers, processes of uvicorn with uvloop and httptools that log nothing, and half
of its members at each. Candidates run in turn, round after round, so that what else the machine
does hits them alike.
"""

import argparse
import signal
import subprocess
import sys
import time
from functools import partial

from benchmarks.machine import machine
from benchmarks.measure import attempt, note
from benchmarks.others import kills, speed
from benchmarks.others.candidates import CANDIDATES, ON_A_FILE
from benchmarks.others.kills import Losses
from benchmarks.others.report import cost_table, loss_table, redis_table
from benchmarks.others.speed import Sizes, Speed
from benchmarks.others.workers import Fsync
from benchmarks.process import others_time
from chatlib.lab.redis_server import HOW_TO_GET_ONE, find_redis

PACKAGES = (
    *("uvicorn", "uvloop", "websockets", "starlette", "redis", "hiredis", "python-socketio"),
    *("litestar", "broadcaster", "channels-redis"),
)
FULL = Sizes()
QUICK = Sizes(members=(20,), in_flight=(4,), seconds=0.1, said=20)


def redis_version() -> str:
    """Return the version of the Redis of this machine. Raise RuntimeError if there is none."""
    if not (program := find_redis()):
        raise RuntimeError(HOW_TO_GET_ONE)
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    return next((word[2:] for word in said.stdout.split() if word.startswith("v=")), "?")


def measure_speed(names: list[str], rounds: int, sizes: Sizes, fsync: Fsync) -> None:
    """Measure what a delivery costs and how long it takes. Print the table."""
    speeds: dict[str, list[Speed]] = {name: [] for name in names}
    began, before = time.monotonic(), others_time()
    for turn in range(rounds):
        for name in names:
            note(f"round {turn + 1} of {rounds}, deliveries: {CANDIDATES[name].label}")
            run = partial(speed.measure, name, sizes, fsync)
            speeds[name].append(attempt(run, Speed()))
    busy = (others_time() - before) / (time.monotonic() - began)
    print(f"Meanwhile others had {busy:.2f} of this machine's processors.\n")
    print(cost_table(speeds, sizes))
    print(redis_table(speeds, sizes), flush=True)


def measure_losses(names: list[str], rounds: int, fsync: Fsync) -> None:
    """Kill, and print what was lost."""
    losses: dict[str, list[Losses | None]] = {name: [] for name in names}
    for turn in range(rounds):
        for name in names:
            note(f"round {turn + 1} of {rounds}, kills: {CANDIDATES[name].label}")
            losses[name].append(attempt(partial(kills.measure, name, fsync), None))
    print(loss_table(losses), flush=True)


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.others",
        description=__doc__,
        epilog="All takes some six minutes on two cores, and more on busy ones.",
    )
    add = parser.add_argument
    add("--rounds", type=int, default=3, help="of what is timed, or 0; default: %(default)s")
    add("--kills", type=int, default=1, help="rounds of what is killed, or 0; default: %(default)s")
    add("--seconds", type=float, help=f"of a run; default: {FULL.seconds}")
    add("--members", type=int, nargs="+", help=f"default: {' '.join(map(str, FULL.members))}")
    flights = " ".join(map(str, FULL.in_flight))
    add("--in-flight", type=int, nargs="+", help=f"messages at a time; default: {flights}")
    add("--said", type=int, help=f"messages whose way is timed; default: {FULL.said}")
    add("--appendfsync", choices=["always", "everysec"], default="always", help="of Redis")
    default = [name for name in CANDIDATES if name != ON_A_FILE]
    add("--candidates", nargs="+", choices=CANDIDATES, default=default, metavar="NAME",
        help=f"of {', '.join(CANDIDATES)}; default: all that use Redis")  # fmt: skip
    add("--quick", action="store_true", help="see that all of it runs; the figures mean nothing")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    base = QUICK if given.quick else FULL
    sizes = Sizes(
        members=tuple(given.members or base.members),
        in_flight=tuple(given.in_flight or base.in_flight),
        seconds=given.seconds or base.seconds,
        said=given.said or base.said,
    )
    rounds = 1 if given.quick else given.rounds
    began = time.monotonic()
    if given.quick:
        print("A run with --quick, whose figures mean nothing.\n")
    print(f"{machine(PACKAGES)}, Redis {redis_version()} with appendfsync {given.appendfsync}.\n")
    try:
        if rounds:
            measure_speed(given.candidates, rounds, sizes, given.appendfsync)
        if given.kills:
            measure_losses(given.candidates, given.kills, given.appendfsync)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    note(f"{(time.monotonic() - began) / 60:.1f} minutes")


if __name__ == "__main__":
    main()
