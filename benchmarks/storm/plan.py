"""What a round does, from its seed alone: which faults there are, and when who says something."""

import random
from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

NETWORKS = 4  # each with a proxy to each worker; a fault of a network hits its clients alone
FAULTS_A_SECOND = 1.5
PAUSE_SECONDS = 10.0  # the longest time that a worker is stopped, or anything else lasts

# How often each fault comes, by its weight.
NETWORK = {"cut": 4, "stall": 3, "gone": 2, "cut_reply": 4, "cut_after": 4}
PROCESS = {"kill": 5, "kill_all": 1, "restart": 1}
ANYWHERE = {**NETWORK, "pause": 2, "leave": 1}
FILE = {"bells": 2, "lock": 2, "full": 2}
REDIS = {
    **{"redis_kill": 2, "redis_restart": 1, "redis_pause": 2, "redis_full": 2},
    **{"drop_pubsub": 2, "drop_normal": 2},
}
CABLE = {"cable_cut": 2, "cable_stall": 2, "cable_gone": 1, "cable_reply": 3, "cable_after": 3}
TOLD_EVERY = 4  # rounds: in each fourth, messages are lost, and everybody has to be told
TRIM = "trim"  # the store keeps little; whatever else makes it lose messages is a fault
MANY = 1000  # workers
TRIMMED_TO = 50  # messages, where the store keeps few


class Kind(NamedTuple):
    """What a kind of store has: faults by their weights, ways to lose messages, workers at most."""

    faults: dict[str, int]
    told: list[str]
    workers: int


KINDS = {
    "sqlite": Kind(PROCESS | FILE, ["delete", "restore", TRIM], MANY),
    "redis": Kind(PROCESS | REDIS | CABLE, ["flush", "unsaved", "restore", TRIM], MANY),
    "memory": Kind({}, ["kill"], 1),
}


class Fault(NamedTuple):
    """Something that goes wrong: when, for how long, and where. `number` is its own."""

    at: float
    kind: str
    seconds: float
    worker: int
    network: int
    number: int

    def __str__(self) -> str:
        return (
            f"{self.at:.2f} s: {self.kind} for {self.seconds:.2f} s "
            f"(worker {self.worker}, network {self.network}, {self.number})"
        )


class Part(NamedTuple):
    """What a client does: it comes at `arrives`, and says a message at each of `due`."""

    arrives: float
    due: list[float]
    window: int
    network: int


@dataclass
class Plan:
    """All that a seed decides.

    Attributes:
        faults: in the order of their times.
        parts: of the clients.
        told: what makes messages missing, so that clients have to be told; or None.
    """

    seed: int
    store: str
    workers: int
    seconds: float
    faults: list[Fault]
    parts: list[Part]
    told: str | None

    @classmethod
    def of(
        cls, seed: int, *, store: str, workers: int, clients: int, messages: int, seconds: float
    ) -> "Plan":
        """Return the plan of a round."""
        rng = random.Random(f"storm {seed}")
        kind = KINDS[store]
        told = rng.choice(kind.told) if seed % TOLD_EVERY == 0 else None
        kinds = ANYWHERE | kind.faults
        faults = [
            fault_of(rng, rng.choices(list(kinds), list(kinds.values()))[0], workers, seconds)
            for _ in range(max(3, round(FAULTS_A_SECOND * seconds)))
        ]
        if told not in (None, TRIM):
            fault = fault_of(rng, told, workers, seconds)
            faults.append(fault._replace(at=rng.uniform(0.3, 0.7) * seconds))
        parts = []
        for number in range(clients):
            arrives = 0.0 if rng.random() < 0.75 else rng.uniform(0, seconds / 2)
            quota = messages // clients + (number < messages % clients)
            due = sorted(rng.uniform(arrives, seconds) for _ in range(quota))
            parts.append(Part(arrives, due, rng.choice([1, 1, 1, 4]), rng.randrange(NETWORKS)))
        return cls(seed, store, workers, seconds, sorted(faults), parts, told)

    def __str__(self) -> str:
        counts = Counter(fault.kind for fault in self.faults)
        words = [f"{kind} {times}" for kind, times in sorted(counts.items())]
        return ", ".join([*words, *([TRIM] if self.told == TRIM else [])])


def fault_of(rng: random.Random, kind: str, workers: int, seconds: float) -> Fault:
    """Return a fault of a kind, at a random time and place."""
    longest = min(PAUSE_SECONDS, 0.4 * seconds)
    return Fault(
        at=rng.uniform(0.05, 0.9) * seconds,
        kind=kind,
        seconds=longest * rng.choice([rng.uniform(0.02, 0.2), rng.uniform(0.2, 1)]),
        worker=rng.randrange(workers),
        network=rng.randrange(NETWORKS),
        number=rng.randrange(1, 5000),
    )
