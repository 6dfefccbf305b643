"""What the store of a round is kept on. Each kind of store has a class, which knows its faults."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol, Self

from benchmarks.storm.evidence import Reset
from benchmarks.storm.plan import Fault, Plan
from benchmarks.storm.workers import Worker

ROOM = "storm"


class Storm(Protocol):
    """What a fault of a store needs of the round."""

    workers: list[Worker]
    resets: list[Reset]

    def losing(self, fault: Fault) -> AbstractAsyncContextManager[Callable[[int], None]]:
        """Have all workers dead in the block, which makes the store lose messages."""
        raise NotImplementedError

    def late(self, fault: Fault) -> AbstractAsyncContextManager[None]:
        """Have the clients of a network away in the block, and until the log has grown again."""
        raise NotImplementedError


class Backing:
    """A place for the store of one round. It is a context manager, at whose end it is gone.

    Each fault of `plan` that is of this store alone is a method of its name, which is given the
    fault and the storm. One that all stores have may be another here.

    Args:
        plan: of the round.
        folder: for this round alone.
    """

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan = plan
        self.folder = folder

    def address(self, worker: int) -> str:
        """Return where the worker of that number finds the store."""
        raise NotImplementedError

    async def heal(self) -> None:
        """Have the workers reach it again, whatever was done."""

    def close(self) -> None:
        """Have it gone."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


class Memory(Backing):
    """The memory of the only worker."""

    def address(self, worker: int) -> str:
        return "memory:"

    async def kill(self, fault: Fault, storm: Storm) -> None:
        """Kill the worker whose memory is the store."""
        async with storm.losing(fault) as reset:
            reset(0)
