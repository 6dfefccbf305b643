"""What a notebook does on a machine without Redis: some of its cells say so, and the rest runs.

Such a cell begins with the comment `# needs Redis`. A cell that raised an error would keep *Run
All* from going on with those below it, so it is not run at all.
"""

import sys
from typing import Any

from chatlib.lab.redis_server import find_redis

MARK = "# needs Redis"
SENTENCE = (
    "This cell needs Redis, and there is no redis-server on this machine. So it was not run. "
    "What you need, at the top of the chapter, says how to get one."
)


def is_marked(source: str) -> bool:
    """Return whether a cell says that it needs Redis."""
    return source.lstrip().startswith(MARK)


def without_it(lines: list[str]) -> list[str]:
    """Return what to run in place of a cell, which IPython gives as `lines`."""
    if is_marked("".join(lines)) and find_redis() is None:
        return [f"print({SENTENCE!r})\n"]
    return lines


def skip_without_redis() -> None:
    """From the next cell on, have a marked one say that it was not run where there is no Redis.

    It is asked for anew at each cell: a Redis that was installed meanwhile is found.
    """
    ipython: Any = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    if shell is None:
        return
    transforms = shell.input_transformers_cleanup
    if without_it not in transforms:
        transforms.append(without_it)
