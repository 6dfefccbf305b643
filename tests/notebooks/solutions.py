"""The exercises of a notebook, and the cells with their solutions put in."""

import re
from dataclasses import dataclass

from nbformat import NotebookNode
from refresh import code_cells, has_tag


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


def with_solutions(notebook: NotebookNode) -> list[str]:
    """Return the sources of all code cells, those of exercises with their solutions."""
    by_id = {exercise.cell.id: exercise for exercise in exercises(notebook)}
    cells = code_cells(notebook)
    return [solved(by_id[cell.id]) if cell.id in by_id else cell.source for cell in cells]
