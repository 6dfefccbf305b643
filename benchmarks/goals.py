"""The goals, and whether they were reached."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.candidates import (
    CHATS,
    FLOOR,
    NUMBER,
    OTHERS,
    OURS,
    OURS_BROWSER,
    PLAIN,
    PLAIN_BROWSER,
    SETTLED,
    STOCK,
    UVLOOP,
)
from benchmarks.connects import Arrival
from benchmarks.measure import Figures, Sizes
from benchmarks.tables import Spread, costs, ratios, table, title


@dataclass
class Results:
    """All that was measured and has a goal."""

    figures: Figures
    others: Figures
    kilobytes: dict[str, list[float]]
    floods: dict[str, list[float]]
    came: dict[str, list[Arrival]]


def row(what: str, base: str, goal: float, values: Sequence[float], unit: str = "×") -> list[str]:
    """Return a line of the table. What was reached is said of the median."""
    here = Spread.of(values)
    places = 3 if unit == "×" else 1
    came = f"{here.median:.{places}f} {unit} ({here.least:.{places}f} to {here.most:.{places}f})"
    return [
        what,
        base,
        f"≤ {goal:.2f} ×" if unit == "×" else f"≤ {goal:.0f} {unit}",
        "gave up" if math.isnan(here.median) else came,
        "reached" if here.median <= goal else "MISSED",
    ]


def rows(results: Results, sizes: Sizes) -> Iterator[list[str]]:
    """Give the lines of the table."""
    figures, kilobytes = results.figures, results.kilobytes
    for number in [number for number in sizes.clients if number >= 100]:
        for label, base, flight, goal in (
            (OURS, PLAIN, 32, 0.05),
            (OURS_BROWSER, PLAIN_BROWSER, 32, 0.04),
            (OURS, PLAIN, 1, 0.70),
            (OURS_BROWSER, PLAIN_BROWSER, 1, 0.45),
            (OURS, FLOOR, 1, 1.20),
            (OURS, UVLOOP, 1, 1.20),
        ):
            what, size = f"{label}, N={number}, {flight} in flight", (number, flight)
            values = ratios(costs(figures[(label, *size)]), costs(figures[(base, *size)]))
            yield row(what, title(base), goal, values)
    on_plain, on_ours = CHATS
    values = ratios(costs(figures[on_ours, NUMBER, 32]), costs(figures[on_plain, NUMBER, 32]))
    yield row(f"{on_ours}, N={NUMBER}, 32 in flight", on_plain, 0.10, values)
    for server, (plain, ours) in OTHERS.items():
        for flight in (1, 32):
            size = (NUMBER, flight)
            values = ratios(
                costs(results.others[(ours, *size)]), costs(results.others[(plain, *size)])
            )
            what = f"chatlib on {server}, N={NUMBER}, {flight} in flight"
            yield row(what, "plain manager on the same", 1.20, values)
    idle = "memory of an idle connection"
    values = ratios(kilobytes[OURS_BROWSER], kilobytes[PLAIN_BROWSER])
    yield row(f"{idle}, as a browser connects", PLAIN_BROWSER, 0.65, values)
    for label in (OURS, OURS_BROWSER):
        yield row(f"{idle}, {label}", "—", 27, kilobytes[label], "KB")
    values = ratios(results.floods[OURS], results.floods[PLAIN])
    yield row(f"{sizes.flood:,} × 1 KB at 50 readers", PLAIN, 0.15, values)
    settled, stock = results.came[SETTLED], results.came[STOCK]
    values = ratios([one.cost for one in settled], [one.cost for one in stock])
    yield row(f"a connect, {SETTLED}", STOCK, 0.55, values)
    what = f"memory of one of {sizes.idle:,} idle connections, {SETTLED}"
    yield row(what, "—", 20, [one.memory for one in settled], "KB")


def goals_table(results: Results, sizes: Sizes) -> str:
    """Return the table of what was to be reached."""
    heads = ["", "against", "goal", "here (least to most)", ""]
    return table(heads, list(rows(results, sizes)))
