"""What every store has to do, as tests for pytest, for those of ours and for one of your own.

    class TestMyStore(StoreContract):
        @pytest.fixture
        def make(self, tmp_path):
            return lambda retention=DEFAULT: MyStore(tmp_path / "log", retention)

Each call of `make` returns another store, not yet open, on the same place. `SharedStoreContract` is
for stores that several processes share. They need pytest and Hypothesis.
"""

from chatlib.stores.contract.alone import StoreContract
from chatlib.stores.contract.shared import SharedStoreContract

__all__ = ["SharedStoreContract", "StoreContract"]
