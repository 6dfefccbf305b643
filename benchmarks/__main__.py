"""What a delivery costs: `python -m benchmarks` prints the tables and saves the chart.

Every candidate is a server in a process of its own, and the candidates run in turn, round after
round, so that what else the machine does hits them alike. A figure is the median over the rounds;
a ratio is the median of each round's ratio to the plain manager in that round, with the least and
the most of them. The floor, a loop of send(2) in C or else in Python, is measured in the same
rounds: the price of a system call differs from machine to machine.
"""

import argparse
import dataclasses
import signal
import sys
import time
from functools import partial
from pathlib import Path

from benchmarks import bad_members, measure
from benchmarks.candidates import (
    CANDIDATES,
    CHATS,
    CONNECTS,
    FLOOR,
    NUMBER,
    ON_OTHERS,
    OURS,
    OURS_BROWSER,
    PLAIN,
    PLAIN_BROWSER,
    WEBSOCKETS,
)
from benchmarks.chart import save_chart
from benchmarks.connects import arrivals, most_connections
from benchmarks.goals import Results, goals_table
from benchmarks.machine import machine
from benchmarks.measure import Figures, Sizes, attempt, note
from benchmarks.process import others_time
from benchmarks.tables import (
    Spread,
    connects_table,
    costs,
    cpu_table,
    memory_table,
    others_table,
    strain_table,
)

PACKAGES = (
    *("uvicorn", "uvloop", "websockets", "starlette", "fastapi", "hypercorn", "granian"),
    *("python-socketio", "broadcaster"),
)
FLIGHTS = [1, 32]
FULL = Sizes()
QUICK = Sizes(
    rounds=1,
    seconds=0.1,
    clients=(100,),
    memory=100,
    pace=1.0,
    fill_seconds=0.5,
    flood=600,
    arrivals=200,
    idle=400,
)
CHART = Path(__file__).with_name("fanout.png")
BAD_MEMBERS = ["--servers", "chatlib", "--senders", "flood", "--seconds", "8"]
LOAD = (
    "*load ÷ server*: the CPU time of the load over that of the server, in the median. Below 1 the "
    "server was the busier of the two, and so was not waiting for the load; above, it may have "
    "waited, which costs it no CPU time.\n"
)


def deliveries(sizes: Sizes) -> tuple[Figures, Figures]:
    """Measure the candidates in every size, and those on other servers. Return the figures."""
    figures: Figures = {}
    others: Figures = {}
    for turn in range(sizes.rounds):
        note(f"round {turn + 1} of {sizes.rounds}, what a delivery costs")
        for number in sizes.clients:
            measure.cpu(figures, CANDIDATES, number, FLIGHTS, sizes.seconds)
        measure.cpu(figures, CHATS, NUMBER, FLIGHTS[-1:], sizes.seconds)
        measure.cpu(others, ON_OTHERS, NUMBER, FLIGHTS, sizes.seconds)
    return figures, others


def memories(sizes: Sizes) -> dict[str, list[float]]:
    """Return the kilobytes of an idle connection, in each round."""
    kilobytes: dict[str, list[float]] = {}
    for turn in range(sizes.rounds):
        for label in (PLAIN, PLAIN_BROWSER, OURS, OURS_BROWSER, FLOOR):
            note(f"round {turn + 1} of {sizes.rounds}, memory: {label}")
            run = partial(measure.memory, CANDIDATES[label], sizes.memory)
            kilobytes.setdefault(label, []).append(attempt(run, float("nan")))
    return kilobytes


def strains(sizes: Sizes) -> tuple[dict[str, float], dict[str, list[float]]]:
    """Return the longest gap with a stalled client, and what a flood costs in each round."""
    gaps: dict[str, float] = {}
    floods: dict[str, list[float]] = {}
    for label, (name, compressed) in CANDIDATES.items():
        # The floor waits for every client, by design. What a flood leaves in the queues of the
        # other two has no bound, nor an end.
        if not compressed and name not in {"floor", "broadcaster", "writes"}:
            note(f"gap: {label}")
            gaps[label] = attempt(partial(measure.longest_gap, name, sizes), float("nan"))
    for turn in range(sizes.rounds):
        for label in (PLAIN, WEBSOCKETS, OURS, FLOOR):
            note(f"round {turn + 1} of {sizes.rounds}, flood: {label}")
            run = partial(measure.flood, CANDIDATES[label][0], sizes.flood)
            floods.setdefault(label, []).append(attempt(run, float("nan")))
    return gaps, floods


def run(sizes: Sizes, chart: Path | None) -> None:
    """Measure, and print each table as soon as it is complete."""
    if (most := most_connections()) < sizes.idle:
        few = min(sizes.arrivals, most)
        note(f"a process may have {most} connections here; {few:,} come instead")
        sizes = dataclasses.replace(sizes, arrivals=few, idle=few)
    say = partial(print, flush=True)
    began, before = time.monotonic(), others_time()
    figures, others = deliveries(sizes)
    busy = (others_time() - before) / (time.monotonic() - began)
    say(f"{machine(PACKAGES)}; median of {sizes.rounds} rounds, the least and the most.\n")
    say(f"Meanwhile others had {max(busy, 0):.2f} of this machine's processors.\n")
    say(cpu_table(figures, sizes, FLIGHTS))
    say(LOAD)
    say(others_table(others, FLIGHTS))
    came = arrivals(CONNECTS, sizes)
    say(connects_table(came, sizes))
    kilobytes = memories(sizes)
    say(memory_table(kilobytes))
    gaps, floods = strains(sizes)
    say(strain_table(gaps, floods, sizes))
    say(goals_table(Results(figures, others, kilobytes, floods, came), sizes))
    if chart:
        medians = {key: Spread.of(costs(figures_of)).median for key, figures_of in figures.items()}
        save_chart(medians, list(CANDIDATES), list(sizes.clients), FLIGHTS, chart)
        note(f"chart: {chart}")


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog="All takes some 15 minutes on two cores; --bad-members 4 more; --quick one or two.",
    )
    add = parser.add_argument
    add("--rounds", type=int, help=f"default: {FULL.rounds}")
    add("--seconds", type=float, help=f"of a run; default: {FULL.seconds}")
    add("--clients", type=int, nargs="+", help=f"default: {' '.join(map(str, FULL.clients))}")
    add("--chart", type=Path, help="default: benchmarks/fanout.png; with --quick, none")
    add("--bad-members", action="store_true", help="what a bad member costs, of each kind, besides")
    add("--quick", action="store_true", help="see that all of it runs; the figures mean nothing")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    began = time.monotonic()
    given = {name: getattr(options, name) for name in ("rounds", "seconds", "clients")}
    given = {name: value for name, value in given.items() if value is not None}
    sizes = dataclasses.replace(QUICK if options.quick else FULL, **given)
    if options.quick:
        print("A run with --quick, whose figures mean nothing.\n")
    try:
        run(sizes, options.chart or (None if options.quick else CHART))
        if options.bad_members:
            kinds = ["--kinds", "stall"] if options.quick else []
            bad_members.main([*BAD_MEMBERS, *kinds])
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    note(f"{(time.monotonic() - began) / 60:.1f} minutes")


if __name__ == "__main__":
    main()
