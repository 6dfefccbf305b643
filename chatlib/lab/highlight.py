"""Source code in a notebook, highlighted like the code of its cells."""

import ast
import inspect
import re
import textwrap
from collections.abc import Callable
from typing import Any


class Code:
    """Python code, which Jupyter shows in the colours of its theme. Its repr is the code itself."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        longest = max(map(len, re.findall("`+", self.text)), default=0)
        fence = "`" * max(3, longest + 1)
        return {
            "text/plain": self.text,
            "text/markdown": f"{fence}python\n{self.text}\n{fence}",
        }


def source(*functions: Callable[..., Any], only: str | None = None) -> Code:
    """Return the source of `functions`, without their docstrings.

    Args:
        functions: functions, methods or classes that are written in Python.
        only: shows just those lines that contain it, below the name of their function; and of a
            loop that begins with such a line, the rest too.
    """
    shown = [bare(function) for function in functions]
    if only is not None:
        shown = [lines_with(only, code) for code in shown]
    return Code("\n\n".join(shown) if only is not None else "\n\n\n".join(shown))


def bare(function: Callable[..., Any]) -> str:
    """Return the source of `function` at the left margin, without its docstring."""
    code = textwrap.dedent(inspect.getsource(function)).rstrip()
    definition = ast.parse(code).body[0]
    assert isinstance(definition, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    first = definition.body[0]
    if ast.get_docstring(definition) is None or len(definition.body) == 1:
        return code
    lines = code.splitlines()
    del lines[first.lineno - 1 : first.end_lineno]
    while not lines[first.lineno - 1].strip():
        del lines[first.lineno - 1]  # what stood between the docstring and the code
    return "\n".join(lines)


def lines_with(words: str, code: str) -> str:
    """Return a definition's lines that contain `words`, without the comments at their ends.

    A loop that begins with such a line is shown as a whole.
    """
    definition = ast.parse(code).body[0]
    assert isinstance(definition, ast.FunctionDef | ast.AsyncFunctionDef)
    kind = "async def" if isinstance(definition, ast.AsyncFunctionDef) else "def"
    lines = code.splitlines()
    shown = {number for number, line in enumerate(lines, 1) if words in line}
    for node in ast.walk(definition):
        if isinstance(node, ast.For | ast.AsyncFor | ast.While) and node.lineno in shown:
            shown.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    chosen = [lines[number - 1].split("  #")[0] for number in sorted(shown)]
    return "\n".join([f"{kind} {definition.name}(...):", *chosen])
