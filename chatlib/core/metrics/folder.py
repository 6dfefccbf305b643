"""Where several processes put their figures, and whether there is what reads them."""

import contextlib
import importlib.util
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"  # prometheus-client reads it when it is imported


def is_installed() -> bool:
    """Return whether prometheus-client is there. It is not imported: that takes 60 ms."""
    return importlib.util.find_spec("prometheus_client") is not None


def given_folder() -> Path | None:
    """Return the folder that the environment names, or None."""
    folder = os.environ.get(VARIABLE)
    return Path(folder) if folder else None


@contextlib.contextmanager
def fresh_folder(processes: int) -> Iterator[None]:
    """Have a new folder in the environment, where several processes need one that is not given.

    It is removed at the end, with what is in it.
    """
    if processes == 1 or given_folder() is not None or not is_installed():
        yield
        return
    with tempfile.TemporaryDirectory(prefix="chatlib-metrics-") as folder:
        os.environ[VARIABLE] = folder
        try:
            yield
        finally:
            del os.environ[VARIABLE]
