"""Fixtures of the notebooks' tests."""

from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode


@pytest.fixture
def notebook(chapter: Path) -> NotebookNode:
    """The chapter as it is stored."""
    return nbformat.read(chapter, as_version=4)


@pytest.fixture
def one_round(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a notebook that measures do so once: it runs several times, and nobody looks."""
    monkeypatch.setenv("CHATLIB_ROUNDS", "1")
