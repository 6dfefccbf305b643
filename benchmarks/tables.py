"""The tables of what was measured, as Markdown. Every ratio is of two runs of the same round.

A cell is the median over the rounds, and in brackets the ratio: its median, the least, the most.
What the others are compared to has the least and the most of itself in brackets.
"""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks import floor
from benchmarks.candidates import CANDIDATES, FLOOR, NUMBER, OTHERS, PLAIN
from benchmarks.connects import Arrival
from benchmarks.measure import Figure, Figures, Sizes


@dataclass(frozen=True)
class Spread:
    """The median of some values, the least and the most. All are NaN if a run gave up."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        if any(map(math.isnan, values)):
            return cls(math.nan, math.nan, math.nan)
        return cls(statistics.median(values), min(values), max(values))


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Return the ratio of each round. It is NaN where the processor's clock saw nothing."""
    pairs = zip(ours, theirs, strict=True)
    return [our / their if their else math.nan for our, their in pairs]


def costs(figures: list[Figure]) -> list[float]:
    return [figure.cost for figure in figures]


def title(label: str) -> str:
    """Return `label` as tables have it: they say which language the floor is in."""
    return f"{label}, in {floor.language()}" if label == FLOOR else label


def cell(values: Sequence[float], base: Sequence[float] | None = None, places: int = 2) -> str:
    """Return what a table says of the rounds' `values`, and of their ratio to those of `base`."""
    here = Spread.of(values)
    if math.isnan(here.median):
        return "gave up"
    if base is None or values == base:
        return f"{here.median:,.{places}f} ({here.least:,.{places}f} to {here.most:,.{places}f})"
    ratio = Spread.of(ratios(values, base))
    if math.isnan(ratio.median):
        return f"{here.median:.{places}f}"
    return f"{here.median:.{places}f} (× {ratio.median:.3f}, {ratio.least:.3f} to {ratio.most:.3f})"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table, with an empty line after it."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


GOAL_HEADS = ["", "here (least to most)", "goal", ""]


def goal_row(
    what: str,
    values: Sequence[float],
    goal: str,
    places: int = 2,
    judged: Callable[[Sequence[float]], float] = statistics.median,
) -> list[str]:
    """Return a line of a table with `GOAL_HEADS`.

    Args:
        what: was measured.
        values: of all rounds.
        goal: such as "≤ 2.5" or "≥ 0.5"; "" for none.
        places: how many decimal places a figure has.
        judged: makes of the values the one that has to reach the goal: the median, or the worst.
    """
    verdict = ""
    if goal:
        sign, number = goal.split()
        value = judged(values)
        reached = value <= float(number) if sign == "≤" else value >= float(number)
        verdict = "reached" if reached else "MISSED"
    only = f"{values[0]:,.{places}f}" if len(values) == 1 else cell(values, places=places)
    return [what, only, goal, verdict]


def cpu_table(figures: Figures, sizes: Sizes, flights: list[int]) -> str:
    """Return the table of what a delivery costs, and of who was busy meanwhile."""
    columns = [(number, flight) for flight in flights for number in sizes.clients]
    rows = []
    for label in CANDIDATES:
        runs = [figures[(label, *column)] for column in columns]
        bases = [figures[(PLAIN, *column)] for column in columns]
        busy = [run.load / run.server for runs_of in runs for run in runs_of if run.server]
        busy = [part for part in busy if not math.isnan(part)]
        rows.append(
            [
                title(label),
                *(cell(costs(run), costs(base)) for run, base in zip(runs, bases, strict=True)),
                f"{statistics.median(busy):.2f}" if busy else "—",
            ]
        )
    heads = [f"N={number}, {flight} in flight" for number, flight in columns]
    what = "µs of server CPU for each delivery (× plain, least to most)"
    return table([what, *heads, "load ÷ server"], rows)


def others_table(figures: Figures, flights: list[int]) -> str:
    """Return the table of the servers that take no ready frames."""
    rows = []
    for server, (plain, ours) in OTHERS.items():
        row = [server]
        for flight in flights:
            base = costs(figures[plain, NUMBER, flight])
            row += [cell(base), cell(costs(figures[ours, NUMBER, flight]), base)]
        rows.append(row)
    row = [title(FLOOR)]
    for flight in flights:
        row += ["—", cell(costs(figures[FLOOR, NUMBER, flight]))]
    rows.append(row)
    heads = [f"{who}, {flight} in flight" for flight in flights for who in ("plain", "chatlib")]
    what = f"N={NUMBER}: µs of server CPU for each delivery (× plain on that server, least to most)"
    return table([what, *heads], rows)


def memory_table(kilobytes: dict[str, list[float]]) -> str:
    """Return the table of what an idle connection costs, in KB."""
    rows = [
        [title(label), cell(values, kilobytes[PLAIN], 1)] for label, values in kilobytes.items()
    ]
    return table(["", "memory of an idle connection, KB (× plain, least to most)"], rows)


def connects_table(came: dict[str, list[Arrival]], sizes: Sizes) -> str:
    """Return the table of what a connection costs as it comes, and while it waits."""
    base, *_ = came.values()
    rows = []
    for label, arrivals in came.items():
        row = [title(label)]
        for name, factor, places in (("cost", 1, 0), ("stop", 1000, 0), ("memory", 1, 1)):
            values = [getattr(arrival, name) * factor for arrival in arrivals]
            bases = [getattr(arrival, name) * factor for arrival in base]
            no_loop = label == FLOOR and name == "stop"
            row.append("—" if no_loop else cell(values, bases, places))
        rows.append(row)
    heads = [
        "(× the first, least to most)",
        "µs of server CPU for a connect",
        f"longest stop of the event loop while {sizes.arrivals:,} come, ms",
        f"memory of one of {sizes.idle:,} idle connections, KB",
    ]
    return table(heads, rows)


def gap(seconds: float, sizes: Sizes) -> str:
    """Return what a table says of the longest gap."""
    if math.isnan(seconds):
        return "gave up"
    return "frozen" if seconds >= sizes.pace - 0.5 else f"{seconds:.2f}"


def strain_table(gaps: dict[str, float], floods: dict[str, list[float]], sizes: Sizes) -> str:
    """Return the table of a stalled client, of which there is one run, and of a flood."""
    rows = []
    for label in [*gaps, FLOOR]:
        waited = gap(gaps[label], sizes) if label in gaps else "—"
        flood = cell(floods[label], floods[PLAIN]) if label in floods else "—"
        rows.append([title(label), waited, flood])
    heads = [
        "",
        "longest gap for 20 readers with one client stalled, s (one run)",
        f"{sizes.flood:,} × 1 KB at 50 readers, s of server CPU (× plain, least to most)",
    ]
    return table(heads, rows)
