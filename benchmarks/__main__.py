"""What a delivery costs: `python -m benchmarks` prints the tables and saves the chart.

Every candidate is a server in a process of its own, and the candidates run in turn, round after
round, so that what else the machine does hits them alike. A figure is the median over the rounds;
a ratio is the median of each round's ratio to the plain manager in that round.
"""

import argparse
import contextlib
import datetime
import importlib.metadata
import math
import os
import platform
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.chart import save_chart
from benchmarks.load import Crowd, frame

# A candidate as the table names it, its server, and whether its clients offer compression.
CANDIDATES = {
    "plain manager": ("plain", False),
    "plain manager, as a browser connects": ("plain", True),
    "plain manager with gather": ("gather", False),
    "a queue and a task per client": ("queues", False),
    "encode/broadcaster in memory": ("broadcaster", False),
    "python-socketio": ("socketio", False),
    "`websockets` and its broadcast()": ("websockets", False),
    "chatlib": ("chatlib", False),
    "chatlib, as a browser connects": ("chatlib", True),
}
CHATS = {
    "the chat on the plain manager": ("chat on plain", False),
    "the chat on chatlib": ("chat on chatlib", False),
}
PLAIN, PLAIN_BROWSER, *_ = CANDIDATES
OURS, OURS_BROWSER = list(CANDIDATES)[-2:]
PACKAGES = ("uvicorn", "uvloop", "websockets", "starlette", "python-socketio", "broadcaster")
KILOBYTE = b"x" * 1000
PACE_SECONDS = 12.0  # longer than a room's patience
# More than Linux takes for a client that does not read, before anybody can notice; and the seconds
# in which every candidate has sent it.
FILL, FILL_SECONDS = 3000, 3.0

Figures = dict[tuple[str, int, int], list["Figure"]]


@dataclass
class Figure:
    """One run.

    Attributes:
        cost: microseconds of the server's CPU time for one delivery.
        server: which part of the run the server was on a processor.
        load: which part of it the load was.
    """

    cost: float
    server: float
    load: float


@contextlib.contextmanager
def serving(name: str) -> Iterator[tuple[int, psutil.Process]]:
    """Run a candidate's server; give its port and its process."""
    command = [sys.executable, "-m", "benchmarks.servers", name]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield int(server.stdout.readline()), psutil.Process(server.pid)
        finally:
            server.kill()


def processor_time(server: psutil.Process) -> float:
    """Return the seconds of CPU time that `server` has had."""
    times = server.cpu_times()
    return float(times.user + times.system)


def measure(name: str, compressed: bool, number: int, flights: list[int], seconds: float) -> list:
    """Return a `Figure` for each number of messages in flight."""
    figures = []
    with (
        serving(name) as (port, server),
        Crowd(port, number, compressed=compressed, socketio=name == "socketio") as crowd,
    ):
        for in_flight in flights:
            try:
                crowd.run(seconds / 5, in_flight)
                before = processor_time(server)
                run = crowd.run(seconds, in_flight)
            except RuntimeError as error:
                note(f"    {error}")
                figures.append(Figure(math.nan, math.nan, math.nan))
                continue
            spent = processor_time(server) - before
            cost = spent / run.deliveries * 1e6
            figures.append(Figure(cost, spent / run.seconds, run.busy))
        server.kill()
    return figures


def cpu(rounds: int, numbers: list[int], flights: list[int], seconds: float) -> Figures:
    """Measure every candidate in every size, in turn."""
    figures: Figures = {}
    for turn in range(rounds):
        for number in numbers:
            for label, (name, compressed) in CANDIDATES.items():
                note(f"round {turn + 1} of {rounds}, {number} clients: {label}")
                for flight, figure in zip(
                    flights, measure(name, compressed, number, flights, seconds), strict=True
                ):
                    figures.setdefault((label, number, flight), []).append(figure)
        for label, (name, compressed) in CHATS.items():
            note(f"round {turn + 1} of {rounds}: {label}")
            (figure,) = measure(name, compressed, 100, [32], seconds)
            figures.setdefault((label, 100, 32), []).append(figure)
    return figures


