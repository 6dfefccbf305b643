"""What the instruments show, in a real JupyterLab: light, dark, in a narrow window, and later."""

import contextlib
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote

import nbformat
import pytest
from colours import contrast, rgb
from labs import CHANGE_THEME, KERNEL_IS_IDLE, Lab, running_lab
from nbformat.v4 import new_code_cell, new_notebook
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect

from chatlib.lab.mermaid import COLOURS

GUARD_MS = 60_000
LIGHT, DARK = "JupyterLab Light", "JupyterLab Dark"
GROUND = {LIGHT: rgb("#ffffff"), DARK: rgb("#111111")}  # of a notebook
PAGE_GROUND = {LIGHT: "rgb(244, 245, 247)", DARK: "rgb(18, 21, 26)"}
GONE = "The page is not here: its server has stopped"
BELOW = "If there is no page, its server has stopped"
LEAST_LETTERS = 11  # pixels, as high as they are drawn

# A page that knows of nothing but what its browser tells it.
SERVE = """\
from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from chatlib.lab import serve, source, trace
from chatlib.lab.wire import Event
own = FastAPI()
PAGE = '''<!DOCTYPE html><meta name="color-scheme" content="light dark"><h1>Mine</h1>'''
own.add_api_route("/", lambda: HTMLResponse(PAGE))
server = serve(own)
server.show()
"""
SHOW_CHAT = "from chatlib import chat\nchatting = serve(chat.app)\nchatting.show()"
CHART = "from chatlib.lab.chart import timeline\ntimeline({'Ana': [1.0, 2.0], 'Ben': [1.5]})"
# Six clients, with all that makes a diagram broad.
DIAGRAM = """\
said = "Session cookie or query token value is: some-key-token"
paths = {f"/ws/{n}": name for n, name in enumerate("Ana Ben Cleo Dora Emil Fay".split())}
with trace(server, paths) as seen:
    for n, path in enumerate(paths):
        for event in (
            Event(n, "request", True, path + "?token=some-key-token"),
            Event(n, "refuse", False, path, "403 Forbidden", 403, raised=1008),
            Event(n, "text", True, path, said),
        ):
            for observe in server.observers:
                observe(event)
seen
"""
CODE = "source(seen.stop)"
CELLS = (SERVE, SHOW_CHAT, CHART, DIAGRAM, CODE)

# Whether a page comes to prefer dark, or light, which it does a moment after the change.
PREFERS = """(element, [dark, milliseconds]) => new Promise(done => {
    const query = matchMedia("(prefers-color-scheme: dark)");
    const look = () => { if (query.matches === dark) done(true); };
    query.onchange = look;
    setTimeout(() => done(false), milliseconds);
    look();
})"""
RUN_ALL = "() => jupyterapp.commands.execute('notebook:run-all-cells')"
SAVE = "() => jupyterapp.commands.execute('docmanager:save')"
STOP_KERNELS = "() => jupyterapp.serviceManager.sessions.shutdownAll()"
HIDE_FILES = "() => jupyterapp.commands.execute('application:toggle-left-area')"


def empty_notebook() -> nbformat.NotebookNode:
    cells = [new_code_cell(source, id=f"cell-{n}") for n, source in enumerate(CELLS)]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return new_notebook(cells=cells, metadata={"kernelspec": kernel})


@pytest.fixture(scope="module")
def start_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Lab]]:
    """Start a JupyterLab with one notebook, that lives as long as this module's tests."""
    with contextlib.ExitStack() as labs:

        def start(**environment: str) -> Lab:
            notebooks = tmp_path_factory.mktemp("notebooks")
            nbformat.write(empty_notebook(), notebooks / "looks.ipynb")
            return labs.enter_context(
                running_lab(tmp_path_factory.mktemp("lab"), notebooks, **environment)
            )

        yield start


@pytest.fixture(scope="module")
def lab(start_lab: Callable[..., Lab]) -> Lab:
    return start_lab()


