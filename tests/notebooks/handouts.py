"""Make the pages for a class out of the notebooks: the script behind `make handouts`.

    python tests/notebooks/handouts.py             write what has changed in handouts/
    python tests/notebooks/handouts.py --check     write nothing, fail if something would change

What a page says of the course is taken from the course: `{{ minutes 03 }}` in a template is the
minutes of chapter 03, `{{ guess 03 one-to-all }}` the question in that cell. A cell that is gone is
an error.
"""

import inspect
import re
import sys
from collections.abc import Callable
from pathlib import Path

import mistune
from minutes import minutes, read
from nbformat import NotebookNode
from prose import without_fences
from refresh import FOLDER, text_of

from chatlib import ConnectionManager

HANDOUTS = FOLDER.parent / "handouts"
LESSON_MINUTES = 90


class HandoutError(Exception):
    """A template asks for what the course does not have."""


def chapter(number: str) -> tuple[Path, NotebookNode]:
    """Return the file of the chapter `number`, and what is in it."""
    found = list(FOLDER.glob(f"{number}_*.ipynb"))
    if len(found) != 1:
        raise HandoutError(f"there is no chapter {number}")
    return found[0], read(found[0])


def cell_of(number: str, name: str) -> tuple[NotebookNode, str]:
    """Return the cell `name` of a chapter, and the heading below which it stands."""
    heading = ""
    for cell in chapter(number)[1].cells:
        if cell.cell_type == "markdown":
            heading = ([heading, *headings(cell)])[-1]
        if cell.id == name:
            return cell, heading
    raise HandoutError(f"chapter {number} has no cell {name!r}")


def headings(cell: NotebookNode) -> list[str]:
    """Return the headings in `cell`, below the chapter's title."""
    return re.findall(r"^##+ (.+)$", without_fences(cell.source), re.MULTILINE)


def told_minutes(number: str) -> str:
    return str(minutes(chapter(number)[1]))


def link(number: str) -> str:
    path, notebook = chapter(number)
    title = notebook.cells[0].source.splitlines()[0].removeprefix("# ")
    return f"[{number} {title}](../notebooks/{path.name})"


def guess(number: str, name: str) -> str:
    """Return the question that a cell asks, and where it stands."""
    cell, heading = cell_of(number, name)
    if "guess" not in cell.metadata.get("tags", []):
        raise HandoutError(f"chapter {number}: {name!r} asks for no guess")
    question = re.search(r"\*\*[^*]*\bguess\b[^*]*\*\*[,.]?\s*(.+)", cell.source, re.DOTALL)
    assert question, name
    text = " ".join(question[1].split())
    return f"*{heading}*: {text[:1].upper()}{text[1:]}"


def project(number: str, name: str) -> str:
    """Return the heading below which the cell `name` stands."""
    return f"*{cell_of(number, name)[1]}* (cell `{name}`)"


def table(number: str, name: str) -> str:
    """Return the table in the Markdown cell `name`."""
    cell, _ = cell_of(number, name)
    rows = re.findall(r"^\|.+\|$", cell.source, re.MULTILINE)
    if not rows:
        raise HandoutError(f"chapter {number}: {name!r} has no table")
    return "\n".join(rows)


def output(number: str, name: str) -> str:
    """Return what the code cell `name` has printed."""
    cell, _ = cell_of(number, name)
    text = "".join(map(text_of, cell.get("outputs", []))).strip("\n")
    if not text:
        raise HandoutError(f"chapter {number}: {name!r} prints nothing")
    return f"```\n{text}\n```"


def manager() -> str:
    """Return the manager's public names, with the first sentence that each says of itself."""
    rows = ["| name | what it does |", "|---|---|"]
    for name, member in vars(ConnectionManager).items():
        if not name.startswith("_") and (doc := inspect.getdoc(member)):
            call = "" if isinstance(member, property) else "(…)"
            wait = "await " if inspect.iscoroutinefunction(member) else ""
            sentence = re.split(r"(?<=\.)\s", " ".join(doc.split()))[0]
            rows.append(f"| `{wait}{name}{call}` | {sentence.replace('|', ' ')} |")
    return "\n".join(rows)


def lesson(*parts: str) -> str:
    """Return a lesson: the parts of chapters in it, each as `03`, or as `03:first-cell:last-cell`.

    Raises:
        HandoutError: it takes longer than a lesson.
    """
    told, total = [], 0
    for part in parts:
        number, _, cells = part.partition(":")
        _, notebook = chapter(number)
        names = [cell.id for cell in notebook.cells]
        first, _, last = cells.partition(":")
        if cells and not {first, last} <= set(names):
            raise HandoutError(f"chapter {number} has no cells {cells}")
        if cells:
            start, end = names.index(first), names.index(last) + 1
            notebook = NotebookNode(
                cells=notebook.cells[start:end], metadata=NotebookNode(notebook.metadata)
            )
            begins, ends = (cell_of(number, each)[1] for each in (first, last))
            where = f"{link(number)}, {f'*{begins}*' if start else 'the beginning'} to *{ends}*"
        else:
            where = link(number)
        spent = minutes(notebook)
        total += spent
        told.append(f"{where} ({spent} minutes)")
    if total > LESSON_MINUTES:
        raise HandoutError(f"a lesson of {total} minutes: {', '.join(parts)}")
    return "; ".join(told)


FACTS: dict[str, Callable[..., str]] = {
    "minutes": told_minutes,
    "link": link,
    "guess": guess,
    "project": project,
    "table": table,
    "output": output,
    "manager": manager,
    "lesson": lesson,
}


def filled(template: str) -> str:
    """Return `template` with the facts of the course in place of what asks for them."""

    def fact(asked: re.Match[str]) -> str:
        name, *arguments = asked[1].split()
        return FACTS[name](*arguments)

    return re.sub(r"\{\{ (.+?) \}\}", fact, template)


def pages() -> dict[Path, str]:
    """Return what each page has to say, by its path."""
    instructors = (HANDOUTS / "templates/for_instructors.md").read_text("utf-8")
    printed = filled((HANDOUTS / "templates/to_print.md").read_text("utf-8"))
    frame = (HANDOUTS / "templates/to_print.html").read_text("utf-8")
    html = str(mistune.html(printed))
    return {
        HANDOUTS / "for_instructors.md": filled(instructors),
        HANDOUTS / "to_print.html": frame.replace("<!-- content -->", html),
    }


def main() -> int:
    changed = {
        path: text
        for path, text in pages().items()
        if not path.exists() or path.read_text("utf-8") != text
    }
    if "--check" not in sys.argv[1:]:
        for path, text in changed.items():
            path.write_text(text, "utf-8", newline="\n")
    print("changed:", ", ".join(path.name for path in changed) or "nothing")
    return int("--check" in sys.argv[1:] and bool(changed))


if __name__ == "__main__":
    sys.exit(main())
