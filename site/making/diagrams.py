"""Mermaid's diagrams, drawn while the site is made: a page needs no script and no network for them.

The pictures are those that JupyterLab draws: the same library, which mermaidx runs without a
browser. They bring their colours for light and dark with them, and a browser tells an image which
of the two its page is.
"""

import hashlib
import multiprocessing
import os
import re
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import mermaidx

FENCE = re.compile(r"^```mermaid\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Boxes are measured for a broad font, and browsers have narrower ones: keep words in the middle.
CENTRED = (
    "foreignObject > div { display: flex !important; width: 100%; height: 100%;"
    " flex-direction: column; align-items: center; justify-content: center; }"
)


def words(source: str, what: str) -> str:
    """Return what a diagram says of itself in `accTitle` or `accDescr`."""
    found = re.search(rf"^\s*{what}\s*:\s*(.+)$", source, re.MULTILINE)
    if found is None:
        raise ValueError(f"a diagram has no {what}: {source[:200]}")
    return re.sub(r"#(\d+);", lambda match: chr(int(match[1])), found[1].strip())


def file_of(source: str, folder: Path) -> Path:
    """Return where in `folder` the picture of a diagram is, or will be."""
    made_with = f"{mermaidx.__version__}\n{CENTRED}\n{source}"
    return folder / f"{hashlib.sha256(made_with.encode()).hexdigest()[:16]}.svg"


def draw(sources: Iterable[str], folder: Path) -> None:
    """Draw those of the diagrams that are not in `folder` yet."""
    missing = [source for source in sources if not file_of(source, folder).exists()]
    if not missing:
        return
    folder.mkdir(parents=True, exist_ok=True)
    # mermaidx.render_many draws in this process only, one after the other. No fork: its engine has
    # threads.
    spawn = multiprocessing.get_context("spawn")
    workers = min(len(missing), os.cpu_count() or 1)
    with ProcessPoolExecutor(workers, mp_context=spawn) as pool:
        for source, svg in zip(missing, pool.map(svg_of, missing), strict=True):
            file_of(source, folder).write_text(finished(svg), "utf-8")


def svg_of(source: str) -> str:
    """Return the picture of a diagram."""
    svg: str = mermaidx.render(source).svg()
    return svg


def finished(svg: str) -> str:
    """Return `svg` as an image: words centred, the size of its box in place of 100 %."""
    box = re.search(r'viewBox="[-\d.]+ [-\d.]+ ([\d.]+) ([\d.]+)"', svg)
    if box is None:
        raise ValueError(f"a picture has no viewBox: {svg[:200]}")
    head, end, rest = svg.partition(">")
    head = re.sub(r'\s(width|height|style)="[^"]*"', "", head)
    size = f' width="{float(box[1]):.0f}" height="{float(box[2]):.0f}"'
    return f"{head}{size}{end}<style>{CENTRED}</style>{rest}"


def pictured(text: str, uri: str) -> str:
    """Return the Markdown `text` with a picture, and its words, in place of each diagram.

    Args:
        text: has diagrams in fences.
        uri: of the folder with the pictures, as a page of this text calls it.
    """

    def replace(match: re.Match[str]) -> str:
        source = match[1]
        picture = f"{uri}/{file_of(source, Path()).name}"
        title, told = words(source, "accTitle"), words(source, "accDescr")
        return f":::{{figure}} {picture}\n:alt: {title}\n:class: diagram\n\n{told}\n:::"

    return FENCE.sub(replace, text)
