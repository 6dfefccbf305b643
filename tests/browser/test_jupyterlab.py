"""The chapters in a real JupyterLab, in a real browser.

With `CHATLIB_SCREENSHOTS` set to a folder, each chapter's picture is put there, light and dark.
"""

import contextlib
import copy
import functools
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import nbformat
import pytest
from labs import CHANGE_THEME, KERNEL_IS_IDLE, Lab, running_lab
from nbformat import NotebookNode
from playwright.sync_api import Browser, FrameLocator, Page, expect
from refresh import code_cells, has_tag, merged, sanitizer, text_of

from chatlib.lab.needs import missing

RUN_MS = 240_000  # a guard: a chapter that measures takes a minute, or two beside other work
SAID = "what-the-page-said"

CELLS = """() => jupyterapp.shell.currentWidget.content.widgets
    .filter(widget => widget.model.type === "code")
    .map(({model}) => ({
        id: model.id, count: model.executionCount, outputs: model.outputs.toJSON(),
        tags: model.getMetadata("tags") ?? []
    }))"""
SELECT = """id => {
    const notebook = jupyterapp.shell.currentWidget.content;
    notebook.activeCellIndex = notebook.widgets.findIndex(widget => widget.model.id === id);
    notebook.deselectAll();
    return notebook.scrollToItem(notebook.activeCellIndex);
}"""
SAVE = "() => jupyterapp.commands.execute('docmanager:save')"
PROMPTS = "[...document.querySelectorAll('.jp-InputPrompt')].map(prompt => prompt.textContent)"
# Whether all `ids` were executed since the count was `after`, or one of them has failed.
HAVE_RUN = f"""([ids, after]) => {{
    if ({PROMPTS}.some(prompt => prompt.includes("*"))) return false;
    const cells = ({CELLS})().filter(cell => ids.includes(cell.id));
    const executed = cells.filter(cell => cell.count > after);
    const failed = executed
        .filter(cell => !cell.tags.includes("raises-exception"))
        .some(cell => cell.outputs.some(output => output.output_type === "error"));
    return failed || executed.length === ids.length;
}}"""


class Chapter:
    """A notebook that is open in a tab, driven by the menus."""

    def __init__(self, tab: Page, lab: Lab, name: str) -> None:
        self.tab = tab
        self.path = lab.folder / name
        self.ids = [cell.id for cell in code_cells(nbformat.read(self.path, as_version=4))]
        tab.goto(f"{lab.url}lab/tree/{name}?reset")
        tab.wait_for_function(KERNEL_IS_IDLE, polling=100)  # else Run All asks for a kernel

    def cells(self) -> dict[str, dict[str, Any]]:
        """Return what JupyterLab has of each code cell, by id."""
        return {cell["id"]: cell for cell in self.tab.evaluate(CELLS)}

    def run(self, command: str, ids: list[str]) -> None:
        """Choose `command` from the Run menu and wait until the cells `ids` were executed."""
        after = max(cell["count"] or 0 for cell in self.cells().values())
        self.tab.locator("li.lm-MenuBar-item", has_text=re.compile("^Run$")).click()
        self.tab.locator(f'.lm-Menu-item[data-command="{command}"]').click()
        self.tab.wait_for_function(HAVE_RUN, arg=[ids, after], polling=100)

    def run_all(self) -> None:
        self.run("runmenu:run-all", self.ids)

    def run_above(self, cell: str) -> None:
        """Run all cells above `cell`, which leaves the servers up that the last cell stops."""
        self.tab.evaluate(SELECT, cell)
        self.run("notebook:run-all-above", self.ids[: self.ids.index(cell)])

    def run_cell(self, cell: str) -> str:
        """Run one cell and return its output as text."""
        self.tab.evaluate(SELECT, cell)
        self.run("runmenu:run", [cell])
        return json.dumps(self.cells()[cell]["outputs"], ensure_ascii=False)

    def saved(self) -> NotebookNode:
        """Save the notebook and return what is in the file."""
        self.tab.evaluate(SAVE)
        return nbformat.read(self.path, as_version=4)

    def pages(self, above: str) -> list[str]:
        """Return the addresses of the pages embedded by the cells above `above`."""
        cells = self.cells()
        outputs = [cells[name]["outputs"] for name in self.ids[: self.ids.index(above)]]
        return re.findall(r'<iframe src=\\"([^"\\]+)\\"', json.dumps(outputs))

    def page(self, address: str) -> FrameLocator:
        """Return the embedded page at `address`."""
        return self.tab.locator(f'iframe[src="{address}"]').first.content_frame

    def take_pictures(self, folder: Path) -> None:
        """Put light and dark pictures of the whole notebook, one a screen, into `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        self.tab.evaluate("() => jupyterapp.commands.execute('application:toggle-left-area')")
        self.tab.set_viewport_size({"width": 1200, "height": 1600})
        panel = self.tab.locator(".jp-WindowedPanel-outer")
        for scheme, theme in (("light", "JupyterLab Light"), ("dark", "JupyterLab Dark")):
            self.tab.emulate_media(color_scheme=scheme)
            self.tab.evaluate(CHANGE_THEME, theme)
            self.tab.wait_for_selector(f'body[data-jp-theme-name="{theme}"]', state="attached")
            expect(self.tab.locator("#jupyterlab-splash")).to_have_count(0)
            top, height, screen = 0, 1, 0
            while top < height:
                panel.evaluate("(panel, top) => panel.scrollTo(0, top)", top)
                picture = f"{self.path.stem}-{scheme}-{screen + 1:02}.png"
                panel.screenshot(path=folder / picture)
                height, step = panel.evaluate("panel => [panel.scrollHeight, panel.clientHeight]")
                top, screen = top + step, screen + 1


@pytest.fixture(scope="module")
def start_lab(
    browser: Browser, tmp_path_factory: pytest.TempPathFactory, notebooks: Path
) -> Iterator[Callable[..., Lab]]:
    """Start a JupyterLab that lives as long as this module's tests."""
    with contextlib.ExitStack() as labs:

        def start(**environment: str) -> Lab:
            folder = tmp_path_factory.mktemp("lab")
            lab = running_lab(folder, notebooks, CHATLIB_ROUNDS="1", **environment)
            return labs.enter_context(lab)

        yield start