def memory(name: str, compressed: bool, number: int = 1000) -> float:
    """Return the kilobytes that a connection costs, after it has heard a little."""
    with serving(name) as (port, server):
        with Crowd(port, 10, compressed=compressed) as first:
            first.run(0.1, 1)
        before = server.memory_info().rss
        with Crowd(port, number, compressed=compressed) as crowd:
            crowd.run(0.3, 1)
            after = server.memory_info().rss
            server.kill()
    return (after - before) / number / 1024


def longest_gap(name: str, number: int = 20) -> float:
    """Return the longest that readers wait in a chat of 100 messages a second, one client stalled.

    `PACE_SECONDS` or more means that nothing came any more.
    """
    socketio = name == "socketio"
    message = frame(b'42["message","' + KILOBYTE + b'"]' if socketio else KILOBYTE)
    with (
        serving(name) as (port, server),
        Crowd(port, 1, socketio=socketio, receive_buffer=4096),  # which reads nothing from now on
        Crowd(port, number, socketio=socketio) as readers,
    ):
        rest = memoryview(message * FILL)
        began = time.perf_counter() + FILL_SECONDS
        sent, longest, last = 0, 0.0, began
        while (now := time.perf_counter()) < began + PACE_SECONDS:
            if not rest and sent < (now - began) * 100:
                rest, sent = memoryview(message), sent + 1
            with contextlib.suppress(BlockingIOError):
                rest = rest[readers.sender.send(rest) :] if rest else rest
            if readers.read(0.01) and (now := time.perf_counter()) > began:
                longest, last = max(longest, now - last), now
        server.kill()
    return max(longest, now - last)


def flood(name: str, number: int = 50, count: int = 12_000) -> float:
    """Return the server's CPU time for `count` messages of 1 KB to `number` clients."""
    with serving(name) as (port, server), Crowd(port, number) as readers:
        message = frame(KILOBYTE)
        each, _ = readers.frames_each(message)
        readers.got_bytes = 0
        before = processor_time(server)
        # From a thread: the sender has to read as well.
        sender = readers.sender.dup()
        sender.setblocking(True)
        sending = threading.Thread(target=sender.sendall, args=(message * count,), daemon=True)
        sending.start()
        while readers.got_bytes < each * count:
            if not readers.read(PACE_SECONDS * 3):
                raise RuntimeError("the flood has stopped")
        sending.join()
        sender.close()
        spent = processor_time(server) - before
        server.kill()
    return spent


def ratio(figures: Figures, label: str, base: str, number: int, flight: int) -> float:
    """Return the median of each round's ratio of `label` to `base`."""
    pairs = zip(figures[label, number, flight], figures[base, number, flight], strict=True)
    return statistics.median(ours.cost / theirs.cost for ours, theirs in pairs)


def cost(figures: Figures, label: str, number: int, flight: int) -> float:
    """Return the median cost of a delivery."""
    return statistics.median(figure.cost for figure in figures[label, number, flight])


def cpu_table(figures: Figures, numbers: list[int], flights: list[int]) -> list[str]:
    """Return the table of costs, and of who was busy meanwhile."""
    columns = [(number, flight) for flight in flights for number in numbers]
    heads = [f"N={number}, {flight} in flight" for number, flight in columns]
    lines = [
        "| µs of server CPU for each delivery (× plain) | "
        + " | ".join(heads)
        + " | load ÷ server |",
        "|---|" + "---|" * (len(columns) + 1),
    ]
    for label in CANDIDATES:
        cells = [
            f"{cost(figures, label, *column):.2f} ({ratio(figures, label, PLAIN, *column):.3f})"
            if not math.isnan(cost(figures, label, *column))
            else "gave up"
            for column in columns
        ]
        busy = statistics.median(
            figure.load / max(figure.server, 0.001)
            for column in columns
            for figure in figures[(label, *column)]
        )
        lines.append(f"| {label} | " + " | ".join(cells) + f" | {busy:.2f} |")
    return lines


