"""The README as pages: one for each of its sections, and for each part of a long one."""

import re
from dataclasses import dataclass, field

from making.links import slug

FENCE = re.compile(r"^(`{3,}|~{3,})")


@dataclass
class Section:
    """A section of the README.

    Attributes:
        title: its heading.
        body: what stands below it, without its parts.
        parts: what has headings one level deeper.
    """

    title: str
    body: str = ""
    parts: list["Section"] = field(default_factory=list)

    @property
    def name(self) -> str:
        """What its page is called."""
        return slug(self.title)

    @property
    def text(self) -> str:
        """The page's Markdown, without its parts."""
        return f"# {self.title}\n\n{self.body.strip()}\n"


def sections_of(readme: str) -> list[Section]:
    """Return the sections of the README, in order. What comes before the first one is left out."""
    sections: list[Section] = []
    fence = ""
    current: Section | None = None
    for line in readme.splitlines():
        mark = FENCE.match(line)
        if mark and not fence:
            fence = mark[1]
        elif mark and line.startswith(fence):
            fence = ""
        heading = None if fence else re.match(r"(#{2,}) (.+)$", line)
        if heading is None:
            if current is not None:
                current.body += f"{line}\n"
            continue
        depth, title = len(heading[1]), heading[2]
        if depth == 2:
            current = Section(title)
            sections.append(current)
        elif depth == 3:
            current = Section(title)
            sections[-1].parts.append(current)
        elif current is not None:
            current.body += f"{'#' * (depth - 2)} {title}\n"
    return sections


def anchors_in(text: str) -> set[str]:
    """Return the anchors of the headings in a page's Markdown."""
    return {slug(heading) for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}
