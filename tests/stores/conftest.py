"""A Redis for a test, and somebody who operates it."""

import pytest
from redis import Redis

from chatlib.lab.redis_server import RedisServer


@pytest.fixture
def redis(needs_redis):
    """A Redis that keeps everything on the disk."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def operator(redis):
    """A connection of who operates it."""
    with Redis.from_url(redis.url, decode_responses=True) as client:
        yield client
