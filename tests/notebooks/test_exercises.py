"""Every exercise fails as handed out, gives a hint, and is solved by its solution.

An open exercise, tagged `open`, comes without one: there are many, and they are in the tests of its
check.
"""

import ast
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from kernel import Kernel
from nbformat import NotebookNode
from refresh import code_cells, has_tag, text_of


@dataclass
class Exercise:
    """An exercise: the cell with the stub, and the code of the solution."""

    cell: NotebookNode
    solution: str


def exercises(notebook: NotebookNode) -> list[Exercise]:
    """Return the exercises of `notebook`; what is between two solutions belongs together."""
    found = []
    stubs: list[NotebookNode] = []
    for cell in notebook.cells:
        if has_tag(cell, "exercise"):
            stubs.append(cell)
        elif has_tag(cell, "solution"):
            assert len(stubs) == 1, f"{cell.id} solves {[stub.id for stub in stubs]}"
            fences = re.findall(r"^```(\w*)\n(.*?)^```$", cell.source, re.MULTILINE | re.DOTALL)
            assert [language for language, _ in fences] == ["python"], cell.id
            found.append(Exercise(stubs[0], fences[0][1]))
            stubs = []
    assert stubs == [], "an exercise without a solution"
    return found


def check_of(source: str) -> str:
    """Return the last line of an exercise, which is its check."""
    *_, line = source.rstrip().splitlines()
    assert re.fullmatch(r"check\.\w+\(.*\)", line), line
    return line


def solved(exercise: Exercise) -> str:
    """Return the cell with the solution put in, failing where its check fails."""
    check = check_of(exercise.cell.source)
    return f"{exercise.solution}\n_report = {check}\nassert _report.passed, repr(_report)\n_report"


def stubs_of(notebook: NotebookNode) -> list[NotebookNode]:
    """Return the cells of all exercises, open ones too."""
    return [cell for cell in notebook.cells if has_tag(cell, "exercise") or has_tag(cell, "open")]


def test_a_chapter_has_exercises(notebook: NotebookNode) -> None:
    assert 2 <= len(stubs_of(notebook)) <= 3


def test_an_exercise_is_a_stub_with_one_todo(notebook: NotebookNode) -> None:
    for stub in stubs_of(notebook):
        assert stub.source.count("TODO") == 1, stub.id
        assert check_of(stub.source)
        before = notebook.cells[notebook.cells.index(stub) - 1]
        assert has_tag(before, "hint"), f"{stub.id} has no folded hint above it"


def test_an_exercise_fails_as_handed_out_and_says_how_to_go_on(notebook: NotebookNode) -> None:
    """The outputs are stored; that they are what the stub gives, nbval sees to."""
    for stub in stubs_of(notebook):
        assert not has_tag(stub, "nbval-ignore-output")
        report = "\n".join(text_of(output) for output in stub.outputs)
        assert re.search(r"^\s*✗ ", report, re.MULTILINE), stub.id
        assert "hint:" in report, stub.id


def test_a_solution_is_no_part_of_the_stub(notebook: NotebookNode) -> None:
    for exercise in exercises(notebook):
        stub = exercise.cell.source.replace(check_of(exercise.cell.source), "")
        assert ast.unparse(ast.parse(exercise.solution)) not in ast.unparse(ast.parse(stub))


@pytest.mark.usefixtures("one_round")
def test_the_solutions_solve_the_exercises(chapter: Path, notebook: NotebookNode) -> None:
    by_id = {exercise.cell.id: exercise for exercise in exercises(notebook)}
    cells = code_cells(notebook)
    last = max((number for number, cell in enumerate(cells) if cell.id in by_id), default=-1)
    cells = cells[: last + 1]
    sources = [solved(by_id[cell.id]) if cell.id in by_id else cell.source for cell in cells]
    raising = [has_tag(cell, "raises-exception") for cell in cells]
    with Kernel(chapter.parent) as kernel:
        runs = kernel.run(sources, may_raise=raising)
    for cell, run, may_raise in zip(cells, runs, raising, strict=True):
        assert run.count is not None, f"{cell.id} was not run"
        assert run.error is None or may_raise, (cell.id, run.error.evalue)
        if cell.id in by_id:
            report = "\n".join(text_of(output) for output in run.outputs)
            assert "✓ " in report, cell.id
            assert "✗ " not in report, cell.id
