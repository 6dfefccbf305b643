"""A reader's own copies of the notebooks: `python -m chatlib course FOLDER`.

The notebooks of the project keep their outputs, since tests compare them. A reader works on copies
without outputs, so that the answer to a guess is nowhere to be seen, and so that nothing which
belongs to the project changes.
"""

import argparse
import hashlib
import importlib.util
import json
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from chatlib.core.version import version

MARKER = ".chatlib-course.json"  # in the reader's folder: what was handed out
HERE = Path(__file__).parent


class CourseError(ValueError):
    """The copies cannot be made; the message says why, and what to do."""


def main(command: argparse.ArgumentParser, arguments: Sequence[str]) -> None:
    """Copy the notebooks into the folder that `arguments` name, and say what to do next.

    Exits by `command.error` where that cannot be.
    """
    command.description = (
        "Copy the notebooks of the course into a folder of yours, without their outputs. Run it "
        "again after an update of chatlib: what you have worked in stays as it is."
    )
    command.add_argument("folder", type=Path)
    command.add_argument(
        "--reset",
        metavar="CHAPTER",
        action="append",
        default=[],
        help="hand out a chapter anew, in its newest version: 03, say, or 'all'; repeatable. Your "
        "copy stays beside it, under another name",
    )
    given = command.parse_args(arguments)
    try:
        for line in hand_out(given.folder, given.reset):
            print(line)
    except (CourseError, OSError) as error:
        command.error(str(error))
    print(f"The course is in {given.folder}. Open it: jupyter lab {given.folder}")
    if importlib.util.find_spec("jupyterlab") is None:
        print("JupyterLab is not installed here: install chatlib with its extra [lab].")


def originals() -> list[Path]:
    """Return the notebooks, as they came with chatlib: in the package, or beside it in a checkout.

    Raises:
        CourseError: there are none.
    """
    for folder in (HERE / "notebooks", HERE.parent / "notebooks"):
        if found := sorted(folder.glob("*.ipynb")):
            return found
    raise CourseError("this installation of chatlib has no notebooks; install it from its source")


def hand_out(folder: Path, reset: Collection[str] = ()) -> Iterator[str]:
    """Copy the notebooks into `folder`, and yield a line for each one about which there is news.

    A copy that the reader has worked in stays as it is. One whose cells the reader has not changed
    is replaced when chatlib has a newer version of it.

    Args:
        folder: where the copies are; it is made if it is not there.
        reset: the chapters to hand out anew, by the beginning of their names: `03`, or `03_chat`.
            The reader's copy is kept beside it, under another name.

    Raises:
        CourseError: `folder` cannot hold the copies, or there is no such chapter.
        OSError: a file cannot be read or written.
    """
    notebooks = originals()
    if folder.resolve() == notebooks[0].parent.resolve():
        raise CourseError(f"{folder} has the notebooks themselves; name another folder")
    if folder.exists() and not folder.is_dir():
        raise CourseError(f"{folder} is a file; name a folder")
    names = [path.name for path in notebooks]
    wanted = {name for start in reset for name in chapter(start, names)}
    folder.mkdir(parents=True, exist_ok=True)
    handed_out = read_marker(folder)
    for path in notebooks:
        copy, fresh = folder / path.name, without_outputs(path)
        before, offered = handed_out.get(path.name), digest(fresh)
        mine = digest(copy.read_bytes()) if copy.exists() else None
        if mine is not None and path.name in wanted:
            kept = free_name(copy)
            copy.rename(kept)
            yield f"{path.name}: handed out anew; yours is now {kept.name}"
        elif mine is None:
            yield f"{path.name}: new"
        elif mine == offered or before == offered:
            handed_out[path.name] = offered
            continue
        elif mine == before:
            yield f"{path.name}: a newer version, in place of the old one (you had changed no cell)"
        else:
            newer = f"there is a newer version, and yours stays; to have it: --reset {path.stem}"
            yield f"{path.name}: {newer}"
            continue
        write(copy, fresh)
        handed_out[path.name] = offered
    marker = {"chatlib": version(), "notebooks": handed_out}
    write(folder / MARKER, json.dumps(marker, indent=1, sort_keys=True).encode() + b"\n")


def chapter(start: str, names: Collection[str]) -> list[str]:
    """Return the one of `names` that begins with `start`, or all of them for `all`."""
    if start == "all":
        return list(names)
    found = [name for name in names if name == start or name.partition("_")[0] == start]
    found = found or [name for name in names if start and name.startswith(start)]
    if len(found) != 1:
        raise CourseError(f"no chapter {start!r}; there are: {', '.join(sorted(names))}")
    return found


def without_outputs(path: Path) -> bytes:
    """Return the notebook at `path` as a reader gets it."""
    notebook = json.loads(path.read_text("utf-8"))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell.update(execution_count=None, outputs=[])
    return json.dumps(notebook, ensure_ascii=False, indent=1, sort_keys=True).encode() + b"\n"


def digest(notebook: bytes) -> str:
    """Return a short name for what the cells say; what Jupyter adds when it saves is no part of it.

    A notebook that cannot be read has one too, which is that of no other.
    """
    try:
        cells = json.loads(notebook)["cells"]
        content: Any = [[cell["cell_type"], "".join(cell["source"])] for cell in cells]
    except (ValueError, KeyError, TypeError):
        content = notebook.hex()
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def read_marker(folder: Path) -> dict[str, str]:
    """Return the digest of each notebook that was handed out into `folder`, by its name."""
    try:
        found = json.loads((folder / MARKER).read_text("utf-8"))["notebooks"]
        return {str(name): str(value) for name, value in found.items()}
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return {}  # without it, a copy that is not as it would be handed out is the reader's work


def free_name(path: Path) -> Path:
    """Return a name beside `path` that nothing has yet."""
    number = 1
    while (other := path.with_name(f"{path.stem}_mine_{number}{path.suffix}")).exists():
        number += 1
    return other


def write(path: Path, content: bytes) -> None:
    """Write `path` whole, or not at all."""
    beside = path.with_name(f"{path.name}.tmp")
    beside.write_bytes(content)
    beside.replace(path)
