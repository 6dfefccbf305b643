"""The tests of this folder import `answers` and `broken` by these names."""

import gc
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]


@pytest.fixture(scope="module", autouse=True)
def light_collections() -> Iterator[None]:
    """Have the garbage collector leave alone what is there before a module's tests.

    Each check has it look for coroutines that were never awaited. All that pytest and its plugins
    have loaded makes that five times as slow as the rest of a check.
    """
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait less for what does not come.

    A client has a ping answered before it gives up, and puppets need turns of the event loop and no
    time, so nothing comes too late.
    """
    monkeypatch.setattr("chatlib.lab.check.tools.client.PATIENCE", 0.2)
    monkeypatch.setattr("chatlib.lab.check.tools.play.PLAY_SECONDS", 0.5)
