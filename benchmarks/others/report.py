"""The two tables."""

import math
import statistics
from collections.abc import Sequence

from benchmarks.others.candidates import CANDIDATES, CHATLIB
from benchmarks.others.kills import DEAF_SECONDS, DOWN_SECONDS, LISTENERS, Loss, Losses
from benchmarks.others.speed import Sizes, Speed
from benchmarks.tables import cell, table


def within(waits: Sequence[float], part: float) -> float:
    """Return within how many milliseconds `part` of the messages came."""
    return waits[int(len(waits) * part)] if waits else math.nan


def figures_of(rounds: Sequence[Speed], sizes: Sizes) -> list[list[float]]:
    """Return the columns of a candidate: of each, what every round came to."""
    return [
        *([one.costs.get(number, math.nan) for one in rounds] for number in sizes.members),
        *([one.redis.get(number, math.nan) for one in rounds] for number in sizes.members),
        [within(one.waits, 0.5) for one in rounds],
        [within(one.waits, 0.99) for one in rounds],
    ]


def speed_table(speeds: dict[str, list[Speed]], sizes: Sizes) -> str:
    """Return the table of what a delivery costs and how long it takes, all compared to chatlib."""
    columns = {name: figures_of(rounds, sizes) for name, rounds in speeds.items()}
    bases = columns.get(CHATLIB)
    places = [2] * len(sizes.members) + [0] * len(sizes.members) + [2, 2]
    rows = []
    for name, figures in columns.items():
        row = [CANDIDATES[name].label]
        for index, values in enumerate(figures):
            base = bases[index] if bases else None
            # What has no Redis is not compared by what Redis costs.
            row.append(cell(values, base, places[index]) if any(values) else "—")
        rows.append(row)
    heads = [
        f"two workers, {sizes.in_flight} in flight (× chatlib, least to most)",
        *(f"µs of the workers for a delivery, N={number}" for number in sizes.members),
        *(f"µs of Redis for a message, N={number}" for number in sizes.members),
        "to the other worker, ms: half within",
        "99 of 100 within",
    ]
    return table(heads, rows)


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
