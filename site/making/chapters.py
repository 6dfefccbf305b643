"""What becomes of a notebook: its stored outputs, fit for a page that no kernel stands behind."""

import copy
import re
from collections.abc import Callable, Iterator
from html import escape
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from making.diagrams import FENCE, file_of, pictured, words
from making.links import relinked

MERMAID = "text/vnd.mermaid"
CHART_WORDS = "chatlib-chart"  # the class of what JupyterLab gets beside a chart
# Readers of the site run nothing: the label of an answer says what is in it.
RUN, CAME = "<summary>After you have run it</summary>", "<summary>What came, and why</summary>"
NO_PAGE = (
    '<div class="no-page" role="note"><p><strong>When you run the notebook, a page is here</strong>'
    ": {title}, from the server that the chapter started. It is live: you type in it, and see what "
    "crosses. <code>make lab</code> opens the course.</p></div>"
)


def title_of(notebook: NotebookNode) -> str:
    """Return the title of a chapter."""
    title: str = notebook.cells[0].source.splitlines()[0].removeprefix("# ")
    return title


def diagrams_in(notebook: NotebookNode) -> Iterator[str]:
    """Yield the source of each diagram, in cells and in outputs."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            yield from FENCE.findall(cell.source)
        for output in cell.get("outputs", ()):
            if MERMAID in output.get("data", {}):
                yield output.data[MERMAID]


def prepare(
    notebook: NotebookNode, resolve: Callable[[str], str], pictures: Path, uri: str
) -> None:
    """Change `notebook` into what a page shows of it.

    Args:
        notebook: as it is stored, with outputs.
        resolve: says where the target of a link is on the site.
        pictures: the folder with the diagrams.
        uri: of that folder, as the chapter's page calls it.
    """
    notebook.cells = [part for cell in notebook.cells for part in one_picture_each(cell)]
    guessing = folded = False
    for cell in notebook.cells:
        tags = cell.metadata.get("tags", [])
        if cell.cell_type == "markdown":
            cell.source = pictured(relinked(cell.source.replace(RUN, CAME), resolve), uri)
            guessing = guessing or "guess" in tags
        elif cell.cell_type == "code":
            cell.outputs = [show(cell, output, pictures) for output in wanted(cell.outputs)]
            folded = guessing or (folded and "remove-input" in tags)
            if folded and cell.outputs:  # myst-nb folds the outputs of such a cell
                cell.metadata["tags"] = [*tags, "hide-output"]
            guessing = False


def is_picture(output: NotebookNode) -> bool:
    """Return whether `output` is a chart or a diagram."""
    data = output.get("data", {})
    return MERMAID in data or "image/png" in data


def one_picture_each(cell: NotebookNode) -> Iterator[NotebookNode]:
    """Yield `cell`, and others without code for each further picture that it shows.

    MyST-NB takes the words for a picture from its cell, so there are words for one only.
    """
    outputs = list(cell.get("outputs", ()))
    pictures = [place for place, output in enumerate(outputs) if is_picture(output)]
    if len(pictures) < 2:
        yield cell
        return
    ends = [*(place + 1 for place in pictures[:-1]), len(outputs)]
    starts = [0, *ends[:-1]]
    for number, (start, end) in enumerate(zip(starts, ends, strict=True)):
        part = copy.deepcopy(cell)
        part.outputs = outputs[start:end]
        if number:
            part.id = f"{cell.id}-{number + 1}"
            part.metadata["tags"] = [*part.metadata.get("tags", []), "remove-input"]
        yield part


def wanted(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Return `outputs` without the words of charts: here they are the pictures' own."""
    return [
        output
        for output in outputs
        if CHART_WORDS not in output.get("data", {}).get("text/html", "")
    ]


def show(cell: NotebookNode, output: NotebookNode, pictures: Path) -> NotebookNode:
    """Return `output` of `cell` as the site shows it."""
    data: dict[str, Any] = output.get("data", {})
    if MERMAID in data:
        source = data.pop(MERMAID)
        data["image/svg+xml"] = file_of(source, pictures).read_text("utf-8")
        describe(cell, "diagram", f"{words(source, 'accTitle')}. {words(source, 'accDescr')}")
    elif "image/png" in data:
        describe(cell, "chart", output.metadata["image/png"]["alt"])
    elif "<iframe" in data.get("text/html", ""):
        found = re.search(r'<iframe[^>]* title="([^"]*)"', data["text/html"])
        title = found[1] if found else "the page"
        data["text/html"] = NO_PAGE.format(title=title[:1].lower() + title[1:])
    elif "text/html" in data and "<table" in data["text/html"]:
        data["text/html"] = scrolling(data["text/html"])
    return output


def describe(cell: NotebookNode, kind: str, alt: str) -> None:
    """Give the picture that `cell` shows a class, and its words."""
    cell.metadata["mystnb"] = {"image": {"alt": alt, "classes": kind}}


def scrolling(table: str) -> str:
    """Return `table` in a frame of its own, which scrolls where the page must not."""
    found = re.search(r"<caption[^>]*>(.*?)</caption>", table, re.DOTALL)
    name = re.sub(r"<[^>]*>", "", found[1]) if found else "A table"
    label = escape(name, quote=True)
    return f'<div class="wide" tabindex="0" role="region" aria-label="{label}">{table}</div>'
