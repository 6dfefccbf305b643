"""What a notebook does on a machine that lacks a program: some cells say so, and the rest runs.

Such a cell begins with a comment: `# needs Redis`, or `# needs nginx`, or both, a line each. A cell
that raised an error would keep *Run All* from going on with those below it, so it is not run at
all.
"""

import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from chatlib.lab import nginx, redis_server


class Program(NamedTuple):
    """A program that is no package of Python's.

    Attributes:
        name: what it is called.
        find: returns its path on this machine; None if there is none.
        how_to_get_one: a sentence for a machine without it.
    """

    name: str
    find: Callable[[], str | None]
    how_to_get_one: str

    @property
    def mark(self) -> str:
        """The comment with which a cell begins that needs it."""
        return f"# needs {self.name}"

    @property
    def sentence(self) -> str:
        """What such a cell says where there is none."""
        return (
            f"This cell needs {self.name}, and {self.how_to_get_one.partition('.')[0]}. So it was "
            "not run. What you need, at the top of the chapter, says how to get one."
        )


PROGRAMS = (
    Program("Redis", redis_server.find_redis, redis_server.HOW_TO_GET_ONE),
    Program("nginx", nginx.find_nginx, nginx.HOW_TO_GET_ONE),
)


def needed(source: str) -> list[Program]:
    """Return the programs that a cell says it needs."""
    programs = {program.mark: program for program in PROGRAMS}
    found = []
    for line in source.strip().splitlines():
        if line not in programs:
            break
        found.append(programs[line])
    return found


def missing(source: str) -> list[Program]:
    """Return those of them that this machine lacks."""
    return [program for program in needed(source) if program.find() is None]


def without_them(lines: list[str]) -> list[str]:
    """Return what to run in place of a cell, which IPython gives as `lines`."""
    lacking = missing("".join(lines))
    return [f"print({program.sentence!r})\n" for program in lacking] or lines


def skip_where_missing() -> None:
    """From the next cell on, have a marked one say that it was not run where its program is not.

    It is asked for anew at each cell: a program that was installed meanwhile is found.
    """
    ipython: Any = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    if shell is None:
        return
    transforms = shell.input_transformers_cleanup
    if without_them not in transforms:
        transforms.append(without_them)
