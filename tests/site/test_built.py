"""The site as it is read: every link leads somewhere, every page fits, and nothing is fetched."""

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

ROOT = Path(__file__).parents[2]
GUARD_MS = 20_000
PHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
# What is broader than the page, and in no frame that scrolls. Furo hides what is beyond the edge:
# the page's own width tells nothing, a reader would just not see it.
TOO_BROAD = """() => [...document.querySelectorAll("article *")].filter(node => {
  if (node.getBoundingClientRect().right <= innerWidth + 1) return false;
  for (let at = node.parentElement; at.matches("article *"); at = at.parentElement)
    if (getComputedStyle(at).overflowX !== "visible") return false;
  return true;
}).map(node => node.outerHTML.slice(0, 80))"""
# What stays on the page, and what the browser shows by itself.
INLINE = ("data", "blob", "about", "chrome-error")


class Anchors(HTMLParser):
    """Collects the ids of a page, and what it links to or loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        self.ids |= {told[name] or "" for name in ("id", "name") if name in told}
        if tag == "a" and told.get("href"):
            self.links.append(str(told["href"]))
        elif tag == "link" and told.get("rel") in ("stylesheet", "icon", "preload"):
            self.loaded.append(str(told["href"]))
        elif tag in ("script", "img", "iframe", "source", "video") and told.get("src"):
            self.loaded.append(str(told["src"]))


@pytest.fixture(scope="module")
def pages(built: Path) -> dict[str, Anchors]:
    """Each page by its path, read."""
    found = sorted(built.rglob("*.html"))
    return {path.relative_to(built).as_posix(): Anchors(path.read_text("utf-8")) for path in found}


@pytest.fixture
def context(browser: Browser, address: str) -> Iterator[BrowserContext]:
    """A visitor; the test fails if a page errs, lacks something, or asks another host."""
    faults: list[str] = []
    context = browser.new_context(viewport=DESKTOP)
    context.set_default_timeout(GUARD_MS)
    watch(context, address, faults)
    yield context
    context.close()
    assert faults == []


def watch(context: BrowserContext, home: str, faults: list[str]) -> None:
    """Put into `faults` what a visitor of `context` should never cause."""

    def asked(url: str) -> None:
        if not url.startswith(home) and urlsplit(url).scheme not in INLINE:
            faults.append(f"asked for {url}")

    context.on("request", lambda request: asked(request.url))
    context.on("requestfailed", lambda request: faults.append(f"did not get {request.url}"))
    context.on(
        "response",
        lambda got: faults.append(f"{got.status} for {got.url}") if got.status >= 400 else None,
    )
    context.on(
        "console",
        lambda said: faults.append(said.text) if said.type in ("error", "warning") else None,
    )
    context.on("weberror", lambda error: faults.append(str(error.error)))


def test_every_link_within_the_site_leads_to_a_page_and_a_place(
    built: Path, pages: dict[str, Anchors]
) -> None:
    broken = []
    for page, read in pages.items():
        for link in read.links:
            if urlsplit(link).scheme:
                continue
            target, anchor = urldefrag(urljoin(f"http://here/{page}", link))
            path = unquote(urlsplit(target).path).lstrip("/")
            path += "index.html" if path.endswith("/") or not path else ""
            if not (built / path).is_file():
                broken.append(f"{page}: {link}")
            elif anchor and path in pages and unquote(anchor) not in pages[path].ids:
                broken.append(f"{page}: {link}: no such place")
    assert broken == []


def test_a_page_loads_nothing_from_elsewhere(built: Path, pages: dict[str, Anchors]) -> None:
    for page, read in pages.items():
        for loaded in read.loaded:
            if not loaded.startswith("data:"):
                assert not urlsplit(loaded).netloc, f"{page} loads {loaded}"
                path = urlsplit(urljoin(f"http://here/{page}", loaded)).path
                assert (built / unquote(path).lstrip("/")).is_file(), f"{page} lacks {loaded}"
    for sheet in built.rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*['\"]?(https?:)?//", sheet.read_text("utf-8"))


def test_links_to_other_sites_are_written_as_links_have_to_be(pages: dict[str, Anchors]) -> None:
    links = {link for read in pages.values() for link in read.links if urlsplit(link).scheme}
    assert links
    for link in links:
        parts = urlsplit(link)
        assert parts.scheme in ("https", "mailto"), link
        assert parts.scheme == "mailto" or re.fullmatch(r"[\w-]+(\.[\w-]+)+", parts.netloc), link


def test_every_notebook_is_a_page_and_is_reached_from_the_start(pages: dict[str, Anchors]) -> None:
    names = [path.stem for path in sorted((ROOT / "notebooks").glob("*.ipynb"))]
    listed = [link for link in pages["index.html"].links if link.startswith("notebooks/")]
    in_menu = list(dict.fromkeys(link for link in listed if "#" not in link))
    assert in_menu == [f"notebooks/{name}.html" for name in names]


def test_the_source_of_no_diagram_is_left_on_a_page(built: Path) -> None:
    for page in (built / "notebooks").glob("*.html"):
        text = page.read_text("utf-8")
        assert "%%{init" not in text, page.name
        assert "accTitle" not in text, page.name


def test_no_frame_of_a_server_that_is_gone_is_left(built: Path) -> None:
    for page in (built / "notebooks").glob("*.html"):
        assert "<iframe" not in page.read_text("utf-8"), page.name


def test_every_page_fits_a_phone_and_asks_no_other_host(
    context: BrowserContext, address: str, pages: dict[str, Anchors]
) -> None:
    """One tab goes through all pages; `context` looks at what they ask for and at the console."""
    tab = context.new_page()
    tab.set_viewport_size(PHONE)
    too_broad = {}
    for page in pages:
        tab.goto(address + page)
        beyond = tab.evaluate(TOO_BROAD)
        if beyond or tab.evaluate("document.documentElement.scrollWidth > innerWidth"):
            too_broad[page] = beyond[:3]
    assert too_broad == {}


@pytest.mark.parametrize(
    ("words", "page"),
    [
        ("1008", "notebooks/02_items.html"),
        ("403 origin", "manual/who-may-connect-and-how-much.html"),
        ("nest_asyncio", "notebooks/00_start_here.html"),
        ("gather", "notebooks/05_fan_out.html"),
        ("redis", "manual/several-machines.html"),
        ("ConnectionManager", "reference/chatlib.html"),
    ],
)
def test_a_search_finds_the_page(
    context: BrowserContext, address: str, words: str, page: str
) -> None:
    tab = context.new_page()
    tab.goto(address)
    search_for(tab, words)
    expect(tab.locator(f"#search-results a[href*='{page}']").first).to_be_visible(timeout=GUARD_MS)


@pytest.mark.parametrize(
    ("words", "place"),
    [
        ("liveness probe", "deploy/README.html#kubernetes"),
        ("1006", "notebooks/02_items.html#connect-without-a-credential"),
        ("grace period", "deploy/README.html#kubernetes"),
        ("without redis", "manual/rooms-that-remember-in-any-app.html"),
    ],
)
def test_the_first_three_places_of_a_search_have_the_answer(
    context: BrowserContext, address: str, words: str, place: str
) -> None:
    tab = context.new_page()
    tab.goto(address)
    search_for(tab, words)
    first = tab.locator("#section-results a")
    expect(first.first).to_be_visible(timeout=GUARD_MS)
    found = [
        re.sub(r"[?].*?(#|$)", r"\1", link.get_attribute("href") or "") for link in first.all()
    ]
    assert any(link.startswith(place) for link in found[:3]), found


def test_a_search_says_which_chapter_a_section_is_of_and_marks_the_words_there(
    context: BrowserContext, address: str
) -> None:
    tab = context.new_page()
    tab.goto(address)
    search_for(tab, "every way 403")
    tab.wait_for_load_state("networkidle")  # Sphinx asks for the pages that it lists
    tab.get_by_role("link", name=re.compile("^02 Guard an item socket .* Every way in$")).click()
    expect(tab).to_have_url(re.compile("02_items.html#every-way-in$"))
    expect(tab.locator("article .highlighted", has_text="403").first).to_be_attached()


def test_what_the_search_leads_to_is_there(built: Path, pages: dict[str, Anchors]) -> None:
    script = (built / "_static/sections.js").read_text("utf-8")
    lists = json.loads(script.removeprefix("const SECTIONS = ").rstrip(";\n"))
    assert lists["questions"]
    for _, address, *_ in lists["questions"] + lists["sections"]:
        page, anchor = urldefrag(address)
        assert not anchor or unquote(anchor) in pages[page].ids, address


def search_for(tab: Page, words: str) -> None:
    """Type `words` into the box on the left."""
    box = tab.get_by_role("textbox", name="Search")
    box.fill(words)
    box.press("Enter")


def test_pages_and_search_work_from_files_without_a_server(browser: Browser, built: Path) -> None:
    faults: list[str] = []
    context = browser.new_context(viewport=DESKTOP)
    context.set_default_timeout(GUARD_MS)
    watch(context, built.as_uri(), faults)
    tab = context.new_page()
    tab.goto((built / "index.html").as_uri())
    search_for(tab, "1008")
    found = tab.locator("#search-results a[href*='02_items.html']").first
    expect(found).to_be_visible(timeout=GUARD_MS)
    found.click()
    expect(tab.get_by_role("heading", name="Guard an item socket")).to_be_visible()
    tab.go_back()
    tab.locator("#section-results a[href*='02_items.html']").first.click()
    expect(tab.get_by_role("heading", name="Guard an item socket")).to_be_attached()
    context.close()
    assert faults == []


def looks(tab: Page, selector: str) -> tuple[str, int]:
    """Return the colour scheme of the first match, and how often it is turned to dark."""
    script = """node => {
      const scheme = getComputedStyle(node).colorScheme;
      let filters = 0;
      for (let at = node; at; at = at.parentElement) {
        filters += getComputedStyle(at).filter !== "none";
      }
      return [scheme, filters];
    }"""
    scheme, filters = tab.locator(selector).first.evaluate(script)
    return scheme, filters


@pytest.mark.parametrize("system", ["light", "dark"])
@pytest.mark.parametrize("chosen", ["auto", "light", "dark"])
def test_pictures_take_the_theme_of_the_page(
    browser: Browser, address: str, system: str, chosen: str
) -> None:
    context = browser.new_context(color_scheme=system)
    tab = context.new_page()
    tab.add_init_script(f"localStorage.setItem('theme', {chosen!r})")
    theme = system if chosen == "auto" else chosen
    tab.goto(f"{address}notebooks/04_when_it_breaks.html")
    assert looks(tab, "img.diagram") == (theme, 0)
    assert looks(tab, "img.chart")[1] == (1 if theme == "dark" else 0)
    context.close()


def test_every_picture_says_what_is_in_it(context: BrowserContext, address: str) -> None:
    tab = context.new_page()
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        tab.goto(f"{address}notebooks/{path.stem}.html")
        for picture in tab.locator("article img").all():
            assert len(picture.get_attribute("alt") or "") > 10, path.stem
            assert picture.evaluate("async image => (await image.decode(), image.naturalWidth)")


def test_answers_are_folded_on_the_screen_and_open_on_paper(
    context: BrowserContext, address: str
) -> None:
    tab = context.new_page()
    tab.goto(f"{address}notebooks/02_items.html")
    answers = tab.locator("article details")
    inside = tab.get_by_text("The 1008 stayed in the server")
    assert answers.count() > 10
    assert not inside.is_visible()
    tab.evaluate("dispatchEvent(new Event('beforeprint'))")
    expect(inside).to_be_visible()
    tab.evaluate("dispatchEvent(new Event('afterprint'))")
    assert not inside.is_visible()
    answers.filter(has_text="The 1008 stayed in the server").locator("summary").click()
    expect(inside).to_be_visible()


def test_a_link_to_a_section_opens_the_answers_of_that_section_alone(
    context: BrowserContext, address: str
) -> None:
    tab = context.new_page()
    tab.goto(f"{address}notebooks/02_items.html#connect-without-a-credential")
    expect(tab.get_by_text("The 1008 stayed in the server")).to_be_visible()
    assert tab.get_by_text("What came, and why").count() > 1
    closed = tab.locator("#every-way-in details")
    assert closed.count() > 0
    assert closed.evaluate_all("all => all.filter(one => one.open).length") == 0


def test_the_protocol_is_that_of_the_running_app(built: Path) -> None:
    from chatlib.core.rooms import spec
    from chatlib.core.rooms.protocol import DOWN, UP

    text = (built / "reference/protocol.html").read_text("utf-8")
    for model in (*UP, *DOWN):
        assert f'<span class="pre">{spec.kind_of(model)}</span>' in text
    (document,) = (built / "_downloads").rglob("asyncapi.json")
    assert '"asyncapi": "3.0.0"' in document.read_text("utf-8")
