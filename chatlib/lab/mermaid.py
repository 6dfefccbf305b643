"""The words of a sequence diagram as Mermaid takes them: short, harmless, and in two themes."""

import json
import re
import textwrap

LABEL_CHARACTERS = 40  # of what crosses, in the picture
LINE_CHARACTERS = 28  # of them on one line
NOTE_CHARACTERS = 18  # of a note on one line
NAME_CHARACTERS = 16  # of a client's name on one line, of which it gets two

# JupyterLab draws a diagram once, and not anew when the theme changes. But it shows it as an image,
# and an image is told whether its page is light or dark. So the colours of both are in it.
COLOURS = {
    "light": {
        "ink": "#1f2328",
        "ground": "#ffffff",
        "line": "#656b74",
        "box": "#e4ecf8",
        "note": "#fdf1c0",
    },
    "dark": {
        "ink": "#e3e6ea",
        "ground": "#111111",
        "line": "#a0a7b1",
        "box": "#24344d",
        "note": "#4a3d10",
    },
}
# The words of a message have a rim in the page's colour, so that no line runs through them.
STYLE = (
    "text, tspan {{ fill: {ink} !important; }} "
    ".messageText {{ paint-order: stroke; stroke: {ground} !important; stroke-width: 6px; }} "
    "line {{ stroke: {line} !important; }} "
    "marker path {{ fill: {line} !important; stroke: {line} !important; }} "
    "rect {{ fill: {box} !important; stroke: {line} !important; }} "
    "rect.note {{ fill: {note} !important; }}"
)
# Narrow, because JupyterLab shrinks a picture that does not fit the window, with all that is in it.
SIZES = {"width": 64, "height": 44, "actorMargin": 14, "messageMargin": 30, "boxMargin": 8}


def directive() -> str:
    """Return the line that tells Mermaid how to draw."""
    themes = (
        f"@media (prefers-color-scheme: {theme}) {{ {STYLE.format(**colours)} }}"
        for theme, colours in COLOURS.items()
    )
    return f"%%{{init: {json.dumps({'themeCSS': ' '.join(themes), 'sequence': SIZES})}}}%%"


def label(text: str) -> str:
    """Return `text` as it stands in the picture: cut to 40 characters, on short lines."""
    return in_lines(cut(text, LABEL_CHARACTERS), LINE_CHARACTERS)


def note(text: str) -> str:
    """Return a note as it stands in the picture: whole, and on short lines."""
    return in_lines(text, NOTE_CHARACTERS)


def name(text: str) -> str:
    """Return a client's name for the picture, on two short lines at most.

    A long one is cut in the middle: what tells two clients apart may stand at the end.
    """
    if len(text) > 2 * NAME_CHARACTERS:
        text = f"{cut(text, NAME_CHARACTERS)} {text[1 - NAME_CHARACTERS :].strip()}"
    return in_lines(text, NAME_CHARACTERS)


def cut(text: str, size: int) -> str:
    """Return the beginning of `text`, with an ellipsis if that is not all."""
    return text if len(text) <= size else f"{text[: size - 1]}…"


def in_lines(text: str, size: int) -> str:
    """Return `text` escaped, on lines of up to `size` characters."""
    lines = textwrap.wrap(text, size, break_on_hyphens=False) or [text]
    return "<br/>".join(map(escape, lines))


def escape(text: str) -> str:
    """Return `text` with an entity for all that Mermaid might take for its own.

    For no more than that: Mermaid measures an entity as if it were shown letter by letter. It reads
    a line with `style` or `classDef` in another way, and entities pass through it as `ﬂ°…¶ß`.
    """
    risky = r"[#;<>&%{}$ﬂ°¶ß]|(?<=styl)e|(?<=classDe)f"
    return re.sub(risky, lambda match: f"#{ord(match[0])};", text)
