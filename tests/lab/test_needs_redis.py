"""On a machine without Redis a cell that needs one says so, and all others run."""

import sys
from types import SimpleNamespace

import pytest
from IPython.core.inputtransformer2 import TransformerManager

from chatlib.lab import needs_redis
from chatlib.lab.needs_redis import SENTENCE, skip_without_redis, without_it
from chatlib.lab.redis_server import HOW_TO_GET_ONE, find_redis

MARKED = ["# needs Redis\n", "1 / 0\n"]
PLAIN = ["1 / 0  # as one\n", "# needs Redis\n"]


@pytest.fixture
def no_redis(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert find_redis() is None


@pytest.mark.usefixtures("no_redis")
def test_a_marked_cell_says_that_it_was_not_run_and_any_other_is_run(capsys):
    assert without_it(PLAIN) == PLAIN
    exec("".join(without_it(MARKED)))
    assert capsys.readouterr().out == f"{SENTENCE}\n"


def test_a_marked_cell_is_run_where_there_is_redis(monkeypatch):
    monkeypatch.setattr(needs_redis, "find_redis", lambda: "redis-server")
    assert without_it(MARKED) == MARKED


@pytest.fixture
def shell(monkeypatch):
    """What IPython has of a kernel's shell, as far as it matters here."""
    manager = TransformerManager()
    shell = SimpleNamespace(
        input_transformers_cleanup=manager.cleanup_transforms, transform_cell=manager.transform_cell
    )
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    return shell


@pytest.mark.usefixtures("no_redis")
def test_a_kernel_skips_marked_cells_after_the_call_and_a_second_call_changes_nothing(shell):
    marked, plain = "".join(MARKED), "".join(PLAIN)
    assert shell.transform_cell(marked) == marked
    skip_without_redis()
    skip_without_redis()
    assert shell.transform_cell(marked) == f"print({SENTENCE!r})\n"
    assert shell.transform_cell(plain) == plain
    assert shell.input_transformers_cleanup.count(without_it) == 1


def test_outside_of_ipython_nothing_happens(monkeypatch):
    monkeypatch.setattr("IPython.get_ipython", lambda: None)
    skip_without_redis()
    monkeypatch.setitem(sys.modules, "IPython", None)
    skip_without_redis()


def test_there_are_several_ways_to_get_one():
    assert HOW_TO_GET_ONE.count("install") == 3
