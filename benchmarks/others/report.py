"""The two tables."""

import math
import statistics
from collections.abc import Callable, Sequence

from benchmarks.others.candidates import CANDIDATES, CHATLIB
from benchmarks.others.kills import DEAF_SECONDS, DOWN_SECONDS, LISTENERS, Loss, Losses
from benchmarks.others.speed import Sizes, Speed
from benchmarks.tables import cell, table


def within(waits: Sequence[float], part: float) -> float:
    """Return within how many milliseconds `part` of the messages came."""
    return waits[int(len(waits) * part)] if waits else math.nan


def compared(
    heads: Sequence[str],
    speeds: dict[str, list[Speed]],
    columns_of: Callable[[Speed], list[float]],
    places: Sequence[int],
) -> str:
    """Return a table of what `columns_of` makes of the rounds, each cell compared to chatlib's."""
    columns = {
        name: list(zip(*map(columns_of, rounds), strict=True)) for name, rounds in speeds.items()
    }
    bases = columns.get(CHATLIB)
    rows = []
    for name, figures in columns.items():
        row = [CANDIDATES[name].label]
        for index, values in enumerate(figures):
            # Nobody is compared by what Redis costs who has none.
            there = any(values)
            row.append(cell(values, bases and bases[index], places[index]) if there else "—")
        rows.append(row)
    return table(heads, rows)


def run_heads(sizes: Sizes) -> list[str]:
    return [f"N={number}, {flight} in flight" for number, flight in sizes.runs]


def cost_table(speeds: dict[str, list[Speed]], sizes: Sizes) -> str:
    """Return the table of what a delivery costs the workers."""
    what = "µs of both workers' CPU for each delivery (× chatlib, least to most)"
    return compared(
        [what, *run_heads(sizes)],
        speeds,
        lambda one: [one.costs.get(run, math.nan) for run in sizes.runs],
        [2] * len(sizes.runs),
    )


def redis_table(speeds: dict[str, list[Speed]], sizes: Sizes) -> str:
    """Return the table of what a message costs Redis, and how soon the other worker hears it."""
    what = "µs of Redis' CPU for each message (× chatlib, least to most)"
    return compared(
        [what, *run_heads(sizes), "to the other worker, ms: half within", "99 of 100 within"],
        speeds,
        lambda one: [
            *(one.redis.get(run, math.nan) for run in sizes.runs),
            within(one.waits, 0.5),
            within(one.waits, 0.99),
        ],
        [0] * len(sizes.runs) + [2, 2],
    )


def of_all(losses: Sequence[Loss]) -> list[str]:
    """Return what a table says of what was lost, of all rounds together, and of how long."""
    lost, kept, twice, refused = (
        sum(getattr(loss, name) for loss in losses) for name in ("lost", "kept", "twice", "refused")
    )
    silence = statistics.median(loss.silence for loss in losses)
    deaf = sum(loss.silence == math.inf for loss in losses)
    return [
        f"{lost:,} of {kept:,}",
        f"{twice:,}",
        f"{refused:,}",
        f"{silence:.1f}" if not deaf else "deaf" if deaf == len(losses) else f"{deaf} × deaf",
    ]


def loss_table(losses: dict[str, list[Losses | None]]) -> str:
    """Return the table of what is lost when something is killed."""
    rows = []
    for name, rounds in losses.items():
        done = [one for one in rounds if one is not None]
        row = [CANDIDATES[name].label]
        with_redis = [one.redis for one in done if one.redis is not None]
        if len(done) < len(rounds):
            row += ["gave up"] + ["—"] * 6
        else:
            row += of_all(with_redis) if with_redis else ["—"] * 4
            row += of_all([one.worker for one in done])[:2]
            row.append(CANDIDATES[name].offers)
        rows.append(row)
    heads = [
        "",
        f"Redis killed, back after {DOWN_SECONDS:.0f} s: acknowledged, and lost",
        "heard twice",
        "not acknowledged",
        f"heard again after, s (deaf: not within {DEAF_SECONDS:.0f})",
        f"worker of {LISTENERS} listeners killed: acknowledged, and lost",
        "heard twice",
        "who comes back gets",
    ]
    return table(heads, rows)
