"""Real servers and bare clients for the tests of a test, which end with it."""

import contextlib
import logging
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for live.py

from live import Raw, Served

from chatlib.core.log import logger


@pytest.fixture
def serve():
    """Serve an app until the test ends: `server = serve(app)`."""
    with contextlib.ExitStack() as stack:
        yield lambda app, **options: stack.enter_context(Served(app, **options))


@pytest.fixture
def raw():
    """Connect on a bare socket until the test ends: `client = raw(server)`."""
    with contextlib.ExitStack() as stack:
        yield lambda *args, **options: stack.enter_context(Raw(*args, **options))


@pytest.fixture
def logged():
    """What is logged from INFO on, as records."""
    records = []

    def keep(record):
        records.append(record)
        return False

    level = logger.level
    logger.setLevel(logging.INFO)
    logger.filters.insert(0, keep)
    yield records
    logger.filters.remove(keep)
    logger.setLevel(level)
