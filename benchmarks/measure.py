"""The measurements of what a delivery costs. Each is of one server, in a process of its own."""

import contextlib
import math
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import psutil

from benchmarks.load import Crowd, frame
from benchmarks.process import Process, serving

KILOBYTE = b"x" * 1000
FLOOD_SILENCE_SECONDS = 36.0

Result = TypeVar("Result")
# A server, and whether its clients offer compression.
Candidate = tuple[str, bool]


@dataclass(frozen=True)
class Sizes:
    """How much is measured.

    Attributes:
        rounds: how often each candidate gets its turn.
        seconds: of a run.
        clients: how many there are, in turn.
        memory: connections whose memory is measured.
        pace: seconds of a chat with a stalled client. By default longer than a room's patience.
        fill: messages of 1 KB before these. By default more than Linux takes for a client that
            does not read, before anybody can notice.
        fill_seconds: in which every candidate has sent these.
        flood: messages of a flood.
        arrivals: connections that come while the event loop is watched.
        idle: connections that then wait.
    """

    rounds: int = 3
    seconds: float = 1.0
    clients: tuple[int, ...] = (10, 100, 1000)
    memory: int = 1000
    pace: float = 12.0
    fill: int = 3000
    fill_seconds: float = 3.0
    flood: int = 12_000
    arrivals: int = 4000
    idle: int = 10_000


@dataclass
class Figure:
    """One run.

    Attributes:
        cost: microseconds of the server's CPU time for one delivery; NaN if it gave up.
        server: which part of the run the server was on a processor.
        load: which part of it the load was.
    """

    cost: float
    server: float = math.nan
    load: float = math.nan


GAVE_UP = Figure(math.nan)
Figures = dict[tuple[str, int, int], list[Figure]]


def note(text: str) -> None:
    """Say on stderr what is being done."""
    print(text, file=sys.stderr, flush=True)


def attempt(run: Callable[[], Result], failed: Result) -> Result:
    """Return what `run` returns, or `failed` if the server gave up. The rest goes on."""
    try:
        return run()
    except (OSError, RuntimeError, psutil.Error) as error:
        note(f"    {error}")
        return failed


def one_run(server: Process, crowd: Crowd, in_flight: int, seconds: float) -> Figure:
    """Return what `seconds` with so many messages in flight came to."""
    crowd.run(seconds / 5, in_flight)
    before = server.cpu()
    run = crowd.run(seconds, in_flight)
    spent = server.cpu() - before
    return Figure(spent / run.deliveries * 1e6, spent / run.seconds, run.busy)


def measure(candidate: Candidate, number: int, flights: list[int], seconds: float) -> list[Figure]:
    """Return a `Figure` for each number of messages in flight to `number` clients."""
    name, compressed = candidate
    figures = []
    with (
        serving(name) as server,
        Crowd(server.port, number, compressed=compressed, socketio=name == "socketio") as crowd,
    ):
        for in_flight in flights:
            figures.append(attempt(partial(one_run, server, crowd, in_flight, seconds), GAVE_UP))
        server.kill()
    return figures


def cpu(
    figures: Figures,
    candidates: dict[str, Candidate],
    number: int,
    flights: list[int],
    seconds: float,
) -> None:
    """Add what each candidate costs, one after the other, to `figures`."""
    for label, candidate in candidates.items():
        note(f"  {number} clients: {label}")
        run = partial(measure, candidate, number, flights, seconds)
        measured = attempt(run, [GAVE_UP] * len(flights))
        for flight, figure in zip(flights, measured, strict=True):
            figures.setdefault((label, number, flight), []).append(figure)


def memory(candidate: Candidate, number: int) -> float:
    """Return the kilobytes that one of `number` connections costs, after it has heard a little."""
    name, compressed = candidate
    with serving(name) as server:
        with Crowd(server.port, 10, compressed=compressed) as first:
            first.run(0.1, 1)
        before = server.memory()
        with Crowd(server.port, number, compressed=compressed) as crowd:
            crowd.run(0.3, 1)
            after = server.memory()
            server.kill()
    return (after - before) / number / 1024


def longest_gap(name: str, sizes: Sizes, number: int = 20) -> float:
    """Return the longest that readers wait in a chat of 100 messages a second, one client stalled.

    `sizes.pace` or a little less means that nothing came any more.
    """
    socketio = name == "socketio"
    message = frame(b'42["message","' + KILOBYTE + b'"]' if socketio else KILOBYTE)
    with (
        serving(name) as server,
        Crowd(server.port, 1, socketio=socketio, receive_buffer=4096),  # which now reads nothing
        Crowd(server.port, number, socketio=socketio) as readers,
    ):
        rest = memoryview(message * sizes.fill)
        began = time.perf_counter() + sizes.fill_seconds
        sent, longest, last = 0, 0.0, began
        while (now := time.perf_counter()) < began + sizes.pace:
            if not rest and sent < (now - began) * 100:
                rest, sent = memoryview(message), sent + 1
            with contextlib.suppress(BlockingIOError):
                rest = rest[readers.sender.send(rest) :] if rest else rest
            if readers.read(0.01) and (now := time.perf_counter()) > began:
                longest, last = max(longest, now - last), now
        server.kill()
    return max(longest, now - last)


def flood(name: str, count: int, number: int = 50) -> float:
    """Return the server's seconds of CPU time for `count` messages of 1 KB to `number` clients."""
    with serving(name) as server, Crowd(server.port, number) as readers:
        message = frame(KILOBYTE)
        each, _ = readers.frames_each(message)
        readers.got_bytes = 0
        before = server.cpu()
        # From a thread: the sender has to read as well.
        sender = readers.sender.dup()
        sender.setblocking(True)
        sending = threading.Thread(target=sender.sendall, args=(message * count,), daemon=True)
        sending.start()
        while readers.got_bytes < each * count:
            if not readers.read(FLOOD_SILENCE_SECONDS):
                raise RuntimeError("the flood has stopped")
        sending.join()
        sender.close()
        spent = server.cpu() - before
        server.kill()
    return spent
