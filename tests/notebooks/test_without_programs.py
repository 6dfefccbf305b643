"""A chapter on a machine without its programs: Run All ends, and says what was not run."""

from pathlib import Path

import pytest
from kernel import Kernel
from nbformat import NotebookNode
from refresh import code_cells, comparable, has_tag, merged, sanitizer

from chatlib.lab.needs import PROGRAMS, Program, needed


def test_marks_are_the_first_lines_of_a_cell(notebook: NotebookNode) -> None:
    for cell in code_cells(notebook):
        marks = sum(cell.source.count(program.mark) for program in PROGRAMS)
        assert marks == len(needed(cell.source)), cell.id


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_a_chapter_that_needs_a_program_says_how_to_get_one(
    notebook: NotebookNode, program: Program
) -> None:
    if any(program in needed(cell.source) for cell in code_cells(notebook)):
        said = program.how_to_get_one.partition("On Debian")[2]
        commands = said.replace(";", ":").split(":")[1::2]
        assert len(commands) == 3
        for command in commands:
            assert command.strip().removeprefix("with ") in notebook.cells[0].source


@pytest.mark.usefixtures("one_round")
def test_run_all_shows_the_same_but_for_the_cells_that_need_a_program(
    chapter: Path, notebook: NotebookNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = code_cells(notebook)
    if not any(needed(cell.source) for cell in cells):
        return
    monkeypatch.setenv("PATH", "")
    with Kernel(chapter.parent) as kernel:
        runs = kernel.run([cell.source for cell in cells])
    for cell, run in zip(cells, runs, strict=True):
        assert run.error is None, (cell.id, run.error.evalue)
        shown = comparable(merged(run.outputs), sanitizer())
        if programs := needed(cell.source):
            said = "".join(f"{program.sentence}\n" for program in programs)
            assert shown == [("stream", "stdout", [], f"{said}\n")], cell.id
        elif not has_tag(cell, "nbval-ignore-output"):
            assert shown == comparable(cell.outputs, sanitizer()), cell.id
