"""A chapter on a machine without Redis: Run All comes to its end, and says what was not run."""

from pathlib import Path

import pytest
from kernel import Kernel
from nbformat import NotebookNode
from refresh import code_cells, comparable, has_tag, merged, sanitizer

from chatlib.lab.needs_redis import MARK, SENTENCE, is_marked
from chatlib.lab.redis_server import HOW_TO_GET_ONE


def test_the_mark_is_the_first_line_of_a_cell(notebook: NotebookNode) -> None:
    for cell in code_cells(notebook):
        if MARK in cell.source:
            assert cell.source.splitlines()[0] == MARK, cell.id


def test_a_chapter_that_needs_redis_says_how_to_get_one(notebook: NotebookNode) -> None:
    if any(is_marked(cell.source) for cell in code_cells(notebook)):
        commands = HOW_TO_GET_ONE.partition("On Debian")[2].replace(";", ":").split(":")[1::2]
        assert len(commands) == 3
        for command in commands:
            assert command.strip().removeprefix("with ") in notebook.cells[0].source


@pytest.mark.usefixtures("one_round")
def test_run_all_shows_the_same_but_for_the_cells_that_need_redis(
    chapter: Path, notebook: NotebookNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = code_cells(notebook)
    if not any(is_marked(cell.source) for cell in cells):
        return
    monkeypatch.setenv("PATH", str(tmp_path))
    with Kernel(chapter.parent) as kernel:
        runs = kernel.run([cell.source for cell in cells])
    for cell, run in zip(cells, runs, strict=True):
        assert run.error is None, (cell.id, run.error.evalue)
        shown = comparable(merged(run.outputs), sanitizer())
        if is_marked(cell.source):
            assert shown == [("stream", "stdout", [], f"{SENTENCE}\n\n")], cell.id
        elif not has_tag(cell, "nbval-ignore-output"):
            assert shown == comparable(cell.outputs, sanitizer()), cell.id
