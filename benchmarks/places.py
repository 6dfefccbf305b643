"""A new store of a kind, which is gone with the block."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from chatlib.lab.redis_server import RedisServer

KINDS = ("sqlite", "redis")


@contextlib.contextmanager
def new_store(kind: str) -> Iterator[str]:
    """Give the address of a new store: a file, or a Redis that writes all to the disk at once."""
    if kind == "redis":
        with RedisServer(appendfsync="always") as server:
            yield server.url
    else:
        with tempfile.TemporaryDirectory() as folder:
            yield f"sqlite:///{Path(folder, 'rooms.db')}"
