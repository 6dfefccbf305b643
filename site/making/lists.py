"""Lists of pages and headings, as Markdown."""

import posixpath
import re
from pathlib import Path

import nbformat


def from_page(page: str, place: str) -> str:
    """Return the path of `place` as seen from `page`."""
    return posixpath.relpath(place, posixpath.dirname(page) or ".")


def headings_in(text: str, path: str, pattern: str) -> list[str]:
    """Return the headings in a notebook or a Markdown file that match, signs and all.

    Args:
        text: what is in the file.
        path: of it.
        pattern: of the line; its group is the heading.
    """
    if path.endswith(".ipynb"):
        cells = nbformat.reads(text, 4).cells
        text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    prose = re.sub(r"^(`{3,}).*?^\1$", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.findall(f"^{pattern}$", prose, re.MULTILINE)


def index_of_code(pages: dict[str, str]) -> str:
    """Return the page that lists the files with code.

    Args:
        pages: the page of each file.
    """
    listed = "\n".join(f"{path} </{page}>" for path, page in sorted(pages.items()))
    return (
        "# Files to copy\n\nRecipes for servers, and whole examples, as they are in the "
        f"repository. Each can be downloaded.\n\n```{{toctree}}\n:maxdepth: 1\n\n{listed}\n```\n"
    )


def number(path: str) -> str:
    """Return the number of a chapter, before its title in a list."""
    found = re.match(r"(\d\d)_", posixpath.basename(path))
    return f"{found[1]} " if found else ""


def is_text(path: Path) -> bool:
    """Return whether the file at `path` can be read as text."""
    try:
        path.read_text("utf-8")
    except UnicodeDecodeError:
        return False
    return True
