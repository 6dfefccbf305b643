"""Attacks on a server, what they got, and what another client and the machine noticed."""

import atexit
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import psutil

from chatlib.lab.chart import Chart, bars
from chatlib.lab.child import Child
from chatlib.lab.commands import Command
from chatlib.lab.hostile.attacks import KINDS
from chatlib.lab.hostile.witness import Witness

CALM_SECONDS = 20.0  # a guard
LOOK_SECONDS = 0.06
LOOKS = 5  # on a busy machine a server, or the proxy in front of it, may get no CPU for a while
IDLE_SECONDS = 0.02  # of CPU time during all looks: another client talks to it


@dataclass(frozen=True)
class Result:
    """What came of an attack.

    Attributes:
        got: what the attacker got: a close code, an HTTP status, or what the server let it have.
        held: whether it got less than it would have liked.
        longest_wait: how long another client waited for an answer at most, in seconds.
        cpu_seconds: how much CPU time the server used meanwhile.
        memory: by how many bytes the server had grown just before the end of the attack.
    """

    got: str
    held: bool
    longest_wait: float
    cpu_seconds: float
    memory: int


# What is measured, in what, and how.
MEASURED: dict[str, tuple[str, Callable[[Result], float]]] = {
    "The longest wait of another client": ("seconds", lambda result: round(result.longest_wait, 2)),
    "CPU time of the server": ("seconds", lambda result: round(result.cpu_seconds, 2)),
    "Memory that the server keeps": ("MB", lambda result: round(result.memory / 1e6, 0)),
}
ROW_INCHES = 0.18  # two bars for each of eight attacks would fill the window


def attack(
    server: Command, port: int = 0, path: str = "/ws", kinds: Iterable[str] = tuple(KINDS)
) -> dict[str, Result]:
    """Attack a server in each way, one after the other, and return what came of it.

    Args:
        server: answers each text at `path` with one text.
        port: of this machine, at which a proxy stands in front of it; 0: there is none.
        path: of its WebSocket.
        kinds: which attacks, of `KINDS`.

    Raises:
        ServerError: the server has ended.
    """
    server.expect_running()
    port = port or server.port
    try:
        return {kind: one_attack(attacker(), server, port, path, kind) for kind in kinds}
    except BaseException:
        stop()  # it would go on with the attack that it is in
        raise


_running: list[Child] = []


def attacker() -> Child:
    """Return the attacker, started if there is none."""
    if not _running or not _running[0].running:
        stop()
        _running.append(Child("from chatlib.lab.hostile.child import main; main()"))
    return _running[0]


def stop() -> None:
    """End the attacker. Harmless if there is none."""
    while _running:
        _running.pop().kill()


atexit.register(stop)


def one_attack(child: Child, server: Command, port: int, path: str, kind: str) -> Result:
    """Have `child` attack, and look on."""
    with Witness(f"ws://127.0.0.1:{port}{path}") as witness:
        memory, cpu = memory_of(server), cpu_seconds_of(server)
        child.order({"kind": kind, "port": port, "path": path})
        child.answer()
        calm(server)
        memory, cpu = memory_of(server) - memory, cpu_seconds_of(server) - cpu
        child.order("end it")
        got = child.answer()
    return Result(got, got != KINDS[kind].gets, witness.longest, cpu, max(memory, 0))


def memory_of(server: Command) -> int:
    """Return how many bytes it has in memory."""
    return int(psutil.Process(server.pid).memory_info().rss)


def cpu_seconds_of(server: Command) -> float:
    """Return how much CPU time it has used."""
    times = psutil.Process(server.pid).cpu_times()
    return float(times.user + times.system)


def calm(server: Command) -> None:
    """Wait until the server has worked through what it was sent: it uses hardly any CPU time."""
    end = time.monotonic() + CALM_SECONDS
    used = deque([cpu_seconds_of(server)], maxlen=LOOKS + 1)
    while len(used) <= LOOKS or used[-1] - used[0] > IDLE_SECONDS:
        if time.monotonic() > end:
            return
        time.sleep(LOOK_SECONDS)
        used.append(cpu_seconds_of(server))


def table(results: Mapping[str, Mapping[str, Result]]) -> None:
    """Print what each attacker got, of each server: ✓ if it held, ✗ if not."""
    names = list(results)
    kinds = dict.fromkeys(kind for column in results.values() for kind in column)
    print(f"{'':<15}" + "".join(f"{name:<20}" for name in names).rstrip())
    for kind in kinds:
        cells = [f"{'✓' if c[kind].held else '✗'} {c[kind].got}" for c in results.values()]
        print(f"{kind:<15}" + "".join(f"{cell:<20}" for cell in cells).rstrip())


def charts(results: Mapping[str, Mapping[str, Result]]) -> list[Chart]:
    """Return what was measured, as a chart for each of three things."""
    kinds = dict.fromkeys(kind for column in results.values() for kind in column)
    return [
        bars(
            {k: {name: value(column[k]) for name, column in results.items()} for k in kinds},
            unit=unit,
            title=title,
            row_inches=ROW_INCHES,
        )
        for title, (unit, value) in MEASURED.items()
    ]
