"""The measurements of what a connection costs as it comes, and while it waits."""

import contextlib
import math
import resource
import select
import socket
import time
from dataclasses import dataclass
from functools import partial

from benchmarks.load import REQUEST, SILENCE_SECONDS
from benchmarks.measure import Sizes, attempt, note
from benchmarks.process import serving

AT_ONCE = 100  # clients that are on their way in at a time
FIRST = 50  # that come before anything is measured
SPARE = 200  # files that a process may open besides its connections
SETTLE_SECONDS = 0.5


@dataclass
class Arrival:
    """One run.

    Attributes:
        cost: microseconds of the server's CPU time for one connection to come.
        stop: the longest stop of the server's event loop meanwhile, in seconds.
        memory: kilobytes of the server for one connection that waits.
    """

    cost: float = math.nan
    stop: float = math.nan
    memory: float = math.nan


def most_connections() -> int:
    """Let this process and its children open as many files as they may. Return how many."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # a system may know no limit, and not allow that
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return most - SPARE if most != resource.RLIM_INFINITY else 1 << 20


def connect(port: int, number: int) -> list[socket.socket]:
    """Return `number` clients that have connected, `AT_ONCE` at a time."""
    request = REQUEST.format(path="/ws/1", port=port, extra="").encode()
    clients: dict[int, socket.socket] = {}
    heads: dict[int, bytes] = {}  # of those on their way in
    with select.epoll() as poll:
        while len(clients) < number or heads:
            while len(clients) < number and len(heads) < AT_ONCE:
                client = socket.create_connection(("127.0.0.1", port), SILENCE_SECONDS)
                client.sendall(request)
                clients[client.fileno()], heads[client.fileno()] = client, b""
                poll.register(client, select.EPOLLIN)
            if not (ready := poll.poll(SILENCE_SECONDS)):
                raise RuntimeError(f"{len(heads)} handshakes were not answered")
            for number_of, _ in ready:
                data = clients[number_of].recv(4096)
                heads[number_of] += data
                if data and b"\r\n\r\n" not in heads[number_of]:
                    continue
                if b" 101 " not in (head := heads.pop(number_of)):
                    raise RuntimeError(f"the handshake failed: {head!r}")
                poll.unregister(number_of)
    return list(clients.values())


def arrive(name: str, sizes: Sizes) -> Arrival:
    """Measure a server while `sizes.arrivals` clients come, and once `sizes.idle` have."""
    watched = name != "floor"  # which has no event loop that could stop
    with serving(name) as server:
        clients = connect(server.port, FIRST)
        if watched:
            server.tell("watch")
        time.sleep(SETTLE_SECONDS)
        cpu, memory = server.cpu(), server.memory()
        clients += connect(server.port, sizes.arrivals)
        time.sleep(SETTLE_SECONDS)
        cost = (server.cpu() - cpu) / sizes.arrivals * 1e6
        stop = math.nan
        if watched:
            server.tell("longest")
            stop = float(server.answer())
        clients += connect(server.port, sizes.idle - sizes.arrivals)
        time.sleep(SETTLE_SECONDS)
        size = (server.memory() - memory) / sizes.idle / 1024
        server.kill()
    for client in clients:
        client.close()
    return Arrival(cost, stop, size)


def arrivals(candidates: dict[str, str], sizes: Sizes) -> dict[str, list[Arrival]]:
    """Measure each of `candidates`, by its name in the table, in turn."""
    came: dict[str, list[Arrival]] = {label: [] for label in candidates}
    for turn in range(sizes.rounds):
        for label, name in candidates.items():
            note(f"round {turn + 1} of {sizes.rounds}, connects: {label}")
            came[label].append(attempt(partial(arrive, name, sizes), Arrival()))
    return came