def goals(figures: Figures, numbers: list[int], others: dict[str, float]) -> list[str]:
    """Return the table of what was to be reached."""
    rows = []
    for number in [number for number in numbers if number >= 100]:
        for label, base, flight, goal in (
            (OURS, PLAIN, 32, 0.06),
            (OURS_BROWSER, PLAIN_BROWSER, 32, 0.04),
            (OURS, PLAIN, 1, 0.70),
            (OURS_BROWSER, PLAIN_BROWSER, 1, 0.45),
        ):
            what = f"{label}, N={number}, {flight} in flight"
            rows.append((what, goal, ratio(figures, label, base, number, flight)))
    on_plain, on_ours = CHATS
    rows.append(
        (f"{on_ours}, N=100, 32 in flight", 0.10, ratio(figures, on_ours, on_plain, 100, 32))
    )
    rows.append(("memory of an idle connection, as a browser connects", 0.65, others["memory"]))
    rows.append(("12,000 × 1 KB at 50 readers", 0.25, others["flood"]))
    lines = ["| against the plain manager | goal | here | |", "|---|---|---|---|"]
    for what, goal, came in rows:
        verdict = "reached" if came <= goal else "MISSED"
        lines.append(f"| {what} | ≤ {goal:.2f} × | {came:.3f} × | {verdict} |")
    return lines


def machine() -> str:
    """Return the date, the machine and the versions that the figures are of."""
    model = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                model = line.partition(": ")[2]
                break
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    today = datetime.date.today().isoformat()
    return (
        f"{today}, {os.cpu_count()} × {model}, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, {versions}"
    )


def note(text: str) -> None:
    """Say on stderr what is being done."""
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Measure, print the tables, save the chart."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--seconds", type=float, default=1.5, help="of a run; default: %(default)s")
    parser.add_argument("--clients", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--chart", type=Path, default=Path(__file__).with_name("fanout.png"))
    options = parser.parse_args()
    flights = [1, 32]

    figures = cpu(options.rounds, options.clients, flights, options.seconds)
    print(f"{machine()}; median of {options.rounds} rounds.\n")
    print(*cpu_table(figures, options.clients, flights), sep="\n")
    print(
        "\n*load ÷ server*: the CPU time of the load over that of the server, in the median. "
        "Below 1 the server was the busier of the two, and so was not waiting for the load; above, "
        "it may have waited, which costs it no CPU time.\n"
    )

    print("| | memory of an idle connection, KB |\n|---|---|")
    kilobytes = {}
    for label in (PLAIN, PLAIN_BROWSER, OURS, OURS_BROWSER):
        note(f"memory: {label}")
        kilobytes[label] = memory(*CANDIDATES[label])
        print(f"| {label} | {kilobytes[label]:.1f} |")

    print(
        "\n| | longest gap for 20 readers with one client stalled, s | "
        "12,000 × 1 KB at 50 readers, s of server CPU |\n|---|---|---|"
    )
    floods: dict[str, float] = {}
    for label, (name, compressed) in CANDIDATES.items():
        if compressed or name == "broadcaster":
            continue  # broadcaster: what a flood leaves in its queues has no bound, nor an end
        note(f"gap and flood: {label}")
        gap = longest_gap(name)
        frozen = "frozen" if gap >= PACE_SECONDS - 0.5 else f"{gap:.2f}"
        spent = "—"
        if name in {"plain", "websockets", "chatlib"}:
            floods[name] = statistics.median(flood(name) for _ in range(options.rounds))
            spent = f"{floods[name]:.2f}"
        print(f"| {label} | {frozen} | {spent} |")

    others = {
        "memory": kilobytes[OURS_BROWSER] / kilobytes[PLAIN_BROWSER],
        "flood": floods["chatlib"] / floods["plain"],
    }
    print("\n" + "\n".join(goals(figures, options.clients, others)))
    costs = {
        (label, number, flight): cost(figures, label, number, flight)
        for label in CANDIDATES
        for number in options.clients
        for flight in flights
    }
    save_chart(costs, list(CANDIDATES), options.clients, flights, options.chart)
    note(f"chart: {options.chart}")


if __name__ == "__main__":
    main()
