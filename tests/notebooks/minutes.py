"""How long a chapter takes, from what is in it: the sum behind "about 60 minutes".

    python tests/notebooks/minutes.py          what each chapter says, and what it comes to

It is a sum and not a measurement: a developer who reads English as a second language, runs every
cell, looks at what it shows, guesses, and does the exercises.
"""

import re
from fractions import Fraction
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from prose import markdown, without_fences
from refresh import FOLDER, code_cells, has_tag

WORDS_A_MINUTE = 120
CODE_LINES_A_MINUTE = 12
GUESS_MINUTES = 1
EXERCISE_MINUTES = 6
HARD_EXERCISE_MINUTES = 15
OPEN_EXERCISE_MINUTES = 20
TOLD = re.compile(r"\babout (\d+) minutes\b")


def words(notebook: NotebookNode) -> int:
    """Return how many words the prose of `notebook` has, what is folded included."""
    text = "\n".join(cell.source for cell in markdown(notebook))
    text = re.sub(r"<[^>]+>|\]\([^)]*\)", " ", without_fences(text))
    return len(re.findall(r"\w[\w'\N{RIGHT SINGLE QUOTATION MARK}-]*", text))


def code_lines(notebook: NotebookNode) -> int:
    """Return how many lines of code `notebook` has, blank ones apart."""
    return sum(bool(line.strip()) for c in code_cells(notebook) for line in c.source.splitlines())


def minutes(notebook: NotebookNode) -> int:
    """Return the minutes that `notebook` takes, to the nearest five."""
    guesses = sum(has_tag(cell, "guess") for cell in notebook.cells)
    hard_exercises = sum(has_tag(cell, "hard") for cell in notebook.cells)
    exercises = sum(has_tag(cell, "exercise") for cell in notebook.cells) - hard_exercises
    open_exercises = sum(has_tag(cell, "open") for cell in notebook.cells)
    total = (
        Fraction(words(notebook), WORDS_A_MINUTE)
        + Fraction(code_lines(notebook), CODE_LINES_A_MINUTE)
        + Fraction(notebook.metadata.get("chatlib", {}).get("seconds", 0), 60)
        + GUESS_MINUTES * guesses
        + EXERCISE_MINUTES * exercises
        + HARD_EXERCISE_MINUTES * hard_exercises
        + OPEN_EXERCISE_MINUTES * open_exercises
    )
    return round(total / 5) * 5


def told(notebook: NotebookNode) -> list[int]:
    """Return the minutes that `notebook` says it takes, at each place where it does."""
    return [int(found) for cell in markdown(notebook) for found in TOLD.findall(cell.source)]


def read(path: Path) -> NotebookNode:
    """Return the notebook at `path`."""
    return nbformat.read(path, as_version=4)


if __name__ == "__main__":
    for path in sorted(FOLDER.glob("*.ipynb")):
        notebook = read(path)
        print(f"{path.name:<30} says {told(notebook)}, comes to {minutes(notebook)}")
