"""Docstrings as Sphinx reads them: they are plain text with backticks, and it expects more."""

import inspect
import re
import textwrap
from typing import Any

from sphinx.application import Sphinx
from sphinx.domains.python import PyObject

CODE = re.compile(r"`([^`]+)`")
# Signs that mean something to reStructuredText, and nothing to who wrote the text.
SIGNS = re.compile(r"([*|\\])|_(?=\W|$)")
EMPHASIS = re.compile(r"(?<![\w*\\])(\*\w(?:[\w\s-]*\w)?\*)(?![\w*])")


def read_as_written(
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Turn the `lines` of a docstring into reStructuredText.

    Args:
        app: is not looked at, and neither are the others: Sphinx hands them over.
        what: a module, a class, …
        name: of it.
        obj: the thing itself.
        options: of the directive.
        lines: are changed in place.
    """
    lines[:] = converted("\n".join(lines)).split("\n")


def read_property(
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Undo what Napoleon does to a property: it takes the words before a colon for a type."""
    if what == "property":
        lines[:] = converted(inspect.getdoc(obj) or "").split("\n")


def without_aliases(
    app: Sphinx, what: str, name: str, obj: object, skip: bool, options: object
) -> bool | None:
    """Leave out what is no text of ours: a named tuple's fields, and pydantic's settings."""
    if name == "model_config":
        return True
    return True if str(obj.__doc__).startswith("Alias for field number") else None


def converted(text: str) -> str:
    """Return a docstring as reStructuredText.

    What stands between backticks is code; a block that is set in below a paragraph is code too.
    """
    parts = re.split(r"(?<=\S\n\n)((?: {4}.*\n|\n)+(?: {4}.*)?)", text)
    return "".join(block(part) if number % 2 else inline(part) for number, part in enumerate(parts))


def block(code: str) -> str:
    """Return lines that are set in as a block of code."""
    lexer = (
        "python" if re.search(r"^\s*(class|def|import|from|with|\w+ = )", code, re.M) else "text"
    )
    return (
        f".. code-block:: {lexer}\n\n{textwrap.indent(textwrap.dedent(code).strip(), '    ')}\n\n"
    )


def inline(text: str) -> str:
    """Return prose with its code marked, and all other signs as they are."""
    out, end = "", 0
    for match in CODE.finditer(text):
        out += prose(text[end : match.start()])
        before = "" if not out or re.search(r"[\s(\[{\"'/-]$", out) else r"\ "
        after = r"\ " if re.match(r"\w", text[match.end() :]) else ""
        out += f"{before}{role(' '.join(match[1].split()))}{after}"
        end = match.end()
    return out + prose(text[end:])


def prose(text: str) -> str:
    """Return words without code: what is emphasized stays so, other signs are as they are."""
    parts = EMPHASIS.split(text)
    return "".join(
        part if number % 2 else SIGNS.sub(r"\\\g<0>", part) for number, part in enumerate(parts)
    )


def role(code: str) -> str:
    """Return `code` as a literal, which is a link if it is the name of something documented."""
    if re.fullmatch(r"[A-Za-z_][\w.]*", code):
        return f":py:obj:`{code}`"
    return f":code:`{code}`" if "\\" not in code else f"``{code}``"


def without_annotated(
    app: Sphinx,
    what: str,
    name: str,
    obj: object,
    options: object,
    signature: str | None,
    returns: str | None,
) -> tuple[str | None, str | None]:
    """Show `Annotated[X, …]` as `X`: what is beside the type is for FastAPI, not for readers."""
    shown = re.sub(
        r"Annotated\[((?:[^\[\],]|\[[^\]]*\])+), [^=]*\](?= =|\)|, )", r"\1", signature or ""
    )
    return (shown if signature else signature), returns


def forgive(app: Sphinx, env: Any, node: Any, contnode: Any) -> Any:
    """Leave a name as code if it is of nothing that has a page."""
    return contnode if node.get("refdomain") == "py" else None


def setup(app: Sphinx) -> dict[str, bool]:
    """Read docstrings in this way, before Napoleon looks for their sections."""
    app.connect("autodoc-process-docstring", read_as_written, priority=400)
    app.connect("autodoc-process-docstring", read_property, priority=600)
    app.connect("autodoc-skip-member", without_aliases)
    app.connect("autodoc-process-signature", without_annotated)
    for fields in PyObject.doc_field_types:
        if fields.name == "variable":
            fields.label = "Attributes"  # as the docstrings call them
    app.connect("missing-reference", forgive)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
