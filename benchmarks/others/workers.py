"""Two workers of a candidate, and the Redis that they share."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

from benchmarks.others.apps import STORE
from benchmarks.others.candidates import CANDIDATES
from benchmarks.process import Process, cpu_of, serving
from chatlib.lab.redis_server import RedisServer

Fsync = Literal["always", "everysec"]


@dataclass
class Pair:
    """Two workers and their Redis.

    Attributes:
        workers: each a process.
        redis: a process too. A candidate that needs none has none.
    """

    workers: list[Process]
    redis: RedisServer | None

    @property
    def ports(self) -> list[int]:
        """Where the workers listen."""
        return [worker.port for worker in self.workers]

    def cpu(self) -> float:
        """Return the seconds of CPU time that the workers have had."""
        return sum(worker.cpu() for worker in self.workers)

    def redis_cpu(self) -> float:
        """Return the seconds of CPU time that Redis has had."""
        return cpu_of(self.redis.pid) if self.redis else 0.0


@contextlib.contextmanager
def store_of(name: str, fsync: Fsync) -> Iterator[RedisServer | None]:
    """Start what a candidate keeps its messages in, and name its address in the environment."""
    with contextlib.ExitStack() as stack:
        redis = None
        if CANDIDATES[name].needs_redis:
            redis = stack.enter_context(RedisServer(appendfsync=fsync))
            os.environ[STORE] = redis.url
        else:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            os.environ[STORE] = f"sqlite:///{folder}/rooms.db"
        stack.callback(os.environ.pop, STORE, None)
        yield redis


@contextlib.contextmanager
def pair_of(name: str, redis: RedisServer | None) -> Iterator[Pair]:
    """Start two workers of a candidate, both at a time; kill them in the end."""

    def end(start: Future[Process]) -> None:
        if start.exception() is None:
            start.result().kill()

    with ThreadPoolExecutor(2) as pool, contextlib.ExitStack() as stack:
        starting = [pool.submit(serving, name) for _ in range(2)]
        for start in starting:
            stack.callback(end, start)
        yield Pair([start.result() for start in starting], redis)
