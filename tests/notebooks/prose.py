"""The texts of a notebook."""

import re

from nbformat import NotebookNode

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def markdown(notebook: NotebookNode) -> list[NotebookNode]:
    """Return the cells of `notebook` that are texts."""
    return [cell for cell in notebook.cells if cell.cell_type == "markdown"]


def without_fences(text: str) -> str:
    """Return `text` without its code and its diagrams."""
    return FENCE.sub("", text)
