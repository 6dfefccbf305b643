"""The folder that Sphinx reads: every page of the site, as Markdown or as a notebook.

Nothing of it is in git twice. Chapters, the README, the changelog and the recipes are taken from
where they are, and keep their places, so that links between them go on to hold. A link to a file
that is no page makes it one, with its code.
"""

import posixpath
import re
from collections.abc import Callable
from pathlib import Path

import nbformat

from making import chapters, diagrams, generated, manual
from making.links import relinked, slug
from making.lists import from_page, headings_in, index_of_code, is_text, number

PICTURES = (".png", ".svg", ".jpg", ".gif", ".webp")
TO_PRINT, CHEAT_SHEET = "handouts/to_print.html", "reference/cheat_sheet.md"
FILES = "files/index.md"
# What is on the start page, and what is left to those who have the repository before them.
ON_START = "The chapters"


class StageError(Exception):
    """Something links to what is not there."""


class Stage:
    """Puts the pages together.

    Attributes:
        written: what is in the folder, by its path there.
    """

    def __init__(self, root: Path, folder: Path, drawings: Path) -> None:
        self.root = root
        self.folder = folder
        self.drawings = drawings
        self.written: set[str] = set()
        self.code: dict[str, str] = {}  # the pages of files with code, by the file's path
        self.sections = manual.sections_of(self.read("README.md"))
        self.manual: dict[str, manual.Section] = {}
        for section in self.sections:
            for part in (section, *section.parts):
                self.manual[f"manual/{part.name}.md"] = part
        self.notebooks = self.found("notebooks/*.ipynb")
        self.recipes = self.found("deploy/**/*.md")
        self.texts = ["CHANGELOG.md", "CONTRIBUTING.md", "handouts/for_instructors.md"]
        self.texts += [*self.found("SECURITY.md"), *self.recipes]

    def found(self, pattern: str) -> list[str]:
        """Return the paths that match `pattern`, in order."""
        paths = sorted(self.root.glob(pattern))
        return [path.relative_to(self.root).as_posix() for path in paths if path.is_file()]

    def read(self, path: str) -> str:
        return (self.root / path).read_text("utf-8")

    def make(self) -> None:
        """Write all pages, those that have changed, and remove those that are no more."""
        notebooks = {path: nbformat.read(self.root / path, 4) for path in self.notebooks}
        sources = [source for each in notebooks.values() for source in chapters.diagrams_in(each)]
        texts = {path: self.read(path) for path in self.texts}
        sources += [source for text in texts.values() for source in diagrams.FENCE.findall(text)]
        diagrams.draw(sources, self.drawings)
        for source in sources:
            drawn = diagrams.file_of(source, self.drawings)
            self.write(f"_diagrams/{drawn.name}", drawn.read_text("utf-8"))
        titles = {path: chapters.title_of(each) for path, each in notebooks.items()}
        for path, notebook in notebooks.items():
            uri = from_page(path, "_diagrams")
            resolve = self.resolver(path, path)
            chapters.prepare(notebook, resolve, self.drawings, uri)
            self.write(path, nbformat.writes(notebook, 4))
        for path, text in texts.items():
            linked = relinked(text, self.resolver(path, path))
            self.write(path, diagrams.pictured(linked, from_page(path, "_diagrams")))
        for page, section in self.manual.items():
            if section.title != ON_START:
                self.write(page, relinked(section.text, self.resolver("README.md", page)))
        self.generate()
        for path in sorted((self.root / "site/pages").rglob("*.md")):
            page = path.relative_to(self.root / "site/pages").as_posix()
            text = relinked(path.read_text("utf-8"), self.resolver(page, page, own=True))
            self.write(page, self.filled(page, text, titles))
        for path in self.found("deploy/**/*"):
            if path not in self.recipes and is_text(self.root / path):
                self.code_page(path)
        self.write(FILES, index_of_code(self.code))
        self.clean()

    def generate(self) -> None:
        """Write the pages that are made from the code."""
        text, document = generated.protocol()
        self.write("reference/protocol.md", text)
        self.write("_raw/asyncapi.json", document)
        self.write("reference/command_line.md", generated.commands())
        self.write("_extra/to_print.html", self.read(TO_PRINT))
        self.write(CHEAT_SHEET, generated.cheat_sheet(self.read(TO_PRINT)))

    def filled(self, page: str, text: str, titles: dict[str, str]) -> str:
        """Return a page of the site's own with what stands in its places `{{ … }}`."""
        chapter_list = [f"{number(path)}{titles[path]} </{path}>" for path in self.notebooks]
        library = [f"/{page}" for page in self.manual if self.in_library(page)]
        places = {
            "chapters": "\n".join(chapter_list),
            "library": "\n".join(library),
            "recipes": "\n".join([*(f"/{path}" for path in self.recipes), f"/{FILES}"]),
            "project": "\n".join(f"/{path}" for path in self.project_pages()),
            "table of chapters": relinked(
                self.manual[f"manual/{slug(ON_START)}.md"].body, self.resolver("README.md", page)
            ),
            "questions of the chapters": self.headings(page, self.notebooks, r"##+ (.+\?)"),
        }
        for name, content in places.items():
            text = text.replace(f"{{{{ {name} }}}}", content.strip())
        return text

    def in_library(self, page: str) -> bool:
        """Return whether a page of the manual tells about the library, and not of the project."""
        of = [section for section in self.sections if section.parts]
        return any(self.manual[page] in (section, *section.parts) for section in of)

    def project_pages(self) -> list[str]:
        """Return the pages about running, testing and changing the course."""
        rest = [page for page in self.manual if not self.in_library(page)]
        rest = [page for page in rest if self.manual[page].title != ON_START]
        return [*rest, *(path for path in self.texts if "/" not in path)]

    def headings(self, page: str, paths: list[str], pattern: str) -> str:
        """Return a list of the headings in the files at `paths` that match, each a link."""
        return "\n".join(
            f"- [{heading}]({from_page(page, path)}#{slug(heading)})"
            for path in paths
            for heading in headings_in(self.read(path), path, pattern)
        )

    def resolver(self, path: str, page: str, *, own: bool = False) -> Callable[[str], str]:
        """Return what says, for a link in the file `path`, what it is in `page`."""

        def resolve(target: str) -> str:
            if re.match(r"[a-z]+:", target):
                return target
            file, _, anchor = target.partition("#")
            anchor = f"#{slug(anchor)}" if anchor else ""
            if not file and path != "README.md":
                return anchor
            place = posixpath.normpath(posixpath.join(posixpath.dirname(path), file or "README.md"))
            if own and self.own(place):
                return from_page(page, place) + anchor
            return from_page(page, self.page_of(path, place, anchor)) + anchor

        return resolve

    def own(self, place: str) -> bool:
        """Return whether `place` is a page of the site that is no file of the repository."""
        made = (CHEAT_SHEET, "reference/protocol.md", "reference/command_line.md", FILES)
        pages = self.root / "site/pages"
        return place in made or place in self.manual or (pages / place).is_file()

    def page_of(self, path: str, place: str, anchor: str) -> str:
        """Return the page for what is at `place`, to which the file `path` links."""
        here = self.root / place
        if place == "README.md":
            return self.page_of_readme(path, anchor)
        if place in (*self.notebooks, *self.texts):
            return place
        if place == TO_PRINT:
            return CHEAT_SHEET
        if here.is_dir():
            readme = posixpath.join(place, "README.md")
            return readme if readme in self.texts else FILES
        if not here.is_file() or place.startswith(".."):
            raise StageError(f"{path} links to {place}, which is not there")
        if here.suffix in PICTURES:
            self.write(place, here.read_bytes())
            return place
        return self.code_page(place)

    def page_of_readme(self, path: str, anchor: str) -> str:
        """Return the page on which a heading of the README is."""
        if not anchor or anchor == f"#{slug(ON_START)}":
            return "index.md"
        for page, section in self.manual.items():
            if anchor[1:] in manual.anchors_in(section.text):
                return page
        raise StageError(f"{path} links to README.md{anchor}, and there is no such heading")

    def code_page(self, path: str) -> str:
        """Return the page of a file with code, which is made if there is none yet."""
        if path not in self.code:
            text = self.read(path)
            self.write(f"_raw/{path}", text)
            self.code[path] = f"files/{path.lstrip('.')}.md"
            self.write(self.code[path], generated.code_page(path, text))
        return self.code[path]

    def write(self, name: str, content: str | bytes) -> None:
        """Write a file, unless it is there: Sphinx reads again what is new."""
        self.written.add(name)
        data = content.encode() if isinstance(content, str) else content
        file = self.folder / name
        if not file.is_file() or file.read_bytes() != data:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)

    def clean(self) -> None:
        """Remove what an earlier call wrote, and this one did not."""
        for file in self.folder.rglob("*"):
            if file.is_file() and file.relative_to(self.folder).as_posix() not in self.written:
                file.unlink()