@pytest.fixture
def open_tab(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Open a notebook in a window of its own, as broad as it says."""
    with contextlib.ExitStack() as contexts:
        # Playwright says "light" to all pages, frames too, unless it is asked to say nothing.
        def open_one(
            lab: Lab, name: str = "looks.ipynb", width: int = 1000, scheme: str = "null"
        ) -> Page:
            size = {"width": width, "height": 1400}
            context = browser.new_context(viewport=size, color_scheme=scheme)
            contexts.callback(context.close)
            context.set_default_timeout(GUARD_MS)
            tab = context.new_page()
            tab.goto(f"{lab.url}lab/tree/{name}?reset")
            tab.wait_for_function(KERNEL_IS_IDLE, polling=100)
            tab.evaluate(HIDE_FILES)
            return tab

        yield open_one


OpenTab = Callable[..., Page]


def run_all(tab: Page) -> None:
    tab.evaluate(RUN_ALL)
    expect(diagram(tab)).to_be_visible(timeout=GUARD_MS)
    expect(picture(tab)).to_be_visible(timeout=GUARD_MS)
    expect(tab.locator(".jp-InputPrompt", has_text="*")).to_have_count(0, timeout=GUARD_MS)


def diagram(tab: Page) -> Locator:
    return tab.locator(".jp-RenderedMermaid img")


def picture(tab: Page) -> Locator:
    return tab.locator(".jp-RenderedImage img")


def change_theme(tab: Page, theme: str) -> None:
    tab.evaluate(CHANGE_THEME, theme)
    tab.wait_for_selector(f'body[data-jp-theme-name="{theme}"]', state="attached")
    expect(tab.locator("#jupyterlab-splash")).to_have_count(0)


def colours(element: Locator) -> dict[tuple[float, ...], int]:
    """Return the colours in which an element is shown, and on how many pixels each."""
    image = Image.open(io.BytesIO(element.screenshot())).convert("RGB")
    counted = image.getcolors(1 << 24)
    return {tuple(part / 255 for part in colour): count for count, colour in counted}


@pytest.mark.parametrize("scheme", ["null", "light", "dark"])
def test_all_that_is_shown_follows_a_change_of_theme(
    scheme: str, lab: Lab, open_tab: OpenTab
) -> None:
    tab = open_tab(lab, scheme=scheme)
    change_theme(tab, LIGHT)
    run_all(tab)
    own, chat = (tab.locator("iframe").nth(n).content_frame for n in (0, 1))
    expect(chat.get_by_role("status")).to_have_text("Connected.")
    for theme in (LIGHT, DARK, LIGHT):
        change_theme(tab, theme)
        expect(chat.locator("body")).to_have_css("background-color", PAGE_GROUND[theme])
        if scheme == "null":  # where the browser itself speaks to a page, it says so to any page
            assert own.locator("h1").evaluate(PREFERS, [theme == DARK, GUARD_MS])
        for shown in (picture(tab), diagram(tab)):
            shown.scroll_into_view_if_needed()
            found = colours(shown)
            ground = max(found, key=lambda colour: found[colour])
            assert max(abs(a - b) for a, b in zip(ground, GROUND[theme], strict=True)) < 0.005
            assert max(contrast(colour, ground) for colour in found) > 10  # its words
            # A tenth of a percent is a line; and each line can be seen.
            lines = [c for c, n in found.items() if n > sum(found.values()) / 1000]
            assert sum(contrast(colour, ground) >= 3 for colour in lines) >= 2
        found = colours(diagram(tab))
        own_colours, others = COLOURS["light"], COLOURS["dark"]
        if theme == DARK:
            own_colours, others = others, own_colours
        for part in ("ink", "note", "line"):
            assert found.get(rgb(own_colours[part]), 0) > 20, part
        assert found.get(rgb(others["note"]), 0) == 0


def test_a_broad_diagram_is_readable_in_a_window_of_800_pixels(lab: Lab, open_tab: OpenTab) -> None:
    tab = open_tab(lab, width=800)
    run_all(tab)
    svg = unquote(diagram(tab).get_attribute("src") or "")
    box = re.search(r'viewBox="[-.\d]+ [-.\d]+ ([.\d]+)', svg)
    letters = re.search(r'class="messageText"[^>]*font-size: (\d+)px', svg)
    assert box
    assert letters
    shown = diagram(tab).evaluate("image => image.getBoundingClientRect().width")
    assert float(letters[1]) * shown / float(box[1]) >= LEAST_LETTERS
    assert len(re.findall("actor-top", svg)) >= 7


def test_source_is_highlighted_in_the_colours_of_the_theme(lab: Lab, open_tab: OpenTab) -> None:
    tab = open_tab(lab)
    run_all(tab)
    code = tab.locator(".jp-OutputArea .jp-RenderedMarkdown pre")
    expect(code).to_contain_text("def stop(self)")
    used = "code => new Set([...code.querySelectorAll('span')].map(e => getComputedStyle(e).color))"
    assert code.evaluate(f"code => ({used})(code).size") >= 2


@pytest.mark.parametrize("prefix", ["", "/"], ids=["direct", "proxied"])
def test_a_stored_page_whose_server_has_gone_says_so(
    prefix: str, start_lab: Callable[..., Lab], open_tab: OpenTab
) -> None:
    lab = start_lab(CHATLIB_PROXY_PREFIX=prefix)
    tab = open_tab(lab)
    run_all(tab)
    frame = tab.locator("iframe").nth(1)
    expect(frame.content_frame.get_by_role("status")).to_have_text("Connected.")
    expect(frame).to_be_visible()
    expect(tab.get_by_text(GONE).nth(1)).to_be_hidden()
    expect(tab.get_by_text(BELOW).nth(1)).to_be_visible()
    tab.evaluate(SAVE)
    tab.evaluate(STOP_KERNELS)

    again = open_tab(lab)
    expect(again.get_by_text(GONE)).to_have_count(2)
    for said in again.get_by_text(GONE).all():
        expect(said).to_be_visible()
    for hidden in [*again.locator("iframe").all(), *again.get_by_text(BELOW).all()]:
        expect(hidden).to_be_hidden()


def test_where_no_script_may_run_a_sentence_says_it_too(
    lab: Lab, open_tab: OpenTab, tmp_path: Path
) -> None:
    from chatlib.lab.show import Page as Shown

    notebook = empty_notebook()
    data = Shown("http://127.0.0.1:9", 9, "/", 420)._repr_mimebundle_()
    notebook.cells[0].outputs = [nbformat.v4.new_output("display_data", data=data)]
    nbformat.write(notebook, lab.folder / "from_elsewhere.ipynb")
    tab = open_tab(lab, "from_elsewhere.ipynb")
    expect(tab.get_by_text(BELOW)).to_be_visible()
    expect(tab.locator("iframe")).to_have_count(0)
    expect(tab.get_by_text("MutationObserver")).to_have_count(0)
