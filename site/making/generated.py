"""Pages whose text is elsewhere: in the protocol's models, in `--help`, in the page to print."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from markdownify import ATX, MarkdownConverter
from pygments.lexers import get_lexer_for_filename
from pygments.util import ClassNotFound

from chatlib.core.rooms import spec
from chatlib.rooms import create_app

ROOT = Path(__file__).parents[2]
COMMANDS = {"Run an app": (), "Copy the course": ("course",)}


class Converter(MarkdownConverter):  # type: ignore[misc]
    """HTML to Markdown; a bar in a table's code would else end its cell."""

    def convert_code(self, el: object, text: str, parent_tags: set[str]) -> str:
        code: str = super().convert_code(el, text, parent_tags)
        return code.replace("|", r"\|") if "td" in parent_tags else code


def markdown_of(html: str) -> str:
    """Return `html` as Markdown."""
    converter = Converter(heading_style=ATX, bullets="-", escape_misc=True, code_language="text")
    return re.sub(r"\n{3,}", "\n\n", converter.convert(html)).strip() + "\n"


def protocol() -> tuple[str, str]:
    """Return the page that describes the protocol as Markdown, and the AsyncAPI document."""
    app = create_app()
    html = spec.page(app.title)
    title = re.search(r"<h1>(.*?)</h1>", html)
    main = re.search(r"<main>(.*?)</main>", html, re.DOTALL)
    assert title, "the page of the protocol has no heading"
    assert main, "the page of the protocol has no <main>"
    links = "<p>For programs: <a href"
    body, found, _ = main[1].partition(links)  # they are of a running app
    assert found, "the page of the protocol does not end with its links"
    text = (
        f"{markdown_of(f'<h1>{title[1]}</h1>{body}')}\n"
        "For programs: {download}`AsyncAPI 3, with the JSON Schema of each frame "
        "</_raw/asyncapi.json>`. A running `chatlib.rooms` serves this page at `/protocol`, that "
        "document at `/asyncapi.json`, and its HTTP routes at `/docs`.\n"
    )
    return text, json.dumps(spec.asyncapi(app.version, app.title), indent=2) + "\n"


def commands() -> str:
    """Return the page with what `python -m chatlib` takes."""
    shown = "\n\n".join(
        f"## {title}\n\n```text\n{told(*of)}\n```" for title, of in COMMANDS.items()
    )
    return f"# The command line\n\n{shown}\n"


def told(*arguments: str) -> str:
    """Return what `python -m chatlib … --help` says."""
    command = [sys.executable, "-m", "chatlib", *arguments, "--help"]
    environment = {**os.environ, "COLUMNS": "80", "NO_COLOR": "1"}
    ran = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return ran.stdout.rstrip()


def cheat_sheet(html: str) -> str:
    """Return the page to print as one of the site's."""
    _, style, body = html.partition("</style>")
    assert style, "the page to print has no style"
    title, rest = markdown_of(body).split("\n", 1)
    note = 'For paper: <a href="../to_print.html">the same as one page to print</a>.'
    return f"{title}\n\n{note}\n{rest}"


def code_page(path: str, text: str) -> str:
    """Return the page of a file that is code."""
    try:
        language = get_lexer_for_filename(path).aliases[0]
    except ClassNotFound:
        language = "text"
    fence = "`" * max(3, max(map(len, re.findall("`+", text)), default=0) + 1)
    download = f"{{download}}`Download it </_raw/{path}>`."
    name = Path(path).name
    return f"# {name}\n\n`{path}`. {download}\n\n{fence}{language}\n{text.rstrip()}\n{fence}\n"
