"""A reader solves the exercises, goes back and forth, and nothing hangs or breaks."""

import re
from pathlib import Path

import pytest
from kernel import Kernel, Run
from nbformat import NotebookNode
from refresh import code_cells, comparable, has_tag, merged, sanitizer, text_of
from solutions import with_solutions

CELL_SECONDS = 60.0  # a guard, as nbval has it
AFTERWARDS_SECONDS = 20.0  # a guard: such a cell answers at once


def raised(cells: list[NotebookNode], runs: list[Run]) -> dict[str, str]:
    """Return the message of each cell that raised or was not run, by its id."""
    messages = {}
    for cell, run in zip(cells, runs, strict=True):
        if run.count is None:
            messages[cell.id] = "was not run"
        elif run.error is not None and not has_tag(cell, "raises-exception"):
            messages[cell.id] = f"{run.error.ename}: {run.error.evalue}"
    return messages


def run(kernel: Kernel, cells: list[NotebookNode]) -> dict[str, str]:
    """Run `cells` as Run All does; return what was raised."""
    may_raise = [has_tag(cell, "raises-exception") for cell in cells]
    sources = [cell.source for cell in cells]
    return raised(cells, kernel.run(sources, may_raise=may_raise, seconds=CELL_SECONDS))


def run_solved(kernel: Kernel, notebook: NotebookNode) -> dict[str, str]:
    """Run all cells, the exercises with their solutions; return what was raised or not solved."""
    cells = code_cells(notebook)
    may_raise = [has_tag(cell, "raises-exception") for cell in cells]
    runs = kernel.run(with_solutions(notebook), may_raise=may_raise, seconds=CELL_SECONDS)
    found = raised(cells, runs)
    for cell, one in zip(cells, runs, strict=True):
        if has_tag(cell, "exercise"):
            report = "\n".join(text_of(output) for output in one.outputs)
            if "✓ " not in report or "✗ " in report:
                found.setdefault(cell.id, report or "showed no report")
    return found


def uses_the_server(cell: NotebookNode) -> bool:
    starts_it = re.search(r"\bserve\(|\bserver = ", cell.source)
    return bool(re.search(r"\bserver\b", cell.source)) and not starts_it


def makes_files(cell: NotebookNode) -> bool:
    return bool(re.search(r"\b(new_file|two_workers)\(", cell.source))


@pytest.mark.usefixtures("one_round")
def test_run_all_with_the_solutions_and_again_with_each_cell_twice_and_then_what_needs_the_server(
    chapter: Path, notebook: NotebookNode
) -> None:
    cells = code_cells(notebook)
    with Kernel(chapter.parent) as kernel:
        assert run_solved(kernel, notebook) == {}
        assert run(kernel, [cell for cell in cells for _ in range(2)]) == {}
        afterwards = {}
        for cell in filter(uses_the_server, cells):
            runs = kernel.run([cell.source], seconds=AFTERWARDS_SECONDS)
            afterwards |= raised([cell], runs)
        making = list(filter(makes_files, cells))
        made = kernel.run([cell.source for cell in making], seconds=CELL_SECONDS)
    assert {k: v for k, v in afterwards.items() if "start the server again" not in v} == {}
    assert raised(making, made) == {}
    for cell, one in zip(making, made, strict=True):  # with new files they show the same
        stored = comparable(cell.outputs, sanitizer())
        assert comparable(merged(one.outputs), sanitizer()) == stored, cell.id
