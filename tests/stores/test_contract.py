"""Our own stores do what each store has to do."""

import pytest

from chatlib.stores.contract import SharedStoreContract, StoreContract
from chatlib.stores.memory import MemoryStore
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