@pytest.fixture(scope="module")
def open_chapter(browser: Browser) -> Iterator[Callable[[Lab, Path], Chapter]]:
    """Open a chapter in a tab of its own."""
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    context.set_default_timeout(RUN_MS)
    yield lambda lab, path: Chapter(context.new_page(), lab, path.name)
    context.close()


@pytest.fixture(scope="module")
def lab(start_lab: Callable[..., Lab]) -> Lab:
    return start_lab()


@pytest.fixture(scope="module")
def proxied_lab(start_lab: Callable[..., Lab]) -> Lab:
    """A JupyterLab whose pages come through jupyter-server-proxy, as on Binder."""
    return start_lab(CHATLIB_PROXY_PREFIX="/")


@pytest.fixture(scope="module")
def run_chapter(
    lab: Lab, open_chapter: Callable[[Lab, Path], Chapter]
) -> Callable[[Path], tuple[Chapter, NotebookNode]]:
    """Open a chapter and Run All, once for all tests; return it and what JupyterLab saved then."""

    @functools.cache
    def run(path: Path) -> tuple[Chapter, NotebookNode]:
        chapter = open_chapter(lab, path)
        chapter.run_all()
        saved = chapter.saved()
        if folder := os.environ.get("CHATLIB_SCREENSHOTS"):
            chapter.run_above(chapter.ids[-1])  # the last cell stops the pages' servers
            chapter.take_pictures(Path(folder))
        return chapter, saved

    return run


RunChapter = Callable[[Path], tuple[Chapter, NotebookNode]]


def test_run_all_executes_every_cell_in_order(chapter: Path, run_chapter: RunChapter) -> None:
    _, saved = run_chapter(chapter)
    cells = code_cells(saved)
    for cell in cells:
        errors = [output for output in cell.outputs if output.output_type == "error"]
        assert errors == [] or has_tag(cell, "raises-exception"), (cell.id, errors)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))


def test_run_all_gives_what_the_chapter_has_stored(chapter: Path, run_chapter: RunChapter) -> None:
    _, saved = run_chapter(chapter)
    stored = code_cells(nbformat.read(chapter, as_version=4))
    sanitize = sanitizer()
    for now, before in zip(code_cells(saved), stored, strict=True):
        left_out = missing(now.source)
        if not (has_tag(now, "nbval-ignore-output") or left_out):
            assert texts(now, sanitize) == texts(before, sanitize), now.id


