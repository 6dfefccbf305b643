"""Run the notebooks and store their outputs: the script behind `make notebooks`.

    python tests/notebooks/refresh.py                  every notebook
    python tests/notebooks/refresh.py 03_chat          some of them
    python tests/notebooks/refresh.py --check          write nothing, fail if something would change

The diff shows what changed and nothing else: an output that differs by no more than a port or a
duration stays as it is stored, and so does one that a measurement gave, as long as its cell reads
as it did in the last commit (`--force` stores the new one).
"""

import argparse
import copy
import math
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import nbformat
from kernel import Kernel
from nbformat import NotebookNode

from chatlib.lab.needs import missing

HERE = Path(__file__).parent
FOLDER = HERE.parent.parent / "notebooks"
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
CELL_METADATA = ("chatlib", "tags")
SECONDS_STEP = 10  # to which the time of Run All is rounded; a stored one stays while it is near


class RefreshError(Exception):
    """A notebook did not run as it should; the message says which cell and why."""


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """Return the code cells of `notebook` in their order."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def has_tag(cell: NotebookNode, tag: str) -> bool:
    """Return whether `cell` carries `tag`."""
    return tag in cell.metadata.get("tags", [])


def execute(notebook: NotebookNode, folder: Path) -> NotebookNode:
    """Return a copy of `notebook`, tidied, with the outputs of Run All on a fresh kernel.

    Raises:
        RefreshError: a cell raised, wrote to stderr, showed a traceback or did not end, or needs
            a program that this machine lacks.
    """
    for cell in code_cells(notebook):
        for program in missing(cell.source):
            raise RefreshError(program.how_to_get_one)
    fresh = copy.deepcopy(notebook)
    fresh.metadata = nbformat.from_dict(METADATA)
    started = time.monotonic()
    for cell in fresh.cells:
        cell.metadata = NotebookNode((k, v) for k, v in cell.metadata.items() if k in CELL_METADATA)
    cells = code_cells(fresh)
    raising = [has_tag(cell, "raises-exception") for cell in cells]
    with Kernel(folder) as kernel:
        try:
            runs = kernel.run([cell.source for cell in cells], may_raise=raising)
        except (TimeoutError, RuntimeError) as error:
            raise RefreshError(str(error)) from None
    fresh.metadata["chatlib"] = {"seconds": rounded(time.monotonic() - started, notebook)}
    for cell, run, may_raise in zip(cells, runs, raising, strict=True):
        if run.error is not None and not may_raise:
            raise RefreshError(f"the cell {cell.id!r} raised\n" + "\n".join(run.error.traceback))
        cell.execution_count = run.count
        cell.outputs = merged(run.outputs)
        for output in cell.outputs:
            if output.get("name") == "stderr":
                raise RefreshError(f"the cell {cell.id!r} wrote to stderr:\n{output.text}")
            if re.search(r'File "[^"]+", line \d+', text_of(output)):
                raise RefreshError(f"the cell {cell.id!r} shows a traceback:\n{text_of(output)}")
    return fresh


def rounded(seconds: float, notebook: NotebookNode) -> int:
    """Return what to note as the time of Run All: what `notebook` has, if that is not far off."""
    noted: int = notebook.metadata.get("chatlib", {}).get("seconds", 0)
    if noted / 2 <= seconds + SECONDS_STEP and seconds <= 2 * noted:
        return noted
    return math.ceil(seconds / SECONDS_STEP) * SECONDS_STEP


def merged(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Return `outputs` with streams joined where the kernel happened to cut them.

    Of an error the message is kept; its traceback has paths in it and differs between Pythons.
    """
    result: list[NotebookNode] = []
    for output in outputs:
        last = result[-1] if result else None
        if last and output.output_type == "stream" and last.get("name") == output.name:
            last.text += output.text
            continue
        if output.output_type == "error":
            output.traceback = []
        result.append(output)
    return result


def text_of(output: NotebookNode) -> str:
    """Return everything in `output` that is text, as one string."""
    data = output.get("data", {})
    texts = [value for kind, value in sorted(data.items()) if kind != "image/png"]
    return "\n".join([output.get("text", ""), output.get("evalue", ""), *map(str, texts)])


def sanitizer(rules: Path = HERE / "nbval_sanitize.cfg") -> Callable[[str], str]:
    """Return a function that does to a text what nbval does to it before it compares."""
    pairs = re.findall(r"^regex: (.*)$\n^replace: (.*)$", rules.read_text("ascii"), re.MULTILINE)

    def sanitize(text: str) -> str:
        for pattern, replacement in pairs:
            text = re.sub(pattern, replacement, text)
        return text

    return sanitize


