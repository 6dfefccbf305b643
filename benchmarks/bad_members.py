"""What one bad member costs 20 healthy readers: `python -m benchmarks.bad_members` prints tables.

Every row is a new server in a process of its own. The healthy readers are in this process, and the
bad members in a third. Between the kinds, a server is measured without a bad member again and
again; the mean of these rows is what the others of that round are compared to, and what they differ
by is the noise. *others' CPU* is how many processors others had meanwhile: above 0.2 or so, they
may be what a row shows.
"""

import argparse
import contextlib
import itertools
import multiprocessing
import selectors
import socket
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection

from benchmarks.bad_clients import CHUNK, GIVE_UP_SECONDS, KINDS, connect, misbehave
from benchmarks.bad_server import Server
from benchmarks.process import others_time

READERS = 20
SMALL = 16 * 1024  # send buffer of the server with --small-buffers
NONE_EVERY = 4  # kinds after which a row without a bad member is measured again
# At 200 KB/s, the room takes for some 5 seconds what a member does not, and the system's buffers
# for some 10 more. A row of the paced sender takes at least so long: with buffers small, or not.
PACED_SECONDS = {True: 20.0, False: 30.0}
SERVERS = ["chatlib", "uvicorn", "hypercorn"]
SENDERS = {"flood": 0, "200KB/s": 200_000}
RATIO, GAP = 0.8, 2.0  # the goals: at least that part of the throughput, and at most that gap


@contextlib.contextmanager
def bad_members(port: int, kind: str, life: float) -> Iterator[Connection]:
    """Run the process of the bad members. What it gives takes "stop", and tells what they did."""
    context = multiprocessing.get_context("spawn")  # a fork would inherit sockets and pipes
    ours, theirs = context.Pipe()
    process = context.Process(target=misbehave, args=(port, kind, theirs, life), daemon=True)
    process.start()
    theirs.close()
    try:
        yield ours
    finally:
        process.kill()
        process.join()


@dataclass
class Row:
    """What came of one run. Rates are in bytes a second, and that of the readers is the median."""

    kind: str
    seconds: float
    rate: float
    worst: float
    gap: float
    cut: int
    evicted: dict[str, int]
    memory: int
    bad_rate: float
    connections: int
    others: float

    def line(self, none: float) -> str:
        """Return the line of the table, with `none` for the rate without a bad member."""
        ratio, worst = self.rate / none, self.worst / none
        checks = {"ratio": worst >= RATIO, "gap": self.gap <= GAP, "cut": not self.cut}
        missed = ", ".join(name for name, holds in checks.items() if not holds)
        verdict = f"missed: {missed}" if missed else "reached"
        evicted = ", ".join(f"{count} {reason}" for reason, count in self.evicted.items())
        return (
            f"| {self.kind} | {self.seconds:.0f} | {self.rate / 1000:,.0f} | {ratio:.2f} "
            f"| {worst:.2f} | {self.gap:.2f} | {self.cut} | {evicted or 0} "
            f"| {self.connections}; {self.bad_rate / 1000:,.1f} | {self.memory >> 20} "
            f"| {self.others:.2f} | {verdict if KINDS[self.kind].goal else '—'} |"
        )


HEAD = (
    "| bad member | s | KB/s a reader | × none | worst × none | longest gap, s | healthy cut "
    "| evicted | bad: connections; KB/s | server MB | others' CPU | goals |\n"
    "|---|---:|---:|---:|---:|---:|---:|---|---|---:|---:|---|"
)


def read(readers: list[socket.socket], seconds: float) -> tuple[list[int], float, int]:
    """Read all that comes in `seconds`: a chunk of each reader in turn.

    Return the bytes of each, the longest that one of them had to wait, and how many were cut.
    """
    buffer = bytearray(CHUNK)
    selector = selectors.DefaultSelector()
    for number, reader in enumerate(readers):
        selector.register(reader, selectors.EVENT_READ, number)
    began = time.monotonic()
    got, last, gap = [0] * len(readers), [began] * len(readers), 0.0
    while time.monotonic() < began + seconds:
        for key, _ in selector.select(0.05):
            size = 0
            with contextlib.suppress(ConnectionError):
                size = key.fileobj.recv_into(buffer)
            if not size:
                selector.unregister(key.fileobj)
                continue
            got[key.data] += size
            now = time.monotonic()
            gap, last[key.data] = max(gap, now - last[key.data]), now
    cut = len(readers) - len(selector.get_map())
    selector.close()
    return got, max(gap, time.monotonic() - min(last)), cut


