"""The links in Markdown: found outside code, and pointed to where their target is on the site."""

import re
from collections.abc import Callable

FENCE_OR_CODE = (
    r"^(?P<fence>`{3,}|~{3,}).*?^(?P=fence)[`~]*\s*?$|(?P<tick>`+)[^`].*?(?<!`)(?P=tick)(?!`)"
)
LINK = r"\]\((?P<target>[^()\s]*(?:\([^()\s]*\)[^()\s]*)*)\)"
PATTERN = re.compile(f"{FENCE_OR_CODE}|{LINK}", re.MULTILINE | re.DOTALL)


def slug(heading: str) -> str:
    """Return the anchor of a heading, as GitHub writes it.

    JupyterLab's anchors keep capitals and signs (`#What-it-costs`). The slug of such an anchor is
    that of its heading, so a link of either kind finds it.
    """
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def relinked(text: str, resolve: Callable[[str], str]) -> str:
    """Return the Markdown `text`; `resolve` was applied to each link's target outside code."""

    def replace(match: re.Match[str]) -> str:
        target = match["target"]
        return match[0] if target is None else f"]({resolve(target)})"

    return PATTERN.sub(replace, text)
