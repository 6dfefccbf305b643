"""The tests of this folder import `answers` and `broken` by these names."""

import gc
import sys
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]


@pytest.fixture(scope="session", autouse=True)
def _answers_are_not_collected() -> None:
    """Each check collects garbage first, and would look through hundreds of apps of the answers."""
    gc.collect()
    gc.freeze()
