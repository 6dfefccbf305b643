"""What is solved, as a table to look at and as a file to hand in."""

import html
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from chatlib.lab.check.progress import (
    CHAPTERS,
    Progress,
    folder_of_reader,
    progress,
    this_chapter,
    version,
    written,
)

KIND = "chatlib-summary"  # how a file of ours is told from others
ELSEWHERE = (
    "This folder is no copy of your own, made with `python -m chatlib course FOLDER`: "
    "what you solve is known until this kernel ends."
)


@dataclass
class Summary:
    """What is solved of the course. JupyterLab shows it as a table.

    Attributes:
        progress: what is solved.
        chapter: the chapter in which it was asked for, if that is known.
        name: whose it is.
        made: when it was made.
        notes: sentences below the table.
    """

    progress: Progress
    chapter: str | None
    name: str
    made: str
    notes: list[str] = field(default_factory=list)

    def rows(self) -> Iterator[tuple[str, str, str]]:
        """Yield chapter, exercise, and when it was solved, or an empty text."""
        for chapter, names in CHAPTERS.items():
            for name in names:
                solved = self.progress.solved.get(name)
                yield chapter, name, solved.when if solved else ""

    def counted(self, chapter: str | None = None) -> str:
        """Return how many of the exercises are solved, of `chapter` alone if it is given."""
        rows = [when for each, _, when in self.rows() if chapter in {None, each}]
        return f"{sum(map(bool, rows))} of {len(rows)}"

    def sentences(self) -> list[str]:
        """Return what is said below the table."""
        course = f"Solved: {self.counted()} exercises of the course"
        if self.chapter is not None:
            course += f", {self.counted(self.chapter)} of this chapter ({title(self.chapter)})"
        return [f"{course}.", *self.notes]

    def cells(self) -> Iterator[tuple[str, str, str, bool]]:
        """Yield the cells of each row, and whether it is of this chapter."""
        before = ""
        for chapter, name, when in self.rows():
            shown = title(chapter) if chapter != before else ""
            solved = f"✓ {when[:16].replace('T', ' ')}" if when else "not yet"
            yield shown, name, solved, chapter == self.chapter
            before = chapter

    def __repr__(self) -> str:
        head = ("chapter", "exercise", "solved")
        rows = [head, *((chapter, name, solved) for chapter, name, solved, _ in self.cells())]
        wide = [max(len(row[column]) for row in rows) for column in range(2)]
        lines = [f"{row[0]:<{wide[0]}}  {row[1]:<{wide[1]}}  {row[2]}" for row in rows]
        return "\n".join([*lines, *self.sentences()])

    def _repr_html_(self) -> str:
        # No colours: the table has those of the page, light or dark.
        left = ' style="text-align: left"'
        lines = [f"<th{left}>chapter</th><th{left}>exercise</th><th{left}>solved</th>"]
        for chapter, name, solved, now in self.cells():
            kind = "th" if now else "td"
            lines.append(
                f"<{kind}{left}>{chapter}</{kind}><td{left}><code>check.{name}</code></td>"
                f"<td{left}>{html.escape(solved)}</td>"
            )
        table = "".join(f"<tr>{line}</tr>" for line in lines)
        below = "<br>".join(html.escape(sentence) for sentence in self.sentences())
        return f"<table>{table}</table><p>{below}</p>"

    def as_json(self) -> str:
        """Return it as a file to hand in, for a program."""
        exercises: list[dict[str, Any]] = []
        for chapter, name, when in self.rows():
            solved = self.progress.solved.get(name)
            exercises.append(
                {
                    "chapter": chapter,
                    "exercise": name,
                    "passed": solved is not None,
                    "when": when or None,
                    "chatlib": solved.chatlib if solved else None,
                }
            )
        content = {
            "kind": KIND,
            "name": self.name,
            "made": self.made,
            "chatlib": version(),
            "passed": sum(each["passed"] for each in exercises),
            "of": len(exercises),
            "exercises": exercises,
        }
        return json.dumps(content, indent=2, ensure_ascii=False) + "\n"

    def as_markdown(self) -> str:
        """Return it as a file to hand in, for people."""
        lines = [
            f"# Exercises solved: {self.counted()}",
            "",
            f"{self.name or 'No name was given'}, {self.made}, chatlib {version()}",
            f"<!-- {KIND} -->",
            "",
            "| chapter | exercise | passed | when |",
            "|---|---|---|---|",
        ]
        for chapter, name, when in self.rows():
            lines.append(f"| {title(chapter)} | {name} | {'yes' if when else 'no'} | {when} |")
        return "\n".join(lines) + "\n"


def title(chapter: str) -> str:
    """Return a chapter as it is called in a table."""
    return chapter.replace("_", " ")


def summary(name: str = "", file: str | Path | None = None) -> Summary:
    """Return what of this chapter and of the course is solved; with a `name`, also as a file.

    The file is to be handed in: who, which exercise of which chapter, passed or not, when, and by
    which chatlib. It is beside the notebooks, and called after the name unless `file` is given.
    It is no proof: anybody can write such a file with an editor.

    Args:
        name: whose it is, as the instructor knows you.
        file: where to write it: a `.json` file, or a `.md` file that people read.
    """
    made = datetime.now().astimezone().isoformat(timespec="minutes")
    made_of = Summary(progress(), this_chapter(), " ".join(str(name).split()), made)
    if folder_of_reader() is None:
        made_of.notes.append(ELSEWHERE)
    if made_of.progress.trouble:
        made_of.notes.append(made_of.progress.trouble)
    if made_of.name or file is not None:
        words = re.sub(r"\W+", "-", made_of.name.casefold()).strip("-")
        made_of.notes.append(hand_in(made_of, Path(file or f"{KIND}-{words or 'mine'}.json")))
    return made_of


def hand_in(made_of: Summary, path: Path) -> str:
    """Write the file at `path`, and return a sentence on what came of it."""
    lament = "There is no file to hand in"
    texts = {".json": made_of.as_json, ".md": made_of.as_markdown}
    if path.suffix not in texts:
        return f"{lament}: its name ends with .json or .md, and {path.name!r} does not."
    try:
        if path.exists() and KIND not in path.read_text("utf-8"):
            return f"{lament}: {path.name} is there, and no summary. Choose another name."
    except (OSError, ValueError):
        return f"{lament}: what is at {path.name} cannot be read. Choose another name."
    trouble = written(path, texts[path.suffix](), lament)
    if trouble:
        return trouble
    unnamed = "" if made_of.name else " It has no name: check.summary(name='…') gives it one."
    return f"To hand in: {path.name}.{unnamed}"