def settle(
    fresh: NotebookNode, old: NotebookNode, sanitize: Callable[[str], str], *, matching: bool
) -> None:
    """Put the outputs of `old` back into `fresh` where the new ones say nothing new.

    Args:
        fresh: the notebook that was run.
        old: an earlier state of it.
        sanitize: takes out of a text what differs from run to run.
        matching: whether the outputs in `old` were made from the sources in `old`. Only then can
            it be told that a measurement, or a picture of one, is of the same code.
    """
    old_cells = {cell.get("id"): cell for cell in code_cells(old)}
    for cell in code_cells(fresh):
        before = old_cells.get(cell.id)
        if before is None or before.execution_count is None:
            continue
        outputs = merged(copy.deepcopy(before.outputs))
        same_code = matching and before.source == cell.source
        if has_tag(cell, "nbval-ignore-output"):
            stays = same_code
        else:
            stays = comparable(outputs, sanitize) == comparable(cell.outputs, sanitize)
            stays = stays and (same_code or images(outputs) == images(cell.outputs))
        if stays:
            for output in outputs:
                if output.output_type == "execute_result":
                    output.execution_count = cell.execution_count
            cell.outputs = outputs


def comparable(outputs: list[NotebookNode], sanitize: Callable[[str], str]) -> list[object]:
    """Return what of `outputs` matters: kinds and names, and texts without ports and the like."""
    return [
        (
            output.output_type,
            output.get("name"),
            sorted(output.get("data", {})),
            sanitize(text_of(output)),
        )
        for output in outputs
    ]


def images(outputs: list[NotebookNode]) -> list[str | None]:
    """Return the PNG of each output that has one."""
    return [output.get("data", {}).get("image/png") for output in outputs]


def committed(path: Path) -> NotebookNode | None:
    """Return the notebook at `path` as the last commit has it, or None."""
    try:
        show = ["git", "show", f"HEAD:./{path.name}"]
        text = subprocess.run(show, cwd=path.parent, capture_output=True, check=True).stdout
        return nbformat.reads(text.decode(), as_version=4)
    except (OSError, subprocess.CalledProcessError, ValueError):
        return None


def refresh(path: Path, *, force: bool = False, check: bool = False) -> list[str]:
    """Run the notebook at `path` and store its outputs.

    Args:
        path: the notebook.
        force: store what is new even where an old output says the same.
        check: write nothing.

    Returns:
        The ids of the cells that change, and "(layout)" if only what surrounds them does.

    Raises:
        RefreshError: it did not run as it should; nothing is written.
    """
    text = path.read_text("utf-8")
    stored = nbformat.reads(text, as_version=4)
    fresh = execute(stored, path.parent)
    sanitize = sanitizer()
    last = None if check else committed(path)
    if not force:
        # In the file a cell's source may be newer than its output; in a commit it never is.
        settle(fresh, stored, sanitize, matching=check)
        if last is not None:
            settle(fresh, last, sanitize, matching=True)
    result = nbformat.writes(fresh, version=4) + "\n"
    if result == text:
        return []
    if not check:
        path.write_text(result, "utf-8", newline="\n")
    pairs = zip(fresh.cells, stored.cells, strict=True)
    return [cell.id for cell, old in pairs if cell != old] or ["(layout)"]


def main() -> int:
    parser = argparse.ArgumentParser(description="Run the notebooks and store their outputs.")
    parser.add_argument("names", nargs="*", help="notebooks (default: all)")
    parser.add_argument("--force", action="store_true", help="store new measurements too")
    parser.add_argument("--check", action="store_true", help="fail if anything would change")
    options = parser.parse_args()
    paths = [FOLDER / f"{Path(name).stem}.ipynb" for name in options.names] or sorted(
        FOLDER.glob("*.ipynb")
    )
    failed = False
    for path in paths:
        started = time.monotonic()
        try:
            changed = refresh(path, force=options.force, check=options.check)
        except (RefreshError, OSError) as error:
            print(f"{path.name}: {error}", file=sys.stderr)
            failed = True
            continue
        failed |= options.check and bool(changed)
        seconds = time.monotonic() - started
        print(f"{path.name}: {seconds:.1f} s, changed: {', '.join(changed) or 'nothing'}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