def measure(kind: str, seconds: float, paced: bool, arguments: list[str]) -> Row:
    """Run a server, its healthy readers and the bad members for `seconds`."""
    life = seconds + 4 * GIVE_UP_SECONDS
    with (
        Server(life, *arguments) as server,
        contextlib.ExitStack() as stack,
        bad_members(server.port, kind, life) as bad,
    ):
        readers = [stack.enter_context(connect(server.port)) for _ in range(READERS)]
        server.expect(READERS + KINDS[kind].number)
        server.tell("go")
        before = others_time()
        got, gap, cut = read(readers, seconds)
        others = (others_time() - before) / seconds
        members, evicted, _ = server.stats()
        memory = server.memory()
        bad.send("stop")
        bad_got, connections = bad.recv()
        if kind == "late" and paced:  # then nobody may be cut
            cut = max(cut, sum(evicted.values()), READERS + 1 - members)
    return Row(
        kind=kind,
        seconds=seconds,
        rate=statistics.median(got) / seconds,
        worst=min(got) / seconds,
        gap=gap,
        cut=cut,
        evicted=evicted,
        memory=memory,
        bad_rate=bad_got / seconds,
        connections=connections,
        others=others,
    )


def table(kinds: list[str], seconds: float, paced: bool, arguments: list[str]) -> list[str]:
    """Measure every kind on one server with one sender. Return the lines of the table."""
    queue = ["none"]
    for number in range(0, len(kinds), NONE_EVERY):
        queue += [*kinds[number : number + NONE_EVERY], "none"]
    rows = []
    for kind in queue:
        longer = max(seconds, KINDS[kind].least)
        rows.append(measure(kind, longer, paced, arguments))
        print(f"    {rows[-1]}", file=sys.stderr, flush=True)
    none = statistics.mean(row.rate for row in rows if row.kind == "none")
    return [HEAD, *(row.line(none) for row in rows)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure as `arguments` say, or else the command line, and print the tables."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.bad_members",
        description=__doc__,
        epilog=f"The kinds: {', '.join(KINDS)}. Some, and 200KB/s, take longer than --seconds.",
    )
    add = parser.add_argument
    add("--seconds", type=float, default=10.0, help="of a row at least; default: %(default)s")
    add("--rounds", type=int, default=1, help="default: %(default)s")
    add("--kinds", nargs="+", choices=KINDS, default=list(KINDS), metavar="KIND")
    add("--servers", nargs="+", choices=SERVERS, default=SERVERS[:2])
    add("--senders", nargs="+", choices=SENDERS, default=list(SENDERS))
    add("--room", default="{}", help="its options, as in '{\"limit\": 65536}'")
    add("--small-buffers", action="store_true", help=f"SO_SNDBUF of the server: {SMALL} bytes")
    options = parser.parse_args(arguments)
    kinds = [kind for kind in options.kinds if kind != "none"]
    buffers = [f"--send-buffer={SMALL}"] if options.small_buffers else []
    print(
        f"Goals: the worst reader has ≥ {RATIO} × none, no gap > {GAP:.0f} s, no healthy one cut."
    )
    lines: list[str] = []
    for turn, server, sender in itertools.product(
        range(options.rounds), options.servers, options.senders
    ):
        size = "small" if buffers else "default"
        print(f"\n{server}, {sender}, {size} buffers, Room({options.room}), round {turn + 1}:\n")
        rate = SENDERS[sender]
        seconds = max(options.seconds, PACED_SECONDS[options.small_buffers] if rate else 0)
        of_server = [server, f"--rate={rate}", f"--room={options.room}", *buffers]
        lines += (new := table(kinds, seconds, bool(rate), of_server))
        print(*new, sep="\n", flush=True)
    reached = sum(line.endswith("reached |") for line in lines)
    missed = sum("| missed: " in line for line in lines)
    print(f"\n{reached} rows reached the goals, {missed} missed them.")


if __name__ == "__main__":
    main()
