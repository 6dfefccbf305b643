"""Every exercise fails as handed out, and gives a hint. test_reruns.py puts its solution in.

An open exercise, tagged `open`, comes without one: there are many, and they are in the tests of its
check.
"""

import ast
import re

from nbformat import NotebookNode
from refresh import has_tag, text_of
from solutions import check_of, exercises


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
