"""Which exercises a reader has solved, kept beside the reader's own notebooks.

It is written when a check of an exercise passes, and only into a folder that is a reader's own copy
of the course, which `MARKER` says: running the notebooks of a repository changes nothing there.
"""

import contextlib
import importlib.metadata
import json
import os
import tempfile
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from chatlib.lab.check.report import Report

# The exercises of each chapter, in their order, by the names of their checks.
CHAPTERS: dict[str, tuple[str, ...]] = {
    "00_start_here": ("ping", "say"),
    "01_echo": ("unmask", "shout", "total"),
    "02_items": ("guests_wait_outside", "bearer"),
    "03_chat": ("joined", "whisper"),
    "04_when_it_breaks": ("cursor_log", "patience"),
    "05_fan_out": ("encode", "once_a_turn"),
    "06_in_your_own_app": ("follow", "presence"),
    "07_rooms_that_remember": ("resume", "outbox"),
    "08_many_workers": ("feed", "people"),
    "09_ship_it": ("come_back", "make_it_ready"),
    "open_exercises": ("fault", "topics"),
}
MARKER = ".chatlib-course.json"  # `python -m chatlib course FOLDER` puts it there
STATE = ".chatlib-progress.json"


@dataclass(frozen=True)
class Solved:
    """That an exercise was solved.

    Attributes:
        when: in ISO 8601, to the minute, with the offset from UTC.
        chatlib: the version that checked it.
    """

    when: str
    chatlib: str


@dataclass
class Progress:
    """What is solved.

    Attributes:
        solved: by the names of the exercises.
        trouble: a sentence on why something is not kept or not known; empty if all is well.
    """

    solved: dict[str, Solved]
    trouble: str = ""


# What was solved in this kernel, in that order.
here: dict[str, Solved] = {}


def is_readers_copy(folder: Path) -> bool:
    """Return whether `folder` is a reader's own copy of the course."""
    return (folder / MARKER).is_file()


def version() -> str:
    """Return which chatlib this is."""
    try:
        return importlib.metadata.version("chatlib")
    except importlib.metadata.PackageNotFoundError:  # it was copied, and not installed
        return "unknown"


def noted(report: Report) -> Report:
    """Return `report`, after what it says was noted. What goes wrong with that is its remark."""
    if report.passed and any(report.name in names for names in CHAPTERS.values()):
        first = here.pop(report.name, None)  # so that the one that was checked last is the last
        now = datetime.now().astimezone().isoformat(timespec="minutes")
        here[report.name] = first or Solved(now, version())
        trouble = keep()
        report.remark = "\n  ".join(filter(None, [report.remark, trouble]))
    return report


def progress() -> Progress:
    """Return what was solved in this kernel, and what is kept in this folder."""
    folder = folder_of_reader()
    kept = Progress({}) if folder is None else read(folder / STATE)
    return Progress({**here, **kept.solved}, kept.trouble)


def folder_of_reader() -> Path | None:
    """Return the folder in which the kernel works, if it is a reader's own copy."""
    try:
        folder = Path.cwd()
        return folder if is_readers_copy(folder) else None
    except OSError:  # it is gone, or closed to us
        return None


def keep() -> str:
    """Write down what is solved, and return a sentence of why it cannot be; empty if it was."""
    folder = folder_of_reader()
    if folder is None:
        return ""
    known = read(folder / STATE)
    if known.trouble or here.keys() <= known.solved.keys():
        return known.trouble
    solved = {name: asdict(each) for name, each in {**here, **known.solved}.items()}
    text = json.dumps({"format": 1, "solved": solved}, indent=2, sort_keys=True)
    return written(folder / STATE, f"{text}\n", "Your progress is not kept")


def read(path: Path) -> Progress:
    """Return what is kept at `path`."""
    try:
        kept = json.loads(path.read_text("utf-8"))["solved"].items()
        solved = {name: Solved(str(each["when"]), str(each["chatlib"])) for name, each in kept}
    except FileNotFoundError:
        return Progress({})
    except OSError as error:
        return Progress({}, f"Your progress is not kept: {path.name} cannot be read: {why(error)}.")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        sentence = f"Your progress is not kept: {path.name} is damaged. Delete it, and check again."
        return Progress({}, sentence)
    return Progress(solved)


def written(path: Path, text: str, lament: str) -> str:
    """Put `text` at `path`, all or nothing. Return a sentence that begins so if that fails."""
    draft = None
    try:
        # With a name of its own, since two kernels may do it at once.
        handle, draft = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
        os.close(handle)
        Path(draft).write_text(text, "utf-8")
        Path(draft).chmod(0o644)  # not the reader's alone, as a file is here by default
        Path(draft).replace(path)
    except OSError as error:
        if draft is not None:
            with contextlib.suppress(OSError):
                Path(draft).unlink()
        return f"{lament}: {path.name} cannot be written: {why(error)}."
    return ""


def why(error: OSError) -> str:
    """Return in words why a file could not be had."""
    return error.strerror or type(error).__name__


def this_chapter() -> str | None:
    """Return the chapter in whose notebook this kernel works, as far as that shows.

    JupyterLab tells the kernel which notebook it is. Elsewhere it is the chapter of the exercise
    that was solved last.
    """
    notebook = Path(os.environ.get("JPY_SESSION_NAME", "")).stem
    last = next(reversed(here), None)
    for chapter, names in CHAPTERS.items():
        if notebook.startswith(chapter) or (not is_chapters(notebook) and last in names):
            return chapter
    return None


def is_chapters(notebook: str) -> bool:
    """Return whether a notebook of this name is a chapter, or a copy of one."""
    return notebook.startswith(tuple(CHAPTERS))