def test_every_diagram_is_drawn(chapter: Path, run_chapter: RunChapter) -> None:
    opened, saved = run_chapter(chapter)
    fences = sum(
        len(re.findall(r"^```mermaid$", cell.source, re.MULTILINE))
        for cell in saved.cells
        if cell.cell_type == "markdown"
    )
    outputs = sum(
        "text/vnd.mermaid" in output.get("data", {})
        for cell in code_cells(saved)
        for output in cell.outputs
    )
    drawn = opened.tab.locator(".jp-RenderedMermaid:not(.jp-mod-warning) figure img")
    expect(drawn).to_have_count(fences + outputs)
    expect(opened.tab.locator(".jp-RenderedMermaid.jp-mod-warning")).to_have_count(0)


def test_the_embedded_page_is_live(page_chapter: Path, run_chapter: RunChapter) -> None:
    chapter, _ = run_chapter(page_chapter)
    last = chapter.ids[-1]
    chapter.run_above(last)
    pages = chapter.pages(above=last)
    assert pages
    live = chapter.page(pages[-1])
    expect(live.get_by_role("heading", level=1)).to_be_visible()


def test_what_is_typed_into_the_page_is_heard_in_the_notebook(
    chat_chapter: Path, run_chapter: RunChapter
) -> None:
    chapter, _ = run_chapter(chat_chapter)
    talk(chapter, r"http://127\.0\.0\.1:\d+/")


def test_the_same_through_jupyter_server_proxy(
    chat_chapter: Path, proxied_lab: Lab, open_chapter: Callable[[Lab, Path], Chapter]
) -> None:
    talk(open_chapter(proxied_lab, chat_chapter), r"/proxy/\d+/")


def test_who_signs_in_to_the_page_goes_through_the_tunnel_and_hears_what_was_said_meanwhile(
    notebooks: Path, run_chapter: RunChapter
) -> None:
    chapter, _ = run_chapter(notebooks / "07_rooms_that_remember.ipynb")
    chapter.run_above("tunnel")
    page = chapter.page(chapter.pages(above="tunnel")[-1])
    status = page.get_by_role("status")
    page.get_by_label("Your name").fill("ben")
    page.get_by_role("button", name="Sign in").click()
    expect(status).to_have_text("Connected.")
    expect(page.locator("#how-many")).to_have_text("1")  # who comes now is told of ben
    assert "Cut off now: ben" in chapter.run_cell("tunnel")
    expect(status).to_contain_text("No connection")
    heard = page.get_by_role("log")
    expect(heard).not_to_contain_text("Are you in the tunnel?")
    chapter.run_cell("heal")
    expect(heard).to_contain_text("Are you in the tunnel?")
    expect(status).to_have_text("Connected.")


def talk(chapter: Chapter, address: str) -> None:
    """Say something in the embedded page and in a second tab, and see who hears it."""
    chapter.run_above(SAID)
    page = chapter.pages(above=SAID)[-1]
    assert re.fullmatch(address, page)
    embedded = chapter.page(page)
    expect(embedded.get_by_role("heading", name="WebSocket Chat")).to_be_visible()
    with chapter.tab.context.new_page() as tab:
        tab.goto(urljoin(chapter.tab.url, page))
        for visitor, words in ((embedded, "hello from the notebook"), (tab, "hello from a tab")):
            expect(visitor.get_by_role("status")).to_contain_text("Connected")
            visitor.get_by_role("textbox").fill(words)
            visitor.get_by_role("button", name="Send").click()
            for hearer in (embedded, tab):
                expect(hearer.get_by_role("log")).to_contain_text(f"says: {words}")
    heard = chapter.run_cell(SAID)
    assert "hello from the notebook" in heard
    assert "hello from a tab" in heard


def texts(cell: NotebookNode, sanitize: Callable[[str], str]) -> list[str]:
    """Return what nbval would compare of a cell.

    JupyterLab adds to a diagram the SVG that it made of it, and ends a line by one character.
    """
    outputs = merged(copy.deepcopy(cell.outputs))
    for output in outputs:
        output.get("data", {}).pop("image/svg+xml", None)
    return [sanitize(text_of(output)).replace("\r\n", "\n") for output in outputs]
