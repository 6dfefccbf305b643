"""The kill test: `python -m benchmarks.storm --store sqlite --seed 1 --rounds 10`.

Real workers on one store, clients that talk throughout and come back whenever they are cut, and
faults at random: networks, processes, the file and its disk, or Redis and the cables to it. After
each round everything is well again, everybody catches up, and the records of all clients are
checked against each other and against the store. Every acknowledged message has to be in every
client's record exactly once, in the same order. In each fourth round the store is made to lose
messages: then everybody has to be told. The seed of a round, that of the first and one more for
each, decides its faults.
"""

import argparse
import asyncio
import contextlib
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from benchmarks.storm.plan import KINDS, Plan
from benchmarks.storm.round import Result, run_round

SHOWN = 3  # breaches of a kind that are printed
LOG_CHARACTERS = 4000  # of the workers' logs


def line(result: Result) -> str:
    """Return the line of a round."""
    plan = result.plan
    gone = "" if result.gone_after is None else f", killed are gone after {result.gone_after:.1f} s"
    told = f" ({plan.told}: told)" if plan.told else ""
    kinds = Counter(breach.partition(":")[0] for breach in result.breaches)
    broken = ", ".join(f"{kind} {times}" for kind, times in kinds.items())
    verdict = f"BROKEN: {broken}" if result.breaches else "OK"
    return (
        f"seed {plan.seed}{told}: {plan}; {result.acked:,} acknowledged, "
        f"{result.not_kept} not kept, {result.unsure} unsure, {result.kills} kills, "
        f"{result.reconnects} reconnects, longest gap {result.gap:.1f} s, "
        f"caught up after {result.caught_up:.1f} s{gone}: {verdict}"
    )


def report(result: Result, options: argparse.Namespace) -> None:
    """Print what broke, and how to see it again."""
    for kind in dict.fromkeys(breach.partition(":")[0] for breach in result.breaches):
        of_kind = [breach for breach in result.breaches if breach.startswith(f"{kind}:")]
        print(*(f"    {breach}" for breach in of_kind[:SHOWN]), sep="\n")
    for fault in result.plan.faults:
        print(f"    {fault}")
    print(f"    the workers logged: {result.logs[-LOG_CHARACTERS:]}")
    again = (
        f"--store {options.store} --seed {result.plan.seed} --clients {options.clients} "
        f"--messages {options.messages} --workers {options.workers} --seconds {options.seconds:g}"
    )
    print(f"    again: python -m benchmarks.storm {again}")


def totals(results: Sequence[Result]) -> str:
    """Return the last line."""
    gone = [each.gone_after for each in results if each.gone_after is not None]
    seeds = f"seeds {results[0].plan.seed} to {results[-1].plan.seed}"
    broken = [str(each.plan.seed) for each in results if each.breaches]
    faults = sum(len(each.plan.faults) for each in results)
    return (
        f"{len(results)} rounds, {seeds}: {faults:,} faults, "
        f"{sum(each.acked for each in results):,} acknowledged, "
        f"{sum(each.not_kept for each in results):,} not kept, "
        f"{sum(each.unsure for each in results):,} unsure, "
        f"{sum(each.kills for each in results):,} kills, "
        f"{sum(each.reconnects for each in results):,} reconnects, "
        f"longest gap {max(each.gap for each in results):.1f} s, "
        f"killed are gone after {max(gone, default=0):.1f} s at most; "
        + (f"BROKEN with the seeds {', '.join(broken)}" if broken else "all OK")
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the rounds; return 1 if anything broke, or it was interrupted."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.storm", description=__doc__)
    add = parser.add_argument
    add("--store", choices=list(KINDS), default="sqlite")
    add("--seed", type=int, default=1, help="of the first round; default: %(default)s")
    add("--rounds", type=int, default=1, help="default: %(default)s")
    add("--clients", type=int, default=20, help="default: %(default)s")
    add("--messages", type=int, default=20_000, help="of a round; default: %(default)s")
    add("--workers", type=int, default=2, help="default: %(default)s; memory has one")
    add("--seconds", type=float, default=20.0, help="of faults in a round; default: %(default)g")
    add("--folder", type=Path, help="for the file; a small disk of its own gets full")
    options = parser.parse_args(arguments)
    options.workers = min(options.workers, KINDS[options.store].workers)
    for number in (signal.SIGINT, signal.SIGTERM):  # so that all workers are stopped
        signal.signal(number, signal.default_int_handler)
    began, results = time.monotonic(), []
    with contextlib.suppress(KeyboardInterrupt):
        for seed in range(options.seed, options.seed + options.rounds):
            plan = Plan.of(
                seed,
                store=options.store,
                workers=options.workers,
                clients=options.clients,
                messages=options.messages,
                seconds=options.seconds,
            )
            results.append(asyncio.run(run_round(plan, options.folder)))
            print(line(results[-1]), flush=True)
            if results[-1].breaches:
                report(results[-1], options)
    if results:
        print(f"{totals(results)}; {(time.monotonic() - began) / 60:.1f} minutes")
    return int(len(results) < options.rounds or any(each.breaches for each in results))


if __name__ == "__main__":
    sys.exit(main())
